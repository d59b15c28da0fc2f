package nn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"autolora/atomicfile"
	"autolora/data"
	"autolora/foreign"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// maxShard is the size from which a model is written in several files, as
// transformers does.
const maxShard = 5 << 30

// maxCopied bounds a file that is copied: a tokenizer has 35 MB at most.
const maxCopied = 512 << 20

// WriteTypes are the types in which models are written, by transformers' names.
var WriteTypes = map[string]safetensors.DType{"float32": safetensors.F32, "float16": safetensors.F16, "bfloat16": safetensors.BF16}

// TypeName returns transformers' name of one of WriteTypes, "" of another type.
func TypeName(dtype safetensors.DType) string {
	for name, t := range WriteTypes {
		if t == dtype {
			return name
		}
	}
	return ""
}

// Write writes the whole model as a Hugging Face folder that transformers loads:
// weights in dtype, one of WriteTypes, with every LoRA layer merged into its base
// weight, config.json with the head's labels, and the files of tokenizer and
// generation. dir must not exist; it appears whole or not at all. Bottleneck adapters
// are layers of their own and cannot be merged.
func (m *Model) Write(dir string, labels []string, dtype safetensors.DType) error {
	if len(m.Bottlenecks()) > 0 {
		return errors.New("write model: bottleneck adapters cannot be merged into the model's weights: keep the adapter beside its base")
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("write model: %s exists", dir)
	}
	config, err := m.configJSON(labels, dtype)
	if err != nil {
		return fmt.Errorf("write model %s: %w", dir, err)
	}
	tensors, err := m.merged(dtype)
	if err != nil {
		return fmt.Errorf("write model %s: %w", dir, err)
	}
	return atomicfile.WriteFolder(dir, func(temp string) error {
		if err := safetensors.WriteSharded(temp, maxShard, map[string]string{"format": "pt"}, tensors); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(temp, "config.json"), config, 0o666); err != nil {
			return err
		}
		return copyFiles(m.Dir, temp, append(slices.Clone(data.TokenizerFiles), "generation_config.json")...)
	})
}

// CopyTokenizer copies the files of a tokenizer that are in a folder into another.
func CopyTokenizer(from, to string) error { return copyFiles(from, to, data.TokenizerFiles...) }

// copyFiles copies those of the files that there are.
func copyFiles(from, to string, names ...string) error {
	for _, name := range names {
		content, err := foreign.ReadFile(filepath.Join(from, name), maxCopied)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), content, 0o666)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// merged returns every tensor of the model in dtype, with W + ΔW for W. Of what is not
// in dtype yet, one parameter is in memory at a time.
func (m *Model) merged(dtype safetensors.DType) (out []safetensors.Tensor, err error) {
	torchbind.NoGrad(func() {
		for _, p := range m.params {
			err = m.scope.Do(func(s *torchbind.Scope) error {
				value := m.withAdapters(s, p)
				if m.Head != nil && value == p.Value {
					value = m.Head.own(s, p)
				}
				for i, key := range p.Keys() {
					part := p.Stored(s, value, i)
					t, err := safetensors.Convert(safetensors.FromFloat32s(key, part.Shape(), part.Float32s()), dtype)
					if err != nil {
						return err
					}
					out = append(out, t)
				}
				return nil
			})
			if err != nil {
				return
			}
		}
	})
	return out, err
}

// withAdapters returns the weight p with what its modules' adapters make of it, in
// the adapters' type, and the weight itself where there is none.
func (m *Model) withAdapters(s *torchbind.Scope, p *Param) *torchbind.Tensor {
	base := p.Dense(s, m.dtype)
	value := base
	for _, l := range m.linears() {
		row := int64(0)
		for i, module := range l.Modules {
			if a := l.Adapters[i]; a != nil && l.Weight == p {
				if value == base {
					value = torchbind.Clone(s, torchbind.To(s, value, factorType(m.dtype), m.device))
				}
				rows := torchbind.Narrow(s, value, 0, row, module.Rows)
				rows.CopyInPlace(a.Merge(s, rows))
			}
			row += module.Rows
		}
	}
	return value
}

// configJSON returns the model's config.json with this head's labels and the type of
// the weights.
func (m *Model) configJSON(labels []string, dtype safetensors.DType) ([]byte, error) {
	config := make(map[string]any, len(m.raw))
	for key, value := range m.raw {
		config[key] = value
	}
	config["architectures"] = []string{m.Architecture(m.Output)}
	delete(config, "torch_dtype") // transformers' name before version 4.56
	delete(config, quantizationKey)
	delete(config, "auto_map") // to Python files beside the base model, which stay there
	if name := TypeName(dtype); name != "" {
		config["dtype"] = name
	}
	switch m.Output {
	case CausalLM:
		text, err := json.MarshalIndent(config, "", "  ")
		return append(text, '\n'), err
	case TokenClassification:
		delete(config, "problem_type") // of sequences
	case Regression:
		config["problem_type"], labels = "regression", []string{"LABEL_0"}
	case MultiLabel:
		config["problem_type"] = "multi_label_classification"
	default:
		config["problem_type"] = "single_label_classification"
	}
	if m.Generates() && m.Padding == nil {
		// Without one transformers takes no two texts at once. That for the end of a
		// text is the usual one.
		if end := firstID(m.raw["eos_token_id"]); end != nil {
			config["pad_token_id"] = *end
		}
	}
	id2label, label2id := make(map[string]string), make(map[string]int)
	for i, label := range labels {
		id2label[strconv.Itoa(i)] = label
		label2id[label] = i
	}
	config["id2label"], config["label2id"] = id2label, label2id
	text, err := json.MarshalIndent(config, "", "  ")
	return append(text, '\n'), err
}

// firstID reads a token's id, or the first of a list of them; nil for anything else.
func firstID(value json.RawMessage) *int64 {
	var id *int64
	var several []int64
	if json.Unmarshal(value, &several) == nil && len(several) > 0 {
		return &several[0]
	}
	if json.Unmarshal(value, &id) != nil {
		return nil
	}
	return id
}
