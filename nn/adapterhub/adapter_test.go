package adapterhub

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"autolora/nn/peft"
	"autolora/nn/safetensors"
)

func testdata(name string) string { return filepath.Join("..", "..", "testdata", "nn", name) }

// stored are the adapters that AdapterHub wrote (testdata/nn/make_adapters.py and
// make_decoder_adapters.py).
var stored = []struct {
	name, base, modelType, class string
	style                        Style
	size, hidden                 int64
	labels                       int
	adapter, head                int64 // parameters
}{
	{"bert-tiny-houlsby", "bert-tiny", "bert", "BertForSequenceClassification", Houlsby, 4, 32, 3, 4 * 292, 99},
	{"bert-tiny-pfeiffer", "bert-tiny", "bert", "BertForSequenceClassification", Pfeiffer, 8, 32, 3, 2 * 552, 99},
	{"roberta-tiny-houlsby", "roberta-tiny", "roberta", "RobertaForSequenceClassification", Houlsby, 5, 24, 2, 4 * 269, 650},
	{"roberta-tiny-pfeiffer", "roberta-tiny", "roberta", "RobertaForSequenceClassification", Pfeiffer, 3, 24, 2, 2 * 171, 650},
	{"bert-tiny-tokens-houlsby", "bert-tiny-tokens", "bert", "BertForTokenClassification", Houlsby, 4, 16, 5, 4 * 148, 85},
	{"bert-tiny-regression-pfeiffer", "bert-tiny-regression", "bert", "BertForSequenceClassification", Pfeiffer, 4, 16, 0, 148, 17},
	{"gpt2-tiny-houlsby", "gpt2-tiny", "gpt2", "GPT2LMHeadModel", Houlsby, 4, 24, 0, 4 * 220, 60 * 24},
	{"gpt2-tiny-pfeiffer", "gpt2-tiny", "gpt2", "GPT2LMHeadModel", Pfeiffer, 5, 24, 0, 2 * 269, 0},
	{"llama-tiny-houlsby", "llama-tiny", "llama", "LlamaForCausalLM", Houlsby, 4, 32, 0, 4 * 292, 0},
	{"llama-tiny-pfeiffer", "llama-tiny", "llama", "LlamaForCausalLM", Pfeiffer, 8, 32, 0, 2 * 552, 60 * 32},
	{"mistral-tiny-houlsby", "mistral-tiny", "mistral", "MistralForCausalLM", Houlsby, 4, 16, 0, 4 * 148, 0},
}

func mustRead(t *testing.T, dir string) *Bottlenecks {
	t.Helper()
	a, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRead(t *testing.T) {
	for _, c := range stored {
		t.Run(c.name, func(t *testing.T) {
			a := mustRead(t, testdata(c.name))
			got := *a
			got.Weights, got.Head, got.Labels = nil, nil, nil
			want := Bottlenecks{Style: c.style, Size: c.size, Name: "task", BaseModel: c.base, ModelType: c.modelType, ModelClass: c.class, HiddenSize: c.hidden}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			var labels []string
			for i := range c.labels {
				labels = append(labels, "LABEL_"+string(rune('0'+i)))
			}
			if !slices.Equal(a.Labels, labels) {
				t.Errorf("labels %q, want %q", a.Labels, labels)
			}
			if adapter, head := a.Parameters(); adapter != c.adapter || head != c.head {
				t.Errorf("%d and %d parameters, want %d and %d", adapter, head, c.adapter, c.head)
			}
			module := c.modelType + ".encoder.layer.0.output"
			switch c.modelType {
			case "gpt2":
				module = "transformer.h.0.output_adapters"
			case "llama", "mistral":
				module = "model.layers.0.output_adapters"
			}
			down := module + ".adapter_down.0.weight"
			if !slices.ContainsFunc(a.Weights, func(t safetensors.Tensor) bool { return t.Name == down }) {
				t.Errorf("no weight %q", down)
			}
		})
	}
}

func readJSON(t *testing.T, path string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// What is read and written again is AdapterHub's own, but for a reduction factor
// that gives the same size.
func TestWriteIsAdapterHubs(t *testing.T) {
	for _, c := range stored {
		t.Run(c.name, func(t *testing.T) {
			a := mustRead(t, testdata(c.name))
			dir := filepath.Join(t.TempDir(), "adapter")
			if err := Write(dir, a, peft.ModelCard{}); err != nil {
				t.Fatal(err)
			}
			configs, weights := []string{configName, headConfigName}, []string{weightsName, headName}
			if a.generates() {
				configs, weights = configs[:1], weights[:1]
				for _, file := range []string{headConfigName, headName} {
					if _, err := os.Stat(filepath.Join(dir, file)); !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("%s of a language model: %v", file, err)
					}
				}
				a.Head = nil
			}
			for _, file := range configs {
				got, want := readJSON(t, filepath.Join(dir, file)), readJSON(t, filepath.Join(testdata(c.name), file))
				if file == headConfigName {
					for _, key := range []string{"config", "name"} { // null there
						if value, ok := got[key]; !ok || value != nil {
							t.Errorf("%s: %s is %v, want null", file, key, value)
						}
					}
				} else if c.hidden%c.size != 0 {
					got["config"].(map[string]any)["reduction_factor"] = want["config"].(map[string]any)["reduction_factor"]
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s is\n%v\nwant\n%v", file, got, want)
				}
			}
			if config, err := os.ReadFile(filepath.Join(dir, configName)); err != nil || !strings.Contains(string(config), `"scaling": 1.0,`) {
				t.Errorf("scaling is not a float in %s, %v", config, err)
			}
			for _, file := range weights {
				got, want := tensors(t, filepath.Join(dir, file)), tensors(t, filepath.Join(testdata(c.name), file))
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s differs", file)
				}
			}
			if again := mustRead(t, dir); !reflect.DeepEqual(again, a) {
				t.Error("the adapter read again differs")
			}
			if err := Write(dir, a, peft.ModelCard{}); err == nil {
				t.Error("an existing folder was overwritten")
			}
		})
	}
}

func tensors(t *testing.T, path string) map[string]safetensors.Tensor {
	t.Helper()
	list, err := readTensors(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]safetensors.Tensor)
	for _, x := range list {
		byName[x.Name] = x
	}
	return byName
}

// Sizes are Python's int(hidden // factor).
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		hidden int64
		factor float64
		want   int64
	}{
		{24, 4.8, 5}, {768, 76.8, 10}, {768, 7.68, 100}, {32, 6.4, 4}, {768, 100.5, 7}, {1, 1.5, 1}, {1024, 10.24, 99}, {16, 16, 1}, {16, 33, 1},
		{768, 32, 24}, {768, 16, 48}, {1 << 62, 1, 1 << 62},
	} {
		if got := sizeOf(c.hidden, c.factor); got != c.want {
			t.Errorf("%d // %v: got %d, want %d", c.hidden, c.factor, got, c.want)
		}
	}
	for _, hidden := range []int64{1, 7, 16, 384, 768, 1024} {
		for size := int64(1); size <= hidden; size++ {
			if got := sizeOf(hidden, factorOf(hidden, size)); got != size {
				t.Errorf("factor %v of %d makes %d, want %d", factorOf(hidden, size), hidden, got, size)
			}
		}
	}
}

// copyAdapter copies an adapter into a folder of the test.
func copyAdapter(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(testdata(name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// set changes a key of a JSON file: "config.dropout".
func set(t *testing.T, path, key string, value any) {
	t.Helper()
	object := readJSON(t, path)
	at := object
	if rest, ok := strings.CutPrefix(key, "config."); ok {
		at, key = object["config"].(map[string]any), rest
	}
	if at[key] = value; value == "absent" {
		delete(at, key)
	}
	data, err := json.Marshal(object)
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Settings that are not those of the two styles are named, and so is what else a
// folder lacks.
func TestReadErrors(t *testing.T) {
	for _, c := range []struct {
		file, key string
		value     any
		want      string // "" is no error
	}{
		{configName, "config.ln_before", true, "config.ln_before is true, want false"},
		{configName, "config.is_parallel", true, "config.is_parallel is true"},
		{configName, "config.scaling", "learned", `config.scaling is "learned", want 1`},
		{configName, "config.non_linearity", "gelu", `config.non_linearity is "gelu", want "swish"`},
		{configName, "config.mh_adapter", false, `config.non_linearity is "swish", want "relu"`},
		{configName, "config.original_ln_before", true, "config.original_ln_before is true, want false"},
		{configName, "config.leave_out", []int{0}, "config.leave_out is [0], want []"},
		{configName, "config.dropout", 0.1, "config.dropout is 0.1, want 0"},
		{configName, "config.output_adapter", "absent", "config.output_adapter is missing, want true"},
		{configName, "config.scaling", "absent", ""},
		{configName, "config.init_weights", "mam_adapter", ""},
		{configName, "config.of_a_later_version", 0, ""},
		{configName, "config.of_a_later_version", []int{}, ""},
		{configName, "config.of_a_later_version", map[string]int{"a": 1}, `config.of_a_later_version is {"a":1}: this setting is not known`},
		{configName, "config.architecture", "lora", `config.architecture is "lora": this setting is not known`},
		{configName, "config.reduction_factor", map[string]int{"default": 8}, `config.reduction_factor is {"default":8}, want one number`},
		{configName, "config.reduction_factor", 0.5, "config.reduction_factor is 0.5, want one number of at least 1"},
		{configName, "config", nil, "config.mh_adapter is missing"},
		{configName, "config", "houlsby", "config"},
		{configName, "name", nil, `name is ""`},
		{configName, "name", "other", `is not of the adapter "other"`},
		{configName, "hidden_size", 0, "hidden_size 0"},
		{headConfigName, "model_class", "BertAdapterModel", "the head is one of BertAdapterModel, want one of BertForSequenceClassification as the adapter"},
		{headConfigName, "config", map[string]int{"layers": 2}, "the head is one of AdapterHub's own"},
		{headConfigName, "label2id", map[string]int{"a": 0, "b": 2}, `label2id has "b" at 2, want 2 labels at 0 to 1`},
		{headConfigName, "label2id", map[string]int{"a": 0, "b": 0}, "at 0, want 2 labels"},
		{headConfigName, "label2id", map[string]int{"a": -1}, `"a" at -1`},
		{headConfigName, "label2id", "absent", ""},
	} {
		t.Run(strings.TrimPrefix(c.key, "config.")+" "+text(c.value), func(t *testing.T) {
			dir := copyAdapter(t, "bert-tiny-houlsby")
			set(t, filepath.Join(dir, c.file), c.key, c.value)
			_, err := Read(dir)
			checkError(t, err, c.want)
		})
	}
	for file, want := range map[string]string{
		configName: "read adapter", weightsName: "use_safetensors=True", headName: "use_safetensors=True",
	} {
		t.Run("no "+file, func(t *testing.T) {
			dir := copyAdapter(t, "bert-tiny-houlsby")
			os.Remove(filepath.Join(dir, file))
			_, err := Read(dir)
			checkError(t, err, want)
			if err != nil && !strings.Contains(err.Error(), file) {
				t.Errorf("error %q does not name %s", err, file)
			}
		})
		t.Run("broken "+file, func(t *testing.T) {
			dir := copyAdapter(t, "bert-tiny-houlsby")
			if err := os.WriteFile(filepath.Join(dir, file), []byte("PK\x03\x04"), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Read(dir)
			checkError(t, err, file)
		})
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Error(err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v, want %q", err, want)
	case err != nil && strings.Contains(err.Error(), "\n"):
		t.Errorf("error has several lines: %q", err)
	}
}

func TestWriteErrors(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*Bottlenecks)
	}{
		{"style", `style "par_bn"`, func(a *Bottlenecks) { a.Style = "par_bn" }},
		{"size", "a bottleneck of 0 in a model of 32", func(a *Bottlenecks) { a.Size = 0 }},
		{"name", `adapter "" of style`, func(a *Bottlenecks) { a.Name = "" }},
		{"labels", `a label is there twice: ["a" "b" "a"]`, func(a *Bottlenecks) { a.Labels = []string{"a", "b", "a"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := mustRead(t, testdata("bert-tiny-houlsby"))
			c.change(a)
			dir := filepath.Join(t.TempDir(), "adapter")
			checkError(t, Write(dir, a, peft.ModelCard{}), c.want)
			if _, err := os.Lstat(dir); err == nil {
				t.Error("the folder is there")
			}
		})
	}
}

func TestIsAdapter(t *testing.T) {
	for name, want := range map[string]bool{"bert-tiny-houlsby": true, "bert-tiny-lora": false, "bert-tiny": false, "no-such-folder": false} {
		if got := IsAdapter(testdata(name)); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestCard(t *testing.T) {
	a := mustRead(t, testdata("bert-tiny-tokens-houlsby"))
	a.BaseModel, a.Labels = "org/bert", []string{"O", "B-DNA", "I-DNA", "B-RNA", "I-RNA"}
	card := peft.ModelCard{Task: "jnlpba", Scores: []peft.Score{{Name: "f1", Value: 0.75}}, Made: []peft.Fact{{Name: "seed", Value: "1"}}}
	const want = `---
library_name: adapter-transformers
base_model: "org/bert"
pipeline_tag: token-classification
tags:
- adapter-transformers
- autolora
- bert
- "base_model:adapter:org/bert"
---

# Bottleneck adapter for jnlpba

Bottleneck adapters of Houlsby et al. (2019), two in each block (AdapterHub's ` + "`double_seq_bn`" + `), for the base model ` + "`org/bert`" +
		`. Each has a bottleneck of 4. Together they have 592 parameters, and 85 in the head. They were made with autolora.

## Use

` + "```python" + `
import adapters
from transformers import AutoModelForTokenClassification, AutoTokenizer

base = "org/bert"
labels = ["O", "B-DNA", "I-DNA", "B-RNA", "I-RNA"]
model = AutoModelForTokenClassification.from_pretrained(
    base,
    num_labels=len(labels),
    id2label=dict(enumerate(labels)),
    label2id={label: i for i, label in enumerate(labels)},
)
adapters.init(model)
model.load_adapter("path/to/this/folder", use_safetensors=True, set_active=True)
model.eval()
tokenizer = AutoTokenizer.from_pretrained(base)
letters = tokenizer.backend_tokenizer.pre_tokenizer
if hasattr(letters, "add_prefix_space"):  # as in training, a space is before every word
    letters.add_prefix_space = tokenizer.add_prefix_space = True
words = ["A", "sentence", "in", "words", "."]
inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
best = model(**inputs).logits[0].argmax(-1).tolist()
first = [inputs.word_ids().index(i) for i in range(len(words))]  # whose token has the word's tag
print([(word, model.config.id2label[best[at]]) for word, at in zip(words, first)])
` + "```" + `

## Scores

| metric | value |
|---|---|
| f1 | 0.7500 |

## How it was made

| | |
|---|---|
| seed | 1 |
`
	if got := a.markdown(card); got != want {
		t.Errorf("card\n%s\nwant\n%s", got, want)
	}
}

func TestCardOfLanguageModel(t *testing.T) {
	card := mustRead(t, testdata("gpt2-tiny-houlsby")).markdown(peft.ModelCard{})
	for _, want := range []string{
		"pipeline_tag: text-generation\n", "model = AutoModelForCausalLM.from_pretrained(base)\nadapters.init(model)\n",
		"Together they have 880 parameters. They were made", "A prompt is the source and",
	} {
		if !strings.Contains(card, want) {
			t.Errorf("%q is not in the card\n%s", want, card)
		}
	}
}

func FuzzConfig(f *testing.F) {
	for _, c := range stored {
		data, err := os.ReadFile(filepath.Join(testdata(c.name), configName))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"config": {"mh_adapter": true, "reduction_factor": 1e308}, "name": "a", "hidden_size": 9223372036854775807}`))
	f.Add([]byte(`{"config": [], "name": 1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c config
		if json.Unmarshal(data, &c) != nil {
			return
		}
		a, err := c.adapter()
		if err != nil {
			return
		}
		if a.Size < 1 || a.Size > a.HiddenSize || styles[a.Style] == nil || a.Name == "" {
			t.Errorf("accepted %+v", a)
		}
	})
}
