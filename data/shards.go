package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// findShards returns the files stem-00000-of-00002.parquet, ... in order, none if there are none. A missing
// one is an error.
func findShards(folder, stem string) ([]string, error) {
	files, err := match(folder, stem+"-*-of-*.parquet")
	if err != nil || len(files) == 0 {
		return nil, err
	}
	for i, file := range files {
		want := fmt.Sprintf("%s-%05d-of-%05d", stem, i, len(files)) // some writers put a hash behind it
		if !strings.HasPrefix(filepath.Base(file), want) {
			return nil, fmt.Errorf("%s: some files of the set are missing: %d are there, %s among them", folder, len(files), filepath.Base(file))
		}
	}
	return files, nil
}

// match returns the files in folder whose names match one of the patterns, in order of their names; none
// if there is no folder.
func match(folder string, patterns ...string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		for _, pattern := range patterns {
			if ok, _ := path.Match(pattern, entry.Name()); ok {
				files = append(files, filepath.Join(folder, entry.Name()))
				break
			}
		}
	}
	return files, nil
}

// layout is a form in which the data of a task are known: the names of the files of each part, in the order in
// which they are looked for, as find takes them.
type layout struct {
	parts map[Part][]string
	find  func(folder, name string) ([]string, error) // nil if there are none
}

// findParts returns the files of each part in the first folder that has files of a layout, and which layout that is.
// All parts are read in one layout. It returns nil if there are no files at all.
func findParts(layouts []layout, folders ...string) (found map[Part][]string, which int, err error) {
	for _, folder := range folders {
		for which, layout := range layouts {
			found := map[Part][]string{}
			for part, names := range layout.parts {
				for _, name := range names {
					files, err := layout.find(folder, name)
					if err != nil {
						return nil, 0, err
					}
					if files != nil {
						found[part] = files
						break
					}
				}
			}
			if len(found) > 0 {
				return found, which, nil
			}
		}
	}
	return nil, 0, nil
}

// findFile returns the file of that name, nil if there is none.
func findFile(folder, name string) ([]string, error) {
	file := filepath.Join(folder, name)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return []string{file}, nil
}
