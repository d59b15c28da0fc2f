package job

import (
	"fmt"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// measure finds the ranks by a rule that needs no search, and writes ranks.json: what
// the rule wants is trained first, on the half on which a search trains weights or on
// all, then it looks at batches. All of that counts as search.
func (j *job) measure(phase string) error {
	rule := j.cfg.Rule
	if n := j.session.procs.size(); n > 1 {
		return settings.Errorf("rule", "%s looks at batches in one process, got %d: search with one, and train at its ranks with as many as you like", rule, n)
	}
	trainHalf, valHalf, err := data.Split(j.corpus.Data.Len(), j.cfg.Split, j.cfg.Seed)
	if err != nil {
		return err
	}
	model, err := j.session.load(nn.HeadIfStored, false)
	if err != nil {
		return err
	}
	defer model.Close()
	if err := j.checkBudget(model); err != nil {
		return err
	}
	m, err := rule.Measure(model, autolora.MeasureConfig{LoRA: j.cfg.LoRA(), K: int(j.cfg.K)})
	if err != nil {
		return err
	}
	trains, whole := rule.First()
	if whole {
		trainHalf = everyIndex(j.corpus.Data.Len())
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

	stage := &measureStage{Measurement: m, trainStage: trainStage{model: model, train: train, accumulate: 1}, val: val}
	switch trains {
	case autolora.TrainsHead:
		stage.trained = j.cfg.HeadSteps
	case autolora.TrainsLoRA:
		stage.trained = stepsFor(j.cfg.SearchSteps, j.cfg.SearchEpochs, perEpoch, 1)
	}
	if len(model.TrainableParams()) == 0 { // a language model has no head of its own
		stage.trained = 0
	}
	if stage.trained > 0 {
		how := j.session.execution(true, j.maskSeed(phase))
		defer how.Graphs.Close()
		stage.Trainer = autolora.NewTrainer(model, j.cfg.Before(stage.trained), nil, how)
	}
	first, other := m.Halves()
	steps := stage.trained
	if first {
		stage.observed = j.cfg.RuleBatches
		steps += j.cfg.RuleBatches
	}
	if other {
		steps += j.cfg.RuleBatches
	}
	if err := j.run(&loop{
		phase: phase, steps: steps, stage: stage,
		seconds: &j.results.Seconds.Search, count: &j.results.Steps.Search, work: &j.results.Cost.Search,
	}); err != nil {
		return err
	}
	costs, err := rankSizes(model, m.Layers())
	if err != nil {
		return err
	}
	worth, err := m.Worth(costs)
	if err != nil {
		return err
	}
	budget := int64(j.cfg.Parameters)
	found := rule.Ranks(autolora.Evidence{K: int(j.cfg.K), Worth: worth, Costs: costs, Budget: budget})
	ranks := j.newRanks(runs.Rule{Name: string(rule), Counts: runs.CountsWorth, Budget: budget}, m.Layers(), found)
	ranks.K, ranks.Steps = int(j.cfg.K), steps
	for i, row := range worth {
		ranks.Layers[i].Worth = row
	}
	if !whole {
		ranks.Split = fmt.Sprintf("%d/%d", len(trainHalf), len(valHalf))
	}
	return j.setRanks(ranks)
}

// measureStage is a measurement, with the training before it and the loaders of both
// halves.
type measureStage struct {
	autolora.Measurement
	trainStage // its Trainer is nil where nothing is trained
	val        *data.Loader
	trained    int // steps of the training
	observed   int // batches of the first half
}

func (m *measureStage) loaders() []*data.Loader { return []*data.Loader{m.train, m.val} }

func (m *measureStage) step(s *torchbind.Scope, i int) (stepReport, error) {
	if i < m.trained {
		return m.trainStage.step(s, i)
	}
	other, from := i >= m.trained+m.observed, m.train
	if other {
		from = m.val
	}
	b, err := nextBatch(s, m.model, from)
	if err != nil {
		return stepReport{}, err
	}
	return stepReport{
		note: fmt.Sprintf("batch %d", i+1-m.trained), work: runs.Work(m.Observe(s, b, other)),
		record: func() runs.Record { return runs.Record{} },
	}, nil
}

func (m *measureStage) Tensors() []autolora.NamedTensor {
	all := m.Measurement.Tensors()
	if m.Trainer != nil {
		all = append(all, m.Trainer.Tensors()...)
	}
	return all
}

func (m *measureStage) Counters() autolora.Counters {
	if m.Trainer == nil {
		return autolora.Counters{}
	}
	return m.Trainer.Counters()
}

func (m *measureStage) SetCounters(c autolora.Counters) error {
	if m.Trainer == nil {
		return nil
	}
	return m.Trainer.SetCounters(c)
}
