package autolora

import (
	"context"
	"fmt"
	"time"

	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// loop is what the search and training share: batches come in, steps are
// counted, reported and logged, and a number that is not finite ends it.
type loop struct {
	phase    string
	steps    int
	logEvery int
	out      *runs.Folder
	rep      Reporter
	began    time.Time
}

func newLoop(phase string, steps, logEvery int, out *runs.Folder, rep Reporter) *loop {
	rep.Begin(phase, steps)
	return &loop{phase: phase, steps: steps, logEvery: logEvery, out: out, rep: rep, began: time.Now()}
}

// stopped says how far the loop came before err.
func (l *loop) stopped(steps int, err error) error {
	return fmt.Errorf("%s stopped after step %d of %d: %w", l.phase, steps, l.steps, err)
}

// done reports step i, counted from 0, and logs it where its turn has come.
func (l *loop) done(i int, note string, record func() runs.Record) error {
	l.rep.Advance(i+1, note)
	if (i+1)%l.logEvery != 0 && i+1 != l.steps {
		return nil
	}
	r := record()
	r.Phase, r.Step, r.Seconds = l.phase, i+1, time.Since(l.began).Seconds()
	return l.out.Log(r)
}

// nextBatch moves the loader's next batch to the model's device.
func nextBatch(s *torchbind.Scope, model *nn.Classifier, l *data.Loader) (*Batch, error) {
	packed, err := l.Next()
	if err != nil {
		return nil, err
	}
	return newBatch(s, model, packed)
}

// runSearch takes all steps of the search x.
func (l *loop) runSearch(ctx context.Context, x *Search, train, val *data.Loader) error {
	defer l.rep.End()
	var latest SearchStep // the latest step that updated a
	for i := range l.steps {
		if err := ctx.Err(); err != nil {
			return l.stopped(i, err)
		}
		step, err := l.searchStep(x, train, val, (i+1)%x.Unroll == 0)
		if err != nil {
			return l.stopped(i, err)
		}
		if !step.Finite() {
			return &DivergedError{Phase: "search", Step: i + 1, What: step.trouble(), Good: x.good.restore()}
		}
		if step.updatesA {
			latest = step
		}
		note := fmt.Sprintf("loss %.3f", step.TrainLoss)
		if ratio := latest.Ratio(); finite(ratio) { // else a was not updated yet
			note += fmt.Sprintf("  implicit/direct %.1e", ratio)
		}
		err = l.done(i, note, func() runs.Record {
			return runs.Record{
				Loss: number(step.TrainLoss), ValLoss: number(latest.ValLoss), Direct: number(latest.Direct), Implicit: number(latest.Implicit),
				Ratio: number(latest.Ratio()), Ranks: x.Ranks().List(),
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) searchStep(x *Search, train, val *data.Loader, updateA bool) (step SearchStep, err error) {
	err = torchbind.Run(func(s *torchbind.Scope) error {
		t, err := nextBatch(s, x.model, train)
		if err != nil {
			return err
		}
		var v *Batch
		if updateA {
			if v, err = nextBatch(s, x.model, val); err != nil {
				return err
			}
		}
		step = x.Iterate(s, t, v, updateA)
		return nil
	})
	return step, err
}

// runTrain takes all steps of the trainer t.
func (l *loop) runTrain(ctx context.Context, t *Trainer, accumulate int, train *data.Loader) error {
	defer l.rep.End()
	for i := range l.steps {
		if err := ctx.Err(); err != nil {
			return l.stopped(i, err)
		}
		step, err := l.trainStep(t, accumulate, train)
		if err != nil {
			return l.stopped(i, err)
		}
		if !step.finite() {
			return &DivergedError{Phase: "training", Step: i + 1, What: step.trouble(), Good: t.good.restore()}
		}
		err = l.done(i, fmt.Sprintf("loss %.3f", step.Loss), func() runs.Record {
			return runs.Record{Loss: number(step.Loss), GradNorm: number(step.GradNorm), LR: number(step.LR)}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) trainStep(t *Trainer, accumulate int, train *data.Loader) (step TrainStep, err error) {
	err = torchbind.Run(func(s *torchbind.Scope) error {
		var batches []*Batch
		for range accumulate {
			b, err := nextBatch(s, t.model, train)
			if err != nil {
				return err
			}
			batches = append(batches, b)
		}
		step = t.Step(s, batches)
		return nil
	})
	return step, err
}

// number returns v for a Record; nil if v is not finite.
func number(v float64) *float64 {
	if !finite(v) {
		return nil
	}
	return &v
}
