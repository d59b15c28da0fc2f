package job

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/data/tokenizer"
	"autolora/nn"
	"autolora/nn/generate"
	"autolora/nn/peft"
	"autolora/torchbind"
)

// window is how many examples are evaluated, or predicted for, at a time. Their
// tokens are in memory together, and batches are of similar length among them.
var window = 1 << 16

// windows returns d in parts of so many examples, by the place of their first.
func windows(d *data.Dataset) iter.Seq2[int, *data.Dataset] {
	return func(yield func(int, *data.Dataset) bool) {
		for from := 0; from < d.Len(); from += window {
			if !yield(from, d.Range(from, min(from+window, d.Len()))) {
				return
			}
		}
	}
}

// eachBatch calls do, in inference mode, with every batch of d that is this
// process's to compute. Each example is in one; done counts those of all processes
// up to the batch. What all processes compute is added to work.
func (s *session) eachBatch(ctx context.Context, model *nn.Model, d *data.Dataset, work *runs.Work, do batchFunc) error {
	return s.eachBatchWithGraph(ctx, model, d, work, func(scope *torchbind.Scope, b *autolora.Batch, packed *data.Batch, done int) (err error) {
		torchbind.InferenceMode(func() { err = do(scope, b, packed, done) })
		return err
	})
}

// batchFunc does something with a batch, whose tensors live in scope.
type batchFunc func(scope *torchbind.Scope, b *autolora.Batch, packed *data.Batch, done int) error

// eachBatchWithGraph is eachBatch where derivatives are taken.
func (s *session) eachBatchWithGraph(ctx context.Context, model *nn.Model, d *data.Dataset, work *runs.Work, do batchFunc) error {
	var all runs.Work // not added where it is interrupted, and done anew
	for from, part := range windows(d) {
		corpus := s.corpus(part)
		batches, err := corpus.EvalBatches(ctx, s.cfg.BatchSize, workers)
		if err != nil {
			return err
		}
		done := from
		for i, indices := range batches {
			done += len(indices)
			if !s.procs.share(i) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			packed, err := corpus.Batch(indices)
			if err != nil {
				return err
			}
			for k := range packed.Index {
				packed.Index[k] += from
			}
			err = torchbind.Run(func(scope *torchbind.Scope) error {
				b, err := autolora.NewBatch(scope, model, packed)
				if err == nil {
					err = do(scope, b, packed, done)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		tokens, err := corpus.Tokens()
		if err != nil {
			return err
		}
		all.Add(runs.Work{Tokens: tokens, Forward: int64(len(batches))})
	}
	work.Add(all)
	return nil
}

// together fills the places that this process left empty from those of the
// others.
func together[T any](p *Processes, own []T, filled func(T) bool) ([]T, error) {
	all, err := gather(p, own)
	if err != nil {
		return nil, err
	}
	for _, others := range all {
		for i, v := range others {
			if filled(v) {
				own[i] = v
			}
		}
	}
	return own, nil
}

// score evaluates model on data sets, and puts into r what comes of it and what it
// took. The scores have the task's plain names for the first set, and for another
// its variant after the name ("accuracy_mismatched"). It returns the losses of the
// first set, and what was generated for each example.
func (s *session) score(ctx context.Context, model *nn.Model, sets []*data.Dataset, r *runs.Results) (losses runs.Losses, texts []string, err error) {
	began := time.Now()
	scores, baseline, done, total := metrics.Scores{}, metrics.Scores{}, 0, 0
	for _, d := range sets {
		total += d.Len()
	}
	s.rep.Begin("eval", 0, total)
	defer s.rep.End()
	var work runs.Work // that counts when all is done: an evaluation that is interrupted is done anew
	for i, d := range sets {
		a, part, err := s.assess(ctx, model, d, computing{work: &work, progress: func(n int) { s.rep.Advance(done+n, "") }})
		if err != nil {
			return losses, nil, err
		}
		texts = append(texts, a.texts...)
		done += d.Len()
		if i == 0 {
			r.Details, losses = part.details, part.losses
		}
		for _, of := range []struct{ from, to metrics.Scores }{{part.scores, scores}, {part.baseline, baseline}} {
			for name, v := range of.from {
				if i > 0 {
					name += "_" + d.Variant
				}
				of.to[name] = v
			}
		}
	}
	r.Cost.Eval.Add(work)
	r.Scores, r.Baseline, r.Examples, r.Paraphrases = scores, baseline, total, s.scorer.paraphrases()
	r.Seconds.Eval += time.Since(began).Seconds()
	return losses, texts, nil
}

// assess computes what model says of d, and what that is worth.
func (s *session) assess(ctx context.Context, model *nn.Model, d *data.Dataset, how computing) (a answers, part scored, err error) {
	kind := kinds[s.task.Kind]
	if a, err = kind.compute(s, ctx, model, d, how); err != nil {
		return a, part, err
	}
	if part, err = kind.score(s, ctx, model, d, a, how); err != nil {
		return a, part, fmt.Errorf("%s: %w", d.Name, err)
	}
	part.scores[metrics.NameLoss] = part.losses.Mean()
	return a, part, nil
}

// appraise is assess for a choice among models: by the losses alone where texts would
// be written for it, which costs more than the training; by losses with the weights of
// classes where models are trained with them, for by those without the best is the one
// that has least learnt what it is to learn. The work counts when all is done: what is
// interrupted is done anew.
func (s *session) appraise(ctx context.Context, model *nn.Model, d *data.Dataset, how computing) (part scored, err error) {
	var work runs.Work
	own := computing{work: &work, progress: how.progress}
	if s.scorer != nil {
		part.losses, err = kinds[s.task.Kind].losses(s, ctx, model, d, own)
	} else {
		var a answers
		if a, part, err = s.assess(ctx, model, d, own); err == nil && s.weights != nil {
			for i := range a.rows {
				a.rows[i].Loss = a.rows[i].Weighed
			}
			part.losses, part.baseline[metrics.NameLoss] = a.losses(d), s.weighedEntropy(d)
		}
	}
	if err == nil {
		how.work.Add(work)
	}
	return part, err
}

// losses returns the loss of every example of d: that of its right answer,
// without dropout, label smoothing and the weights of classes. What it computed is
// added to work.
func (s *session) losses(ctx context.Context, model *nn.Model, d *data.Dataset, work *runs.Work) (runs.Losses, error) {
	return kinds[s.task.Kind].losses(s, ctx, model, d, silently(work))
}

// rowLosses are the losses of answers that are classes or numbers.
func (s *session) rowLosses(ctx context.Context, model *nn.Model, d *data.Dataset, how computing) (runs.Losses, error) {
	a, err := s.classify(ctx, model, d, how)
	return a.losses(d), err
}

// losses returns those of the examples of d.
func (a answers) losses(d *data.Dataset) runs.Losses {
	l := runs.Losses{Data: d.Digest()}
	at := d.Rows()
	for i := range at[1:] {
		sum := 0.0
		for _, row := range a.rows[at[i]:at[i+1]] {
			sum += row.Loss
		}
		l.Add(sum, at[i+1]-at[i])
	}
	return l
}

// classify returns the answers about every example of d, in its order. Every
// process gets all of them.
func (s *session) classify(ctx context.Context, model *nn.Model, d *data.Dataset, how computing) (a answers, err error) {
	computed, err := s.pieces(d) // their words are those of d, in its order
	if err != nil {
		return a, err
	}
	at := computed.Rows()
	a.rows, a.threshold = make([]answer, at[len(at)-1]), s.cfg.Threshold
	if how.logits {
		a.logits = make([][]float64, len(a.rows))
	}
	err = s.eachBatch(ctx, model, computed, how.work, func(scope *torchbind.Scope, b *autolora.Batch, packed *data.Batch, done int) error {
		flat := model.Logits(scope, b.Batch, nil).Float64s()
		k := len(flat) / b.Size
		for _, i := range packed.Index {
			for row := at[i]; row < at[i+1]; row++ {
				logits := flat[:k:k]
				if flat = flat[k:]; how.logits {
					a.logits[row] = logits
				}
				if a.rows[row], err = newAnswer(&computed.Examples[i], row-at[i], computed.Kind, logits); err != nil {
					return fmt.Errorf("%s: %w", computed.Examples[i].Where(), err)
				}
				if s.weights != nil {
					a.rows[row].Weighed = s.weighed(&computed.Examples[i], row-at[i], logits, a.rows[row].Loss)
				}
			}
		}
		how.progress(min(done, d.Len()))
		return nil
	})
	if err != nil {
		return a, err
	}
	if a.rows, err = together(s.procs, a.rows, func(row answer) bool { return row.Probability != 0 || row.Each != nil }); err != nil {
		return a, err
	}
	for i, ex := range computed.Examples { // not before: all processes find it
		for _, row := range a.rows[at[i]:at[i+1]] {
			if !autolora.Finite(row.Probability) {
				return a, fmt.Errorf("%s: the model's output is %v: %w", ex.Where(), row.Probability, generate.ErrBroken)
			}
		}
	}
	return a, nil
}

// weighed returns the loss of an answer with these logits by the weights of classes.
func (s *session) weighed(ex *data.Example, k int, logits []float64, loss float64) float64 {
	switch s.task.Kind {
	case data.Tagging:
		return s.weights[ex.Tags[k]] * loss
	case data.MultiLabel:
		sum := 0.0
		for label, v := range logits {
			if slices.Contains(ex.Classes, label) {
				sum += s.weights[2*label+1] * metrics.BinaryCrossEntropy([]float64{v}, []int{0})
			} else {
				sum += s.weights[2*label] * metrics.BinaryCrossEntropy([]float64{v}, nil)
			}
		}
		return sum / float64(len(logits))
	}
	return s.weights[ex.Label] * loss
}

// weighedEntropy returns the loss, by the weights of classes, of the best answer that is
// the same for all examples of d.
func (s *session) weighedEntropy(d *data.Dataset) float64 {
	lists, k := classesOf(s.task, d)
	sum := 0.0
	for i, classes := range lists {
		sum += metrics.WeighedEntropy(classes, s.weights[i*k:(i+1)*k])
	}
	return sum / float64(len(lists))
}

// newAnswer returns what logits say of an example, in tagging of its k-th word. A logit
// that is not finite is its probability.
func newAnswer(ex *data.Example, k int, kind data.Kind, logits []float64) (a answer, err error) {
	for _, v := range logits {
		if !autolora.Finite(v) {
			return answer{Probability: v}, nil
		}
	}
	if a.Best, err = metrics.ArgMax(logits); err != nil {
		return a, err
	}
	gold := ex.Label
	switch {
	case kind == data.MultiLabel:
		a.Each = make([]float64, len(logits))
		for i, v := range logits {
			a.Each[i] = 1 / (1 + math.Exp(-v))
		}
		if ex.LabelSet != nil {
			a.Loss = metrics.BinaryCrossEntropy(logits, ex.Classes)
		}
		return a, nil
	case kind == data.Tagging:
		gold = ex.Tags[k]
	case kind == data.Regression:
		a.Value, gold = logits[0], data.NoLabel
		if off := a.Value - ex.Value; off == off {
			a.Loss = off * off
		}
	}
	loss, most := metrics.CrossEntropy(logits, max(gold, 0))
	if a.Probability = most; gold != data.NoLabel {
		a.Loss = loss
	}
	return a, nil
}

// Eval scores a model with an adapter on the task's dev or test set. The
// adapter may be the output folder of a run; without one, the model has the
// head itself.
func Eval(ctx context.Context, host Host, cfg settings.Config, adapterDir string, part data.Part) (*Outcome, error) {
	s, err := newSession(ctx, host, cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var adapter *StoredAdapter
	if adapterDir != "" {
		if adapter, err = ReadAdapter(adapterDir); err != nil {
			return nil, err
		}
	}
	if err := s.knowLabels(adapter); err != nil {
		return nil, err
	}
	if err := s.readTask(part); err != nil {
		return nil, err
	}
	sets, err := s.labelled(part)
	if err != nil {
		return nil, err
	}
	model, err := s.trained(adapter)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	r := &runs.Results{Task: s.task.Name, Method: "eval", Seed: cfg.Seed, Primary: s.task.Primary, Part: string(part), Parameters: countParameters(model)}
	if _, _, err := s.score(ctx, model, sets, r); err != nil {
		return nil, err
	}
	s.noteTruncated()
	r.Seconds.Load = s.loaded.Seconds()
	r.PeakMemory, err = torchbind.PeakMemory()
	return &Outcome{Results: r}, err
}

// knowLabels finds out which classes the labels of own files mean: those of the
// adapter, or of the model's head, unless training data are given that say them.
func (s *session) knowLabels(adapter *StoredAdapter) error {
	if s.cfg.DevFile == "" {
		return nil
	}
	task, err := s.headTask(adapter)
	if err != nil {
		return err
	}
	if task.Kind.Writes() && !s.cfg.Kind.Writes() {
		return noHead(adapter)
	}
	if s.cfg.TrainFile == "" || adapter != nil && adapter.Labels != nil {
		s.labels = task.Labels
	}
	return nil
}

// labelled returns the data sets of a part to score on.
func (s *session) labelled(part data.Part) ([]*data.Dataset, error) {
	sets, other := s.splits.Dev, data.Test
	if part == data.Test {
		sets, other = s.splits.Test, data.Dev
	}
	if len(sets) == 0 {
		return nil, fmt.Errorf("the data of %s have no %s part: score on the %s part", s.task.Name, part, other)
	}
	for _, d := range sets {
		if !d.Labelled() {
			return nil, fmt.Errorf("%s has no labels (GLUE keeps those of its test sets): use autolora predict", d.Files[0])
		}
		if at := d.Rows(); at[len(at)-1] == 0 {
			return nil, fmt.Errorf("%s: the sentences to score on have no words", d.Files[0])
		}
	}
	return sets, nil
}

// trained loads the model as it was trained: with the adapter, or with its own
// head.
func (s *session) trained(adapter *StoredAdapter) (*nn.Model, error) {
	ownHead := adapter == nil || adapter.Outputs == 0
	head := nn.HeadFresh
	if ownHead {
		head = nn.HeadStored
		if outputs, err := nn.StoredOutputs(s.dir); err != nil || outputs == 0 && !s.task.Kind.Writes() {
			return nil, cmp.Or(err, noHead(adapter))
		}
	}
	model, err := s.load(head, false)
	if err != nil {
		return nil, err
	}
	if adapter != nil {
		err = s.fitAdapter(model, adapter.dir)
	}
	if err == nil && ownHead {
		err = s.fitHead(model)
	}
	if err != nil {
		model.Close()
		return nil, err
	}
	return model, nil
}

// fitAdapter loads the adapter into a model.
func (s *session) fitAdapter(model *nn.Model, dir string) error {
	if err := model.LoadAdapter(dir); err != nil {
		return err
	}
	if cfg, err := peft.ReadConfig(dir); err == nil && len(cfg.Unknown) > 0 {
		s.rep.Note(fmt.Sprintf("%s: settings of a newer PEFT are not known here and have no effect: %s", dir, strings.Join(cfg.Unknown, ", ")))
	}
	if s.task.Kind.Writes() {
		s.noteChatTemplate(dir)
	}
	return nil
}

// noteChatTemplate says that the folder of an adapter has another chat template than the
// model's, which alone is used.
func (s *session) noteChatTemplate(dir string) {
	own, errOwn := tokenizer.ChatTemplates(dir)
	base, err := tokenizer.ChatTemplates(s.dir)
	if errOwn == nil && err == nil && len(own) > 0 && !maps.Equal(own, base) {
		s.rep.Note(fmt.Sprintf("%s has a chat template of its own, which is not used: conversations are laid out by that of the model %s", dir, s.dir))
	}
}

// fitHead makes sure that the outputs of a model's own head are the task's
// classes, in their order.
func (s *session) fitHead(model *nn.Model) error {
	names := model.LabelNames()
	if s.task.Kind == data.Regression || s.task.Kind.Writes() || names == nil {
		return nil
	}
	order, err := data.FitHead(s.task.Labels, names)
	if err != nil {
		return err
	}
	return model.ReorderHead(order)
}

// AdapterFolder accepts a run's output folder for the adapter in it.
func AdapterFolder(dir string) string {
	inner := filepath.Join(dir, runs.AdapterDir)
	if info, err := os.Stat(inner); err == nil && info.IsDir() {
		return inner
	}
	return dir
}
