package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"autolora/data"
	"autolora/foreign"
	"autolora/plainjson"
)

// Kind is what a name on the hub stands for.
type Kind struct {
	name, wants string
	pick        func(listed []string) ([]string, error) // the files to fetch
	whole       func(dir string) error                  // says what a snapshot lacks
}

// The kinds.
var (
	Model   = &Kind{"model", "a folder with config.json and *.safetensors", modelFiles, complete}
	Adapter = &Kind{"adapter", "a folder with adapter_config.json and its weights", adapterFiles, lacking(adapterFiles)}
	Config  = &Kind{"model", "a folder with config.json", configFile, lacking(configFile)} // of a model, without weights
)

// Resolve turns what a user gives as something of kind k into a folder: the folder itself, or a name "ORG/NAME" or
// "NAME" on the hub, if need be with "@REVISION" after it. A name that is complete in the cache costs no request;
// another is fetched as by [Client.Model]. progress may be nil.
func (c *Client) Resolve(ctx context.Context, k *Kind, given string, progress func(Progress)) (dir string, err error) {
	info, err := os.Stat(given)
	switch {
	case err == nil && info.IsDir():
		return given, nil
	case err == nil:
		return "", fmt.Errorf("%s %s: a file, want %s, or a name on the hub", k.name, given, k.wants)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
		return "", fmt.Errorf("%s %s: %w", k.name, given, err)
	}
	name, revision, _ := strings.Cut(given, "@")
	r, err := newRepo("models", name, revision)
	if err != nil {
		return "", fmt.Errorf("%s %q: no such folder, and %w", k.name, given, err)
	}
	if err := c.hasCache(); err != nil {
		return "", err
	}
	if dir, err := c.cachedWhole(r, k); dir != "" || err != nil {
		return dir, err
	}
	if dir, err = c.snapshot(ctx, r, k, progress); err != nil {
		return "", fmt.Errorf("%s %q is neither a folder nor in the cache %s: %w", k.name, given, c.CacheDir, err)
	}
	return dir, nil
}

// Model fetches what this project reads of a model: its configuration, its safetensors weights, single or in
// shards, and its tokenizer. It returns the snapshot's folder. revision is a branch, tag or commit, "" is "main".
// The hub is asked even when the model is in the cache, unless revision is a commit or the client is offline.
func (c *Client) Model(ctx context.Context, name, revision string, progress func(Progress)) (dir string, err error) {
	if err := c.hasCache(); err != nil {
		return "", err
	}
	r, err := newRepo("models", name, revision)
	if err != nil {
		return "", err
	}
	return c.snapshot(ctx, r, Model, progress)
}

func (c *Client) snapshot(ctx context.Context, r repo, k *Kind, progress func(Progress)) (dir string, err error) {
	if c.Offline || commitPattern.MatchString(r.revision) {
		if dir, err := c.cachedWhole(r, k); dir != "" || err != nil {
			return dir, err
		}
	}
	if c.Offline {
		return "", fmt.Errorf("%v: %w: not complete in %s, and HF_HUB_OFFLINE is set", r, ErrOffline, c.CacheDir)
	}
	return c.update(ctx, r, k.pick, k.whole, progress)
}

// cachedWhole returns the folder of what needs nothing from the hub, or "".
func (c *Client) cachedWhole(r repo, k *Kind) (string, error) {
	dir, err := c.cached(r)
	if dir == "" || err != nil || k.whole(dir) != nil {
		return "", err
	}
	return dir, nil
}

// adapterWeights are the files that hold an adapter in PEFT's form, and in AdapterHub's.
var adapterWeights = []string{"adapter_model.safetensors", "adapter.safetensors"}

// adapterFiles picks the files of an adapter, whatever else its repository holds.
func adapterFiles(listed []string) ([]string, error) {
	wanted := append([]string{"adapter_config.json", "head_config.json", "model_head.safetensors", OriginFile}, adapterWeights...)
	paths := slices.DeleteFunc(wanted, func(name string) bool { return !slices.Contains(listed, name) })
	if !slices.Contains(paths, "adapter_config.json") {
		return nil, fmt.Errorf("%w: it has no adapter_config.json: is it an adapter?", ErrNotFound)
	}
	if !slices.ContainsFunc(adapterWeights, func(name string) bool { return slices.Contains(paths, name) }) {
		return nil, fmt.Errorf("%w: it has no %s: only safetensors is read, never pickle: load and save the adapter once in Python",
			ErrNoSafetensors, adapterWeights[0])
	}
	return paths, nil
}

// configFile picks the configuration of a model.
func configFile(listed []string) ([]string, error) {
	if !slices.Contains(listed, "config.json") {
		return nil, fmt.Errorf("%w: it has no config.json: is it a model for transformers?", ErrNotFound)
	}
	return []string{"config.json"}, nil
}

// lacking returns a function that says what a folder lacks of what pick wants.
func lacking(pick func(listed []string) ([]string, error)) func(dir string) error {
	return func(dir string) error {
		names, err := walk(dir)
		if err == nil {
			_, err = pick(names)
		}
		return err
	}
}

var (
	shardPattern = regexp.MustCompile(`^(.+)-\d{5}-of-\d{5}\.safetensors$`)

	// sideFiles are what a model may have beside its weights, as far as this project or transformers reads them.
	sideFiles = append([]string{"config.json", "generation_config.json", "adapter_config.json", OriginFile}, data.TokenizerFiles...)
)

// OriginFile is what this program keeps beside an adapter or a model of the run that made it; PEFT and transformers pass
// over it.
const OriginFile = "autolora.json"

// weightIndex is the file that tells which shard a tensor is in; weights is "model" or "adapter_model".
func weightIndex(weights string) string { return weights + ".safetensors.index.json" }

// modelFiles picks the files to fetch. Repositories hold the same weights in many forms (pickles, ONNX, other
// precisions); only those are taken that transformers would load.
func modelFiles(listed []string) ([]string, error) {
	paths := slices.DeleteFunc(slices.Clone(sideFiles), func(name string) bool { return !slices.Contains(listed, name) })
	if !slices.Contains(paths, "config.json") && !slices.Contains(paths, "adapter_config.json") {
		return nil, fmt.Errorf("%w: it has no config.json: is it a model for transformers?", ErrNotFound)
	}
	for _, weights := range []string{"model", "adapter_model"} {
		if single := weights + ".safetensors"; slices.Contains(listed, single) {
			return append(paths, single), nil
		}
		if !slices.Contains(listed, weightIndex(weights)) {
			continue
		}
		paths = append(paths, weightIndex(weights))
		for _, path := range listed {
			if m := shardPattern.FindStringSubmatch(path); m != nil && m[1] == weights {
				paths = append(paths, path)
			}
		}
		return paths, nil
	}
	found := "none at all"
	for _, path := range listed {
		switch filepath.Ext(path) {
		case ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf":
			found = "only " + path
		}
	}
	return nil, fmt.Errorf("%w (%s): only safetensors is read, never pickle: choose another model, or convert this one with transformers' save_pretrained",
		ErrNoSafetensors, found)
}

// complete says what a model's folder lacks of a configuration, all weights and, but for an adapter, a tokenizer.
func complete(dir string) error {
	has := func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	}
	weights := "model"
	switch {
	case has("config.json"):
		if !has("tokenizer.json") && !has("vocab.txt") && !(has("vocab.json") && has("merges.txt")) && !has("tokenizer.model") && !has("spm.model") {
			return fmt.Errorf("%w: it has no tokenizer.json, no vocab.txt, no vocab.json with merges.txt, no tokenizer.model and no spm.model", ErrNotFound)
		}
	case has("adapter_config.json"):
		weights = "adapter_model"
	default:
		return fmt.Errorf("%w: it has no config.json", ErrNotFound)
	}
	if has(weights + ".safetensors") {
		return nil
	}
	if !has(weightIndex(weights)) {
		return fmt.Errorf("%w: it has neither %s.safetensors nor %s", ErrNoSafetensors, weights, weightIndex(weights))
	}
	raw, err := foreign.ReadFile(filepath.Join(dir, weightIndex(weights)), 256<<20)
	if err != nil {
		return err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := plainjson.Unmarshal(raw, &index); err != nil {
		return fmt.Errorf("%s: %w", weightIndex(weights), err)
	}
	lost := slices.DeleteFunc(slices.Compact(slices.Sorted(maps.Values(index.WeightMap))), has)
	if len(lost) > 0 {
		return fmt.Errorf("%w: %s names %s, which it has not", ErrNotFound, weightIndex(weights), strings.Join(lost, ", "))
	}
	if len(index.WeightMap) == 0 {
		return fmt.Errorf("%s: no weight_map", weightIndex(weights))
	}
	return nil
}
