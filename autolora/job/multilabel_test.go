package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
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

// several makes a run one on texts of which each has any of three labels, by the
// words in it: as lists, and to score on as columns.
func several(t *testing.T, cfg settings.Config) settings.Config {
	t.Helper()
	var train, dev strings.Builder
	dev.WriteString("text\tbad\tfood\tgood\n")
	for i := range 60 {
		words, labels := []string{"x"}, []string{}
		var bits [3]int
		for k, word := range []string{"bad", "food", "good"} {
			if (i*7/(k+1))%3 == 0 {
				words, labels, bits[k] = append(words, word), append(labels, word), 1
			}
		}
		text := strings.Join(words, " ")
		if i%4 == 0 {
			fmt.Fprintf(&dev, "%s\t%d\t%d\t%d\n", text, bits[0], bits[1], bits[2])
		}
		line, err := json.Marshal(map[string]any{"text": text, "labels": labels})
		if err != nil {
			t.Fatal(err)
		}
		train.Write(append(line, '\n'))
	}
	dir := t.TempDir()
	cfg.TrainFile, cfg.DevFile = filepath.Join(dir, "train.jsonl"), filepath.Join(dir, "dev.jsonl")
	writeTest(t, cfg.TrainFile, train.String())
	writeTest(t, cfg.DevFile, train.String())
	writeTest(t, filepath.Join(dir, "columns.tsv"), dev.String())
	cfg.Kind, cfg.Text, cfg.Label = "multi_label_classification", []string{"text"}, "labels"
	return cfg
}

// The whole job with any number of labels, of an encoder and of a decoder, with a
// threshold that is chosen, and with weights; eval, predict and the merged model agree with it.
func TestSeveralLabelsRun(t *testing.T) {
	for name, cfg := range map[string]settings.Config{"bert": tinyConfig(t, "exact"), "llama": tinyLabels(t, "llama", data.Classification)} {
		t.Run(name, func(t *testing.T) {
			cfg := several(t, cfg)
			cfg.Threshold, cfg.EvalEvery = settings.Auto, 3
			if name == "bert" {
				cfg.ClassWeights = settings.BalancedWeights
			}
			out := mustRun(t, Run, cfg)
			r := out.Results
			if r.Primary != metrics.NameMicroF1 || len(r.Scores) != 5 || len(r.Baseline) != 5 || r.Threshold == nil || len(r.Classes) != 3 || r.Confusion != nil || len(r.Evaluations) != 2 {
				t.Errorf("results %+v", r)
			}
			columns := filepath.Join(filepath.Dir(cfg.DevFile), "columns.tsv")
			eval := func(model, adapter, file, label string) *runs.Results {
				t.Helper()
				cfg := cfg
				cfg.Model, cfg.TrainFile, cfg.DevFile, cfg.Label, cfg.Threshold = model, "", file, label, *r.Threshold
				var again *Outcome
				run(t, func(*torchbind.Scope) {
					var err error
					if again, err = Eval(context.Background(), quiet, cfg, adapter, data.Dev); err != nil {
						t.Fatal(err)
					}
				})
				return again.Results
			}
			again := eval(cfg.Model, cfg.Out, cfg.DevFile, "labels")
			if !reflect.DeepEqual(again.Classes, r.Classes) || math.Abs(again.Scores[metrics.NameLoss]-r.Scores[metrics.NameLoss]) > 1e-6 {
				t.Errorf("eval gives %+v, the run %+v", again, r)
			}
			merged := filepath.Join(t.TempDir(), "merged")
			run(t, func(*torchbind.Scope) {
				if _, err := Export(context.Background(), quiet, cfg, cfg.Out, FormatMerged, "", merged); err != nil {
					t.Fatal(err)
				}
			})
			arch, err := nn.ReadConfig(merged)
			if err != nil || !arch.SeveralLabels() || !slices.Equal(arch.LabelNames(), []string{"bad", "food", "good"}) {
				t.Errorf("the merged model: %+v, %v", arch, err)
			}
			// In another order of columns, by their names.
			if got, want := eval(merged, "", columns, "good,bad,food"), eval(cfg.Model, cfg.Out, columns, "bad,food,good"); got.Examples != 15 || !reflect.DeepEqual(got.Classes, want.Classes) {
				t.Errorf("the merged model gives %+v, the adapter %+v", got, want)
			}

			recalled := settings.Default()
			notes, err := Recall(&recalled, cfg.Out, func(string) bool { return false })
			if err != nil || recalled.Kind != data.MultiLabel || recalled.Threshold != *r.Threshold {
				t.Fatalf("recalled %+v, %q, %v", recalled, notes, err)
			}
			for _, input := range []string{cfg.DevFile, columns} {
				var b bytes.Buffer
				run(t, func(*torchbind.Scope) {
					if _, err := Predict(context.Background(), quiet, recalled, PredictConfig{Adapter: cfg.Out, Input: input}, &b); err != nil {
						t.Fatal(err)
					}
				})
				first, _, _ := strings.Cut(b.String(), "\n")
				if input == columns {
					if first != "text\tbad\tfood\tgood\tlabels" {
						t.Errorf("the table begins with %q", first)
					}
					continue
				}
				predicted := 0
				for line := range strings.Lines(b.String()) {
					var said struct {
						Labels        []string
						Probabilities map[string]float64
					}
					if err := json.Unmarshal([]byte(line), &said); err != nil || said.Labels == nil {
						t.Fatalf("%v: %s", err, line)
					}
					for label, p := range said.Probabilities {
						if given := slices.Contains(said.Labels, label); given != (p > *r.Threshold) {
							t.Errorf("threshold %v: %s", *r.Threshold, line)
						} else if given {
							predicted++
						}
					}
				}
				want := 0
				for _, c := range r.Classes {
					want += c.Predicted
				}
				if predicted != want {
					t.Errorf("predict gives %d labels, the run %d", predicted, want)
				}
			}
		})
	}
}

// What hangs on a word is learnt.
func TestSeveralLabelsLearn(t *testing.T) {
	cfg := several(t, tinyConfig(t, "exact"))
	cfg.Method, cfg.Steps, cfg.LR, cfg.Dropout = runs.MethodFull, 150, 1e-2, 0
	r := mustRun(t, Train, cfg).Results
	if f1, exact := r.Scores[metrics.NameMicroF1], r.Scores[metrics.NameSubsetAccuracy]; !(f1 > 0.98) || !(exact > 0.95) || r.NoBetter() || *r.Threshold != 0.5 {
		t.Errorf("after training %+v", r)
	}
}

// Scores, the commonest answer, the table and the mistakes of examples with any
// number of labels.
func TestScoreSets(t *testing.T) {
	d := &data.Dataset{Kind: data.MultiLabel, Labels: []string{"a", "b"}}
	for i, labels := range [][]int{{0}, {0, 1}, {}, {0}} {
		d.Examples = append(d.Examples, data.Example{Text: "text", LabelSet: &data.LabelSet{Classes: labels}, File: "dev.csv", Line: i + 2})
	}
	s := &session{cfg: settings.Default(), task: data.Task{Kind: data.MultiLabel, Labels: d.Labels, Metrics: []string{metrics.NameMicroF1, metrics.NameSubsetAccuracy}}}
	a := answersOf(t, d, []float64{2, -2}, []float64{-0.1, 1}, []float64{-1, -2}, []float64{3, 0.5})
	a.threshold = 0.5
	got, err := s.scoreSets(context.Background(), nil, d, a, computing{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "micro F1", got.scores[metrics.NameMicroF1], 0.75)
	near(t, "subset accuracy", got.scores[metrics.NameSubsetAccuracy], 0.5)
	near(t, "micro F1 of the commonest answer", got.baseline[metrics.NameMicroF1], 6.0/8)
	near(t, "loss of the commonest answer", got.baseline[metrics.NameLoss], -(0.75*math.Log(0.75) + 0.25*math.Log(0.25)))
	if m := got.details.Mistakes; len(m) != 2 || m[0].Gold != "a, b" || m[0].Predicted != "b" || m[0].Where != "dev.csv: line 3" || m[1].Gold != "a" || m[1].Predicted != "a, b" {
		t.Errorf("mistakes %+v", m)
	}
	s.cfg.Threshold = settings.Auto
	if got, err = s.scoreSets(context.Background(), nil, d, a, computing{}); err != nil || *got.details.Threshold >= 0.5 || got.scores[metrics.NameMicroF1] < 0.75 {
		t.Errorf("with a chosen threshold %+v, %v", got, err)
	}
}

// Checkpoints of transformers and adapters of PEFT with labels of which a text may
// have any number; and what is not that is said.
func TestSeveralLabelsBrought(t *testing.T) {
	input := several(t, tinyLabels(t, "llama", data.Classification)).DevFile
	model := tinyDecoder(t, "llama")
	for _, name := range []string{"config.json", "model.safetensors"} {
		writeTest(t, filepath.Join(model, name), fixtureText(t, "llama-several/"+name))
	}
	plain := settings.Default()
	plain.Model, plain.MaxLength = model, 24
	for _, c := range []struct {
		adapter string
		kind    data.Kind
		want    string
	}{
		{"", "", `"LABEL_3":`},
		{fixturePath("llama-several-lora"), "", `"LABEL_3":`},
		{fixturePath("llama-several-lora"), data.MultiLabel, `"LABEL_3":`},
	} {
		cfg := plain
		cfg.Kind = c.kind
		var b bytes.Buffer
		run(t, func(*torchbind.Scope) {
			if _, err := Predict(context.Background(), quiet, cfg, PredictConfig{Adapter: c.adapter, Input: input}, &b); err != nil || !strings.Contains(b.String(), c.want) || !strings.Contains(b.String(), `"labels":[`) {
				t.Errorf("%+v: %v, %.200s", c, err, b.String())
			}
		})
	}
	for want, c := range map[string]settings.Config{
		"threshold: auto goes by what is scored, and nothing is": func() settings.Config { c := plain; c.Threshold = settings.Auto; return c }(),
	} {
		run(t, func(*torchbind.Scope) {
			if _, err := Predict(context.Background(), quiet, c, PredictConfig{Input: input}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// fixtureText returns a file of testdata/nn.
func fixtureText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(fixturePath(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
