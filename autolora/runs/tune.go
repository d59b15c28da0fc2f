package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"autolora/autolora/halving"
	"autolora/data/metrics"
	"autolora/human"
)

// Tune is what tune.json holds: the trials of settings, in the order of the space, and
// which of them was chosen.
type Tune struct {
	Trials []Trial `json:"trials"`
	// Chosen is the smallest of the trials whose loss is within one standard error of
	// the best one's, of the lowest rate; nil before the last rung is complete.
	Chosen *Trial `json:"chosen,omitempty"`
	Best   int    `json:"best"`   // place in Trials of the lowest loss
	Choice int    `json:"choice"` // and of Chosen

	Rungs []halving.Rung `json:"rungs"`
	Final int            `json:"final_steps"` // of the training that the trials are for
	Steps int            `json:"steps"`       // of all trials together, as planned
	// Train and HeldOut are how many examples of the training data the trials trained
	// on, and how many the last rung was compared on.
	Train   int `json:"train_examples"`
	HeldOut int `json:"held_out_examples"`
	Shards  int `json:"shards,omitempty"` // that the trials were divided among; 0 is one
}

// Trial is one trial: settings, and how it went.
type Trial struct {
	Settings   json.RawMessage `json:"settings"`        // what it sets, by the settings' names
	Parameters int64           `json:"parameters"`      // of its adapter
	State      State           `json:"state,omitempty"` // why it went no further, where it is not its loss
	// Steps, Loss, StandardError and Scores are of its latest rung.
	Steps         int            `json:"steps"`
	Loss          *float64       `json:"loss"` // held-out; nil where it diverged
	StandardError *float64       `json:"standard_error,omitempty"`
	Scores        metrics.Scores `json:"scores,omitempty"`
	Seconds       float64        `json:"seconds"`
	Rungs         []Reached      `json:"rungs"` // that it reached
}

// Reached is what a trial came to at the end of a rung.
type Reached struct {
	Steps         int            `json:"steps"`
	Loss          *float64       `json:"loss"`
	StandardError *float64       `json:"standard_error,omitempty"`
	Scores        metrics.Scores `json:"scores,omitempty"`
	Seconds       float64        `json:"seconds"`
	Work          Work           `json:"work"`
	State         State          `json:"state,omitempty"`
	// Baseline is the loss of always giving the commonest answer to the same examples;
	// nil for texts.
	Baseline *float64 `json:"baseline_loss,omitempty"`
}

// State is why a trial was dropped.
type State string

// The states of a trial; "" is that of all others.
const (
	Diverged      State = "diverged"
	LearntNothing State = "learnt nothing" // its loss is not below that of the commonest answer
)

// TrialSettings is what is common to the settings of trials.
type TrialSettings struct {
	Method  string   `json:"method"`
	Targets []string `json:"target"`
	Rank    int64    `json:"rank"`
	K       int64    `json:"k"`
	AdaLoRA int64    `json:"adalora-target-rank"`
	Alpha   float64  `json:"lora-alpha"`
	LR      float64  `json:"lr"`
}

// Read returns the trial's settings.
func (t Trial) Read() (s TrialSettings, err error) {
	err = json.Unmarshal(t.Settings, &s)
	s.Rank += s.K + s.AdaLoRA // of which one is set
	return s, err
}

// Words says what the n-th trial tries, as far as not all of them do.
func (u *Tune) Words(n int) string {
	var all []TrialSettings
	for _, t := range u.Trials {
		s, err := t.Read()
		if err != nil {
			return "?"
		}
		all = append(all, s)
	}
	var parts []string
	for _, part := range []struct {
		of    func(s TrialSettings) any
		words func(s TrialSettings) string
	}{
		{func(s TrialSettings) any { return s.Method }, func(s TrialSettings) string { return s.Method }},
		{func(s TrialSettings) any { return strings.Join(s.Targets, "+") }, func(s TrialSettings) string { return strings.Join(s.Targets, "+") }},
		{func(s TrialSettings) any { return s.Rank }, func(s TrialSettings) string { return fmt.Sprintf("rank %d", s.Rank) }},
	} {
		if slices.ContainsFunc(all, func(s TrialSettings) bool { return part.of(s) != part.of(all[0]) }) {
			parts = append(parts, part.words(all[n]))
		}
	}
	return strings.Join(append(parts, "learning rate "+human.Rate(all[n].LR)), ", ")
}

// Reach adds what the trial came to at the end of a rung, the at-th, in place of what
// an earlier session knew of it and of later ones.
func (t *Trial) Reach(at int, r Reached) {
	t.Rungs = append(t.Rungs[:at], r)
	t.Steps, t.Loss, t.StandardError, t.Scores, t.State, t.Seconds = r.Steps, r.Loss, r.StandardError, r.Scores, r.State, 0
	for _, r := range t.Rungs {
		t.Seconds += r.Seconds
	}
}

// AtRung returns the trials as they were at the end of a rung, and their places: those
// that reached it.
func (u *Tune) AtRung(rung int) (trials []halving.Trial, at []int) {
	for i, t := range u.Trials {
		if len(t.Rungs) > rung {
			trials, at = append(trials, t.at(rung)), append(at, i)
		}
	}
	return trials, at
}

func (t Trial) at(rung int) halving.Trial {
	r := t.Rungs[rung]
	h := halving.Trial{Parameters: t.Parameters, Rate: t.rate(), Failed: r.State != "" || r.Loss == nil}
	if r.Loss != nil {
		h.Loss = *r.Loss
	}
	return h
}

// Judge marks those trials of a rung as having learnt nothing whose loss is not below
// the commonest answer's, if the best one's is, by more than its standard error: where
// none has come so far, they have had too few steps for it. So have slow ones at the
// first of several rungs, which is not judged.
func (u *Tune) Judge(rung int) {
	if rung == 0 && len(u.Rungs) > 1 {
		return
	}
	if learnt, _ := u.Learnt(rung); !learnt {
		return
	}
	_, at := u.AtRung(rung)
	for _, i := range at {
		if r := &u.Trials[i].Rungs[rung]; r.State == "" && !r.below(0) {
			r.State, u.Trials[i].State = LearntNothing, LearntNothing
		}
	}
}

// Learnt reports whether a trial of a rung has clearly learnt something, see
// Reached.Learnt.
func (u *Tune) Learnt(rung int) (learnt, known bool) {
	_, at := u.AtRung(rung)
	for _, i := range at {
		its, knows := u.Trials[i].Rungs[rung].Learnt()
		learnt, known = learnt || its, known || knows
	}
	return learnt, known
}

// Learnt reports whether something has clearly been learnt: whether the loss is below the
// commonest answer's by more than its standard error. It is not known where that answer's
// loss is not.
func (r Reached) Learnt() (learnt, known bool) {
	return r.StandardError != nil && r.below(*r.StandardError), r.Baseline != nil
}

// Doubt says that no trial of the last rung is known to have learnt anything; "" where one
// has, or it is not known.
func (u *Tune) Doubt() string {
	if len(u.Rungs) > 0 {
		if learnt, known := u.Learnt(len(u.Rungs) - 1); known && !learnt {
			return "no trial's loss is clearly below that of always giving the commonest answer: they had too few steps, and this choice is little but chance"
		}
	}
	return ""
}

// below reports whether the loss is below the commonest answer's by more than that.
func (r Reached) below(by float64) bool {
	return r.Loss != nil && r.Baseline != nil && *r.Loss+by < *r.Baseline
}

// Survivors returns the places of the trials that go on to a rung, in the order of
// the space; all of them go to the first.
func (u *Tune) Survivors(rung int) []int {
	if rung == 0 {
		all := make([]int, len(u.Trials))
		for i := range all {
			all[i] = i
		}
		return all
	}
	trials, at := u.AtRung(rung - 1)
	var out []int
	for _, i := range halving.Survivors(trials, u.Rungs[rung].Trials) {
		out = append(out, at[i])
	}
	slices.Sort(out)
	return out
}

// Choose sets Best and Chosen among the trials that reached the last rung, which were
// compared on the same examples after the same steps; where all of them failed, the
// rung before; false if every trial failed.
func (u *Tune) Choose() bool {
	for rung := len(u.Rungs) - 1; rung >= 0; rung-- {
		trials, at := u.AtRung(rung)
		for i := range trials {
			trials[i].Failed = trials[i].Failed || u.Trials[at[i]].State != ""
			trials[i].Edge = u.Edge(at[i])
		}
		best, chosen := halving.Choose(trials, func(best int) float64 {
			if e := u.Trials[at[best]].Rungs[rung].StandardError; e != nil {
				return *e
			}
			return 0
		})
		if chosen >= 0 {
			u.Best, u.Choice, u.Chosen = at[best], at[chosen], &u.Trials[at[chosen]]
			return true
		}
	}
	return false
}

// Edge reports whether a trial is at the edge of what trains: at a higher rate, at most
// twice its own, another that is no larger came to nothing. Such a training learns with
// one order of the examples and breaks with another.
func (u *Tune) Edge(n int) bool {
	t, rate := u.Trials[n], u.Trials[n].rate()
	return slices.ContainsFunc(u.Trials, func(o Trial) bool {
		return o.State != "" && o.Parameters <= t.Parameters && o.rate() > rate && o.rate() <= 2*rate
	})
}

// rate returns the learning rate of the trial.
func (t Trial) rate() float64 {
	s, _ := t.Read()
	return s.LR
}

// ReadTune reads the tune.json of a run's folder; nil where it has none.
func ReadTune(dir string) (*Tune, error) {
	var u Tune
	switch err := ReadOnly(dir).ReadJSON(TuneFile, &u); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	compared := func(n int) bool { return n >= 0 && n < len(u.Trials) && u.Trials[n].Loss != nil }
	if u.Chosen != nil && (u.Chosen.Loss == nil || !compared(u.Choice) || !compared(u.Best)) {
		return nil, fmt.Errorf("%s: not what a run writes: \"chosen\", \"choice\" or \"best\" is no trial with a loss", filepath.Join(dir, TuneFile))
	}
	return &u, nil
}
