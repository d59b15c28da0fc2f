package runs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Input is a file or folder that a command reads.
type Input struct {
	What string // "model"
	Path string // "" where there is none
}

// Apart returns an error if the folder out is an input, holds one, or lies in
// one that is a folder, by whatever path.
func Apart(out string, inputs ...Input) error {
	for _, in := range inputs {
		if in.Path == "" || out == "" {
			continue
		}
		is, err := sameFile(out, in.Path)
		holds, err2 := within(out, in.Path)
		lies, err3 := within(in.Path, out)
		how := ""
		switch {
		case errors.Join(err, err2, err3) != nil:
			return fmt.Errorf("output folder: %w", cmp.Or(err, err2, err3))
		case is:
			how = "is"
		case holds:
			how = "holds"
		case lies:
			how = "lies in"
		default:
			continue
		}
		return fmt.Errorf("output folder %s %s the %s %s: choose another, so that nothing of that can be replaced", out, how, in.What, in.Path)
	}
	return nil
}

// Aside returns an error if what is written to the file out would replace an
// input, or a file of one that is a folder.
func Aside(out string, inputs ...Input) error {
	if info, err := os.Stat(out); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	for _, in := range inputs {
		if in.Path == "" {
			continue
		}
		same, err := sameFile(out, in.Path)
		if err == nil && !same {
			same, err = within(in.Path, out)
		}
		if err != nil {
			return err
		}
		if same {
			return fmt.Errorf("%s is, or is part of, the %s %s: choose another file to write, so that it is not replaced", out, in.What, in.Path)
		}
	}
	return nil
}

// sameFile reports whether two paths lead to one file or folder.
func sameFile(a, b string) (bool, error) {
	infoA, errA := os.Stat(filepath.Clean(a)) // as all paths below it are made
	infoB, errB := os.Stat(filepath.Clean(b))
	for _, err := range []error{errA, errB} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return errA == nil && errB == nil && os.SameFile(infoA, infoB), nil
}

// within reports whether path lies in the folder dir, as it is spelt or behind
// its links. Neither need be there.
func within(dir, path string) (bool, error) {
	spelt, err := filepath.Abs(path)
	if err != nil {
		return false, err
	}
	real, err := resolve(spelt)
	if err != nil {
		return false, err
	}
	for _, at := range []string{spelt, real} {
		for at != filepath.Dir(at) {
			at = filepath.Dir(at)
			if same, err := sameFile(dir, at); same || err != nil {
				return same, err
			}
		}
	}
	return false, nil
}

// resolve returns the path without links, of which the end need not be there.
func resolve(abs string) (string, error) {
	real, err := filepath.EvalSymlinks(abs)
	if !errors.Is(err, fs.ErrNotExist) || abs == filepath.Dir(abs) {
		return real, err
	}
	parent, err := resolve(filepath.Dir(abs))
	return filepath.Join(parent, filepath.Base(abs)), err
}
