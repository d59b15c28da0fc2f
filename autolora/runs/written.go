package runs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"autolora/atomicfile"
	"autolora/foreign"
	"autolora/plainjson"
)

// written is what was written into a folder: for every file, by its path there
// with slashes, what it may hold. Only what is in it is ever removed or replaced:
// a name proves nothing, for a folder may have a model/ of the user's own.
//
// A file is entered before it appears under its name, and what it held before
// leaves the list after. So whenever the process is killed, the list covers what
// is there.
type written map[string][]content

// content is what a file may hold.
type content struct {
	Size int64  `json:"size"`
	Sum  string `json:"sha256"`
	// Grows is set for a file of which these are the first bytes, or which is empty.
	Grows bool `json:"grows,omitempty"`
}

// firstBytes is what a file holds that begins with data and grows.
func firstBytes(data []byte) content {
	sum := sha256.Sum256(data)
	return content{Size: int64(len(data)), Sum: hex.EncodeToString(sum[:]), Grows: true}
}

// sumOf hashes the first n bytes of a file.
func sumOf(file string, n int64) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, n); err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// readWritten reads the list of a folder; an empty one if there is none.
func readWritten(dir string) (written, error) {
	file := filepath.Join(dir, Own, listFile)
	text, err := foreign.ReadFile(file, MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return written{}, nil
	}
	w := written{}
	if err == nil {
		err = plainjson.Unmarshal(text, &w)
	}
	if err != nil {
		return nil, fmt.Errorf("%s, which tells a run's files from those of others, cannot be read: %w: choose another folder", file, err)
	}
	if w == nil { // of a list that says null
		w = written{}
	}
	return w, nil
}

func (w written) save(dir string) error {
	text, err := json.MarshalIndent(w, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, Own, listFile), append(text, '\n'))
}

// enter adds what the file or folder at from holds, which is to be called name,
// and may grow. It returns what it added.
func (w written) enter(name, from string, grows bool) (written, error) {
	fresh := written{}
	err := filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum, err := sumOf(file, info.Size())
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, file)
		key := path.Join(name, filepath.ToSlash(rel))
		fresh[key] = []content{{Size: info.Size(), Sum: sum, Grows: grows}}
		return err
	})
	w.add(fresh)
	return fresh, err
}

// add enters what is in other.
func (w written) add(other written) {
	for file, contents := range other {
		for _, c := range contents {
			if !slices.Contains(w[file], c) {
				w[file] = append(slices.Clip(w[file]), c)
			}
		}
	}
}

// forget drops what is at name, or below it.
func (w written) forget(name string) {
	maps.DeleteFunc(w, func(file string, _ []content) bool { return isIn(file, name) })
}

func isIn(file, name string) bool { return file == name || strings.HasPrefix(file, name+"/") }

// settle takes what has grown for what it is now.
func (w written) settle(dir string) error {
	for _, name := range slices.Collect(maps.Keys(w)) {
		if !slices.ContainsFunc(w[name], func(c content) bool { return c.Grows }) {
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		info, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		own := false
		if err == nil {
			own, err = w.holds(name, file, info.Size())
		}
		if err != nil {
			return err
		}
		delete(w, name)
		if own {
			if _, err := w.enter(name, file, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// holds reports whether the file, which is called name, is what was written.
func (w written) holds(name, file string, size int64) (bool, error) {
	for _, c := range w[name] {
		switch {
		case c.Grows && size == 0:
			return true, nil
		case c.Grows && c.Size > 0 && size > c.Size, size == c.Size:
			if sum, err := sumOf(file, c.Size); err != nil || sum == c.Sum {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// foreign returns the first path at name in dir, or below it, that is not as it
// was written; "" if there is none, or nothing at name.
func (w written) foreign(dir, name string) (foreign string, err error) {
	err = filepath.WalkDir(filepath.Join(dir, filepath.FromSlash(name)), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		own := false
		if err == nil && info.Mode().IsRegular() {
			own, err = w.holds(filepath.ToSlash(rel), file, info.Size())
		}
		if err == nil && !own {
			foreign, err = file, fs.SkipAll
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return foreign, err
}

// remove removes what is at name in dir, and below it, as it was written.
// Everything else stays, with its folders.
func (w written) remove(dir, name string) error {
	var folders []string
	err := filepath.WalkDir(filepath.Join(dir, filepath.FromSlash(name)), func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			folders = append(folders, file)
			return nil
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if foreign, err := w.foreign(dir, filepath.ToSlash(rel)); foreign != "" || err != nil {
			return err
		}
		return os.Remove(file)
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, folder := range slices.Backward(folders) {
		os.Remove(folder) // but for one with something of others
	}
	w.forget(name)
	return err
}
