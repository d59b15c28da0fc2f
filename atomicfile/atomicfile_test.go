package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

var errFill = errors.New("no more")

// what returns the names in a folder and the content of the file at path.
func what(t *testing.T, dir, path string) (names []string, content string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return names, string(data)
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"first", "second"} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if names, got := what(t, dir, path); !slices.Equal(names, []string{"file"}) || got != content {
			t.Errorf("folder has %q, file %q, want %q", names, got, content)
		}
	}
	err := Write(path, func(w io.Writer) error {
		_, _ = w.Write(make([]byte, 2<<20)) // more than a buffer
		return errFill
	})
	if names, got := what(t, dir, path); !errors.Is(err, errFill) || len(names) != 1 || got != "second" {
		t.Errorf("error %v leaves %q and the file %q", err, names, got)
	}
	if err := WriteFile(filepath.Join(dir, "none", "file"), nil); err == nil || err.Error() != "write "+filepath.Join(dir, "none", "file")+": no such file or directory" {
		t.Errorf("error %v", err)
	}
}

// Files and folders have the permissions that the umask leaves.
func TestPermissions(t *testing.T) {
	before := syscall.Umask(0o027)
	defer syscall.Umask(before)
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "file"), filepath.Join(dir, "folder")
	if err := errors.Join(WriteFile(file, nil), WriteFolder(folder, func(string) error { return nil })); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{file: 0o640, folder: 0o750} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v (%v), want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestFolder(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "folder")
	fill := func(content string, err error) func(string) error {
		return func(temp string) error {
			return errors.Join(err, os.WriteFile(filepath.Join(temp, "file"), []byte(content), 0o666))
		}
	}
	for _, tt := range []struct {
		name    string
		content string
		err     error
		ok      bool
		want    string
	}{
		{"an error", "a", errFill, false, ""},
		{"new", "a", nil, true, "a"},
		{"there already", "b", nil, false, "a"},
		{"an error instead of another", "b", errFill, false, "a"},
	} {
		err := WriteFolder(dir, fill(tt.content, tt.err))
		names, got := what(t, parent, filepath.Join(dir, "file"))
		if (err == nil) != tt.ok || got != tt.want || len(names) > 1 {
			t.Errorf("%s: error %v, folder beside %q, file %q, want %q", tt.name, err, names, got, tt.want)
		}
	}
}

// A panic, such as an operation's without memory, leaves nothing behind.
func TestPanic(t *testing.T) {
	parent := t.TempDir()
	func() {
		defer func() { _ = recover() }()
		_ = WriteFolder(filepath.Join(parent, "folder"), func(string) error { panic("no memory") })
	}()
	if names, _ := what(t, parent, "none"); len(names) > 0 {
		t.Errorf("left %q", names)
	}
}

// What is written to a link goes where it leads, and a pipe stays one.
func TestOutput(t *testing.T) {
	dir := t.TempDir()
	file, link, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o666), os.Symlink("file", link), syscall.Mkfifo(pipe, 0o666)); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		data, err := os.ReadFile(pipe)
		got <- fmt.Sprint(string(data), err)
	}()
	fill := func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }
	for _, path := range []string{link, pipe, "/dev/null"} {
		if err := WriteOutput(path, fill); err != nil {
			t.Error(err)
		}
	}
	if to, err := os.Readlink(link); err != nil || to != "file" {
		t.Errorf("the link is %q, %v", to, err)
	}
	if _, content := what(t, dir, file); content != "new" {
		t.Errorf("the file has %q", content)
	}
	if said := <-got; said != "new<nil>" {
		t.Errorf("the pipe gave %q", said)
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode().IsRegular() {
		t.Fatal("/dev/null is a file now")
	}
	if err := WriteOutput(dir, fill); err == nil {
		t.Error("a folder was written to")
	}
}
