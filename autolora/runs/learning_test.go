package runs

import (
	"math"
	"testing"

	"autolora/data/metrics"
)

func TestNoBetter(t *testing.T) {
	nan := math.NaN()
	for _, tc := range []struct {
		name, primary    string
		scores, baseline metrics.Scores
		want             bool
	}{
		{"better", "accuracy", metrics.Scores{"accuracy": 0.6, "loss": 0.9}, metrics.Scores{"accuracy": 0.5, "loss": 0.7}, false},
		{"equal", "accuracy", metrics.Scores{"accuracy": 0.5, "loss": 0.6}, metrics.Scores{"accuracy": 0.5, "loss": 0.7}, true},
		{"worse", "accuracy", metrics.Scores{"accuracy": 0.4}, metrics.Scores{"accuracy": 0.5}, true},
		{"not known", "accuracy", metrics.Scores{"accuracy": 0.4}, nil, false},
		{"no score", "accuracy", nil, metrics.Scores{"accuracy": 0.4}, false},
		{"lower is better", "ter", metrics.Scores{"ter": 0.4}, metrics.Scores{"ter": 0.5}, false},
		{"lower is better, equal", "ter", metrics.Scores{"ter": 0.5}, metrics.Scores{"ter": 0.5}, true},
		{"a correlation, by the loss", "pearson", metrics.Scores{"pearson": 0.1, "loss": 2}, metrics.Scores{"pearson": nan, "loss": 1.9}, true},
		{"a correlation, better by the loss", "pearson", metrics.Scores{"pearson": 0.1, "loss": 1.8}, metrics.Scores{"pearson": nan, "loss": 1.9}, false},
		{"no correlation at all", "pearson", metrics.Scores{"pearson": nan, "loss": 2}, metrics.Scores{"pearson": nan, "loss": 1.9}, true},
		{"one answer", "f1", metrics.Scores{"f1": 0, "loss": 0.2}, metrics.Scores{"f1": 0, "loss": 0}, false},
		{"one number", "pearson", metrics.Scores{"pearson": nan, "loss": 0.2}, metrics.Scores{"pearson": nan, "loss": 1e-33}, false},
		{"nothing defined", "pearson", metrics.Scores{"pearson": nan}, metrics.Scores{"pearson": nan}, false},
	} {
		if got := NoBetter(tc.scores, tc.baseline, tc.primary); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestOnlyClass(t *testing.T) {
	class := func(name string, support, predicted int) metrics.ClassScores {
		return metrics.ClassScores{Name: name, EntityScores: metrics.EntityScores{Support: support}, Predicted: predicted}
	}
	two := [][]int{{1, 0}, {0, 1}}
	for _, tc := range []struct {
		name    string
		details Details
		class   string
		only    bool
	}{
		{"both", Details{Classes: []metrics.ClassScores{class("a", 3, 2), class("b", 1, 2)}, Confusion: two}, "b", false},
		{"one", Details{Classes: []metrics.ClassScores{class("a", 3, 0), class("b", 1, 4)}, Confusion: two}, "b", true},
		{"one, and rightly", Details{Classes: []metrics.ClassScores{class("a", 0, 0), class("b", 4, 4)}, Confusion: two}, "", false},
		{"entities", Details{Classes: []metrics.ClassScores{class("x", 3, 2)}}, "", false},
		{"no entity", Details{Classes: []metrics.ClassScores{class("x", 3, 0), class("y", 1, 0)}}, "", true},
		{"one label of several", Details{Classes: []metrics.ClassScores{class("x", 3, 2), class("y", 1, 0)}, Threshold: new(0.5)}, "", false},
		{"no label of several", Details{Classes: []metrics.ClassScores{class("x", 3, 0), class("y", 1, 0)}, Threshold: new(0.5)}, "", true},
		{"nothing known", Details{}, "", false},
	} {
		if name, only := (&Results{Details: tc.details}).OnlyClass(); only != tc.only || only && name != tc.class {
			t.Errorf("%s: %q, %v", tc.name, name, only)
		}
	}
}

func TestLossCourse(t *testing.T) {
	nan := math.NaN()
	for _, tc := range []struct {
		name              string
		loss              []float64
		score, heldOut    float64
		always, commonest float64 // 0: not known
		want              Course
		from, to          float64
		primary           string
	}{
		{"flat", []float64{0.69, 0.70, 0.69}, 0.55, 0.68, 0.51, 0.69, HardlyMoved, 0.69, 0.69, "accuracy"},
		{"fell", []float64{0.69, 0.60, 0.40}, 0.80, 0.45, 0.51, 0.69, Unremarkable, 0, 0, "accuracy"},
		{"fell, and nothing held out", []float64{0.69, 0.60, 0.40}, 0.50, 0.80, 0.51, 0.69, Unremarkable, 0, 0, "accuracy"},
		{"rose", []float64{0.69, 0.80, 0.95}, 0.51, 0.90, 0.51, 0.69, Rose, 0.69, 0.95, "accuracy"},
		{"fell and rose", []float64{0.69, 0.45, 0.70}, 0.51, 0.70, 0.51, 0.69, Rose, 0.45, 0.70, "accuracy"},
		{"flat, for it was good before", []float64{0.10, 0.10, 0.11}, 0.95, 0.12, 0.51, 0.69, Unremarkable, 0, 0, "accuracy"},
		{"all right in spite of its loss, as with weights", []float64{0.47, 0.50, 0.69}, 1, 0.55, 0.93, 0.24, Unremarkable, 0, 0, "accuracy"},
		{"texts", []float64{2.30, 2.29, 2.30}, 0.3, 2.3, 0, 0, HardlyMoved, 2.30, 2.30, "bleu"},
		{"texts, a little better", []float64{2.30, 2.25, 2.20}, 0.3, 2.2, 0, 0, Unremarkable, 0, 0, "bleu"},
		{"texts of few batches", []float64{2.24, 1.83, 1.44, 1.54, 1.39, 1.64, 1.45}, 0, 1.44, 0, 0, Unremarkable, 0, 0, "perplexity"},
		{"texts that were learnt and lost", []float64{2.24, 1.83, 1.44, 1.39, 1.64, 2.1}, 0, 2, 0, 0, Rose, 1.39, 2.1, "perplexity"},
		{"a correlation", []float64{2, 2, 2}, 0.05, 2, nan, 2, HardlyMoved, 2, 2, "pearson"},
		{"a good correlation", []float64{2, 2, 2}, 0.7, 2.5, nan, 2.6, Unremarkable, 0, 0, "pearson"},
		{"one step", []float64{0.69}, 0.5, 0.69, 0.5, 0.69, Unremarkable, 0, 0, "accuracy"},
	} {
		r := &Results{Primary: tc.primary, TrainLoss: tc.loss, Scores: metrics.Scores{tc.primary: tc.score, "loss": tc.heldOut}}
		if tc.commonest != 0 {
			r.Baseline = metrics.Scores{tc.primary: tc.always, "loss": tc.commonest}
		}
		if r.Baseline == nil {
			want, _, _ := r.LossCourse()
			if r.Baseline = (metrics.Scores{}); want != tc.want { // as it is before it is written
				t.Errorf("%s: %v", tc.name, want)
			}
		}
		course, from, to := r.LossCourse()
		if course != tc.want || tc.want != Unremarkable && (from != tc.from || to != tc.to) {
			t.Errorf("%s: %v, %v → %v", tc.name, course, from, to)
		}
	}
}
