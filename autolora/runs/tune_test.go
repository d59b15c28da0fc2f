package runs

import (
	"encoding/json"
	"fmt"
	"testing"

	"autolora/autolora/halving"
)

// tried returns trials with a loss at each rung, in a plan of two rungs.
func tried(losses ...[]float64) *Tune {
	u := &Tune{Rungs: []halving.Rung{{Trials: len(losses), Steps: 10}, {Trials: 2, Steps: 30}}}
	baseline, se := 0.7, 0.02
	for i, rungs := range losses {
		t := Trial{Settings: json.RawMessage(fmt.Sprintf(`{"method":"lora","target":["query","value"],"rank":%d,"lora-alpha":4,"lr":0.00%d}`, 1+i%2, 1+i)), Parameters: int64(100 * (len(losses) - i))}
		for r, loss := range rungs {
			t.Reach(r, Reached{Steps: u.Rungs[r].Steps, Loss: &loss, StandardError: &se, Baseline: &baseline, Seconds: 1})
		}
		u.Trials = append(u.Trials, t)
	}
	return u
}

// Trials count as having learnt nothing only where another has clearly learnt
// something, and not at the first rung of several.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		losses [][]float64
		rung   int
		want   []State
		learnt bool
	}{
		{"first rung", [][]float64{{0.3}, {0.9}}, 0, []State{"", ""}, true},
		{"one has learnt", [][]float64{{0.7, 0.4}, {0.7, 0.71}, {0.7, 0.69}}, 1, []State{"", LearntNothing, ""}, true},
		{"one is hardly better", [][]float64{{0.7, 0.69}, {0.7, 0.71}}, 1, []State{"", ""}, false},
	} {
		u := tried(c.losses...)
		u.Judge(c.rung)
		u.Judge(c.rung)
		if learnt, known := u.Learnt(c.rung); learnt != c.learnt || !known {
			t.Errorf("%s: a trial has learnt something: %v, known %v", c.name, learnt, known)
		}
		for i, want := range c.want {
			if got := u.Trials[i].State; got != want {
				t.Errorf("%s: trial %d is %q, want %q", c.name, i, got, want)
			}
		}
	}
}

// The choice is among the trials of the last rung: the smallest within a standard
// error; a trial that goes one rung again is as if it had not been there.
func TestChooseTrial(t *testing.T) {
	u := tried([]float64{0.5, 0.30}, []float64{0.5, 0.315}, []float64{0.1})
	if fmt.Sprint(u.Survivors(0)) != "[0 1 2]" || !u.Choose() || u.Best != 0 || u.Choice != 1 || u.Chosen.Steps != 30 || u.Chosen.Seconds != 2 {
		t.Errorf("best %d, chosen %d: %+v", u.Best, u.Choice, u.Chosen)
	}
	if got := u.Words(1); got != "rank 2, learning rate 2e-3" {
		t.Errorf("words %q", got)
	}
	loss := 0.2
	u.Trials[0].Reach(0, Reached{Steps: 10, Loss: &loss})
	if got := u.Trials[0]; len(got.Rungs) != 1 || got.Steps != 10 || got.Seconds != 0 {
		t.Errorf("%+v", got)
	}
	u = tried([]float64{0.5})
	u.Trials[0].Reach(0, Reached{Steps: 3, State: Diverged})
	if u.Choose() || len(u.Survivors(1)) != 0 {
		t.Error("a trial that diverged is chosen")
	}
}

// A trial is at the edge where at up to twice its rate one that is no larger came to
// nothing; not where a larger one did, or one at a rate as low.
func TestEdge(t *testing.T) {
	u := &Tune{}
	for _, c := range []struct {
		rate       float64
		parameters int64
		state      State
	}{{4e-3, 20, ""}, {8e-3, 10, LearntNothing}, {2e-3, 20, ""}, {4e-3, 5, ""}, {8e-3, 10, ""}, {1e-3, 40, ""}, {1e-3, 10, LearntNothing}} {
		u.Trials = append(u.Trials, Trial{Settings: json.RawMessage(fmt.Sprintf(`{"lr":%g}`, c.rate)), Parameters: c.parameters, State: c.state})
	}
	for n, want := range []bool{true, false, false, false, false, false, false} {
		if got := u.Edge(n); got != want {
			t.Errorf("trial %d: %v, want %v", n+1, got, want)
		}
	}
}
