package adapterhub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"autolora/foreign"
	"autolora/nn/safetensors"
	"autolora/plainjson"
)

// IsAdapter reports whether the folder dir has an adapter in AdapterHub's form,
// of any kind. PEFT's adapters have a file of the same name.
func IsAdapter(dir string) bool {
	data, err := foreign.ReadFile(filepath.Join(dir, configName), maxConfigSize)
	var keys map[string]json.RawMessage
	if err != nil || plainjson.Unmarshal(data, &keys) != nil {
		return false
	}
	_, isPEFT := keys["peft_type"]
	_, isHub := keys["config"]
	return isHub && !isPEFT
}

// Read reads the adapter in the folder dir and its head, as AdapterHub or
// [Write] left them. The tensors are copies.
func Read(dir string) (*Bottlenecks, error) {
	a, err := readAdapter(filepath.Join(dir, configName))
	if err != nil {
		return nil, err
	}
	weights, err := readTensors(dir, weightsName)
	if err != nil {
		return nil, err
	}
	for _, t := range weights {
		module, rest, ok := strings.Cut(t.Name, inserted(a.Name))
		if !ok {
			return nil, fmt.Errorf("read %s: %q is not of the adapter %q", filepath.Join(dir, weightsName), t.Name, a.Name)
		}
		t.Name = module + "." + rest
		a.Weights = append(a.Weights, t)
	}
	path := filepath.Join(dir, headConfigName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) { // the head is the base model's
		return a, nil
	}
	if err := a.readHead(path); err != nil {
		return nil, err
	}
	if a.Head, err = readTensors(dir, headName); err != nil {
		return nil, err
	}
	return a, nil
}

func readAdapter(path string) (*Bottlenecks, error) {
	c, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	a, err := c.adapter()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return a, nil
}

// adapter returns what c says of an adapter.
func (c *config) adapter() (_ *Bottlenecks, err error) {
	a := &Bottlenecks{BaseModel: c.ModelName, ModelType: c.ModelType, ModelClass: c.ModelClass, HiddenSize: c.HiddenSize}
	if c.Name != nil {
		a.Name = *c.Name
	}
	if a.Name == "" || a.HiddenSize < 1 {
		return nil, fmt.Errorf("name is %q and hidden_size %d, want those of an adapter", a.Name, a.HiddenSize)
	}
	if a.Style, err = styleOf(c.Settings); err != nil {
		return nil, err
	}
	factor, ok := c.Settings["reduction_factor"].(float64)
	if !ok || !(factor >= 1) {
		return nil, fmt.Errorf("config.reduction_factor is %s, want one number of at least 1", text(c.Settings["reduction_factor"]))
	}
	a.Size = sizeOf(a.HiddenSize, factor)
	return a, nil
}

// styleOf returns the style that settings are, or names what is not known here.
func styleOf(settings map[string]any) (Style, error) {
	style := Pfeiffer
	if settings["mh_adapter"] == true {
		style = Houlsby
	}
	want := maps.Clone(defaults)
	maps.Copy(want, styles[style])
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		value := settings[key]
		wanted, known := want[key]
		if _, ok := withoutEffect[key]; ok || key == "reduction_factor" {
			continue
		}
		switch {
		case known && !reflect.DeepEqual(value, wanted):
			return "", fmt.Errorf("config.%s is %s, want %s: only AdapterHub's %s and %s are known", key, text(value), text(wanted), Houlsby, Pfeiffer)
		case !known && !plainjson.Falsy([]byte(text(value))): // what a newer AdapterHub adds
			return "", fmt.Errorf("config.%s is %s: this setting is not known, want an adapter of AdapterHub's %s or %s", key, text(value), Houlsby, Pfeiffer)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(styles[style])) { // the others have defaults
		if _, ok := settings[key]; !ok {
			return "", fmt.Errorf("config.%s is missing, want %s", key, text(want[key]))
		}
	}
	return style, nil
}

// text writes a setting as JSON does.
func text(value any) string {
	data, _ := json.Marshal(value) // it was read from JSON
	return string(data)
}

// readHead reads what is known of the head's labels.
func (a *Bottlenecks) readHead(path string) error {
	c, err := readConfig(path)
	if err != nil {
		return err
	}
	switch {
	case c.Settings != nil:
		return fmt.Errorf("read %s: the head is one of AdapterHub's own (%s), want one of a model class of transformers", path, c.ModelClass)
	case c.ModelClass != a.ModelClass:
		return fmt.Errorf("read %s: the head is one of %s, want one of %s as the adapter", path, c.ModelClass, a.ModelClass)
	}
	if c.NumLabels == 1 || a.generates() { // regression; AdapterHub gives language models two labels of no meaning
		return nil
	}
	a.Labels = make([]string, len(c.Label2ID))
	seen := make([]bool, len(c.Label2ID))
	for label, id := range c.Label2ID {
		if id < 0 || id >= int64(len(seen)) || seen[id] {
			return fmt.Errorf("read %s: label2id has %q at %d, want %d labels at 0 to %d", path, label, id, len(seen), len(seen)-1)
		}
		a.Labels[id], seen[id] = label, true
	}
	return nil
}

// maxConfigSize bounds a configuration, which is a kilobyte and its labels.
const maxConfigSize = 16 << 20

func readConfig(path string) (*config, error) {
	data, err := foreign.ReadFile(path, maxConfigSize)
	if err != nil {
		return nil, fmt.Errorf("read adapter: %w", err)
	}
	var c config
	if err := plainjson.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &c, nil
}

// readTensors returns copies of a file's tensors.
func readTensors(dir, name string) ([]safetensors.Tensor, error) {
	path := filepath.Join(dir, name)
	f, err := safetensors.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: not there: save the adapter in AdapterHub with use_safetensors=True; pickles are never read", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var tensors []safetensors.Tensor
	for _, key := range f.Names() {
		t, _ := f.Tensor(key)
		t.Data = bytes.Clone(t.Data)
		tensors = append(tensors, t)
	}
	return tensors, nil
}
