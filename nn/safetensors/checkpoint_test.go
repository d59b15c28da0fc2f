package safetensors

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func bytesTensor(name, data string) Tensor {
	return Tensor{Name: name, DType: U8, Shape: []int64{int64(len(data))}, Data: []byte(data)}
}

// folder writes a folder: names ending in .safetensors hold the tensors listed
// in their content, separated by spaces; other files hold their content.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model [1]*") // Glob's special characters
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if filepath.Ext(name) != ".safetensors" {
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var tensors []Tensor
		for _, n := range strings.Fields(content) {
			tensors = append(tensors, bytesTensor(n, "data of "+n))
		}
		if err := Write(path, nil, tensors); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	shard1 = "model-00001-of-00002.safetensors"
	shard2 = "model-00002-of-00002.safetensors"
)

func TestOpenCheckpoint(t *testing.T) {
	const index = `{"metadata":{"total_size":3},"weight_map":{"a":"` + shard1 + `","b":"` + shard2 + `","c":"` + shard1 + `"}}`
	tests := []struct {
		name  string
		files map[string]string
		open  string   // inside the folder
		want  []string // files that hold a, b, c
	}{
		{"single", map[string]string{"model.safetensors": "c a b"}, "", []string{"model.safetensors"}},
		{"single before shards", map[string]string{"model.safetensors": "c a b", indexName: "{", "other.safetensors": "x"}, "", []string{"model.safetensors"}},
		{"shards", map[string]string{indexName: index, shard1: "a c", shard2: "b", "other.safetensors": "x"}, "", []string{shard1, shard2}},
		{"the only file", map[string]string{"weights.safetensors": "a b c", adapterName: "x", "pytorch_model.bin": ""}, "", []string{"weights.safetensors"}},
		{"a file", map[string]string{"weights.safetensors": "a b c", "model.safetensors": "x"}, "weights.safetensors", []string{"weights.safetensors"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, tt.files)
			c, err := OpenCheckpoint(filepath.Join(dir, tt.open))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := c.Names(), []string{"a", "b", "c"}; !slices.Equal(got, want) {
				t.Fatalf("names %q, want %q", got, want)
			}
			for _, name := range c.Names() {
				if x, ok := c.Tensor(name); !ok || string(x.Data) != "data of "+name {
					t.Errorf("tensor %q = %+v, %v", name, x, ok)
				}
			}
			if x, ok := c.Tensor("none"); ok {
				t.Errorf("found %+v", x)
			}
			for i := range tt.want {
				tt.want[i] = filepath.Join(dir, tt.want[i])
			}
			if got := c.Files(); !slices.Equal(got, tt.want) {
				t.Errorf("files %q, want %q", got, tt.want)
			}
			if err := errors.Join(c.Close(), c.Close()); err != nil {
				t.Errorf("close twice: %v", err)
			}
			if _, ok := c.Tensor("a"); ok {
				t.Error("found a tensor after Close")
			}
		})
	}
}

func TestOpenCheckpointErrors(t *testing.T) {
	weightMap := func(s string) map[string]string {
		return map[string]string{indexName: `{"weight_map":` + s + `}`, shard1: "a", shard2: "b"}
	}
	with := func(m map[string]string, name, content string) map[string]string {
		m = maps.Clone(m)
		m[name] = content
		return m
	}
	const both = `{"a":"` + shard1 + `","b":"` + shard2 + `"}`
	tests := []struct {
		name   string
		files  map[string]string
		want   string
		absent bool
	}{
		{"empty folder", nil, "no weights (looked for model.safetensors, model.safetensors.index.json, *.safetensors): file does not exist", true},
		{"only a pickle", map[string]string{"pytorch_model.bin": "PK"}, "only pytorch_model.bin, a pickle, which is never read", true},
		{"only an adapter", map[string]string{adapterName: "x"}, "this is a PEFT adapter, not a model", true},
		{"two files without an index", map[string]string{"a.safetensors": "a", "b.safetensors": "b"}, `several weight files ("a.safetensors", "b.safetensors") and no model.safetensors.index.json`, false},
		{"index that is not JSON", map[string]string{indexName: "{"}, "not valid JSON", false},
		{"index without a weight map", map[string]string{indexName: "{}"}, `has no "weight_map"`, false},
		{"index with an empty weight map", weightMap(`{}`), "weight_map is empty", false},
		{"index with a list", weightMap(`[]`), "found [] where a JSON object should be", false},
		{"index with a number", weightMap(`{"a":1}`), `places tensor "a" in 1, want a file name`, false},
		{"index with a tensor twice", weightMap(`{"a":"` + shard1 + `","a":"` + shard2 + `"}`), `weight_map: key "a" appears twice`, false},
		{"missing shard", weightMap(`{"a":"` + shard1 + `","b":"model-3.safetensors"}`), `shard "model-3.safetensors" is missing; the download may be incomplete`, false},
		{"shard above the folder", weightMap(`{"a":"../model/` + shard1 + `"}`), `tensor "a" is placed in "../model/` + shard1 + `", which is outside of the folder`, false},
		{"shard with an absolute path", weightMap(`{"a":"/etc/passwd"}`), "outside of the folder", false},
		{"shard without a name", weightMap(`{"a":""}`), "outside of the folder", false},
		{"tensor missing from its shard", weightMap(`{"a":"` + shard1 + `","b":"` + shard2 + `","c":"` + shard1 + `"}`), shard1 + `: lacks tensors that the index places here: "c"`, false},
		{"tensor that the index lacks", with(weightMap(both), shard2, "b c d"), shard2 + `: holds tensors that the index does not place here: "c", "d"`, false},
		{"tensor in another shard", weightMap(`{"a":"` + shard2 + `","b":"` + shard2 + `"}`), shard2 + `: lacks tensors that the index places here: "a"`, false},
		{"damaged shard", with(weightMap(strings.ReplaceAll(both, shard2, "b.bin")), "b.bin", "x"), "b.bin: file has 1 bytes", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, tt.files)
			c, err := OpenCheckpoint(dir)
			if err == nil {
				t.Fatalf("opened %q with %q", c.Files(), c.Names())
			}
			if msg := err.Error(); !strings.HasPrefix(msg, "read "+dir) || !strings.Contains(msg, tt.want) || strings.Contains(msg, "\n") {
				t.Errorf("error %q\nwant one line starting with the folder and with %q", msg, tt.want)
			}
			if got := errors.Is(err, fs.ErrNotExist); got != tt.absent {
				t.Errorf("is fs.ErrNotExist: %v, want %v", got, tt.absent)
			}
		})
	}
	if _, err := OpenCheckpoint(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v, want fs.ErrNotExist", err)
	}
}

// The Hugging Face cache keeps files under their hash and links to them.
func TestOpenCheckpointLinks(t *testing.T) {
	elsewhere := folder(t, map[string]string{"blob.safetensors": "a"})
	repo := t.TempDir()
	dir := filepath.Join(repo, "snapshots", "commit")
	if err := errors.Join(os.MkdirAll(dir, 0o777), os.Rename(elsewhere, filepath.Join(repo, "blobs")), os.Symlink("../../blobs/blob.safetensors", filepath.Join(dir, singleName))); err != nil {
		t.Fatal(err)
	}
	own := t.TempDir()
	if err := os.Symlink(filepath.Join(repo, "blobs", "blob.safetensors"), filepath.Join(own, singleName)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(own); err == nil || !strings.Contains(err.Error(), "out of its folder") {
		t.Errorf("a link out of a folder: %v", err)
	}
	named, err := OpenCheckpoint(filepath.Join(own, singleName))
	if err != nil {
		t.Errorf("a link that was named: %v", err)
	} else {
		named.Close()
	}
	c, err := OpenCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := c.Tensor("a"); !ok {
		t.Error("tensor not found through the link")
	}
}

func TestWriteSharded(t *testing.T) {
	tensors := []Tensor{bytesTensor("c", "12345678"), bytesTensor("a", "1234"), bytesTensor("b", "123"), bytesTensor("d", "12")}
	tests := []struct {
		name  string
		max   int64
		files []string
		first []string // tensors of the first file
	}{
		{"all in one", 17, []string{"model.safetensors"}, []string{"a", "b", "c", "d"}},
		{"two", 12, []string{shard1, shard2, indexName}, []string{"a", "c"}},
		{"one larger than a shard", 7, []string{
			"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", indexName}, []string{"c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new", "model")
			if err := WriteSharded(dir, tt.max, map[string]string{"format": "pt"}, tensors); err != nil {
				t.Fatal(err)
			}
			if got := filesIn(t, dir); !slices.Equal(got, tt.files) {
				t.Errorf("files %q, want %q", got, tt.files)
			}
			first, err := Open(filepath.Join(dir, tt.files[0]))
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			if got := first.Names(); !slices.Equal(got, tt.first) || first.Metadata()["format"] != "pt" {
				t.Errorf("first file has %q and metadata %v, want %q", got, first.Metadata(), tt.first)
			}
			c, err := OpenCheckpoint(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, want := range tensors {
				if got, ok := c.Tensor(want.Name); !ok || string(got.Data) != string(want.Data) {
					t.Errorf("tensor %q = %+v, %v", want.Name, got, ok)
				}
			}
			if err := WriteSharded(dir, tt.max, nil, tensors); !errors.Is(err, fs.ErrExist) {
				t.Errorf("second write: %v, want fs.ErrExist", err)
			}
		})
	}
}

func TestWriteShardedIndex(t *testing.T) {
	dir := t.TempDir()
	if err := WriteSharded(dir, 4, nil, []Tensor{bytesTensor("b<", "1234"), bytesTensor("a", "1")}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "metadata": {
    "total_size": 5
  },
  "weight_map": {
    "a": "model-00002-of-00002.safetensors",
    "b<": "model-00001-of-00002.safetensors"
  }
}
`
	if string(got) != want {
		t.Errorf("index\n%swant\n%s", got, want)
	}
}

func TestWriteShardedErrors(t *testing.T) {
	x := bytesTensor("x", "1234")
	tests := []struct {
		name    string
		max     int64
		tensors []Tensor
		want    string
	}{
		{"no size", 0, []Tensor{x}, "shard size 0"},
		{"a tensor twice, in two shards", 4, []Tensor{x, x}, `tensor "x": given twice`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			err := WriteSharded(dir, tt.max, nil, tt.tensors)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if left := filesIn(t, dir); len(left) != 0 {
				t.Errorf("left %q behind", left)
			}
		})
	}
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
