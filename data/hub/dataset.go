package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// DatasetConfig says which part of a data set is wanted.
type DatasetConfig struct {
	// Name is the configuration, "sst2" of "nyu-mll/glue"; "" is the only one or the one named "default".
	Name string
	// Revision is a branch, tag or commit; "" is "main".
	Revision string
}

// Dataset is a data set in the cache.
type Dataset struct {
	// Dir is the snapshot's folder, in which the files have the paths of the repository.
	Dir string
	// Files holds the paths of each split's parquet files, in order.
	Files map[string][]string
}

// converted is the branch in which the hub keeps a parquet form of data sets in other forms.
const converted = "refs/convert/parquet"

// Dataset fetches the parquet files of a data set: those in its repository, or else those of the hub's own
// conversion. progress may be nil.
func (c *Client) Dataset(ctx context.Context, name string, config DatasetConfig, progress func(Progress)) (*Dataset, error) {
	if err := c.hasCache(); err != nil {
		return nil, err
	}
	revisions := []string{config.Revision}
	if config.Revision == "" {
		revisions = []string{"main", converted}
	}
	var first error
	for _, revision := range revisions {
		r, err := newRepo("datasets", name, revision)
		if err != nil {
			return nil, err
		}
		set, err := c.dataset(ctx, r, config, progress)
		if err == nil {
			return set, nil
		}
		// Without parquet files on the branch itself, the conversion is tried; the first error tells more.
		if first == nil {
			first = err
		}
		if !errors.As(err, new(*noSplitsError)) {
			break
		}
	}
	return nil, first
}

func (c *Client) dataset(ctx context.Context, r repo, config DatasetConfig, progress func(Progress)) (*Dataset, error) {
	if c.Offline {
		dir, err := c.cached(r)
		if err != nil {
			return nil, err
		}
		var listed []string
		if dir != "" {
			if listed, err = walk(dir); err != nil {
				return nil, fmt.Errorf("hub cache: %w", err)
			}
		}
		splits, err := datasetFiles(listed, config)
		if err != nil {
			return nil, fmt.Errorf("%v: %w: HF_HUB_OFFLINE is set, and in %s %w", r, ErrOffline, c.CacheDir, err)
		}
		return newDataset(dir, splits), nil
	}
	var splits map[string][]string
	dir, err := c.update(ctx, r, func(listed []string) (paths []string, err error) {
		splits, err = datasetFiles(listed, config)
		for _, split := range slices.Sorted(maps.Keys(splits)) {
			paths = append(paths, splits[split]...)
		}
		return paths, err
	}, func(string) error { return nil }, progress)
	if err != nil {
		return nil, err
	}
	return newDataset(dir, splits), nil
}

func newDataset(dir string, splits map[string][]string) *Dataset {
	set := &Dataset{Dir: dir, Files: make(map[string][]string, len(splits))}
	for split, paths := range splits {
		for _, p := range paths {
			set.Files[split] = append(set.Files[split], filepath.Join(dir, filepath.FromSlash(p)))
		}
	}
	return set
}

// walk lists the files under dir, with slashes.
func walk(dir string) (paths []string, err error) {
	root := os.DirFS(dir)
	err = fs.WalkDir(root, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if _, err := fs.Stat(root, p); err == nil { // else it is a link whose blob was removed
			paths = append(paths, p)
		}
		return nil
	})
	return paths, err
}

// noSplitsError says that a repository holds no parquet files for what was asked.
type noSplitsError struct{ message string }

func (e *noSplitsError) Error() string        { return e.message }
func (e *noSplitsError) Is(target error) bool { return target == ErrNotFound }

// The names that parquet files have: "SPLIT-00000-of-00001.parquet" or "SPLIT.parquet" in the configuration's
// folder, and in the hub's conversion "SPLIT/0000.parquet".
var (
	numberedFile = regexp.MustCompile(`^\d+\.parquet$`)
	shardedFile  = regexp.MustCompile(`^(.+?)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.parquet$`)
)

// place tells which configuration and split a parquet file belongs to; config is "" for files in the repository's
// root or in "data".
func place(file string) (config, split string, ok bool) {
	dir, base := path.Split(file)
	dir = strings.TrimSuffix(dir, "/")
	switch m := shardedFile.FindStringSubmatch(base); {
	case m != nil:
		split = m[1]
	case numberedFile.MatchString(base):
		dir, split = path.Split(dir)
		dir = strings.TrimSuffix(dir, "/")
	default:
		split = strings.TrimSuffix(base, ".parquet")
	}
	if dir == "data" {
		dir = ""
	}
	return dir, split, split != ""
}

// datasetFiles picks the parquet files of a configuration, by split.
func datasetFiles(listed []string, want DatasetConfig) (map[string][]string, error) {
	configs := map[string]map[string][]string{}
	for _, file := range listed {
		if path.Ext(file) != ".parquet" {
			continue
		}
		config, split, ok := place(file)
		if !ok {
			continue
		}
		if configs[config] == nil {
			configs[config] = map[string][]string{}
		}
		configs[config][split] = append(configs[config][split], file)
	}
	if len(configs) == 0 {
		return nil, &noSplitsError{"there are no parquet files"}
	}
	names := slices.Sorted(maps.Keys(configs))
	splits := configs[want.Name]
	switch {
	case splits == nil && want.Name == "" && len(configs) == 1:
		splits = configs[names[0]]
	case splits == nil && want.Name == "":
		splits = configs["default"]
	case splits == nil && want.Name == "default":
		splits = configs[""]
	}
	if splits == nil {
		return nil, &noSplitsError{fmt.Sprintf("there is no configuration %q: choose one of %s", want.Name, strings.Join(names, ", "))}
	}
	for split, files := range splits {
		slices.Sort(files)
		if m := shardedFile.FindStringSubmatch(path.Base(files[0])); m != nil && m[3] != fmt.Sprintf("%05d", len(files)) {
			return nil, fmt.Errorf("split %q: %d of %s files are there", split, len(files), m[3])
		}
	}
	return splits, nil
}
