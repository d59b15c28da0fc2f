package runs

import (
	"errors"
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
	out, err := Open(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Begin(false, false); err != nil {
		t.Fatal(err)
	}
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
	if err != nil || len(entries) != 3 { // ranks.json, metrics.jsonl and Own
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestOutputOnReadOnlyDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("a read-only file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	_, err := Open(filepath.Join(dir, "out"))
	if err == nil || !strings.Contains(err.Error(), "output folder") || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("error %v", err)
	}
}

// A process that leaves the writing to another changes nothing, the list included.
func TestReadOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	run(t, dir, "first", false)
	list, err := os.ReadFile(filepath.Join(dir, Own, listFile))
	must(t, err)
	f := ReadOnly(dir)
	must(t, errors.Join(f.WriteJSON(ConfigFile, "x"), f.Log("x"), f.Remove(AdapterDir), f.Finish(), f.Close()))
	same(t, dir, resultsOf("first"))
	if after, err := os.ReadFile(filepath.Join(dir, Own, listFile)); err != nil || string(after) != string(list) {
		t.Errorf("%v: the list is %s", err, after)
	}
}
