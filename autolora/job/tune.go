package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/human"
	"autolora/nn"
)

// tuneCommand is the command whose settings say what to try: those of the training
// are what it chooses.
const tuneCommand = "tune"

// Tune tries settings on a part of the training data, trains those that it chooses on
// all of them, and evaluates. Where it is one of several shards, each makes its share
// of the trials, and the first trains; the others come to an Outcome without Results.
func Tune(ctx context.Context, host Host, cfg settings.Config, shard Shard) (*Outcome, error) {
	if shard.Of > 1 {
		switch {
		case cfg.Time != "":
			return nil, settings.Errorf("time", "got %s: shards on different machines would plan differently, want a cost", cfg.Time)
		case cfg.Overwrite:
			return nil, settings.Errorf("overwrite", "is not for shards, which share a folder: choose another folder")
		case cfg.SaveEvery == 0:
			return nil, settings.Errorf("save-every", "got 0: shards save what they have done, want at least 1")
		}
		cfg.Resume = true
	}
	home := cfg.Out
	cfg.Out = shardFolder(home, shard.Index)
	out, err := do(ctx, host, cfg, tuneCommand, func(j *job) error { return j.tune(home, shard) })
	if errors.Is(err, errShareDone) {
		return &Outcome{}, nil
	}
	return out, err
}

// What all trials may take by default, in trainings: of everything, and of the rate
// alone.
const (
	defaultCost     = 4
	defaultRateCost = 1
)

// tune chooses among all settings of the space, and does what it chose.
func (j *job) tune(home string, shard Shard) error {
	t := &tuning{job: j, space: j.cfg.Space(), trainings: cmp.Or(j.cfg.Cost, defaultCost), home: home, shard: shard}
	if err := t.choose(); err != nil {
		return err
	}
	if shard.Index > 1 {
		return errShareDone
	}
	return j.perform()
}

// chooseRate chooses the learning rate of the job's method, by trials of it alone.
func (j *job) chooseRate() error {
	t := &tuning{job: j, space: j.cfg.RateSpace(), trainings: cmp.Or(j.cfg.Cost, defaultRateCost), home: j.cfg.Out, shard: Shard{1, 1}}
	return t.choose()
}

// tuning is a choice of settings by successive halving: trials train on a part of the
// training data, one after the other in the same model, and are compared by their loss
// on the rest of it. Those that go on do so from where they were.
type tuning struct {
	*job
	space     settings.Space
	trainings float64 // what all trials may take
	home      string  // the folder of the results
	shard     Shard

	runs.Tune
	configs []settings.Config // of the trials
	train   []int             // the training examples of the trials
	heldOut *data.Dataset     // the others
	held    []*data.Dataset   // of those, what the trials of each rung are compared on: each holds the one before

	model    *nn.Model // nil before it is needed
	snapshot *nn.Snapshot
	sizes    map[string]int64 // parameters that are counted already
}

// choose makes all trials that an earlier session has not made, and the settings of
// the one that it chooses the job's own.
func (t *tuning) choose() error {
	defer t.close()
	err := t.plan()
	if err != nil {
		return err
	}
	for rung := range t.Rungs {
		members := t.Survivors(rung)
		if err := t.climb(rung, members); err != nil {
			return err
		}
		t.Judge(rung)
	}
	if !t.Choose() {
		return t.nothing()
	}
	given := t.cfg
	t.take(t.configs[t.Choice])
	if err := t.store(); err != nil {
		return err
	}
	if t.resumed == nil {
		if err := t.enter(t.next()); err != nil {
			return err
		}
	}
	if err := t.out.Remove(runs.TuneDir); err != nil {
		return err
	}
	t.session.rep.Note("chosen: " + t.said(t.Choice))
	if doubt := t.Doubt(); doubt != "" {
		t.session.rep.Note(doubt)
	}
	return t.declare(given)
}

// declare writes what was chosen into config.json, which says what the run's results
// were made with: to who reads it, and to who trains by it again.
func (t *tuning) declare(given settings.Config) error {
	saved, err := readSavedConfig(t.out.Dir)
	if err != nil || saved == nil || t.shard.Index > 1 {
		return err
	}
	saved.Settings, saved.About.Chosen = t.cfg, settings.Changed(given, t.cfg)
	return t.out.WriteJSON(runs.ConfigFile, saved)
}

// next returns the phase that follows the trials.
func (t *tuning) next() string {
	switch {
	case t.shard.Index > 1:
		return "end"
	case t.method.Ranks == runs.Searched && t.ranks == nil:
		return "search"
	case t.method.Ranks == runs.BestOfGrid:
		return "grid-1"
	}
	return "train"
}

// take makes what was chosen the job's settings, and the cost of all trials its own.
func (t *tuning) take(chosen settings.Config) {
	t.cfg = chosen
	t.method, _ = runs.FindMethod(chosen.Method)
	r := &t.results
	r.Method, r.LR, r.Seconds.Tune, r.Steps.Tune, r.Cost.Tune = chosen.Method, chosen.LR, 0, 0, runs.Work{}
	for _, trial := range t.Trials {
		r.Seconds.Tune, r.Steps.Tune = r.Seconds.Tune+trial.Seconds, r.Steps.Tune+trial.Steps
		for _, reached := range trial.Rungs {
			r.Cost.Tune.Add(reached.Work)
		}
	}
}

// nothing says that no trial came to anything.
func (t *tuning) nothing() error {
	lowest := math.Inf(1)
	for _, c := range t.configs {
		lowest = min(lowest, c.LR)
	}
	return settings.Errorf("tune-lr", "all %d trials diverged, those at the lowest rate, %s, too: give lower ones", len(t.Trials), human.Rate(lowest))
}

// close frees the model.
func (t *tuning) close() {
	if t.model != nil {
		t.model.Close()
	}
}

// store writes tune.json.
func (t *tuning) store() error {
	t.wrote(runs.TuneFile)
	return t.out.WriteJSON(runs.TuneFile, t.Tune)
}

// said says what a trial is and what came of it.
func (t *tuning) said(n int) string {
	trial := t.Trials[n]
	what := t.Words(n)
	switch {
	case trial.State == runs.Diverged:
		return what + ": diverged"
	case trial.Loss == nil:
		return what
	}
	return fmt.Sprintf("%s: held-out loss %s after %s steps", what, human.Significant(*trial.Loss), human.Thousands(trial.Steps))
}
