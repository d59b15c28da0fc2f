package job

import (
	"fmt"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/nn"
)

// newRanks returns ranks of this job, a rank for every layer.
func (j *job) newRanks(rule runs.Rule, layers []string, ranks []int) runs.Ranks {
	r := runs.Ranks{Rule: rule, Model: j.cfg.Model, Task: j.session.task.Name, Seed: &j.cfg.Seed}
	for i, name := range layers {
		r.Layers = append(r.Layers, runs.LayerRank{Name: name, Rank: ranks[i]})
	}
	return r
}

// setRanks makes ranks those to train at, and writes ranks.json.
func (j *job) setRanks(ranks runs.Ranks) error {
	if err := j.out.WriteJSON(runs.RanksFile, ranks); err != nil {
		return err
	}
	j.ranks = &ranks
	j.wrote(runs.RanksFile)
	return nil
}

// deriveRanks makes the ranks of a control out of those of --ranks.
func (j *job) deriveRanks(model *nn.Model) error {
	sizes := make([]int64, len(j.ranks.Layers))
	for i, l := range j.ranks.Layers {
		size, err := model.RankSize(l.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", j.cfg.RanksFile, err)
		}
		sizes[i] = size
	}
	rule, ranks := runs.Rule{From: j.cfg.RanksFile}, j.ranks.List()
	switch j.method.Ranks {
	case runs.Spread:
		rule.Name, ranks = runs.RuleSpread, autolora.UniformRanks(ranks, sizes)
	case runs.Permuted:
		rule.Name, ranks = runs.RulePermuted, autolora.ShuffledRanks(ranks, sizes, j.cfg.Seed)
	}
	return j.setRanks(j.newRanks(rule, j.ranks.Names(), ranks))
}
