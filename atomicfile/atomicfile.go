// Package atomicfile writes files and folders that appear whole or not at all,
// and are on the disk when a function returns: they are made under a temporary
// name beside their own, synced and renamed, and then the folder is synced.
//
// What a process leaves behind that is killed meanwhile is called ".NAME.*.tmp".
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// Write puts a file with what fill writes at path, in place of one that is there.
func Write(path string, fill func(w io.Writer) error) error {
	return Make(path, func(temp string) error {
		// Unlike os.CreateTemp this leaves the permissions to the umask.
		f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		w := bufio.NewWriterSize(f, 1<<20)
		if err = fill(w); err == nil {
			err = w.Flush()
		}
		return errors.Join(err, f.Close())
	})
}

// WriteFile puts a file with data at path, in place of one that is there.
func WriteFile(path string, data []byte) error {
	return Write(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteOutput writes what fill writes to the file that somebody named: as Write
// does, but where a link leads, and into what is no file, as a pipe or /dev/null,
// which is not replaced.
func WriteOutput(path string, fill func(w io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			w := bufio.NewWriter(f)
			err = errors.Join(fill(w), w.Flush(), f.Close())
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		return nil
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return Write(path, fill)
}

// WriteFolder puts a folder with the files that fill writes at dir, whose parents
// are made. A folder that is there must be empty.
func WriteFolder(dir string, fill func(temp string) error) error {
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	return Make(dir, func(temp string) error {
		if err := os.Mkdir(temp, 0o777); err != nil {
			return err
		}
		return fill(temp)
	})
}

// Rename gives a complete file another name in its folder.
func Rename(from, to string) error {
	if err := flush(from); err != nil {
		return err
	}
	return move(from, to)
}

// making has the temporary names of what is being made.
var making sync.Map

// Abandon removes what other goroutines are making at the moment: for a program
// that ends before they do.
func Abandon() {
	making.Range(func(temp, _ any) bool {
		os.RemoveAll(temp.(string))
		return true
	})
}

// Make puts what fill makes at temp, a file, a link or a folder, at path, in place
// of a file or a link that is there.
func Make(path string, fill func(temp string) error) error {
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%x.tmp", filepath.Base(path), rand.Uint64()))
	making.Store(temp, nil)
	defer making.Delete(temp)
	defer os.RemoveAll(temp) // what fill leaves in an error, or a panic
	err := fill(temp)
	if err == nil {
		err = flush(temp)
	}
	if err == nil {
		err = move(temp, path)
	}
	if err == nil {
		return nil
	}
	if own := (*fs.PathError)(nil); errors.As(err, &own) && own.Path == temp {
		err = own.Err // of a name that nobody knows
	}
	return fmt.Errorf("write %s: %w", path, err)
}

func move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncPath(filepath.Dir(to))
}

// flush brings what is at path to the disk, of a folder with all that is in it.
func flush(path string) error {
	return filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() && !d.IsDir() {
			return err
		}
		return syncPath(path)
	})
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
