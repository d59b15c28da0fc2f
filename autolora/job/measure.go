package job

import (
	"fmt"
	"slices"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// measure finds the ranks by a rule that needs no search: what the rule wants is trained
// first, for so many steps if that is LoRA, on the half on which a search trains weights or
// on all, then the rule looks at batches. All of that counts as search.
func (j *job) measure(phase string, model *nn.Model, train, val *data.Loader, loraSteps int) (*runs.Ranks, error) {
	rule := j.cfg.Rule
	m, err := rule.Measure(model, autolora.MeasureConfig{LoRA: j.cfg.LoRA(), K: int(j.cfg.K)})
	if err != nil {
		return nil, err
	}
	stage := &measureStage{Measurement: m, trainStage: trainStage{model: model, train: train, accumulate: 1}, val: val}
	switch trains, _ := rule.First(); trains {
	case autolora.TrainsHead:
		stage.trained = j.cfg.HeadSteps
	case autolora.TrainsLoRA:
		stage.trained = loraSteps
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
		return nil, err
	}
	costs, err := rankSizes(model, m.Layers())
	if err != nil {
		return nil, err
	}
	worth, err := m.Worth(costs)
	if err != nil {
		return nil, err
	}
	for i, row := range worth {
		if at := slices.IndexFunc(row, func(v float64) bool { return !autolora.Finite(v) }); at >= 0 {
			return nil, fmt.Errorf("rule %s: layer %q: part %d is worth %v: the model's weights are broken", rule, m.Layers()[i], at+1, row[at])
		}
	}
	budget := int64(j.cfg.Parameters)
	found := rule.Ranks(autolora.Evidence{K: int(j.cfg.K), Worth: worth, Costs: costs, Budget: budget})
	ranks := j.newRanks(runs.Rule{Name: string(rule), Counts: runs.CountsWorth, Budget: budget}, m.Layers(), found)
	ranks.K, ranks.Steps = int(j.cfg.K), steps
	for i, row := range worth {
		ranks.Layers[i].Worth = row
	}
	return &ranks, nil
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
