package foreign

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadFile(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) error { return os.Symlink(filepath.FromSlash(target), at(name)) }
	for _, dir := range []string{"model/sub", "model/snapshots", "cache/blobs", "cache/snapshots/c/sub"} {
		must(os.MkdirAll(at(dir), 0o777))
	}
	for _, name := range []string{"secret", "model/file", "cache/blobs/b"} {
		must(os.WriteFile(at(name), []byte("text"), 0o666))
	}
	must(os.WriteFile(at("model/sparse"), nil, 0o666), os.Truncate(at("model/sparse"), 1<<40))
	must(syscall.Mkfifo(at("model/fifo"), 0o666))
	must(link("file", "model/link"), link(at("model/file"), "model/absolute"), link("../file", "model/sub/up"))
	must(link("../secret", "model/out"), link("/etc/passwd", "model/etc"), link("/dev/zero", "model/device"), link("out", "model/twice"), link("fifo", "model/pipe"))
	must(link("loop", "model/loop"), link("nothing", "model/dangling"), link("../../secret", "model/snapshots/x"))
	must(link("../../blobs/b", "cache/snapshots/c/file"), link("../../../blobs/b", "cache/snapshots/c/sub/file"), link("../../../secret", "cache/snapshots/c/out"))
	must(link("../../secret", "cache/blobs/evil"), link("../../blobs/evil", "cache/snapshots/c/evil"), link("model", "linked"), link("cache/snapshots/c", "snapshot"))

	for _, tc := range []struct{ name, want string }{
		{"model/file", ""},
		{"model/link", ""},
		{"model/absolute", ""},
		{"linked/file", ""},
		{"linked/link", ""},
		{"cache/snapshots/c/file", ""},
		{"cache/snapshots/c/sub/file", ""},
		{"snapshot/file", ""},
		{"model/sub/up", "out of its folder"},
		{"model/out", "is a link to " + at("secret") + ", out of its folder: put the file itself there"},
		{"model/twice", "out of its folder"},
		{"model/etc", "out of its folder"},
		{"model/device", "out of its folder"},
		{"model/snapshots/x", "out of its folder"},
		{"cache/snapshots/c/out", "out of its folder"},
		{"cache/snapshots/c/evil", "out of its folder"},
		{"model/fifo", "is not a regular file (p"},
		{"model/pipe", "is not a regular file (p"},
		{"model/sub", "is not a regular file (d"},
		{"model/sparse", "is too long: 1099511627776 bytes or more, want at most 4"},
		{"model/loop", "too many links"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data, err := ReadFile(at(tc.name), 4)
			if tc.want == "" && (err != nil || string(data) != "text") || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %q, %v", data, err)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), "open "+at(tc.name)) && !strings.HasPrefix(err.Error(), "read "+at(tc.name))) {
				t.Errorf("the error does not name the file: %v", err)
			}
		})
	}
	for _, tc := range []struct{ name, want string }{{"model/out", ""}, {"linked/link", ""}, {"model/device", "is a device, want a file or a pipe"}, {"model/sparse", "is too long"}, {"model/sub", "is a directory"}} {
		if data, err := ReadNamed(at(tc.name), 4); tc.want == "" && string(data) != "text" || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s named: %q, %v", tc.name, data, err)
		}
	}
	for _, name := range []string{"model/nothing", "model/dangling", "nothing/file"} {
		if _, err := ReadFile(at(name), 4); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadFile(at("model/file"), 3); err == nil {
		t.Error("no error of 4 bytes where 3 are wanted")
	}
}

// TestReadFileHere reads a folder by relative paths, as --model . does.
func TestReadFileHere(t *testing.T) {
	root := t.TempDir()
	model := filepath.Join(root, "model")
	err := errors.Join(os.MkdirAll(filepath.Join(model, "sub"), 0o777), os.WriteFile(filepath.Join(model, "file"), []byte("text"), 0o666),
		os.WriteFile(filepath.Join(root, "secret"), []byte("text"), 0o666), os.Symlink("file", filepath.Join(model, "link")),
		os.Symlink(filepath.Join(model, "file"), filepath.Join(model, "absolute")), os.Symlink("../secret", filepath.Join(model, "out")))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ from, folder string }{{root, "model"}, {model, "."}, {model, ""}, {filepath.Join(model, "sub"), ".."}} {
		t.Chdir(tc.from)
		for _, name := range []string{"file", "link", "absolute"} {
			if data, err := ReadFile(filepath.Join(tc.folder, name), 4); err != nil || string(data) != "text" {
				t.Errorf("%s in %q: %q, %v", name, tc.folder, data, err)
			}
		}
		if _, err := ReadFile(filepath.Join(tc.folder, "out"), 4); err == nil || !strings.Contains(err.Error(), "out of its folder") {
			t.Errorf("out of %q: %v", tc.folder, err)
		}
	}
}

func TestPiped(t *testing.T) {
	const most = maxPiped
	for _, tc := range []struct {
		n    int64
		want string
	}{{0, ""}, {5, ""}, {most, ""}, {most + 1, "is too long: want at most 536870912 bytes through a pipe, more in a file"}} {
		n, err := io.Copy(io.Discard, Piped(io.LimitReader(zeros{}, tc.n)))
		if err == nil && (tc.want != "" || n != tc.n) || err != nil && err.Error() != tc.want {
			t.Errorf("%d bytes: got %d, %v", tc.n, n, err)
		}
	}
	file := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(file, 0o666); err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := os.WriteFile(file, []byte("text"), 0); err != nil {
			t.Error(err)
		}
	}()
	if text, err := ReadNamed(file, MaxData); err != nil || string(text) != "text" {
		t.Errorf("got %q, %v", text, err)
	}
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
