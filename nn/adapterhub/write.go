package adapterhub

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"autolora/atomicfile"
	"autolora/nn/peft"
	"autolora/nn/safetensors"
)

// Write writes the adapter into the new folder dir, with README.md from the
// card, whose labels are the adapter's: dir is whole or not there. The head of a
// language model is not written.
func Write(dir string, a *Bottlenecks, card peft.ModelCard) error {
	adapter, head, err := a.configs()
	if err != nil {
		return fmt.Errorf("write adapter %s: %w", dir, err)
	}
	weights := make([]safetensors.Tensor, len(a.Weights))
	for i, t := range a.Weights {
		t.Name = a.qualified(t.Name)
		weights[i] = t
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("write adapter %s: folder is there already: %w", dir, fs.ErrExist)
	}
	return atomicfile.WriteFolder(dir, func(dir string) error {
		if err := writeModule(dir, configName, adapter, weightsName, weights); err != nil {
			return err
		}
		if !a.generates() { // whose head is the base model's
			if err := writeModule(dir, headConfigName, head, headName, a.Head); err != nil {
				return err
			}
		}
		return os.WriteFile(filepath.Join(dir, cardName), []byte(a.markdown(card)), 0o666)
	})
}

// writeModule writes what AdapterHub calls a module: a configuration and its
// tensors.
func writeModule(dir, configName string, c config, tensorsName string, tensors []safetensors.Tensor) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, configName), data, 0o666); err != nil {
		return err
	}
	return safetensors.Write(filepath.Join(dir, tensorsName), map[string]string{"format": "pt"}, tensors)
}

// configs returns the contents of adapter_config.json and head_config.json.
func (a *Bottlenecks) configs() (adapter, head config, err error) {
	own, ok := styles[a.Style]
	if !ok || a.Size < 1 || a.Size > a.HiddenSize || a.Name == "" {
		return config{}, config{}, fmt.Errorf("adapter %q of style %q has a bottleneck of %d in a model of %d", a.Name, a.Style, a.Size, a.HiddenSize)
	}
	head = config{HiddenSize: a.HiddenSize, ModelClass: a.ModelClass, ModelName: a.BaseModel, ModelType: a.ModelType, Version: version}
	head.Label2ID, head.NumLabels = map[string]int64{"LABEL_0": 0}, 1 // transformers' for regression
	if a.Labels != nil {
		head.Label2ID, head.NumLabels = map[string]int64{}, int64(len(a.Labels))
	}
	for i, label := range a.Labels {
		head.Label2ID[label] = int64(i)
	}
	if int64(len(head.Label2ID)) != head.NumLabels {
		return config{}, config{}, fmt.Errorf("a label is there twice: %q", a.Labels)
	}
	adapter = head
	adapter.Label2ID, adapter.NumLabels, adapter.Name = nil, 0, &a.Name
	adapter.Settings = maps.Clone(defaults)
	maps.Copy(adapter.Settings, withoutEffect)
	maps.Copy(adapter.Settings, own)
	adapter.Settings["reduction_factor"] = factorOf(a.HiddenSize, a.Size)
	adapter.Settings["scaling"] = json.Number("1.0") // AdapterHub refuses an int, which 1 would be
	return adapter, head, nil
}

// papers has what a card says of the styles.
var papers = map[Style]string{
	Houlsby:  "of Houlsby et al. (2019), two in each block",
	Pfeiffer: "of Pfeiffer et al. (2021), one in each block",
}

// markdown renders the card for a.
func (a *Bottlenecks) markdown(card peft.ModelCard) string {
	task := a.TaskType()
	card.Labels = a.Labels
	var b strings.Builder
	b.WriteString(peft.FrontMatter("adapter-transformers", a.BaseModel, task, "adapter-transformers", "autolora", a.ModelType))
	b.WriteString(card.Title("Bottleneck adapter"))
	adapter, head := a.Parameters()
	fmt.Fprintf(&b, "Bottleneck adapters %s (AdapterHub's `%s`), for %s. Each has a bottleneck of %d. "+
		"Together they have %d parameters", papers[a.Style], a.Style, peft.BaseModel(a.BaseModel), a.Size, adapter)
	if !a.generates() {
		fmt.Fprintf(&b, ", and %d in the head", head)
	}
	b.WriteString(". They were made with autolora.\n\n")
	fmt.Fprintf(&b, "## Use\n\n```python\nimport adapters\n%sadapters.init(model)\n"+
		"model.load_adapter(\"path/to/this/folder\", use_safetensors=True, set_active=True)\nmodel.eval()\n"+
		"%s", card.BaseCode(a.BaseModel, task), card.Ask("base", task))
	b.WriteString(card.ScoreTable() + card.MadeTable())
	return strings.TrimSuffix(b.String(), "\n")
}
