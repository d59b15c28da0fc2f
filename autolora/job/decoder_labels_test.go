package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/nn"
	"autolora/torchbind"
)

// tinyLabels is a run of a decoder on a made-up task: a text is "up" or "down" by
// its letters, or is a pair of such, or has words with a tag each. One text is empty.
func tinyLabels(t *testing.T, family string, kind data.Kind) settings.Config {
	t.Helper()
	dir := t.TempDir()
	rows := func(n, seed int) string {
		var b strings.Builder
		for i := range n {
			letter := string(rune('a' + (i*7+seed)%26))
			row := map[string]any{"text": strings.Repeat("food "+letter+" ", i%4), "pair": letter, "label": []string{"down", "up"}[(i*7+seed)%26/13]}
			switch kind {
			case data.Regression:
				row["label"] = float64((i*7+seed)%26) / 5
			case data.Tagging:
				row["text"], row["label"] = []string{"food", letter}, []string{"O", []string{"B-down", "B-up"}[(i*7+seed)%26/13]}
			}
			line, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(line, '\n'))
		}
		return b.String()
	}
	writeTest(t, filepath.Join(dir, "train.jsonl"), rows(52, 0))
	writeTest(t, filepath.Join(dir, "dev.jsonl"), rows(11, 3))
	cfg := settings.Default()
	cfg.Model, cfg.Out = tinyDecoder(t, family), filepath.Join(t.TempDir(), "out")
	cfg.TrainFile, cfg.DevFile = filepath.Join(dir, "train.jsonl"), filepath.Join(dir, "dev.jsonl")
	cfg.Kind, cfg.Text, cfg.Label = kind, []string{"text"}, "label"
	cfg.MaxLength, cfg.BatchSize, cfg.K, cfg.SearchSteps, cfg.Steps, cfg.LogEvery = 48, 8, 4, 4, 6, 2
	cfg.SearchLR, cfg.AlphaLR, cfg.LR = 5e-3, 5e-2, 5e-3
	return cfg
}

// The whole job, and that eval, predict and every export agree with it.
func TestDecoderLabelsRun(t *testing.T) {
	for _, c := range []struct {
		family string
		kind   data.Kind
		pairs  bool
		class  string
	}{
		{"gpt2", data.Classification, true, "GPT2ForSequenceClassification"},
		{"llama", data.Classification, false, "LlamaForSequenceClassification"},
		{"llama", data.Regression, false, "LlamaForSequenceClassification"},
		{"gpt2", data.Tagging, false, "GPT2ForTokenClassification"},
	} {
		t.Run(fmt.Sprint(c.family, "/", c.kind), func(t *testing.T) {
			cfg := tinyLabels(t, c.family, c.kind)
			if c.pairs {
				cfg.Text = append(cfg.Text, "pair")
			}
			var told notes
			var out *Outcome
			run(t, func(*torchbind.Scope) {
				var err error
				if out, err = Run(context.Background(), Host{Reporter: &told}, cfg); err != nil {
					t.Fatal(err)
				}
			})
			if noted := slices.Contains(told.lines, "between the two texts of an example the model reads nothing, as the tokenizer joins pairs"); noted != c.pairs {
				t.Errorf("notes %q", told.lines)
			}
			if out.Results.Parameters.Head == 0 || out.Results.Examples != 11 {
				t.Errorf("results %+v", out.Results)
			}
			var config struct {
				TaskType string   `json:"task_type"`
				Saved    []string `json:"modules_to_save"`
			}
			readJSON(t, filepath.Join(cfg.Out, runs.AdapterDir, "adapter_config.json"), &config)
			if want := kinds[c.kind].head.TaskType(); config.TaskType != want || !slices.Contains(config.Saved, "score") {
				t.Errorf("adapter_config.json: %+v, want %s", config, want)
			}
			said := ""
			check := func(model, adapter string) {
				t.Helper()
				cfg := cfg
				cfg.Model, cfg.TrainFile = model, ""
				run(t, func(*torchbind.Scope) {
					again, err := Eval(context.Background(), quiet, cfg, adapter, data.Dev)
					if err != nil {
						t.Fatal(err)
					}
					loss, before := again.Results.Scores[metrics.NameLoss], out.Results.Scores[metrics.NameLoss]
					if !(loss-before <= 1e-6*before && before-loss <= 1e-6*before) {
						t.Errorf("eval gives the loss %v, the run %v", loss, before)
					}
					var b bytes.Buffer
					if n, err := Predict(context.Background(), quiet, cfg, PredictConfig{Adapter: adapter, Input: cfg.DevFile}, &b); err != nil || n != 11 {
						t.Fatalf("predict says %d lines, %v", n, err)
					}
					labels := labelsSaid(t, b.String())
					if said == "" {
						said = labels
					}
					if labels != said {
						t.Errorf("predict says %s, before %s", labels, said)
					}
				})
			}
			check(cfg.Model, cfg.Out)
			for _, format := range []string{FormatFolded, FormatMerged} {
				dir := filepath.Join(t.TempDir(), format)
				run(t, func(*torchbind.Scope) {
					if _, err := Export(context.Background(), quiet, cfg, cfg.Out, format, "", dir); err != nil {
						t.Fatal(err)
					}
				})
				if format == FormatFolded {
					check(cfg.Model, dir)
					continue
				}
				check(dir, "")
				if arch, err := nn.ReadConfig(dir); err != nil || arch.Architectures[0] != c.class || arch.Padding == nil {
					t.Errorf("the merged model is %v with padding %v (%v), want %s with one", arch.Architectures, arch.Padding, err, c.class)
				}
			}
		})
	}
}

// labelsSaid returns the labels or tags of lines of predictions; numbers to three
// digits.
func labelsSaid(t *testing.T, lines string) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(lines) {
		var got struct{ Label, Tags any }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if number, ok := got.Label.(float64); ok {
			got.Label = fmt.Sprintf("%.3f", number)
		}
		all = append(all, fmt.Sprint(got.Label, got.Tags))
	}
	return strings.Join(all, "; ")
}

// A language model without a head for labels is told as such, whatever names the task.
func TestDecoderWithoutHead(t *testing.T) {
	cfg := tinyLabels(t, "llama", data.Classification)
	cfg.TrainFile = ""
	named := cfg
	named.DevFile, named.Kind, named.Text, named.Label, named.Task, named.Data = "", "", nil, "", "sst2", filepath.Join("..", "..", "testdata", "sst2")
	for _, cfg := range []settings.Config{cfg, named} {
		run(t, func(*torchbind.Scope) {
			if _, err := Eval(context.Background(), quiet, cfg, "", data.Dev); err == nil || err.Error() != "adapter: the model has no head: give the adapter that has one" {
				t.Errorf("task %q: got %v", cfg.Task, err)
			}
		})
	}
}

// A decoder learns labels that hang on the last letter.
func TestDecoderLearnsLabels(t *testing.T) {
	cfg := tinyLabels(t, "llama", data.Classification)
	cfg.DevFile, cfg.Method, cfg.Steps, cfg.LR, cfg.Text = cfg.TrainFile, runs.MethodFull, 60, 1e-2, []string{"pair"}
	if accuracy := mustRun(t, Train, cfg).Results.Scores[metrics.NameAccuracy]; !(accuracy > 0.95) {
		t.Errorf("accuracy %v after training, want more than 0.95", accuracy)
	}
}
