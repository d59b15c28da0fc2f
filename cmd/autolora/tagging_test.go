package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// From a file with a word a line to a file of the same form with predicted tags,
// which score reads: the scores are those that eval gives.
func TestTagging(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	file := filepath.Join(dir, "sentences.conll")
	writeFile(t, file, strings.Repeat("a\tDT\tO\ngood\tJJ\tB-x\nfilm\tNN\tI-x\n\nthe\tDT\tO\nbad\tJJ\tB-y\nfilm\tNN\tO\n\n", 12))
	out := filepath.Join(dir, "out")
	succeed(t, "train", "--model", model, "--train", file, "--dev", file, "--kind", "tagging", "--method", "lora", "--out", out,
		"--max-length", "16", "--batch-size", "4", "--steps", "5", "--lr", "5e-3", "--threads", "1", "--new-head")
	var results struct{ Scores map[string]float64 }
	decodeFile(t, filepath.Join(out, runs.ResultsFile), &results)
	if len(results.Scores) != 5 {
		t.Fatalf("scores %v", results.Scores)
	}

	predicted := filepath.Join(dir, "predicted.conll")
	if got := succeed(t, "predict", "--adapter", out, "--max-length", "16", "--input", file, "--output", predicted); got != "24 examples written to "+predicted+"\n" {
		t.Errorf("predict printed %q", got)
	}
	var scores map[string]any
	if err := json.Unmarshal([]byte(succeed(t, "score", "tagging", "--input", predicted, "--json")), &scores); err != nil {
		t.Fatal(err)
	}
	delete(results.Scores, metrics.NameLoss) // of probabilities, which a file of tags has not
	for name, want := range results.Scores {
		if got, ok := scores[name].(float64); !ok || math.Abs(got-want) > 1e-15 {
			t.Errorf("%s of the predicted file: %v, want %v", name, scores[name], want)
		}
	}
	lines := succeed(t, "predict", "--adapter", out, "--max-length", "16", "--input", file)
	if strings.Count(lines, "\n") != 24 || !strings.HasPrefix(lines, `{"tags":["`) {
		t.Errorf("predict printed %.80q", lines)
	}
	got := here(t, "predict", "--model", model, "--input", file, "--max-length", "16", "--output", filepath.Join(dir, "none.conll"))
	if _, err := os.Stat(filepath.Join(dir, "none.conll")); got.code != exitFailed || !strings.Contains(got.stderr, "this model does not label words: write JSON lines") || err == nil {
		t.Errorf("exit code %d, stderr %q, file %v", got.code, got.stderr, err)
	}
}

func decodeFile(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}
