package job

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"autolora/autolora/halving"
	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
)

// gridOf returns every way of giving each target one of the ranks, the last
// target's changing fastest. With the defaults, the ranks 1, 2, 4 and 8 for
// query and for value, these are the 16 configurations of the paper's Table 5,
// which does not say which ranks it tried.
func gridOf(targets []string, ranks []int64) (all []map[string]int64) {
	for _, point := range halving.Lattice(slices.Repeat([]int{len(ranks)}, len(targets))) {
		c := map[string]int64{}
		for axis, i := range point {
			c[targets[axis]] = ranks[i]
		}
		all = append(all, c)
	}
	return all
}

// gridSearch trains LoRA at every configuration of the grid on the half of the
// training data on which a search would train its weights, scores it on the
// other half. All that it costs counts as search.
func (j *job) gridSearch() error {
	trainHalf, valHalf, err := j.corpus.Data.Split(j.cfg.Split, j.cfg.Seed)
	if err != nil {
		return err
	}
	validation := j.corpus.Data.Select(valHalf)
	j.grid = runs.Grid{Metric: j.gridMetric()}
	if j.resumed != nil {
		before, err := stored(j.out.Dir, runs.GridFile, j.grid)
		if err != nil {
			return err
		}
		if before != nil { // else it was stopped in the first configuration
			j.grid = *before
		}
	}
	changed := func(want int) error {
		return fmt.Errorf("%s: %d configurations, want %d: it was changed", j.out.Path(runs.GridFile), len(j.grid.Configurations), want)
	}
	points := gridOf(j.cfg.Targets, j.cfg.GridRanks)
	for i, ranks := range points {
		phase := fmt.Sprintf("grid-%d", i+1)
		if j.completed(phase) {
			continue
		}
		if len(j.grid.Configurations) < i {
			return changed(i)
		}
		if j.resumed == nil && i > 0 {
			if err := j.enter(phase); err != nil {
				return err
			}
		}
		c, err := j.gridPoint(phase, ranks, trainHalf, validation)
		if err != nil {
			return err
		}
		j.grid.Configurations = append(j.grid.Configurations[:i], c)
		j.grid.Rank()
		if err := j.out.WriteJSON(runs.GridFile, j.grid); err != nil {
			return err
		}
	}
	if len(j.grid.Configurations) != len(points) {
		return changed(len(points))
	}
	j.grid.Rank() // whatever the file says
	j.wrote(runs.GridFile)
	return nil
}

// gridPoint trains and scores one configuration.
func (j *job) gridPoint(phase string, ranks map[string]int64, trainHalf []int, validation *data.Dataset) (c runs.Configuration, err error) {
	model, err := j.session.load(nn.HeadIfStored, false)
	if err != nil {
		return c, err
	}
	defer model.Close()
	lora := j.cfg.LoRA()
	if lora.Ranks, err = ranksByModule(model, j.cfg.Targets, ranks); err != nil {
		return c, err
	}
	if err := model.AddLoRA(lora); err != nil {
		return c, err
	}
	train, perEpoch, err := j.loader(trainHalf, j.cfg.BatchSize, phase, 0)
	if err != nil {
		return c, err
	}
	defer train.Close()
	steps := stepsFor(cmp.Or(j.cfg.GridSteps, j.cfg.Steps), j.cfg.Epochs, perEpoch, j.cfg.Accumulate)
	stage, graphs := j.trainer(model, train, steps, nil, phase)
	defer graphs.Close()
	l := &loop{
		phase: phase, steps: steps, stage: stage,
		seconds: &j.results.Seconds.Search, count: &j.results.Steps.Search, work: &j.results.Cost.Search,
	}
	c = runs.Configuration{Ranks: ranks, Adapter: countParameters(model).Adapter, Steps: steps}
	if err = j.run(l); err == nil {
		began := time.Now()
		if c.Score, err = j.gridScore(model, validation); err != nil {
			err = l.ended(steps, err)
		}
		j.results.Seconds.Search += time.Since(began).Seconds()
	}
	if d, ok := errors.AsType[*DivergedError](err); ok {
		j.session.rep.Note(fmt.Sprintf("%s %v: %s: it counts as the worst", phase, ranks, d.What))
		c.Score, err = -math.MaxFloat64, nil
	}
	return c, err
}

// gridMetric is what configurations are ranked by: the task's main score, but in
// generation the loss, for a beam search over half of the training data would
// cost more than the training.
func (j *job) gridMetric() string {
	if j.session.task.Kind.Writes() {
		return "negated loss"
	}
	return j.session.task.Primary
}

// gridScore returns the score of a configuration; higher is better.
func (j *job) gridScore(model *nn.Model, validation *data.Dataset) (float64, error) {
	rep := j.session.rep
	rep.Begin("eval", 0, validation.Len())
	defer rep.End()
	part, err := j.session.appraise(j.ctx, model, validation, computing{work: &j.results.Cost.Search, progress: func(done int) { rep.Advance(done, "") }})
	if j.session.task.Kind.Writes() {
		return -part.losses.Mean(), err
	}
	return part.scores[j.session.task.Primary], err
}

// ranksByModule returns the rank of every module that the targets name.
func ranksByModule(model *nn.Model, targets []string, ranks map[string]int64) (map[string]int64, error) {
	byModule := map[string]int64{}
	for _, target := range targets {
		modules, err := model.Modules([]string{target})
		if err != nil {
			return nil, err
		}
		for _, m := range modules {
			byModule[m] = ranks[target]
		}
	}
	return byModule, nil
}

// bestOfGrid makes the ranks of the best configuration those to train at.
func (j *job) bestOfGrid(model *nn.Model) error {
	best := j.grid.Configurations[j.grid.Best]
	byModule, err := ranksByModule(model, j.cfg.Targets, best.Ranks)
	if err != nil {
		return err
	}
	modules, err := model.Modules(j.cfg.Targets)
	if err != nil {
		return err
	}
	each := make([]int, len(modules))
	for i, m := range modules {
		each[i] = int(byModule[m])
	}
	ranks := j.newRanks(runs.Rule{Name: runs.RuleGrid, Tried: len(j.grid.Configurations), Metric: j.grid.Metric}, modules, each)
	ranks.Steps = j.results.Steps.Search
	return j.setRanks(ranks)
}
