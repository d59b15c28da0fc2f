package meteor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The script takes METEOR's own files for its own, to the byte, and touches no folder that it has not made.
func TestFetchScript(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	dir := sharedResources(t)
	run := func() (string, error) {
		out, err := exec.Command("bash", filepath.Join(filepath.Dir(scripts), "fetch_meteor.sh"), dir).CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || out != "" {
		t.Errorf("a whole folder: got %v, %s", err, out)
	}
	file := filepath.Join(dir, "synonym", "english.exceptions")
	if err := os.WriteFile(file, []byte("a\nb\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); err == nil || !strings.Contains(out, dir+" exists, but METEOR's word lists are not in it") {
		t.Errorf("another file: got %v, %s", err, out)
	}
	if text := textLines(t, file); len(text) != 2 {
		t.Errorf("the file has become %q", text)
	}
}
