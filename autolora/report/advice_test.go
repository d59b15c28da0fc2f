package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"autolora/autolora/halving"
	"autolora/autolora/runs"
	"autolora/data/metrics"
)

func TestAdvice(t *testing.T) {
	u := &runs.Tune{Rungs: []halving.Rung{{Trials: 5, Steps: 100}}, Final: 400}
	add := func(target string, rank int, rate, loss, within float64, parameters int64, state runs.State) {
		trial := runs.Trial{Settings: json.RawMessage(fmt.Sprintf(`{"method":"lora","target":[%q],"rank":%d,"lr":%g}`, target, rank, rate)), Parameters: parameters}
		trial.Reach(0, runs.Reached{Steps: 100, Loss: &loss, StandardError: &within, State: state})
		u.Trials = append(u.Trials, trial)
	}
	add("all-linear", 16, 5e-4, 0.309, 0.012, 663552, "")
	add("all-linear", 1, 2e-3, 0.312, 0.012, 41472, "")
	add("query", 1, 2e-3, 0.36, 0.012, 4608, "")
	add("all-linear", 16, 8e-3, 0.9, 0.01, 663552, runs.LearntNothing)
	add("query", 16, 8e-3, 0.9, 0.01, 73728, runs.Diverged)
	if Advice(u, nil) != nil {
		t.Error("there is advice before the choice")
	}
	u.Choose()
	got := strings.Join(Advice(u, nil), "\n")
	for _, want := range []string{
		"chosen: all-linear, rank 1, learning rate 2e-3, the smallest adapter whose held-out loss (0.312) is within one standard error (0.0120) of the lowest, 0.309, of all-linear, rank 16, learning rate 5e-4 with 663,552 parameters in place of 41,472",
		"query (0.360) is behind all-linear (0.309)",
		"rank 1 (0.312) is as good as rank 16 (0.309), each at its best of the trials of 100 steps; standard error 0.0120, of examples and not of trainings",
		"1 trial diverged, at learning rate 8e-3",
		"1 trial learnt nothing, at learning rate 8e-3",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	u.Trials = nil
	add("all-linear", 4, 1e-3, 0.378, 0.023, 165888, "")
	add("attention", 4, 4e-3, 0.386, 0.023, 73728, "")
	add("query", 4, 8e-3, 0.684, 0.023, 36864, runs.LearntNothing)
	u.Choose()
	if got, want := Advice(u, nil)[0], "chosen: all-linear, learning rate 1e-3, with the lowest held-out loss, 0.378; attention, learning rate 4e-3 is smaller and within its standard error, 0.0230, but at twice its rate or less another that is no larger learnt nothing"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	u.Trials = nil
	add("all-linear", 1, 8e-3, 0.862, 0.041, 896, "")
	add("query", 4, 2.5e-4, 0.886, 0.041, 1024, "")
	u.Choose()
	if got, want := Advice(u, nil)[0], "chosen: all-linear, rank 1, learning rate 8e-3, with the lowest held-out loss, 0.862; no smaller adapter was tried"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	u.Trials = nil
	add("all-linear", 4, 4e-3, 0.378, 0.023, 165888, "")
	add("attention", 4, 4e-3, 0.386, 0.023, 73728, "")
	add("query", 4, 8e-3, 0.684, 0.023, 36864, runs.LearntNothing) // both others are at the edge
	u.Choose()
	if got := strings.Join(Advice(u, nil), "\n"); !strings.Contains(got, "is the lowest that was tried") {
		t.Errorf("got %s", got)
	}
	rose := &runs.Results{TrainLoss: []float64{0.6, 0.7}, Scores: metrics.Scores{"loss": 0.4}}
	if got := strings.Join(Advice(u, rose), "\n"); strings.Contains(got, "tried") {
		t.Errorf("got %s", got)
	}
	lost := &runs.Results{Scores: metrics.Scores{"loss": 0.677}, Baseline: metrics.Scores{"loss": 0.688}}
	if got := strings.Join(Advice(u, lost), "\n"); strings.Contains(got, "none that is no larger broke") || !strings.Contains(got, "the training came to a held-out loss of 0.677 where its trial had 0.386") {
		t.Errorf("got %s", got)
	}
	u.Trials = nil
	add("query", 1, 2e-3, 0.316, 0.012, 4608, "")
	add("query", 1, 4e-3, 0.309, 0.012, 4608, "")
	u.Choose()
	if got, want := strings.Join(Advice(u, nil), "\n"), "chosen: learning rate 2e-3, the lowest rate whose held-out loss (0.316) is within one standard error (0.0120) of the lowest, 0.309, of learning rate 4e-3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Values with which no trial has learnt anything are not said to be as good as each other.
func TestAdviceOfNothingLearnt(t *testing.T) {
	u := &runs.Tune{Rungs: []halving.Rung{{Trials: 2, Steps: 3}}}
	loss, least, within := 0.716, 0.693, 0.015
	for _, method := range []string{"lora", "adalora"} {
		u.Trials = append(u.Trials, runs.Trial{Settings: json.RawMessage(fmt.Sprintf(`{"method":%q,"target":["query"],"rank":1,"lr":0.001}`, method)), Parameters: 9, Loss: &loss, StandardError: &within,
			Rungs: []runs.Reached{{Steps: 3, Loss: &loss, StandardError: &within, Baseline: &least}}})
	}
	u.Choose()
	if got := strings.Join(Advice(u, nil), "\n"); !strings.HasPrefix(got, "chosen: lora, ") || !strings.Contains(got, "this choice is little but chance") || strings.Contains(got, "as good as") {
		t.Errorf("got %s", got)
	}
	least = 0.8
	if got := strings.Join(Advice(u, nil), "\n"); !strings.Contains(got, "adalora (0.716) is as good as lora (0.716)") || strings.Contains(got, "chance") {
		t.Errorf("got %s", got)
	}
}

func TestBroke(t *testing.T) {
	trial := 0.386
	u := &runs.Tune{Chosen: &runs.Trial{Loss: &trial}}
	r := &runs.Results{Scores: metrics.Scores{"loss": 0.52}, Baseline: metrics.Scores{"loss": 0.688}}
	if got := broke(u, r); got != "" {
		t.Errorf("of other examples a trained model may be somewhat worse: %q", got)
	}
	r.Scores["loss"] = 0.677
	if got, want := broke(u, r), "the training came to a held-out loss of 0.677 where its trial had 0.386: it broke on the way; train again at a lower rate, or with another seed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	delete(r.Baseline, "loss")
	if got := broke(u, r); got != "" {
		t.Errorf("without the commonest answer's loss nothing is known: %q", got)
	}
	r.Scores["loss"], r.Baseline["loss"] = 0.677, 0.688
	within, least := 0.02, 0.39
	u.Chosen.StandardError, u.Chosen.Rungs = &within, []runs.Reached{{Baseline: &least}}
	if got := broke(u, r); got != "" {
		t.Errorf("a trial that has learnt nothing has nothing to lose: %q", got)
	}
	u.Chosen.Rungs, u.Chosen.Scores = nil, metrics.Scores{"loss": 0.386}
	if got := broke(u, r); got == "" {
		t.Error("scores change nothing")
	}
	u.Chosen.Scores["loss"] = 0.6
	if got := broke(u, r); got != "" {
		t.Errorf("a loss by weights of classes is compared with one without: %q", got)
	}
}
