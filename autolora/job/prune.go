package job

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/human"
	"autolora/nn"
	"autolora/nn/peft"
	"autolora/torchbind"
)

// Prune cuts the trained adapter cfg.Adapter to the smallest that is as good on the
// task's dev set, or to cfg.Parameters, and writes it into cfg.Out. Half of the dev
// set, drawn by the seed, chooses, so that the other half can say what was chosen.
func Prune(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	cfg.Adapter = AdapterFolder(cfg.Adapter)
	cfg.EvalOn = data.Dev
	if cfg.LR == 0 { // that of the run which made the adapter
		if made, err := readSavedConfig(filepath.Dir(cfg.Adapter)); err == nil && made != nil {
			cfg.LR = made.Settings.LR
		}
	}
	return doWith(ctx, host, cfg, "prune", newPruning, (*job).prune)
}

// newPruning reads the adapter and the data of a job that cuts it.
func newPruning(ctx context.Context, s *session) (*job, error) {
	if s.cfg.LR == settings.Auto {
		return nil, settings.Errorf("lr", "got %s: a pruning makes no trials: want a rate", settings.AutoWord)
	}
	adapter, err := ReadAdapter(s.cfg.Adapter)
	if err != nil {
		return nil, err
	}
	if adapter.Bottleneck() {
		return nil, settings.Errorf("adapter", "%s holds a %s: only LoRA has parts that can be left out", s.cfg.Adapter, adapter.Form)
	}
	if err := s.knowLabels(adapter); err != nil {
		return nil, err
	}
	parts := []data.Part{data.Dev}
	switch train := s.cfg.TrainFile != "" || s.cfg.Task != ""; {
	case s.cfg.Steps > 0 && !train:
		return nil, settings.Errorf("steps", "got %d, but no training data are given", s.cfg.Steps)
	case s.cfg.Steps > 0:
		parts = append(parts, data.Train)
	}
	if err := s.readTask(parts...); err != nil {
		return nil, err
	}
	dev, err := s.labelled(data.Dev)
	if err != nil {
		return nil, err
	}
	j := &job{ctx: ctx, cfg: s.cfg, session: s, adapter: adapter}
	if j.adapterSum, err = peft.Fingerprint(adapter.dir); err != nil {
		return nil, err
	}
	if j.choosing, j.scored, err = halves(dev[0], s.cfg.Seed); err != nil {
		return nil, err
	}
	read := dev[:1:1]
	if train := s.splits.Train; s.cfg.Steps > 0 { // else they say the labels alone
		j.corpus, read = s.corpus(train), append(read, train)
		j.results.TrainExamples, j.results.LR = train.Len(), s.cfg.LR
	}
	if err := s.checkTokens(ctx, read); err != nil {
		return nil, err
	}
	j.results.Task, j.results.Method, j.results.Seed, j.results.Primary, j.results.Part = s.task.Name, runs.MethodPrune, s.cfg.Seed, s.task.Primary, string(data.Dev)
	j.wrote(runs.ConfigFile, runs.MetricsFile)
	return j, nil
}

// mostChoosing bounds the examples that choose: each of some ten cuts is evaluated on
// all of them.
const mostChoosing = 2000

// halves divides a dev set into examples that choose a cut and the others, that say
// what it is worth.
func halves(dev *data.Dataset, seed uint64) (choosing *data.Dataset, reporting []*data.Dataset, err error) {
	if n := dev.Len(); n < 4 {
		return nil, nil, fmt.Errorf("%s has %d examples, want at least 4: half of them choose how much is cut, the others say what is left", dev.Files[0], n)
	}
	if counts := dev.LabelCounts(); len(counts) > 1 && counts[1].Count == 0 { // the commonest comes first
		return nil, nil, fmt.Errorf("%s: %s is the only class in it: the loss does not say what an adapter knows; give examples of every class", dev.Files[0], counts[0].Label)
	}
	a, b, err := dev.Split(0.5, seed)
	if err != nil {
		return nil, nil, err
	}
	if len(a) > mostChoosing {
		some := data.Subset(len(a), mostChoosing, seed)
		for i, at := range some {
			some[i] = a[at]
		}
		a = some
	}
	return dev.Select(a), []*data.Dataset{dev.Select(b)}, nil
}

// prune weighs the parts of the adapter, chooses, cuts, and writes what is left.
func (j *job) prune() error {
	const phase = "prune"
	model, err := j.session.trained(j.adapter)
	if err != nil {
		return err
	}
	defer model.Close()
	before := j.results // of an earlier session
	x, err := newCutter(j, model)
	if err != nil {
		return err
	}
	whole, err := j.session.losses(j.ctx, model, j.scored[0], &j.results.Cost.Eval)
	if err != nil {
		return err
	}
	if j.completed(phase) {
		j.results = before // what was done anew does not count
		err = j.readPruning()
	} else {
		err = x.choose()
	}
	if err != nil {
		return err
	}
	model.Keep(autolora.KeepBest(x.worth, x.ranksWithin(j.pruning.Chosen.Parameters)))
	failure := j.trainOn(model, func() error { return j.report(model, whole) })
	if failure != nil && !diverged(failure) {
		return failure
	}
	return j.leave(model, failure)
}

// readPruning takes what an earlier session chose.
func (j *job) readPruning() error {
	if err := j.out.ReadJSON(runs.PruneFile, &j.pruning); err != nil {
		return err
	}
	ranks, err := j.out.Ranks()
	j.ranks = &ranks
	j.wrote(runs.PruneFile, runs.RanksFile)
	return err
}

// trainOn goes on training what is left, if it is to be trained, and reports.
func (j *job) trainOn(model *nn.Model, report func() error) error {
	const phase = "train"
	if j.cfg.Steps == 0 {
		return report()
	}
	if j.resumed == nil {
		if err := j.enter(phase); err != nil {
			return err
		}
	}
	train, _, err := j.loader(everyIndex(j.corpus.Data.Len()), j.cfg.BatchSize, phase, 0)
	if err != nil {
		return err
	}
	defer train.Close()
	stage, graphs := j.trainer(model, train, j.cfg.Steps, nil, phase)
	defer graphs.Close()
	l := &loop{
		phase: phase, steps: j.cfg.Steps, stage: stage,
		seconds: &j.results.Seconds.Train, count: &j.results.Steps.Train, work: &j.results.Cost.Train, curve: &j.results.TrainLoss,
	}
	if err := j.run(l); err != nil {
		return err
	}
	if err := report(); err != nil {
		return l.ended(j.cfg.Steps, err)
	}
	return nil
}

// report scores what is left on the examples that did not choose, beside the losses of
// the whole adapter: in generation by the loss alone, for what is written says less and
// costs more.
func (j *job) report(model *nn.Model, whole runs.Losses) error {
	if j.session.task.Kind != data.Generation {
		if err := j.evaluate(model); err != nil {
			return err
		}
	} else {
		began := time.Now()
		losses, err := j.session.losses(j.ctx, model, j.scored[0], &j.results.Cost.Eval)
		if err != nil {
			return err
		}
		losses.Part = string(data.Dev)
		if err := losses.Write(j.out); err != nil {
			return err
		}
		j.wrote(runs.LossesFile)
		j.results.Scores, j.results.Primary, j.results.Examples = metrics.Scores{metrics.NameLoss: losses.Mean()}, metrics.NameLoss, len(losses.Loss)
		j.results.Seconds.Eval += time.Since(began).Seconds()
	}
	losses, err := runs.ReadLosses(j.out.Dir)
	if err != nil {
		return err
	}
	reported := runs.NewCut(j.pruning.Chosen.Parameters, losses, whole)
	j.pruning.Reported = &reported
	return j.out.WriteJSON(runs.PruneFile, j.pruning)
}

// cutter evaluates an adapter cut to different sizes.
type cutter struct {
	*job
	model *nn.Model
	worth [][]float64 // of every part, a row a layer
	costs []int64     // parameters of one part of each layer
	whole runs.Losses // of the whole adapter, on the examples that choose
}

func newCutter(j *job, model *nn.Model) (*cutter, error) {
	x := &cutter{job: j, model: model}
	layers := model.JoinedLoRAs()
	if len(layers) == 0 {
		return nil, settings.Errorf("adapter", "%s has no LoRA layer: nothing is to be cut", j.cfg.Adapter)
	}
	x.costs = autolora.PartCosts(model)
	budget, least, most := int64(j.cfg.Parameters), slices.Min(x.costs), nn.NumEl(model.AdapterParams())
	switch {
	case budget > 0 && budget < least:
		return nil, settings.Errorf("parameters", "got %d, want at least %d: one part of %s", budget, least, layers[slices.Index(x.costs, least)][0].Module)
	case budget > 0 && budget >= most:
		return nil, settings.Errorf("parameters", "got %d, but the adapter has %d: there is nothing to cut", budget, most)
	}
	return x, x.weigh()
}

// weigh finds out what the parts are worth.
func (x *cutter) weigh() (err error) {
	began := time.Now()
	if x.worth, err = autolora.Trained(x.model); err != nil {
		return err
	}
	switch x.cfg.By {
	case runs.ByRandom:
		x.worth = autolora.RandomWorth(x.worth, x.costs, x.cfg.Seed)
	case runs.ByAblation:
		err = x.ablate()
	}
	x.results.Seconds.Search += time.Since(began).Seconds()
	return err
}

// ablate weighs the parts by ablation on the examples that choose.
func (x *cutter) ablate() error {
	d := x.choosing
	if d.Kind == data.Generation {
		d = d.Targets()
	}
	d, err := x.session.pieces(d)
	if err != nil {
		return err
	}
	const rounds = 4
	cfg := autolora.AblationConfig{Rounds: rounds, Seed: x.cfg.Seed}
	x.session.rep.Begin("ablation", 0, rounds*d.Len())
	defer x.session.rep.End()
	before := 0
	var work autolora.Work
	x.worth, work, err = autolora.Ablate(x.model, cfg, func(add func(*torchbind.Scope, *autolora.Batch) error) error {
		defer func() { before += d.Len() }()
		// Ablate counts what it computes of a batch.
		return x.session.eachBatchWithGraph(x.ctx, x.model, d, new(runs.Work), func(scope *torchbind.Scope, b *autolora.Batch, _ *data.Batch, done int) error {
			x.session.rep.Advance(before+min(done, d.Len()), "")
			return add(scope, b)
		})
	})
	x.pruning.Cost = runs.Work(work)
	x.results.Cost.Search.Add(x.pruning.Cost)
	return err
}

// choose evaluates cuts, takes one, and writes prune.json and ranks.json.
func (x *cutter) choose() (err error) {
	began := time.Now()
	p := &x.pruning
	*p = runs.Pruning{
		By: x.cfg.By, Tolerance: x.cfg.Tolerance, Budget: int64(x.cfg.Parameters), Choosing: x.choosing.Len(), Reporting: x.scored[0].Len(),
		Cost: p.Cost, Steps: x.cfg.Steps,
	}
	if x.whole, err = x.session.losses(x.ctx, x.model, x.choosing, &x.results.Cost.Search); err != nil {
		return err
	}
	if p.Tolerance < 0 {
		p.Tolerance = x.whole.StandardError()
	}
	most := nn.NumEl(x.model.AdapterParams())
	p.Curve = []runs.Cut{runs.NewCut(most, x.whole, x.whole)}
	x.session.rep.Begin("prune", 0, halvings)
	defer x.session.rep.End()
	for i := 1; ; i++ {
		budget := most >> i
		if budget < slices.Min(x.costs) || i > halvings && !p.Within(p.Curve[len(p.Curve)-1]) {
			break
		}
		if err := x.cut(budget); err != nil {
			return err
		}
		x.session.rep.Advance(min(i, halvings), fmt.Sprintf("%s parameters, loss %s", human.Thousands(budget), human.Score(p.Curve[len(p.Curve)-1].Loss, 3)))
	}
	if p.Choose(); p.Budget > 0 {
		if err := x.cut(p.Budget); err != nil {
			return err
		}
		p.Chosen = p.Curve[len(p.Curve)-1]
	} else if err := x.refine(); err != nil {
		return err
	}
	slices.SortStableFunc(p.Curve, func(a, b runs.Cut) int { return int(b.Parameters - a.Parameters) })
	x.results.Seconds.Search += time.Since(began).Seconds()
	if err := x.out.WriteJSON(runs.PruneFile, p); err != nil {
		return err
	}
	x.wrote(runs.PruneFile)
	rule := runs.Rule{Name: runs.RulePruned, From: x.cfg.Adapter, Metric: p.By, Budget: p.Chosen.Parameters}
	var names []string
	var ranks []int
	left := x.ranksWithin(p.Chosen.Parameters)
	for i, joined := range x.model.JoinedLoRAs() {
		for _, l := range joined {
			names, ranks = append(names, l.Module), append(ranks, left[i])
		}
	}
	return x.setRanks(x.newRanks(rule, names, ranks))
}

// halvings are how often the parameters are halved at least, and refinements how
// often the way from the chosen cut to the next smaller one is.
const (
	halvings    = 6
	refinements = 3
)

// refine looks for a smaller cut within the tolerance, between the chosen one and the
// next smaller one of the curve, which is not.
func (x *cutter) refine() error {
	p := &x.pruning
	for range refinements {
		below := int64(0)
		for _, c := range p.Curve {
			if c.Parameters < p.Chosen.Parameters {
				below = max(below, c.Parameters)
			}
		}
		if below == 0 {
			return nil
		}
		if err := x.cut(int64(math.Sqrt(float64(below) * float64(p.Chosen.Parameters)))); err != nil {
			return err
		}
		p.Choose()
	}
	return nil
}

func (x *cutter) ranksWithin(budget int64) []int {
	return autolora.WithinBudget(x.worth, x.costs, budget)
}

// cut adds the adapter of at most so many parameters to the curve, unless it is there
// already.
func (x *cutter) cut(budget int64) error {
	ranks := x.ranksWithin(budget)
	parameters := int64(0)
	for i, rank := range ranks {
		parameters += int64(rank) * x.costs[i]
	}
	p := &x.pruning
	if i := slices.IndexFunc(p.Curve, func(c runs.Cut) bool { return c.Parameters == parameters }); i >= 0 {
		again := p.Curve[i]
		p.Curve = append(slices.Delete(p.Curve, i, i+1), again)
		return nil
	}
	s := torchbind.NewScope()
	defer s.Close()
	var gates []float32
	keep := autolora.KeepBest(x.worth, ranks)
	for i, joined := range x.model.JoinedLoRAs() {
		for range joined {
			for _, stays := range keep[i] {
				gates = append(gates, map[bool]float32{true: 1}[stays])
			}
		}
	}
	like := x.model.LoRAs()[0].A.Value
	open := torchbind.To(s, torchbind.FromSlice(s, gates, []int64{int64(len(gates))}, torchbind.CPU), like.DType(), like.Device())
	x.model.Select(s, open)
	defer x.model.Select(s, nil)
	losses, err := x.session.losses(x.ctx, x.model, x.choosing, &x.results.Cost.Search)
	if err != nil {
		return err
	}
	p.Curve = append(p.Curve, runs.NewCut(parameters, losses, x.whole))
	return nil
}
