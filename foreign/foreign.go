// Package foreign reads files of folders that somebody else may have made: of
// models, adapters and runs. It opens regular files alone, no pipe or device that
// waits or has no end, and follows no link out of the folder: what lies there may
// be nobody else's to copy. Links into the blobs of the Hugging Face cache, of
// which its snapshots are made, are followed.
package foreign

import (
	"bytes"
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

// MaxData bounds a file of data, all of which is kept in memory.
const MaxData = 4 << 30

const maxPiped = 1 << 29

// ReadNamed is ReadFile of a file that the user named, which may be a link to
// anywhere, or a pipe. A device, which has no end, it may not be.
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
	size, r := int64(0), io.Reader(f)
	switch mode := info.Mode(); {
	case mode&fs.ModeDevice != 0:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is a device, want a file or a pipe")}
	case !mode.IsRegular():
		r = Piped(f)
	case info.Size() > most:
		return nil, tooLong(info.Size())
	default:
		size = info.Size()
	}
	b := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(r, most+1)); err != nil {
		var own *fs.PathError
		if !errors.As(err, &own) {
			err = &fs.PathError{Op: "read", Path: path, Err: err}
		}
		return nil, err
	}
	if int64(b.Len()) > most { // it grew
		return nil, tooLong(most + 1)
	}
	return b.Bytes(), nil
}

// Piped is r with an error behind as much as a pipe may bring, which does not say
// beforehand how much that is.
func Piped(r io.Reader) io.Reader { return &piped{r, maxPiped} }

type piped struct {
	io.Reader
	left int64
}

func (p *piped) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if p.left -= int64(n); p.left < 0 {
		return 0, fmt.Errorf("is too long: want at most %d bytes through a pipe, more in a file", maxPiped)
	}
	return n, err
}
