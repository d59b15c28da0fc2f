package peft

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"autolora/foreign"
	"autolora/human"
	"autolora/nn/safetensors"
)

const (
	configName  = "adapter_config.json"
	weightsName = "adapter_model.safetensors"
	pickleName  = "adapter_model.bin"
)

// Read reads the adapter in the folder dir, as PEFT or [Write] left it. The
// tensors are copies. Names may be spelt with or without PEFT's
// "base_model.model." prefix and with or without an adapter name.
func Read(dir string) (*Adapter, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, weightsName)
	f, err := safetensors.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, e := os.Stat(filepath.Join(dir, pickleName)); e == nil {
			return nil, fmt.Errorf("read %s: the adapter's weights are only in %s, a pickle, which is never read: "+
				"load and save the adapter once in PEFT to get %s", dir, pickleName, weightsName)
		}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := assemble(c, f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return a, nil
}

// Fingerprint returns the SHA-256 of the two files that [Read] reads, one after the
// other, in hex.
func Fingerprint(dir string) (string, error) {
	sum := sha256.New()
	for _, name := range []string{configName, weightsName} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// maxConfigSize bounds a configuration, which is a kilobyte and its patterns.
const maxConfigSize = 16 << 20

// ReadConfig reads the adapter_config.json in the folder dir; see [ParseConfig].
func ReadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, configName)
	data, err := foreign.ReadFile(path, maxConfigSize)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	c, err := ParseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// assemble sorts the tensors of f into layers and saved modules, and checks
// that they are what c describes.
func assemble(c *Config, f *safetensors.File) (*Adapter, error) {
	r, err := newResolver(c)
	if err != nil {
		return nil, err
	}
	a := &Adapter{Config: *c, Metadata: f.Metadata()}
	modulesToSave := c.modulesToSave()
	layers := map[string]*Layer{}
	saved := map[string]bool{}
	var unknown []string
	for _, key := range f.Names() {
		t, _ := f.Tensor(key)
		if t.NumElements() == 0 {
			return nil, fmt.Errorf("%q has shape %v, it is empty: %s", key, t.Shape, safetensors.WhyEmpty)
		}
		t.Data = bytes.Clone(t.Data)
		key := safetensors.Unwrapped(key)
		module, factor, ok := splitFactorKey(key)
		if !ok {
			module, factor, ok = c.splitMoreKey(key)
		}
		if ok {
			if layers[module] == nil {
				layers[module] = &Layer{Name: module}
			}
			if err := layers[module].set(factor, t); err != nil {
				return nil, err
			}
			continue
		}
		name, ok := savedName(key, modulesToSave)
		switch {
		case !ok:
			unknown = append(unknown, key)
		case saved[name]:
			return nil, fmt.Errorf("%q is there twice, in two spellings", name)
		default:
			saved[name] = true
			t.Name = name
			a.Saved = append(a.Saved, t)
		}
	}
	if unknown != nil {
		what := ""
		if slices.ContainsFunc(unknown, embedding.MatchString) {
			what = "; embeddings are not adapted here: merge the adapter into its model in PEFT, and take that"
		}
		return nil, fmt.Errorf("has tensors that are neither LoRA factors of linear layers nor in modules_to_save (%s): %s%s",
			cmp.Or(strings.Join(modulesToSave, ", "), "none"), human.List(unknown, 5), what)
	}
	for _, name := range slices.SortedFunc(maps.Keys(layers), compareNames) {
		l := layers[name]
		err := l.resolve(r)
		if r.endless != nil {
			err = r.endless
		}
		if err != nil {
			return nil, err
		}
		a.Layers = append(a.Layers, *l)
	}
	slices.SortFunc(a.Saved, func(x, y safetensors.Tensor) int { return compareNames(x.Name, y.Name) })
	if err := checkComplete(r, a.Layers); err != nil {
		return nil, err
	}
	return a, nil
}

// set puts a factor in its place.
func (l *Layer) set(factor string, t safetensors.Tensor) error {
	place := &l.A
	switch factor {
	case "A":
	case "B":
		place = &l.B
	default:
		t.Name = factor
		l.More = append(l.More, t)
		return nil
	}
	if place.DType != "" {
		return fmt.Errorf("layer %q has lora_%s twice, in two spellings", l.Name, factor)
	}
	*place = t
	return nil
}

// resolve gives a layer its rank and alpha as PEFT would, and checks it.
func (l *Layer) resolve(r *resolver) error {
	if l.A.DType == "" || l.B.DType == "" {
		has, lacks := "lora_A", "lora_B"
		if l.A.DType == "" {
			has, lacks = lacks, has
		}
		return fmt.Errorf("layer %q has %s and no %s", l.Name, has, lacks)
	}
	for _, name := range forms[r.config.Form] {
		if !slices.ContainsFunc(l.More, func(t safetensors.Tensor) bool { return t.Name == name }) {
			return fmt.Errorf("layer %q has no %s", l.Name, name)
		}
	}
	if !r.adapts(l.Name) {
		return fmt.Errorf("layer %q is not chosen by target_modules in %s: PEFT would ignore its tensors", l.Name, configName)
	}
	if r.rank != nil {
		l.Rank = r.rank(l.Name, r.config.R)
	} else if len(l.A.Shape) == 2 {
		l.Rank = int(l.A.Shape[0])
	}
	l.Alpha = r.alpha(l.Name, r.config.LoraAlpha)
	return l.check()
}

// checkComplete refuses a file without LoRA factors, or without those of a
// layer that target_modules names by its number. Other entries may lack a layer:
// lists are often written for several architectures at once.
func checkComplete(r *resolver, layers []Layer) error {
	if r.config.TargetModules.Regexp == dummyTarget {
		return nil
	}
	if len(layers) == 0 {
		return errors.New("has no LoRA factors (names ending in lora_A.weight and lora_B.weight)")
	}
	for _, target := range r.config.TargetModules.Names {
		if !numbered.MatchString(target) || !r.adapts(target) {
			continue
		}
		one := Modules{Names: []string{target}}
		if !slices.ContainsFunc(layers, func(l Layer) bool { return one.hasName(l.Name) }) {
			return fmt.Errorf("has neither lora_A nor lora_B of %q, which target_modules in %s names", target, configName)
		}
	}
	return nil
}

// embedding finds the embeddings of tokens, which PEFT saves whole, without a word in
// the configuration, where tokens were added.
var embedding = regexp.MustCompile(`embed|lm_head|\bwte\b`)

// numbered finds a block number among the parts of a module's name.
var numbered = regexp.MustCompile(`(?:^|\.)\d+\.`)
