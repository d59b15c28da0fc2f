package hub

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDataset(t *testing.T) {
	h := newFakeHub(t)
	glue := map[string][]byte{
		"README.md":                              []byte("# GLUE"),
		"mrpc/train-00000-of-00001.parquet":      noise(100, 1),
		"sst2/train-00000-of-00002.parquet":      noise(100, 2),
		"sst2/train-00001-of-00002.parquet":      noise(100, 3),
		"sst2/validation-00000-of-00001.parquet": noise(100, 4),
	}
	h.add("datasets/nyu-mll/glue", "main", commitA, glue)
	c := h.client(t)
	set, err := c.Dataset(t.Context(), "nyu-mll/glue", DatasetConfig{Name: "sst2"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(c.CacheDir, "datasets--nyu-mll--glue", "snapshots", commitA); set.Dir != want {
		t.Errorf("folder %s, want %s", set.Dir, want)
	}
	wantFiles(t, set.Dir, glue, "sst2/train-00000-of-00002.parquet", "sst2/train-00001-of-00002.parquet", "sst2/validation-00000-of-00001.parquet")
	if want := []string{filepath.Join(set.Dir, "sst2/train-00000-of-00002.parquet"), filepath.Join(set.Dir, "sst2/train-00001-of-00002.parquet")}; !slices.Equal(set.Files["train"], want) {
		t.Errorf("train is %q, want %q", set.Files["train"], want)
	}

	offline := *c
	offline.Offline = true
	again, err := offline.Dataset(t.Context(), "nyu-mll/glue", DatasetConfig{Name: "sst2"}, nil)
	if err != nil || len(again.Files) != 2 || len(again.Files["validation"]) != 1 {
		t.Errorf("offline: %+v, %v", again, err)
	}
	if _, err := offline.Dataset(t.Context(), "nyu-mll/glue", DatasetConfig{Name: "mrpc"}, nil); !errors.Is(err, ErrOffline) {
		t.Errorf("offline, not cached: %v", err)
	}

	// A data set in another form comes from the hub's conversion.
	h.add("datasets/org/csv", "main", commitA, map[string][]byte{"train.csv": []byte("a,b\n")})
	h.add("datasets/org/csv", converted, commitB, map[string][]byte{"default/train/0000.parquet": noise(100, 5)})
	set, err = c.Dataset(t.Context(), "org/csv", DatasetConfig{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(set.Dir) != commitB || len(set.Files["train"]) != 1 {
		t.Errorf("converted: %+v", set)
	}

	for name, test := range map[string]struct {
		repo   string
		config DatasetConfig
		says   string
	}{
		"unknown configuration": {"nyu-mll/glue", DatasetConfig{Name: "sst3"}, "mrpc, sst2"},
		"no configuration":      {"nyu-mll/glue", DatasetConfig{}, "mrpc, sst2"},
		"unknown data set":      {"org/none", DatasetConfig{}, "check the name"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.Dataset(t.Context(), test.repo, test.config, nil); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v that says %q", err, ErrNotFound, test.says)
			}
		})
	}
}

func TestDatasetFileChoice(t *testing.T) {
	tests := []struct {
		name   string
		listed []string
		want   DatasetConfig
		splits map[string][]string
		says   string
	}{
		{"data folder", []string{"data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"}, DatasetConfig{},
			map[string][]string{"train": {"data/train-00000-of-00001.parquet"}, "test": {"data/test-00000-of-00001.parquet"}}, ""},
		{"data folder as default", []string{"data/train-00000-of-00001.parquet"}, DatasetConfig{Name: "default"},
			map[string][]string{"train": {"data/train-00000-of-00001.parquet"}}, ""},
		{"data folder with sums in the names", []string{"data/train-00000-of-00001-0123456789abcdef.parquet"}, DatasetConfig{},
			map[string][]string{"train": {"data/train-00000-of-00001-0123456789abcdef.parquet"}}, ""},
		{"root", []string{"train.parquet", "dev.parquet", "README.md"}, DatasetConfig{},
			map[string][]string{"train": {"train.parquet"}, "dev": {"dev.parquet"}}, ""},
		{"only one configuration", []string{"en/train/0000.parquet", "en/train/0001.parquet"}, DatasetConfig{},
			map[string][]string{"train": {"en/train/0000.parquet", "en/train/0001.parquet"}}, ""},
		{"hyphen in the split", []string{"mnli/validation_matched-00000-of-00001.parquet", "mnli/dev-x-00000-of-00001.parquet"}, DatasetConfig{Name: "mnli"},
			map[string][]string{"validation_matched": {"mnli/validation_matched-00000-of-00001.parquet"}, "dev-x": {"mnli/dev-x-00000-of-00001.parquet"}}, ""},
		{"shard missing", []string{"data/train-00000-of-00002.parquet"}, DatasetConfig{}, nil, "1 of 00002"},
		{"no parquet", []string{"train.csv"}, DatasetConfig{}, nil, "no parquet files"},
		{"no split name", []string{"0000.parquet"}, DatasetConfig{}, nil, "no parquet files"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := datasetFiles(test.listed, test.want)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("got %v, %v; want an error that says %q", got, err, test.says)
				}
				return
			}
			if err != nil || !maps.EqualFunc(got, test.splits, slices.Equal) {
				t.Errorf("got %v, %v; want %v", got, err, test.splits)
			}
		})
	}
}
