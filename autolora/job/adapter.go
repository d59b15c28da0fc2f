package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/nn"
	"autolora/nn/adapterhub"
	"autolora/nn/peft"
)

// StoredAdapter is what a folder with an adapter says of itself.
type StoredAdapter struct {
	Form      string     `json:"form"` // in words
	BaseModel string     `json:"base_model"`
	TaskType  string     `json:"task_type"`          // as PEFT names it: SEQ_CLS, TOKEN_CLS, CAUSAL_LM
	Size      int64      `json:"adapter_parameters"` // without the head
	Head      int64      `json:"head_parameters"`
	Ranks     runs.Ranks `json:"ranks"`
	Labels    []string   `json:"-"` // in the order of the logits; nil where they are not known
	Outputs   int        `json:"-"` // of the head

	dir  string        // where it lies
	lora *peft.Adapter // nil for bottleneck adapters
}

// Base returns the base model as it is given to a run: "" if the adapter names none.
func (a *StoredAdapter) Base() string {
	if info, err := os.Stat(a.BaseModel); a.lora == nil || a.lora.Config.Revision == "" || err == nil && info.IsDir() {
		return a.BaseModel
	}
	return a.BaseModel + "@" + a.lora.Config.Revision
}

// Tokens reports whether the adapter's head labels tokens.
func (a *StoredAdapter) Tokens() bool { return a.TaskType == tokenTask }

// anyTask reports whether models of any task can have it.
func (a *StoredAdapter) anyTask() bool { return a.lora != nil && a.lora.Config.AnyTask() }

// Language reports whether it is an adapter of a language model.
func (a *StoredAdapter) Language() bool { return a.TaskType == languageTask }

// Bottleneck reports whether it is a bottleneck adapter; else it is LoRA.
func (a *StoredAdapter) Bottleneck() bool { return a.lora == nil }

// kind is that of the tasks that the adapter can be for, "" if it does not say.
func (a *StoredAdapter) kind() data.Kind {
	switch {
	case a.Language():
		return data.Generation
	case a.Tokens():
		return data.Tagging
	case a.Outputs == 1:
		return data.Regression
	case a.Outputs > 1:
		return data.Classification
	}
	return ""
}

// PEFT's task types.
const (
	tokenTask    = "TOKEN_CLS"
	languageTask = "CAUSAL_LM"
)

// ReadAdapter reads an adapter of PEFT's form or of AdapterHub's. dir may be the
// output folder of a run with the adapter in it.
func ReadAdapter(dir string) (*StoredAdapter, error) {
	dir = AdapterFolder(dir)
	if adapterhub.IsAdapter(dir) {
		return readBottlenecks(dir)
	}
	lora, err := peft.Read(dir)
	if model := filepath.Join(dir, runs.ModelDir); errors.Is(err, fs.ErrNotExist) {
		if _, failure := os.Stat(model); failure == nil { // of method full
			err = settings.Errorf("adapter", "%s holds no adapter but a whole model: give %s as model, and no adapter", dir, model)
		} else if below := runs.Below(dir, "adapter_config.json"); below != "" {
			err = settings.Errorf("adapter", "%s holds no adapter itself: give one of those in it, such as %s", dir, below)
		}
	}
	if err != nil {
		return nil, err
	}
	a := &StoredAdapter{
		Form: "LoRA adapter in PEFT's form", TaskType: lora.Config.TaskType, BaseModel: lora.Config.BaseModel,
		Labels: labelsOf(lora), Outputs: nn.HeadOutputs(lora.Saved), dir: dir, lora: lora,
	}
	a.Size, a.Head = lora.Parameters()
	for _, l := range lora.Layers {
		a.Ranks.Layers = append(a.Ranks.Layers, runs.LayerRank{Name: l.Name, Rank: l.Rank})
	}
	return a, nil
}

func readBottlenecks(dir string) (*StoredAdapter, error) {
	b, err := adapterhub.Read(dir)
	if err != nil {
		return nil, err
	}
	a := &StoredAdapter{
		Form: fmt.Sprintf("bottleneck adapter in AdapterHub's form, %s of size %d", b.Style, b.Size), TaskType: b.TaskType(),
		BaseModel: b.BaseModel, Labels: b.Labels, Outputs: nn.HeadOutputs(b.Head), dir: dir,
	}
	a.Size, a.Head = b.Parameters()
	return a, nil
}

// labelsKey is where a LoRA adapter's weight file keeps the names of its
// classes, a JSON list in the order of the logits: PEFT has no place for them.
const labelsKey = "labels"

func setLabels(a *peft.Adapter, labels []string) error {
	data, err := json.Marshal(labels)
	if err == nil && labels != nil {
		a.Metadata = map[string]string{labelsKey: string(data)}
	}
	return err
}

// labelsOf returns the names of the adapter's classes, nil if it has none.
func labelsOf(a *peft.Adapter) []string {
	var labels []string
	if json.Unmarshal([]byte(a.Metadata[labelsKey]), &labels) != nil {
		return nil // of another program
	}
	return labels
}
