package torchbind_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"autolora/torchbind"
)

// functions.S names all that the headers of the library declare: what it lacks
// does not link, and what it has too much would keep the library from opening.
func TestFunctionsAreThoseOfTheHeaders(t *testing.T) {
	text := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	find := func(pattern, text string) (names []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return names
	}
	var declared []string
	for _, header := range []string{"accelerator/accelerator.h", "c10d/c10d.h", "profiler/profiler.h", "shim/shim.h"} {
		declared = append(declared, find(`(?m)^\w.*?\b(tb_\w+)\(`, text(filepath.Join("internal", header)))...)
	}
	declared = slices.DeleteFunc(declared, func(name string) bool { return strings.HasPrefix(name, "tb_cuda_nccl") }) // of the other library
	slices.Sort(declared)
	if got := find(`(?m)^function (tb_\w+)$`, text("functions.S")); !slices.Equal(got, declared) {
		t.Errorf("functions.S has %v, the headers %v", got, declared)
	}
}

// openEnv marks the process that TestLibraryIsRefused starts.
const openEnv = "AUTOLORA_TEST_OPEN"

// The error says in one line what is wrong and what is to be done, and comes
// back from Run and as an *Error from all else.
func TestLibraryIsRefused(t *testing.T) {
	const library = "libautolora_torch.so"
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"no library", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("rubbish"), 0o666); err != nil {
				t.Fatal(err)
			}
		}, library + " cannot be opened: "},
		{"of other sources", func(t *testing.T, path string) { compile(t, path, `const char tb_sources[] = "1234";`) },
			library + " was made of other C++ than this program: run `make setup`"},
		{"of none", func(t *testing.T, path string) { compile(t, path, "") }, library + " was made of other C++ than this program: run `make setup`"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.make(t, filepath.Join(dir, library))
			cmd := exec.Command(os.Args[0], "-test.run=^TestOpen$")
			cmd.Env = append(os.Environ(), openEnv+"=1", "LD_LIBRARY_PATH="+dir, "LIBTORCH=")
			output, err := cmd.Output()
			got, _, _ := strings.Cut(string(output), "PASS\n")
			first, second, _ := strings.Cut(got, "\n")
			if err != nil || !strings.HasPrefix(first, tt.want) || second != "torch open: "+first+"\n" {
				t.Errorf("%v: got %q, want %q twice", err, got, tt.want)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	if os.Getenv(openEnv) == "" {
		if err := torchbind.Open(); err != nil {
			t.Fatal(err)
		}
		return
	}
	fmt.Println(torchbind.Run(func(*torchbind.Scope) error { return nil }))
	defer func() { fmt.Println(recover()) }()
	torchbind.NumThreads()
}

// Without libtorch the C++ does not compile, with a line that says what to do.
func TestMissingLibtorchIsExplained(t *testing.T) {
	compiler := os.Getenv("CXX")
	if compiler == "" {
		compiler = "g++"
	}
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skip("no C++ compiler")
	}
	cmd := exec.Command(compiler, "-std=c++17", "-fsyntax-only", "-Iinternal/shim", "-x", "c++", "-")
	cmd.Stdin = strings.NewReader("#include \"guard.h\"\n")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "libtorch is missing: run `make setup`") {
		t.Errorf("%v: %s", err, out)
	}
}
