// An outside test: a test inside of the package would compile all of its C++
// once more.
package shim_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Without libtorch the build stops with a line that says what to do.
func TestMissingLibtorchIsExplained(t *testing.T) {
	compiler := os.Getenv("CXX")
	if compiler == "" {
		compiler = "g++"
	}
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skip("no C++ compiler")
	}
	source := filepath.Join(t.TempDir(), "x.cc")
	if err := os.WriteFile(source, []byte("#include \"guard.h\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(compiler, "-std=c++17", "-fsyntax-only", "-I"+folder, source).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "libtorch is missing: run `make setup`") {
		t.Errorf("%v: %s", err, out)
	}
}
