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

// shards is the end of the names of files train-00000-of-00002.parquet, ..., which are one set.
const shards = "-*-of-*.parquet"

// checkShards says why files, in the order of their names, are not all of a set.
func checkShards(files []string, stem string) error {
	for i, file := range files {
		want := fmt.Sprintf("%s-%05d-of-%05d", stem, i, len(files)) // some writers put a hash behind it
		if !strings.HasPrefix(filepath.Base(file), want) {
			return fmt.Errorf("%s: some files of the set are missing: %d are there, %s among them", filepath.Dir(file), len(files), filepath.Base(file))
		}
	}
	return nil
}

// match returns the files in folder whose names match a pattern, in order of their names; none if there is no folder.
func match(folder, pattern string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if ok, _ := path.Match(pattern, entry.Name()); ok {
			files = append(files, filepath.Join(folder, entry.Name()))
		}
	}
	return files, nil
}
