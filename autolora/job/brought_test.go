package job

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/nn"
	"autolora/nn/peft"
	"autolora/torchbind"
)

// setModel changes a key of config.json; nil takes it out.
func setModel(t *testing.T, dir, key string, value any) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	var config map[string]any
	readJSON(t, path, &config)
	if config[key] = value; value == nil {
		delete(config, key)
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	writeTest(t, path, string(text))
}

// A head's outputs are counted by its weights; what they mean has to be known.
func TestPredictBroughtHeads(t *testing.T) {
	input := filepath.Join(t.TempDir(), "in.jsonl")
	writeTest(t, input, "{\"text\": \"good film\"}\n{\"text\": \"bad w20\"}\n")
	predict := func(model, adapter string) (string, error) {
		cfg := settings.Default()
		cfg.Model, cfg.MaxLength = model, 16
		var out bytes.Buffer
		var err error
		run(t, func(*torchbind.Scope) {
			_, err = Predict(context.Background(), quiet, cfg, PredictConfig{Adapter: adapter, Input: input}, &out)
		})
		return out.String(), err
	}
	fixture := func(name string) string { return fixturePath(name) }
	type change map[string]any
	for _, c := range []struct {
		name    string
		config  change
		adapter string
		labels  []string // of which some are predicted
		want    string   // of an error
	}{
		{"names of all", change{"id2label": change{"0": "x", "1": "y", "2": "z"}}, "", []string{"x", "y", "z"}, ""},
		{"no id2label", change{"id2label": nil}, "", []string{"LABEL_0", "LABEL_1", "LABEL_2"}, ""},
		{"num_labels alone", change{"id2label": nil, "num_labels": 2}, "", []string{"LABEL_0", "LABEL_1", "LABEL_2"}, ""},
		{"two default names", change{"id2label": change{"0": "LABEL_0", "1": "LABEL_1"}}, "", []string{"LABEL_0", "LABEL_1", "LABEL_2"}, ""},
		{"two names", change{"id2label": change{"0": "no", "1": "yes"}}, "", nil, "names 2 labels (id2label), and the head has 3 outputs"},
		{"several labels at once", change{"problem_type": "multi_label_classification"}, "", nil, ""}, // read as such: no one label
		{"several labels at once, in an adapter", change{"problem_type": "multi_label_classification"}, fixture("bert-tiny-all-linear"), nil, ""},
		{"an adapter with its head", change{"id2label": change{"0": "x", "1": "y"}}, fixture("bert-tiny-all-linear"), []string{"LABEL_0", "LABEL_1", "LABEL_2"}, ""},
		{"an adapter without a head", change{"id2label": change{"0": "x", "1": "y", "2": "z"}}, fixture("bert-tiny-dense"), []string{"x", "y", "z"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			model := tinyModel(t)
			for key, value := range c.config {
				setModel(t, model, key, value)
			}
			out, err := predict(model, c.adapter)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "fresh") {
					t.Errorf("error %v, want %s", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out) {
				var p struct {
					Logits []float64
					Label  string
					Labels []string
				}
				if err := json.Unmarshal([]byte(line), &p); err != nil || len(p.Logits) != 3 || c.labels != nil && !slices.Contains(c.labels, p.Label) || (c.labels == nil) != (p.Labels != nil) {
					t.Errorf("%s, %v: want 3 logits and one of %v", line, err, c.labels)
				}
			}
		})
	}
	_, err := predict(fixture("bert-encoder"), fixture("bert-tiny-dense"))
	if err == nil || !strings.Contains(err.Error(), "neither the adapter nor the model has a classification head") {
		t.Errorf("no head at all: %v", err)
	}
}

// Names of other architectures are said once, though a run loads the model twice.
func TestForeignTargets(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Targets = []string{"q_proj", "v_proj"}
	said := &notes{}
	run(t, func(*torchbind.Scope) {
		out, err := Run(context.Background(), Host{Reporter: said}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.Ranks.Layers[0].Name; got != "bert.encoder.layer.0.attention.self.query" {
			t.Errorf("first layer %s", got)
		}
	})
	count := 0
	for _, line := range said.lines {
		if strings.Contains(line, "another architecture's name") {
			count++
		}
	}
	if count != 2 {
		t.Errorf("notes %q", said.lines)
	}
}

// A tokenizer may have more tokens than the model: what counts is those that occur,
// and one that the model lacks is found before the run begins.
func TestTokensBeyondTheEmbedding(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	writeTest(t, filepath.Join(cfg.Model, "added_tokens.json"), `{"<new>": 120, "<more>": 121}`)
	cfg.Method = runs.MethodLoRA
	mustRun(t, Train, cfg)

	for _, file := range []*string{&cfg.TrainFile, &cfg.DevFile} {
		changed := cfg
		changed.Out = filepath.Join(t.TempDir(), "out")
		was := *file
		*file = filepath.Join(t.TempDir(), "rows.tsv")
		writeTest(t, *file, "text\tlabel\ngood film\tgood\nbad <new> film\tbad\n")
		changed.TrainFile, changed.DevFile = cfg.TrainFile, cfg.DevFile
		run(t, func(*torchbind.Scope) {
			_, err := Train(context.Background(), quiet, changed)
			if err == nil || !strings.Contains(err.Error(), `rows.tsv`) || !strings.Contains(err.Error(), `token "<new>" has the id 120, and the model's embedding only 120 rows`) {
				t.Errorf("error %v", err)
			}
		})
		*file = was
	}
}

// An adapter that names no task is of that of its head, or else of its model.
func TestTaskOfAdaptersWithoutOne(t *testing.T) {
	for _, c := range []struct {
		model   string
		outputs int // of the adapter's head
		want    data.Kind
	}{
		{"gpt2-tiny", 0, data.Generation},
		{"gpt2-tiny", 3, data.Classification},
		{"bert-tiny", 3, data.Classification},
		{"bert-tiny-tokens", 3, data.Tagging},
	} {
		for _, task := range []string{"", "FEATURE_EXTRACTION"} {
			s := &session{dir: fixturePath(c.model)}
			var err error
			if s.arch, err = nn.ReadConfig(s.dir); err != nil {
				t.Fatal(err)
			}
			a := &StoredAdapter{TaskType: task, Outputs: c.outputs, lora: &peft.Adapter{Config: peft.Config{TaskType: task}}}
			if got, err := s.headTask(a); err != nil || got.Kind != c.want {
				t.Errorf("%s with an adapter of %q with %d outputs: %s, %v; want %s", c.model, task, c.outputs, got.Kind, err, c.want)
			}
		}
	}
}

// An adapter's own chat template is not used, which is said where it differs.
func TestChatTemplateOfAdapter(t *testing.T) {
	base, adapter := t.TempDir(), t.TempDir()
	said := &notes{}
	s := &session{dir: base, rep: said}
	s.noteChatTemplate(adapter) // which has none
	writeTest(t, filepath.Join(base, "tokenizer_config.json"), `{"chat_template": "{{ messages }}"}`)
	writeTest(t, filepath.Join(adapter, "chat_template.jinja"), "{{ messages }}")
	s.noteChatTemplate(adapter)
	if said.lines != nil {
		t.Errorf("notes on equal templates: %q", said.lines)
	}
	writeTest(t, filepath.Join(adapter, "chat_template.jinja"), "{{ messages[0] }}")
	s.noteChatTemplate(adapter)
	if len(said.lines) != 1 || !strings.Contains(said.lines[0], "a chat template of its own, which is not used") {
		t.Errorf("notes %q", said.lines)
	}
}

// A model in a folder needs no cache, and so no home.
func TestModelFolderWithoutHome(t *testing.T) {
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "HF_HOME"} {
		t.Setenv(name, "")
	}
	dir := t.TempDir()
	if got, err := modelFolder(context.Background(), dir); got != dir || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := modelFolder(context.Background(), "user/name"); err == nil || !strings.Contains(err.Error(), "set HF_HOME") {
		t.Errorf("a name on the hub: %v", err)
	}
}
