package runs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A full disk gives an error that says so, and the file that was there stays.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	out, err := Create(filepath.Join(dir, "out"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.WriteJSON(RanksFile, "good"); err != nil {
		t.Fatal(err)
	}
	err = out.WriteJSON(RanksFile, strings.Repeat("x", 200_000))
	if err == nil || !strings.Contains(err.Error(), "no space left") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with \"no space left\"", err)
	}
	if data, err := os.ReadFile(out.Path(RanksFile)); err != nil || string(data) != "\"good\"\n" {
		t.Errorf("the earlier file is %q, %v", data, err)
	}
	entries, err := os.ReadDir(out.Dir)
	if err != nil || len(entries) != 2 { // ranks.json and metrics.jsonl
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestOutputOnReadOnlyDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("a read-only file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	_, err := Create(filepath.Join(dir, "out"), false)
	if err == nil || !strings.Contains(err.Error(), "output folder") || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("error %v", err)
	}
}

// Overwrite replaces results and touches nothing else.
func TestOverwriteKeepsOtherFiles(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "notes.txt")
	for _, path := range []string{mine, filepath.Join(dir, ResultsFile)} {
		if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Create(dir, false); err == nil {
		t.Error("a folder with files was taken without --overwrite")
	}
	out, err := Create(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	out.Close()
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ResultsFile)); !os.IsNotExist(err) {
		t.Errorf("old results are still there: %v", err)
	}
}
