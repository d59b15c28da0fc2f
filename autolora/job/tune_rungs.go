package job

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"autolora/autolora/halving"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data/metrics"
	"autolora/nn"
)

// load loads the model that all trials share.
func (t *tuning) load() error {
	if t.model != nil {
		return nil
	}
	first, _ := t.space.At(make([]int, len(t.space.Sizes)))
	method, _ := runs.FindMethod(first.Method)
	model, err := t.session.load(nn.HeadIfStored, method.Trains == runs.TrainsEverything)
	if err == nil {
		t.model, t.snapshot = model, model.Snapshot()
	}
	return err
}

var lora, _ = runs.FindMethod(runs.MethodLoRA)

// standIn returns a job that trains as the settings say, and where that takes a search
// of ranks, at the highest that it can give.
func (t *tuning) standIn(cfg settings.Config) *job {
	one := *t.job
	one.cfg = cfg
	one.method, _ = runs.FindMethod(cfg.Method)
	switch {
	case one.method.Ranks == runs.Searched && t.ranks == nil:
		one.method, one.cfg.Rank = lora, cfg.K
	case one.method.Ranks == runs.BestOfGrid:
		one.method, one.cfg.Rank = lora, slices.Max(cfg.GridRanks)
	}
	return &one
}

// climb makes the shard's own trials of a rung, and waits for the others'.
func (t *tuning) climb(rung int, members []int) error {
	own := t.session.rep
	defer func() { t.session.rep = own }()
	before, steps := 0, t.Rungs[rung].Steps
	if rung > 0 {
		before = t.Rungs[rung-1].Steps
	}
	watch := &rungReporter{Reporter: own, from: before}
	var mine []int
	for p, n := range members {
		if p%t.shard.Of == t.shard.Index-1 {
			mine = append(mine, n)
		}
	}
	for p, n := range mine {
		phase := fmt.Sprintf("tune-%d-%d", rung+1, n+1)
		if t.completed(phase) {
			if len(t.Trials[n].Rungs) <= rung {
				return fmt.Errorf("%s: trial %d lacks rung %d: it was changed", t.out.Path(runs.TuneFile), n+1, rung+1)
			}
			watch.done += steps - before
			continue
		}
		if t.resumed == nil && (rung > 0 || p > 0) {
			if err := t.enter(phase); err != nil {
				return err
			}
			if err := t.forget(rung, members); err != nil {
				return err
			}
		}
		if t.session.rep == own {
			own.Begin(fmt.Sprintf("rung %d", rung+1), watch.done, len(mine)*(steps-before))
			defer own.End()
			t.session.rep = watch
		}
		if err := t.try(phase, rung, n); err != nil {
			return err
		}
		watch.done += steps - before
		own.Note(fmt.Sprintf("%d/%d %s", p+1, len(mine), t.said(n)))
	}
	if t.shard.Of > 1 {
		return t.wait(rung, members)
	}
	return nil
}

// rungReporter makes one phase of the trials of a rung.
type rungReporter struct {
	Reporter
	from, done int // steps of each trial before the rung, and of those that have made it
}

func (r *rungReporter) Begin(string, int, int)        {}
func (r *rungReporter) End()                          {}
func (r *rungReporter) Advance(done int, note string) { r.Reporter.Advance(r.done+done-r.from, note) }

// state is the name of the file with a trial's state at the end of a rung.
func state(rung, n int) string { return fmt.Sprintf("%s/%d-%d.safetensors", runs.TuneDir, n+1, rung+1) }

// try trains one trial to the end of a rung and evaluates it.
func (t *tuning) try(phase string, rung, n int) error {
	if err := t.load(); err != nil {
		return err
	}
	defer t.snapshot.Restore()
	steps := t.Rungs[rung].Steps
	if rung > 0 && (t.resumed == nil || t.resumed.Step == 0) {
		if err := t.goOn(rung, n); err != nil {
			return err
		}
	}
	one := t.standIn(t.configs[n])
	const stream = "tune" // of order and dropout: all trials see the same
	train, _, err := t.loader(t.train, t.cfg.BatchSize, stream, 0)
	if err != nil {
		return err
	}
	defer train.Close()
	allocator, err := one.equip(t.model, t.Final)
	if err != nil {
		return err
	}
	stage, graphs := one.trainer(t.model, train, t.Final, allocator, stream)
	defer graphs.Close()
	l := &loop{
		phase: phase, steps: steps, stage: stage,
		seconds: &t.results.Seconds.Tune, count: &t.results.Steps.Tune, work: &t.results.Cost.Tune,
	}
	reached := runs.Reached{Steps: steps}
	if err = t.run(l); err == nil {
		if err = t.evaluate(rung, &reached); err != nil {
			err = l.ended(steps, err)
		} else if rung+1 < len(t.Rungs) {
			err = t.session.procs.agree(l.saveAs(state(rung, n), steps))
		}
	}
	if d, ok := errors.AsType[*DivergedError](err); ok {
		reached.Steps, reached.State = d.Step-1, runs.Diverged
	} else if err != nil {
		return err
	}
	reached.Seconds, reached.Work = t.results.Seconds.Tune, t.results.Cost.Tune
	for i := range t.Trials { // what all others of this shard took is not this one's; earlier sessions count
		for at, r := range t.Trials[i].Rungs {
			if t.owner(i, at) == t.shard.Index && (i != n || at < rung) {
				reached.Seconds -= r.Seconds
				reached.Work.Subtract(r.Work)
			}
		}
	}
	t.Trials[n].Reach(rung, reached)
	return t.store()
}

// goOn opens the state of a trial at the end of the rung before.
func (t *tuning) goOn(rung, n int) error {
	if t.resumed != nil {
		t.resumed.close()
	}
	dir := t.folder(t.owner(n, rung-1))
	c, err := openCheckpoint(dir, state(rung-1, n))
	if err == nil && c == nil {
		err = fmt.Errorf("%s is missing: begin anew", filepath.Join(dir, state(rung-1, n)))
	}
	t.resumed = c
	return err
}

// evaluate puts the trial's loss and scores on the held-out examples of a rung into r.
func (t *tuning) evaluate(rung int, r *runs.Reached) error {
	began := time.Now()
	part, err := t.session.appraise(t.ctx, t.model, t.held[rung], silently(&t.results.Cost.Tune))
	if err != nil {
		return err
	}
	t.results.Seconds.Tune += time.Since(began).Seconds()
	r.Loss, r.StandardError, r.Scores = number(part.losses.Mean()), number(part.losses.StandardError()), part.scores
	if least, ok := part.baseline[metrics.NameLoss]; ok {
		r.Baseline = number(least)
	}
	return nil
}

// forget removes the states that no trial goes on from any more, before another one of
// a rung begins: of earlier rungs, but those that this one has yet to take up, and of
// trials of this one that so many dominate as go on.
func (t *tuning) forget(rung int, members []int) error {
	if t.shard.Of > 1 { // another shard may be about to read them
		return nil
	}
	var gone []string
	for n := range t.Trials {
		for r := range rung {
			if r < rung-1 || !slices.Contains(members, n) || len(t.Trials[n].Rungs) > rung {
				gone = append(gone, state(r, n))
			}
		}
	}
	if rung+1 < len(t.Rungs) {
		trials, at := t.AtRung(rung)
		for _, i := range halving.Dominated(trials, t.Rungs[rung+1].Trials) {
			gone = append(gone, state(rung, at[i]))
		}
	}
	gone = slices.DeleteFunc(gone, func(name string) bool { _, err := os.Stat(t.out.Path(name)); return err != nil })
	if gone == nil {
		return nil
	}
	return t.out.Remove(gone...)
}
