// Package foreign reads files of folders that somebody else may have made: of
// models, adapters and runs. It opens regular files alone, no pipe or device that
// waits or has no end, and follows no link out of the folder: what lies there may
// be nobody else's to copy. Links into the blobs of the Hugging Face cache, of
// which its snapshots are made, are followed.
package foreign

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Open opens a file to be read. Its error is an [fs.PathError], and matches
// [fs.ErrNotExist] where there is no file.
func Open(path string) (*os.File, error) {
	fail := func(err error) (*os.File, error) {
		var own *fs.PathError
		if errors.As(err, &own) {
			err = own.Err
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	target, err := inside(path)
	if err != nil {
		return fail(err)
	}
	f, err := os.OpenFile(target, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0) // a pipe would wait for its writer
	if err != nil {
		return fail(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("is not a regular file (%s), want one", info.Mode().Type())
	}
	if err != nil {
		f.Close()
		return fail(err)
	}
	return f, nil
}

// inside returns what path leads to, if that is in its folder or in the cache's
// blobs.
func inside(path string) (string, error) {
	dir, err := filepath.Abs(filepath.Dir(path)) // absolute, for links may be
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir) // the folder itself may be anywhere
	}
	if err != nil {
		return "", err
	}
	target, err := filepath.EvalSymlinks(filepath.Join(dir, filepath.Base(path)))
	if err != nil || within(target, dir) {
		return target, err
	}
	for at := dir; ; at = filepath.Dir(at) {
		commits := filepath.Dir(at)
		if commits == at {
			return "", fmt.Errorf("is a link to %s, out of its folder: put the file itself there", target)
		}
		if filepath.Base(commits) == "snapshots" && within(target, filepath.Join(filepath.Dir(commits), "blobs")) {
			return target, nil
		}
	}
}

func within(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// ReadFile returns what is in a file of at most so many bytes.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f, path, most)
}

// ReadNamed is ReadFile of a file that the user named, which may be a link to
// anywhere, or a pipe.
func ReadNamed(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f, path, most)
}

func read(f *os.File, path string, most int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	tooLong := func(n int64) error {
		return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("is too long: %d bytes or more, want at most %d", n, most)}
	}
	if info.Mode().IsRegular() && info.Size() > most {
		return nil, tooLong(info.Size())
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most { // it grew
		err = tooLong(most + 1)
	}
	return data, err
}
