package job

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
	"autolora/nn/generate"
	"autolora/torchbind"
)

// stage is what a loop steps through and a checkpoint keeps: a search or a
// training, with the loaders of its batches.
type stage interface {
	// step takes step i, counted from 0.
	step(s *torchbind.Scope, i int) (stepReport, error)
	loaders() []*data.Loader

	Tensors() []autolora.NamedTensor
	Counters() autolora.Counters
	SetCounters(autolora.Counters) error
	// Revert puts the last good weights back and returns their step.
	Revert() int64
}

// stepReport is what a loop has to know of one step.
type stepReport struct {
	trouble string // which number is not finite; "" if all are
	note    string // for people: "loss 0.412"
	loss    float64
	work    runs.Work
	record  func() runs.Record // for metrics.jsonl
}

// loop takes the steps of one phase of a job: it counts, reports and logs
// them, saves checkpoints, and ends at a number that is not finite.
type loop struct {
	job   *job
	phase string
	steps int
	stage stage
	// What the phase adds to: seconds, steps and work of the job's results.
	seconds *float64
	count   *int
	work    *runs.Work
	curve   *[]float64 // the mean loss of each tenth of the steps; nil where it is not asked for
	watch   *watch     // evaluates meanwhile, and may end the phase; nil without

	began  time.Time
	before float64   // seconds of earlier sessions and phases
	own    runs.Work // of this process, that work does not have yet
}

// stepping counts the loops at work.
var stepping atomic.Int32

// Stepping reports whether steps are being taken. When the context is done, they
// end after the one at hand, with a checkpoint.
func Stepping() bool { return stepping.Load() > 0 }

// run takes the steps of the phase that an earlier session has not taken.
func (j *job) run(l *loop) error {
	stepping.Add(1)
	defer stepping.Add(-1)
	l.job = j
	from, err := l.resume()
	if err != nil {
		return err
	}
	l.job.session.rep.Begin(l.phase, from, l.steps)
	defer l.job.session.rep.End()
	l.began, l.before = time.Now(), *l.seconds
	earlier := *l.count - from
	for i := from; ; i++ {
		// A checkpoint of this step is of before, so that an evaluation which is
		// interrupted, or lost, is done anew.
		if over, err := l.look(i); err != nil {
			return l.stopped(i, err)
		} else if over || i == l.steps {
			break
		}
		interrupted := l.job.session.procs.interrupted(l.job.ctx) // all stop after the same step
		var r stepReport
		err := torchbind.Run(func(s *torchbind.Scope) (err error) {
			r, err = l.stage.step(s, i)
			return err
		})
		if err != nil {
			return l.stopped(i, err)
		}
		if r.trouble != "" {
			if err := l.total(); err != nil {
				return l.stopped(i, err)
			}
			return l.diverged(i+1, r.trouble)
		}
		l.own.Add(r.work)
		*l.seconds, *l.count = l.before+time.Since(l.began).Seconds(), earlier+i+1
		if err := l.done(i, r); err != nil {
			return err
		}
		if stop, err := interrupted(); err != nil {
			return l.stopped(i+1, err)
		} else if stop {
			return l.stopped(i+1, context.Canceled)
		}
	}
	return l.total()
}

// look evaluates after so many steps, where that is due, and reports whether
// training is to end. The time that it takes is not that of the phase.
func (l *loop) look(steps int) (over bool, err error) {
	if l.watch == nil {
		return false, nil
	}
	began := time.Now()
	record, err := l.watch.look(steps, l.steps)
	if err != nil {
		return false, err
	}
	l.began = l.began.Add(time.Since(began))
	if record != nil {
		record.Phase, record.Seconds = l.phase, *l.seconds
		if err := l.job.log(*record); err != nil {
			return false, err
		}
	}
	return l.watch.over(), nil
}

// done reports step i, and logs and saves it where its turn has come.
func (l *loop) done(i int, r stepReport) error {
	l.job.session.rep.Advance(i+1, r.note)
	l.draw(i, r.loss)
	if (i+1)%l.job.cfg.LogEvery == 0 || i+1 == l.steps {
		record := r.record()
		record.Phase, record.Step, record.Seconds = l.phase, i+1, *l.seconds
		if err := l.job.log(record); err != nil {
			return err
		}
	}
	if l.job.cfg.SaveEvery > 0 && (i+1)%l.job.cfg.SaveEvery == 0 && i+1 < l.steps {
		return l.save(i + 1)
	}
	return nil
}

// draw adds the loss of step i to the curve.
func (l *loop) draw(i int, loss float64) {
	if l.curve == nil {
		return
	}
	parts := min(10, l.steps)
	of := func(i int) int { return i * parts / l.steps }
	if i == 0 {
		*l.curve = nil
	}
	if i == 0 || of(i) > of(i-1) {
		*l.curve = append(*l.curve, 0)
	}
	at := &(*l.curve)[of(i)]
	begin := (of(i)*l.steps + parts - 1) / parts // the first step of this part
	*at += (loss - *at) / float64(i-begin+1)
}

// stopped says how far the loop came before err.
func (l *loop) stopped(steps int, err error) error {
	if !errors.Is(err, generate.ErrBroken) {
		err = fmt.Errorf("%s stopped after step %d of %d: %w", l.phase, steps, l.steps, err)
	}
	err = l.ended(steps, err)
	if errors.Is(err, torchbind.ErrProcess) && l.job.cfg.SaveEvery > 0 && steps >= l.job.cfg.SaveEvery {
		return &ResumableError{err}
	}
	return err
}

// diverged goes back to the last good weights, and says that a step gave no number.
func (l *loop) diverged(step int, what string) error {
	return &DivergedError{Phase: l.phase, Step: step, What: what, Good: l.stage.Revert()}
}

// ended returns what err, of an evaluation after so many steps, ends the phase with. If
// the user interrupted it, the loop is saved; a model that computes no numbers has
// diverged in the last of the steps.
func (l *loop) ended(steps int, err error) error {
	if errors.Is(err, generate.ErrBroken) {
		return l.diverged(steps, err.Error())
	}
	if !errors.Is(err, context.Canceled) || l.job.cfg.SaveEvery == 0 {
		return err
	}
	if failure := l.save(steps); failure != nil {
		return errors.Join(err, failure)
	}
	return &ResumableError{err}
}

// total adds what the processes have computed to the phase's work.
func (l *loop) total() error {
	all, err := l.job.session.procs.work(l.own)
	if err != nil {
		return err
	}
	l.work.Add(all)
	l.own = runs.Work{}
	return nil
}

// save writes a checkpoint after so many steps.
func (l *loop) save(steps int) error { return l.saveAs(checkpointName, steps) }

// saveAs is save under another name.
func (l *loop) saveAs(name string, steps int) error {
	if err := l.total(); err != nil {
		return err
	}
	p := progress{Phase: l.phase, Step: steps, Counters: l.stage.Counters(), Results: l.job.results, Version: Version}
	for _, loader := range l.stage.loaders() {
		place, err := loader.MarshalBinary()
		if err != nil {
			return err
		}
		p.Orders = append(p.Orders, place)
	}
	var err error
	if p.Metrics, err = l.job.out.SyncMetrics(); err != nil {
		return err
	}
	return saveCheckpoint(l.job.out, name, p, l.stage.Tensors())
}

// resume puts the stage where an earlier session saved it, and returns the
// steps that are done. The loaders have their places already.
func (l *loop) resume() (int, error) {
	c := l.job.resumed
	if c == nil {
		return 0, nil
	}
	l.job.resumed = nil // what follows is new
	defer c.close()
	if c.Step == 0 {
		return 0, nil
	}
	if c.Step > l.steps {
		return 0, fmt.Errorf("checkpoint %s: step %d of %s, which has %d", c.path, c.Step, c.Phase, l.steps)
	}
	if err := c.restore(l.stage.Tensors()); err != nil {
		return 0, err
	}
	c.Counters.Masks += l.job.session.procs.parallel().Masks()
	return c.Step, l.stage.SetCounters(c.Counters)
}

// nextBatch moves the loader's next batch to the model's device.
func nextBatch(s *torchbind.Scope, model *nn.Model, l *data.Loader) (*autolora.Batch, error) {
	packed, err := l.Next()
	if err != nil {
		return nil, err
	}
	return autolora.NewBatch(s, model, packed)
}

// number returns v for a Record; nil if v is not finite.
func number(v float64) *float64 {
	if !autolora.Finite(v) {
		return nil
	}
	return &v
}

// maskSeed keeps the dropout masks of a run's phases, and of its processes,
// apart.
func (j *job) maskSeed(phase string) uint64 {
	h := j.cfg.Seed*0x9e3779b97f4a7c15 + 0xcbf29ce484222325
	for _, c := range []byte(phase) { // FNV-1a
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h + j.session.procs.parallel().Masks()
}

// loader returns the batches of the training examples at indices, shuffled anew
// in every epoch, made ahead by other goroutines, and how many make an epoch.
// nth counts the loaders of a phase, by which a checkpoint knows its place. It
// is to be closed.
func (j *job) loader(indices []int, batchSize int, stream string, nth int) (*data.Loader, int, error) {
	order, err := data.NewOrder(data.OrderConfig{Indices: indices, Size: batchSize, Seed: j.cfg.Seed, Stream: stream})
	if err != nil {
		return nil, 0, err
	}
	if c := j.resumed; c != nil && nth < len(c.Orders) {
		if err := order.UnmarshalBinary(c.Orders[nth]); err != nil {
			return nil, 0, fmt.Errorf("checkpoint %s: %w", c.path, err)
		}
	}
	procs := j.session.procs
	config := data.LoaderConfig{Workers: workers, Ahead: 2 * workers, Part: procs.rank(), Parts: procs.size()}
	// An interrupt is seen after a step, not among its batches: of those a checkpoint knows the last that was taken.
	return data.NewLoader(context.WithoutCancel(j.ctx), j.corpus, order, config), order.BatchesPerEpoch(), nil
}
