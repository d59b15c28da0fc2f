package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"autolora/foreign"
	"autolora/plainjson"
)

const (
	singleName  = "model.safetensors"
	indexName   = "model.safetensors.index.json"
	adapterName = "adapter_model.safetensors"
)

// Checkpoint is a model's weights in one or more open files.
type Checkpoint struct {
	files map[string]*File // by path
	owner map[string]*File // by tensor name
	names []string
}

// OpenCheckpoint opens the weights of a model: a .safetensors file, or a folder
// in Hugging Face form. In a folder it takes, in this order, model.safetensors,
// the shards of model.safetensors.index.json, or the only .safetensors file
// that is there and is not a PEFT adapter.
//
// With an index, index and shards must agree: every tensor is in the shard that
// the index names, no shard has others, and no shard lies outside of the folder,
// by its name or by a link, but for the blobs of the Hugging Face cache. A folder
// without weights gives an error that lists what was looked for and matches
// [fs.ErrNotExist].
func OpenCheckpoint(path string) (*Checkpoint, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, plain(err))
	}
	if !st.IsDir() {
		if path, err = filepath.EvalSymlinks(path); err != nil { // a link that was named is meant
			return nil, fmt.Errorf("read %s: %w", path, plain(err))
		}
		return openFiles(nil, path)
	}
	if single := filepath.Join(path, singleName); exists(single) {
		return openFiles(nil, single)
	}
	if index := filepath.Join(path, indexName); exists(index) {
		return openSharded(path, index)
	}
	return openOnly(path)
}

// Files returns the paths of the open files, sorted.
func (c *Checkpoint) Files() []string { return slices.Sorted(maps.Keys(c.files)) }

// Names returns the names of all tensors, sorted.
func (c *Checkpoint) Names() []string { return slices.Clone(c.names) }

// Tensor looks a tensor up by name, in whichever file it is. Its Data must not
// be written to, and is valid until Close.
func (c *Checkpoint) Tensor(name string) (Tensor, bool) {
	f, ok := c.owner[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensor(name)
}

// Alias returns the tensor that stands for one that is not in the files, because
// both are one in memory: the safetensors library's save_model leaves all but one
// of those out, and names it in the metadata.
func (c *Checkpoint) Alias(name string) (kept string, ok bool) {
	for _, path := range c.Files() {
		if kept := c.files[path].metadata[name]; c.owner[kept] != nil && c.owner[name] == nil {
			return kept, true
		}
	}
	return "", false
}

// Forget lets go of the memory that reading has filled.
func (c *Checkpoint) Forget() {
	for _, f := range c.files {
		f.Forget()
	}
}

// Close unmaps all files. Closing twice is harmless.
func (c *Checkpoint) Close() error {
	var err error
	for _, path := range c.Files() {
		err = errors.Join(err, c.files[path].Close())
	}
	c.files, c.owner, c.names = nil, nil, nil
	return err
}

// openFiles opens paths as one checkpoint. With a weight map (tensor name to
// path), the files must hold what it says and nothing else.
func openFiles(weightMap map[string]string, paths ...string) (_ *Checkpoint, err error) {
	c := &Checkpoint{files: map[string]*File{}, owner: map[string]*File{}}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	for _, path := range paths {
		f, err := Open(path)
		if err != nil {
			return nil, err
		}
		c.files[path] = f
		var extra []string
		for _, name := range f.names {
			if weightMap != nil && weightMap[name] != path {
				extra = append(extra, name)
				continue
			}
			c.owner[name] = f
		}
		if extra != nil {
			return nil, &FormatError{Path: path, Msg: "holds tensors that the index does not place here: " + listed(extra)}
		}
	}
	for _, path := range paths {
		var missing []string
		for _, name := range slices.Sorted(maps.Keys(weightMap)) {
			if weightMap[name] == path && c.owner[name] == nil {
				missing = append(missing, name)
			}
		}
		if missing != nil {
			return nil, &FormatError{Path: path, Msg: "lacks tensors that the index places here: " + listed(missing)}
		}
	}
	c.names = slices.Sorted(maps.Keys(c.owner))
	return c, nil
}

// maxIndexSize bounds an index: a hundred bytes a tensor.
const maxIndexSize = 256 << 20

// openSharded opens the shards that an index file lists.
func openSharded(dir, index string) (*Checkpoint, error) {
	bad := func(format string, args ...any) error {
		return &FormatError{Path: index, Msg: fmt.Sprintf(format, args...)}
	}
	data, err := foreign.ReadFile(index, maxIndexSize)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", index, plain(err))
	}
	weightMap, err := readWeightMap(data)
	if err != nil {
		return nil, bad("%v", err)
	}
	paths := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(weightMap)) {
		shard := weightMap[name]
		if !filepath.IsLocal(shard) {
			return nil, bad("tensor %q is placed in %q, which is outside of the folder", name, shard)
		}
		path := filepath.Join(dir, shard)
		if !paths[path] && !exists(path) {
			return nil, bad("shard %q is missing; the download may be incomplete", shard)
		}
		paths[path] = true
		weightMap[name] = path
	}
	if len(paths) == 0 {
		return nil, bad("weight_map is empty")
	}
	return openFiles(weightMap, slices.Sorted(maps.Keys(paths))...)
}

// readWeightMap returns the index's map from tensor to shard, refusing a
// tensor that it names twice.
func readWeightMap(data []byte) (map[string]string, error) {
	var index struct {
		WeightMap json.RawMessage `json:"weight_map"`
	}
	if err := plainjson.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	if index.WeightMap == nil {
		return nil, errors.New(`has no "weight_map"`)
	}
	all, err := plainjson.Members(index.WeightMap)
	if err != nil {
		return nil, fmt.Errorf("weight_map: %w", err)
	}
	weightMap := make(map[string]string, len(all))
	for _, m := range all {
		var ok bool
		if weightMap[m.Key], ok = textOf(m); !ok {
			return nil, fmt.Errorf("weight_map places tensor %q in %s, want a file name", m.Key, plainjson.Short(m.Value))
		}
	}
	return weightMap, nil
}

// openOnly opens the single .safetensors file of a folder that has neither of
// the standard names.
func openOnly(dir string) (*Checkpoint, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, plain(err))
	}
	var found []string
	for _, f := range files {
		if name := f.Name(); filepath.Ext(name) == ".safetensors" && name != adapterName {
			found = append(found, name)
		}
	}
	if len(found) == 1 {
		return openFiles(nil, filepath.Join(dir, found[0]))
	}
	if len(found) > 1 {
		return nil, &FormatError{Path: dir, Msg: fmt.Sprintf("has several weight files (%s) and no %s to say what is where", listed(found), indexName)}
	}
	hint := ""
	switch {
	case exists(filepath.Join(dir, "pytorch_model.bin")), exists(filepath.Join(dir, "pytorch_model.bin.index.json")):
		hint = "; it has only pytorch_model.bin, a pickle, which is never read: get the model's safetensors files, " +
			"or convert it with model.save_pretrained in Python"
	case exists(filepath.Join(dir, adapterName)):
		hint = "; it has " + adapterName + ": this is a PEFT adapter, not a model"
	}
	return nil, fmt.Errorf("read %s: no weights (looked for %s, %s, *.safetensors)%s: %w", dir, singleName, indexName, hint, fs.ErrNotExist)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
