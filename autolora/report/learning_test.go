package report

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// What looks like nothing learnt is said, with the rate and one to try.
func TestWarnings(t *testing.T) {
	class := func(name string, predicted int) metrics.ClassScores {
		return metrics.ClassScores{Name: name, EntityScores: metrics.EntityScores{Support: 400}, Predicted: predicted}
	}
	run := func(method string, lr float64, loss ...float64) *runs.Results {
		return &runs.Results{Method: method, Primary: "accuracy", LR: lr, TrainLoss: loss, Steps: runs.StepCount{Train: 1564},
			Scores: metrics.Scores{"accuracy": 0.52, "loss": 0.68}, Baseline: metrics.Scores{"accuracy": 0.51, "loss": 0.69}}
	}
	nothing := run("lora", 1e-4, 0.693, 0.69)
	nothing.Scores["accuracy"] = 0.51
	nothing.Classes, nothing.Confusion = []metrics.ClassScores{class("bad", 0), class("go\x1bod", 872)}, [][]int{{0, 400}, {0, 472}}
	entities := &runs.Results{Method: "lora", Primary: "f1", Scores: metrics.Scores{"f1": 0}, Baseline: metrics.Scores{"f1": 0},
		Details: runs.Details{Classes: []metrics.ClassScores{class("protein", 0)}}}
	same := run("lora", 1e-3, 0.693, 0.4)
	same.Scores, same.Baseline = metrics.Scores{"f1": 0, "loss": 0.2}, metrics.Scores{"f1": 0, "loss": 0}
	half := 0.5
	several := &runs.Results{Method: "lora", Primary: "f1_micro", Scores: metrics.Scores{"f1_micro": 0}, Baseline: metrics.Scores{"f1_micro": 0},
		Details: runs.Details{Classes: []metrics.ClassScores{class("joy", 0), class("fear", 0)}, Threshold: &half}}
	for name, tc := range map[string]struct {
		results *runs.Results
		want    []string
	}{
		"no label": {several, []string{
			"it has learnt nothing that its score shows: micro F1 0.0 is not above the 0.0 of always giving the commonest answer",
			"it gives no example a label: no probability is above the threshold 0.500"}},
		"nothing": {nothing, []string{
			"it has learnt nothing that its score shows: accuracy 51.0 is not above the 51.0 of always giving the commonest answer",
			"it predicts one class only (go�od, all 872 examples)",
			"the loss hardly moved (0.693 → 0.690 in 1,564 steps): the learning rate 1e-4 is low for 1,564 steps: try 1e-3"}},
		"no entity": {entities, []string{
			"it has learnt nothing that its score shows: F1 0.0 is not above the 0.0 of always giving the commonest answer",
			"it finds no entity: all words are given the tag O"}},
		"low for full":         {run("full", 1e-6, 0.693, 0.69), []string{"the loss hardly moved (0.693 → 0.690 in 1,564 steps): the learning rate 1e-6 is low for 1,564 steps: try 5e-5"}},
		"high":                 {run("lora", 8e-3, 0.693, 0.9), []string{"the loss rose (0.693 → 0.900 in 1,564 steps): the learning rate 8e-3 is high: try 1e-3"}},
		"flat, but high":       {run("lora", 8e-3, 0.693, 0.69), []string{"the loss hardly moved (0.693 → 0.690 in 1,564 steps): the learning rate 8e-3 is high: try 1e-3"}},
		"flat, near the usual": {run("lora", 2e-3, 0.693, 0.69), []string{"the loss hardly moved (0.693 → 0.690 in 1,564 steps): try more steps than 1,564, or another learning rate than 2e-3: 5e-4 or 8e-3"}},
		"high as it is":        {run("lora", 1e-3, 0.693, 0.9), []string{"the loss rose (0.693 → 0.900 in 1,564 steps): the learning rate 1e-3 is high: try 2.5e-4"}},
		"rose though low":      {run("lora", 1e-4, 0.693, 0.9), []string{"the loss rose (0.693 → 0.900 in 1,564 steps): try another learning rate than 1e-4: 2.5e-5 or 1e-3"}},
		"flat as it is":        {run("lora", 1e-3, 0.693, 0.69), []string{"the loss hardly moved (0.693 → 0.690 in 1,564 steps): try more steps than 1,564, or another learning rate than 1e-3: 2.5e-4 or 4e-3"}},
		"of a pruning":         {run(runs.MethodPrune, 1e-3, 0.693, 0.69), []string{"the loss hardly moved (0.693 → 0.690 in 1,564 steps)"}},
		"a rate not known":     {run("lora", 0, 0.693, 0.69), []string{"the loss hardly moved (0.693 → 0.690 in 1,564 steps)"}},
		"one answer":           {same, []string{"all examples that were scored have the same right answer: the scores do not say what was learnt"}},
		"learnt":               {run("lora", 1e-3, 0.693, 0.4), nil},
	} {
		if got := Warnings(tc.results); strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
}

// Seeds that were scored on examples of their own are judged by the mean of what the
// commonest answer scores there.
func TestBaselineOfSeeds(t *testing.T) {
	dir := t.TempDir()
	for seed, v := range []struct{ score, least float64 }{{0.78, 0.6}, {0.74, 0.8}} {
		f := scored("topics", "lora", uint64(seed), v.score)
		f.results.Baseline = metrics.Scores{"accuracy": v.least}
		f.write(t, filepath.Join(dir, fmt.Sprint(seed)))
	}
	r := load(t, dir)
	if least := r.Tasks[0].Baseline["accuracy"]; math.Abs(float64(least)-0.7) > 1e-12 || r.Tasks[0].Methods[0].Unlearnt {
		t.Errorf("the commonest answer scores %v; LoRA has learnt nothing: %v", least, r.Tasks[0].Methods[0].Unlearnt)
	}
}

// Where the commonest answer's score is not defined the loss says that nothing was learnt.
func TestNoVerdictByLoss(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(2) {
		for method, loss := range map[string]float64{"autolora": 0.5, "lora": 2.5} {
			f := scored("prices", method, seed, 0.6)
			f.results.Primary = metrics.NameSpearman
			f.results.Scores = metrics.Scores{metrics.NameSpearman: 0.5 + 0.01*float64(seed), metrics.NameLoss: loss}
			f.results.Baseline = metrics.Scores{metrics.NameSpearman: math.NaN(), metrics.NameLoss: 2}
			f.write(t, filepath.Join(dir, method, fmt.Sprint(seed)))
		}
	}
	want := "prices: no verdict on AutoLoRA and LoRA of one rank everywhere: LoRA of one rank everywhere came to no lower loss than always giving the mean (2.0000)."
	if got := load(t, dir).Headlines(); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A comparison has no verdict over a method all of whose runs give one class, and
// a run's page has what stands behind its scores, with markup as text.
func TestBehindScores(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(3) {
		for _, method := range []string{"autolora", "lora"} {
			f := scored("topics", method, seed, 0.6+0.01*float64(seed))
			probability := 0.9
			f.results.Details = runs.Details{
				F1Class:   "<b>",
				Classes:   []metrics.ClassScores{{Name: "ham", Predicted: 10}, {Name: "<b>", EntityScores: metrics.EntityScores{F1: 0.25, Support: 4}}},
				Confusion: [][]int{{6, 0}, {4, 0}},
				Mistakes:  []runs.Mistake{{Where: "dev.csv: line 7", Text: "<script>", Gold: "<b>", Predicted: "ham", Probability: &probability, Loss: 2.3}},
			}
			if method == "autolora" {
				f.results.Classes[1].Predicted = 2
			}
			f.write(t, filepath.Join(dir, method, fmt.Sprint(seed)))
		}
	}
	r := load(t, dir)
	want := "topics: no verdict on AutoLoRA and LoRA of one rank everywhere: LoRA of one rank everywhere gave one answer to everything."
	if got := r.Headlines(); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "topics: LoRA (seed 0, 1, 2): it predicts one class only (ham, all 10 examples).") {
		t.Errorf("notes %s", notes)
	}
	text, markdown, page := printed(t, load(t, filepath.Join(dir, "lora", "1")))
	for name, tc := range map[string]struct{ all, want string }{
		"classes":   {text, "<b>          0.0     0.0  25.0         4          0\n"},
		"of class":  {text, "The score F1 is that of the class <b>."},
		"confusion": {text, "<b>             4    0\n"},
		"mistake":   {text, "<script>           <b>        ham        0.900  2.300  dev.csv: line 7"},
		"markdown":  {markdown, "| &lt;script>"},
		"page":      {page, "&lt;script&gt;"},
	} {
		if !strings.Contains(tc.all, tc.want) {
			t.Errorf("%s: no %q in\n%s", name, tc.want, tc.all)
		}
	}
}
