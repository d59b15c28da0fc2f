package job

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data/hub"
	"autolora/nn/peft"
	"autolora/torchbind"
)

// TestRecall trains, and uses what came out with nothing but a file.
func TestRecall(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Method = runs.MethodLoRA
	out := mustRun(t, Train, cfg)
	none := func(string) bool { return false }

	again := settings.Default()
	again.DevFile = cfg.DevFile
	if notes, err := Recall(&again, cfg.Out, none); err != nil || notes != nil {
		t.Fatalf("%v, %v", notes, err)
	}
	if again.Model != cfg.Model || again.Kind != cfg.Kind || !slices.Equal(again.Text, cfg.Text) || again.Label != cfg.Label || again.MaxLength != cfg.MaxLength {
		t.Errorf("recalled %+v", again)
	}
	run(t, func(*torchbind.Scope) {
		result, err := Eval(context.Background(), quiet, again, cfg.Out, "dev")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := result.Results.Scores["accuracy"], out.Results.Scores["accuracy"]; got != want {
			t.Errorf("accuracy %v, want %v", got, want)
		}
		merged := filepath.Join(t.TempDir(), "merged")
		if _, err := Export(context.Background(), quiet, again, cfg.Out, FormatMerged, "", merged); err != nil {
			t.Fatal(err)
		}
		whole := settings.Default()
		whole.Model, whole.DevFile = merged, cfg.DevFile
		if notes, err := Recall(&whole, "", none); err != nil || notes != nil {
			t.Fatalf("%v, %v", notes, err)
		}
		result, err = Eval(context.Background(), quiet, whole, "", "dev")
		if err != nil || result.Results.Scores["accuracy"] != out.Results.Scores["accuracy"] {
			t.Errorf("merged: %v, %v", result, err)
		}
	})

	given := settings.Default()
	given.MaxLength, given.Label, given.Model = 64, "other", filepath.Join(t.TempDir(), "elsewhere")
	notes, err := Recall(&given, cfg.Out, func(name string) bool { return name == "max-length" || name == "label" })
	if err != nil || given.MaxLength != 64 || given.Label != "other" || given.Text == nil {
		t.Errorf("%+v, %v", given, err)
	}
	if want := []string{
		"model " + given.Model + ": the adapter was made with " + cfg.Model,
		"label other: the adapter was made with " + cfg.Label,
		"max-length 64: the adapter was made with 16",
	}; !slices.Equal(notes, want) {
		t.Errorf("notes %q\nwant %q", notes, want)
	}
	for _, name := range []string{"vocab.txt", "tokenizer.json"} {
		if _, err := os.Stat(filepath.Join(cfg.Model, name)); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(cfg.Out, runs.AdapterDir, name)); err != nil {
			t.Errorf("the adapter is without %s: %v", name, err)
		}
	}

	damaged := filepath.Join(cfg.Out, runs.AdapterDir, hub.OriginFile)
	for _, text := range []string{"{", `{"settings": []}`, `{}`, `{"settings": {"max-length": "long"}}`} {
		writeTest(t, damaged, text)
		if _, err := Recall(new(settings.Config), cfg.Out, none); err == nil || !strings.HasPrefix(err.Error(), damaged+": ") || strings.Contains(err.Error(), "Go ") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// An adapter of a named task scores own files too.
func TestRecallOfNamedTask(t *testing.T) {
	dir := t.TempDir()
	writeTest(t, filepath.Join(dir, hub.OriginFile), `{"program": "x", "settings": {"task": "sst2", "kind": "classification", "max-length": 9, "of-the-future": 1}}`)
	for _, c := range []struct {
		dev, task string
	}{{"", "sst2"}, {"dev.csv", ""}} {
		cfg := settings.Default()
		cfg.Model, cfg.DevFile = dir, c.dev
		if _, err := Recall(&cfg, "", func(string) bool { return false }); err != nil || cfg.Task != c.task || cfg.Kind != "classification" || cfg.MaxLength != 9 {
			t.Errorf("%+v: %v %v %v %v", c, cfg.Task, cfg.Kind, cfg.MaxLength, err)
		}
	}
}

// What the Python of a card leaves unsaid, transformers takes from the base model's
// generation_config.json: that of Qwen2.5-Instruct samples, with a repetition penalty.
func TestCardSearch(t *testing.T) {
	for kept, want := range map[string]string{
		`{"beams": 1}`:     "max_new_tokens=64, repetition_penalty=1.0, do_sample=False, no_repeat_ngram_size=4",
		`{"beams": 3}`:     "max_new_tokens=64, repetition_penalty=1.0, do_sample=False, num_beams=3, length_penalty=0.8, early_stopping=False, no_repeat_ngram_size=4",
		`{"sample": true}`: "max_new_tokens=64, repetition_penalty=1.0, do_sample=True, temperature=1, top_k=0, top_p=1, no_repeat_ngram_size=4",
	} {
		var card peft.ModelCard
		(&origin{Settings: []byte(kept)}).describe(&card)
		if card.Search != want {
			t.Errorf("%s: %s, want %s", kept, card.Search, want)
		}
	}
}
