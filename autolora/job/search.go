package job

import (
	"errors"
	"fmt"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/human"
	"autolora/nn"
	"autolora/torchbind"
)

// search finds ranks, and writes ranks.json: by selection variables, or by a rule that
// needs none. The halves of the training set are those on which a search learns them, and
// W meanwhile.
func (j *job) search() error {
	const phase = "search"
	if j.completed(phase) {
		ranks, err := j.out.Ranks()
		j.ranks = &ranks
		j.wrote(runs.RanksFile)
		return err
	}
	rule, find := j.cfg.Rule, j.learn
	if !rule.Searches() {
		find = j.measure
		if n := j.session.procs.size(); n > 1 {
			return settings.Errorf("rule", "%s looks at batches in one process, got %d: search with one, and train at its ranks with as many as you like", rule, n)
		}
	}
	trainHalf, valHalf, err := j.corpus.Data.Split(j.cfg.Split, j.cfg.Seed)
	if err != nil {
		return err
	}
	split := fmt.Sprintf("%d/%d", len(trainHalf), len(valHalf))
	if _, whole := rule.First(); whole {
		trainHalf, split = everyIndex(j.corpus.Data.Len()), ""
	}
	model, err := j.session.load(nn.HeadIfStored, false)
	if err != nil {
		return err
	}
	defer model.Close()
	if _, _, err := j.budgeted(model); err != nil {
		return err
	}
	train, perEpoch, err := j.loader(trainHalf, j.cfg.SearchBatch(), "search train", 0)
	if err != nil {
		return err
	}
	defer train.Close()
	val, _, err := j.loader(valHalf, j.cfg.SearchBatch(), "search validation", 1)
	if err != nil {
		return err
	}
	defer val.Close()
	ranks, failure := find(phase, model, train, val, stepsFor(j.cfg.SearchSteps, j.cfg.SearchEpochs, perEpoch, 1))
	if ranks == nil {
		return failure
	}
	ranks.Split = split
	return errors.Join(failure, j.setRanks(*ranks))
}

// learn learns the selection variables on val while W learns on train. A search that
// diverges has ranks too, of its last good step.
func (j *job) learn(phase string, model *nn.Model, train, val *data.Loader, steps int) (*runs.Ranks, error) {
	cfg := j.cfg.Search(steps)
	how := j.session.execution(cfg.Replayable(), j.maskSeed(phase))
	defer how.Graphs.Close()
	x, err := autolora.NewSearch(model, j.cfg.LoRA(), cfg, how)
	if err != nil {
		return nil, err
	}
	failure := j.run(&loop{
		phase: phase, steps: steps, stage: &searchStage{Search: x, model: model, train: train, val: val},
		seconds: &j.results.Seconds.Search, count: &j.results.Steps.Search, work: &j.results.Cost.Search,
	})
	if failure != nil && !diverged(failure) {
		return nil, failure
	}
	ranks := j.newRanks(ruleOf(cfg), x.Layers(), x.Ranks())
	ranks.K, ranks.Steps, ranks.Mode, ranks.LookAhead, ranks.Eta = int(x.K), steps, string(x.Mode), string(x.LookAhead), &x.Eta
	for i, alpha := range x.Alphas() {
		ranks.Layers[i].Alpha = alpha
	}
	if d, ok := errors.AsType[*DivergedError](failure); ok {
		ranks.Steps = int(d.Good)
		d.Saved = j.out.Path(runs.RanksFile)
	}
	return &ranks, failure
}

// ruleOf returns the rule of a search as ranks.json has it.
func ruleOf(x autolora.SearchConfig) runs.Rule {
	rule := runs.Rule{Name: string(x.Rule), Form: string(x.Form), Counts: runs.CountsAlpha, Threshold: runs.Mean, Budget: x.Budget}
	switch {
	case x.Rule == autolora.RawRule:
		rule.Counts = runs.CountsRaw
	case x.Form == autolora.Gates:
		rule.Counts = runs.CountsGates
	}
	switch {
	case x.Budget > 0:
		rule.Threshold = ""
	case x.Form == autolora.Gates, x.Form == autolora.Sigmoid && x.Rule != autolora.RawRule:
		rule.Threshold = "0.5"
	}
	if x.Form == autolora.Softmax {
		rule.Scale = x.Scale
	}
	return rule
}

// searchStage is a search and the loaders of its two halves.
type searchStage struct {
	*autolora.Search
	model      *nn.Model
	train, val *data.Loader
	latest     autolora.SearchStep // the latest step that updated a
}

func (x *searchStage) loaders() []*data.Loader { return []*data.Loader{x.train, x.val} }

func (x *searchStage) step(s *torchbind.Scope, i int) (stepReport, error) {
	t, err := nextBatch(s, x.model, x.train)
	if err != nil {
		return stepReport{}, err
	}
	var v *autolora.Batch
	updateA := (i+1)%x.Unroll == 0
	if updateA {
		if v, err = nextBatch(s, x.model, x.val); err != nil {
			return stepReport{}, err
		}
	}
	step := x.Iterate(s, t, v, updateA)
	step.TrainLoss *= x.model.LossScale()
	step.ValLoss *= x.model.LossScale()
	if updateA {
		x.latest = step
	}
	r := stepReport{note: "loss " + human.Score(step.TrainLoss, 3), work: runs.Work(step.Work)}
	if !step.Finite() {
		r.trouble = step.Trouble()
	}
	ratio := x.latest.Ratio()
	if autolora.Finite(ratio) { // else a was not updated yet
		r.note += fmt.Sprintf("  implicit/direct %.1e", ratio)
	}
	r.record = func() runs.Record {
		record := runs.Record{Loss: number(step.TrainLoss), Ranks: x.Ranks(), Alpha: x.Alphas()}
		if autolora.Finite(ratio) {
			record.ValLoss, record.Direct, record.Implicit, record.Ratio =
				number(x.latest.ValLoss), number(x.latest.Direct), number(x.latest.Implicit), number(ratio)
		}
		return record
	}
	return r, nil
}
