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
