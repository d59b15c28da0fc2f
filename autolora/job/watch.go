package job

import (
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data/metrics"
	"autolora/nn"
)

// watch evaluates a model on held-out data while it is trained. All that it knows
// follows from the evaluations in the job's results, which a checkpoint has, and
// from the best weights, which are in the state of the trainer.
type watch struct {
	job      *job
	model    *nn.Model
	trainer  *autolora.Trainer
	every    int  // steps
	from     int  // the first step of which an evaluation can be the best
	patience int  // evaluations without a better one after which training ends; 0: it does not
	keepBest bool // have the weights of the best in the end
}

// newWatch returns what watches the training; nil if nothing is to. AdaLoRA has
// more ranks than asked for until its last allocation, so no earlier evaluation of
// it can be the best.
func (j *job) newWatch(model *nn.Model, trainer *autolora.Trainer, allocator *autolora.RankAllocator) *watch {
	if j.cfg.EvalEvery == 0 {
		return nil
	}
	w := &watch{job: j, model: model, trainer: trainer, every: j.cfg.EvalEvery, patience: j.cfg.Patience, keepBest: j.cfg.Keep == settings.KeepBest}
	if allocator != nil {
		w.from = allocator.LastAllocation()
	}
	if w.keepBest {
		trainer.KeepBest()
	}
	return w
}

// best returns the place of the best evaluation, the first of equals; -1 if there
// is none.
func (w *watch) best() int {
	best, all := -1, w.job.results.Evaluations
	for i, e := range all {
		if e.Step >= w.from && (best < 0 || e.Loss < all[best].Loss) {
			best = i
		}
	}
	return best
}

// over reports whether training is to end for want of a better evaluation.
func (w *watch) over() bool {
	best := w.best()
	return w.patience > 0 && best >= 0 && len(w.job.results.Evaluations)-1-best >= w.patience
}

// look evaluates the model on the first data set after so many of the steps, where that
// is due and was not done. It returns the record of it, nil without.
func (w *watch) look(steps, all int) (*runs.Record, error) {
	r := &w.job.results
	done := 0
	if n := len(r.Evaluations); n > 0 {
		done = r.Evaluations[n-1].Step
	}
	if steps == 0 || steps == done || steps%w.every != 0 && steps != all {
		return nil, nil
	}
	began := time.Now()
	s := w.job.session
	part, err := s.appraise(s.procs.patient(w.job.ctx), w.model, w.job.scored[0], silently(&r.Cost.Eval))
	if err != nil {
		return nil, err
	}
	e := runs.Evaluation{Step: steps, Loss: part.losses.Mean(), Scores: part.scores}
	delete(e.Scores, metrics.NameLoss)
	r.Evaluations = append(r.Evaluations, e)
	if w.keepBest && w.best() == len(r.Evaluations)-1 {
		w.trainer.Remember()
	}
	r.Seconds.Eval += time.Since(began).Seconds()
	return &runs.Record{Step: steps, ValLoss: number(e.Loss), Scores: e.Scores}, nil
}

// end gives the model the weights that are kept of a training of so many planned
// steps, and says so in the results.
func (w *watch) end(planned int) {
	if w == nil {
		return
	}
	r := &w.job.results
	if r.Steps.Train < planned {
		r.PlannedSteps = planned
	}
	if w.keepBest {
		r.BestStep = r.Evaluations[w.best()].Step
		w.trainer.Recall()
	}
}
