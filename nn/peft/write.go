package peft

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"autolora/atomicfile"
	"autolora/nn/safetensors"
)

const cardName = "README.md"

// Write writes the adapter into the folder dir: adapter_config.json,
// adapter_model.safetensors, and README.md with the card. It sets target_modules
// to the full paths of the layers with a rank above 0, and rank_pattern and
// alpha_pattern to the ranks and alphas that differ from a.Config.R and
// a.Config.LoraAlpha, which must be set. Every saved tensor must lie in a
// module of a.Config.ModulesToSave; for the classification task types
// "classifier" and "score" are added to it, as PEFT does.
//
// dir must not be there; it appears whole or not at all.
func Write(dir string, a *Adapter, card ModelCard) error {
	c, tensors, err := a.files()
	var config []byte
	if err == nil {
		config, err = marshal(c, "  ") // as PEFT formats it
	}
	if _, e := os.Lstat(dir); err == nil && e == nil {
		err = fmt.Errorf("folder is there already: %w", fs.ErrExist)
	}
	if err != nil {
		return fmt.Errorf("write adapter %s: %w", dir, err)
	}
	metadata := map[string]string{}
	maps.Copy(metadata, a.Metadata)
	metadata["format"] = "pt"
	return atomicfile.WriteFolder(dir, func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, configName), config, 0o666); err != nil {
			return err
		}
		if err := safetensors.Write(filepath.Join(dir, weightsName), metadata, tensors); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, cardName), []byte(card.markdown(a)), 0o666)
	})
}

// files returns the configuration and the tensors that stand for a in PEFT's
// files, having checked that they resolve to a again.
func (a *Adapter) files() (*Config, []safetensors.Tensor, error) {
	c := a.Config
	c.ModulesToSave = c.modulesToSave()
	c.TargetModules, c.ExcludeModules = Modules{}, Modules{}
	c.LayersToTransform, c.LayersPattern = nil, nil
	c.RankPattern, c.AlphaPattern = nil, nil
	var tensors []safetensors.Tensor
	seen := map[string]bool{}
	for _, l := range a.Layers {
		if err := l.check(); err != nil {
			return nil, nil, err
		}
		if l.Name == "" || seen[l.Name] {
			return nil, nil, fmt.Errorf("layer %q: name is empty or given twice", l.Name)
		}
		seen[l.Name] = true
		if l.Rank == 0 {
			continue
		}
		c.TargetModules.Names = append(c.TargetModules.Names, l.Name)
		if l.Rank != c.R {
			c.RankPattern = append(c.RankPattern, PatternEntry[int]{l.Name, l.Rank})
		}
		if l.Alpha != c.LoraAlpha {
			c.AlphaPattern = append(c.AlphaPattern, PatternEntry[float64]{l.Name, l.Alpha})
		}
		l.A.Name, l.B.Name = prefix+l.Name+".lora_A.weight", prefix+l.Name+".lora_B.weight"
		tensors = append(tensors, l.A, l.B)
		for _, t := range l.More {
			t.Name = prefix + l.Name + "." + t.Name
			tensors = append(tensors, t)
		}
	}
	for _, t := range a.Saved {
		if !isSaved(t.Name, c.ModulesToSave) {
			return nil, nil, fmt.Errorf("saved tensor %q lies in none of the modules to save (%s): PEFT would ignore it",
				t.Name, strings.Join(c.ModulesToSave, ", "))
		}
		t.Name = prefix + t.Name
		tensors = append(tensors, t)
	}
	if tensors == nil {
		return nil, nil, errors.New("all ranks are 0 and no module is saved: there is nothing to write")
	}
	if c.TargetModules.Names == nil {
		c.TargetModules.Regexp = dummyTarget
	}
	// PEFT sorts keys when it saves an adapter again; in this order from the
	// start, nothing changes then.
	c.RankPattern.sort()
	c.AlphaPattern.sort()
	if err := c.validate(); err != nil {
		return nil, nil, err
	}
	return &c, tensors, c.resolvesTo(a.Layers)
}

// resolvesTo checks that PEFT gives every layer its own rank and alpha, and does
// not adapt those of rank 0: full names are patterns too, and could meet the
// name of another layer.
func (c *Config) resolvesTo(layers []Layer) error {
	r, err := newResolver(c)
	if err != nil {
		return err
	}
	for _, l := range layers {
		if r.adapts(l.Name) != (l.Rank > 0) {
			return fmt.Errorf("layer %q: rank %d cannot be expressed: another layer's name, or modules_to_save, takes precedence", l.Name, l.Rank)
		}
		if l.Rank == 0 {
			continue
		}
		rank, alpha := r.rank(l.Name, c.R), r.alpha(l.Name, c.LoraAlpha)
		if rank != l.Rank || alpha != l.Alpha {
			return fmt.Errorf("layer %q: PEFT would read rank %d and alpha %v, want %d and %v: its name is matched by another layer's", l.Name, rank, alpha, l.Rank, l.Alpha)
		}
	}
	return nil
}
