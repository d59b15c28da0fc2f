package job

import (
	"fmt"
	"slices"
	"strings"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
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

// rankSizes returns the parameters that one rank of each of the modules costs.
func rankSizes(model *nn.Model, modules []string) ([]int64, error) {
	sizes := make([]int64, len(modules))
	for i, name := range modules {
		var err error
		if sizes[i], err = model.RankSize(name); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}

// noteTargets says which modules the targets stand for, where these have other names.
func (j *job) noteTargets(model *nn.Model) {
	for _, note := range model.Translated(j.cfg.Targets) {
		j.session.noteOnce(note)
	}
}

// budgeted returns the modules of the targets, and what one rank of each costs. It is an
// error if the budget does not pay for one rank of any.
func (j *job) budgeted(model *nn.Model) (modules []string, sizes []int64, err error) {
	if modules, err = model.Modules(j.cfg.Targets); err == nil {
		j.noteTargets(model)
		sizes, err = rankSizes(model, modules)
	}
	if err != nil {
		return nil, nil, err
	}
	if budget := int64(j.cfg.Parameters); budget > 0 && slices.Min(sizes) > budget {
		least := slices.Min(sizes)
		return nil, nil, settings.Errorf("parameters", "got %d, want at least %d: the smallest adapter of these targets is one rank of %s", budget, least, modules[slices.Index(sizes, least)])
	}
	return modules, sizes, nil
}

// spreadBudget makes the ranks of the budget, spread evenly over the targets, those to
// train at.
func (j *job) spreadBudget(model *nn.Model) error {
	modules, sizes, err := j.budgeted(model)
	if err != nil {
		return err
	}
	budget := int64(j.cfg.Parameters)
	return j.setRanks(j.newRanks(runs.Rule{Name: runs.RuleSpread, Budget: budget}, modules, autolora.EvenRanks(budget, sizes)))
}

// checkTargets returns an error if AutoLoRA is to train at ranks of a file that are of
// other layers than the targets that are given.
func (j *job) checkTargets(model *nn.Model) error {
	if given, _ := j.cfg.Find("target"); j.cfg.RanksFile == "" || j.method.Ranks != runs.Searched || given.IsDefault() {
		return nil
	}
	modules, err := model.Modules(j.cfg.Targets)
	if err != nil {
		return err
	}
	names := j.ranks.Names()
	for _, c := range []struct {
		has       string
		these, in []string
	}{{"no rank", modules, names}, {"a rank", names, modules}} {
		if at := slices.IndexFunc(c.these, func(name string) bool { return !slices.Contains(c.in, name) }); at >= 0 {
			return settings.Errorf("target", "got %s, but %s has %s of %s: leave target out, or search with it", strings.Join(j.cfg.Targets, ","), j.cfg.RanksFile, c.has, c.these[at])
		}
	}
	return nil
}

// cutRanks leaves as much of the ranks of a file as the budget pays for, by what
// the file says of the worth of their parts.
func (j *job) cutRanks(model *nn.Model) error {
	budget, total := int64(j.cfg.Parameters), int64(0)
	sizes, err := rankSizes(model, j.ranks.Names())
	if err != nil {
		return fmt.Errorf("%s: %w", j.cfg.RanksFile, err)
	}
	var worth [][]float64
	for i, l := range j.ranks.Layers {
		worth = append(worth, slices.Concat(l.Alpha, l.Worth)) // one of the two
		total += int64(l.Rank) * sizes[i]
	}
	if budget == 0 || total <= budget {
		return nil
	}
	for i, row := range worth {
		if len(row) == 0 {
			return settings.Errorf("parameters", "got %d, but the ranks of %s have %d, and the file does not say what the parts of %s are worth: search with this budget", budget, j.cfg.RanksFile, total, j.ranks.Layers[i].Name)
		}
	}
	ranks := *j.ranks
	ranks.Layers = slices.Clone(ranks.Layers)
	ranks.Rule.Threshold, ranks.Rule.Budget = "", budget
	for i, rank := range autolora.WithinBudget(worth, sizes, budget) {
		ranks.Layers[i].Rank = rank
	}
	return j.setRanks(ranks)
}

// deriveRanks makes the ranks of a control out of those of a file.
func (j *job) deriveRanks(model *nn.Model) error {
	sizes, err := rankSizes(model, j.ranks.Names())
	if err != nil {
		return fmt.Errorf("%s: %w", j.cfg.RanksFile, err)
	}
	rule, ranks := runs.Rule{From: j.cfg.RanksFile}, j.ranks.List()
	switch j.method.Ranks {
	case runs.Spread:
		rule.Name, ranks = runs.RuleSpread, autolora.UniformRanks(ranks, sizes)
	case runs.Permuted:
		rule.Name, ranks = runs.RulePermuted, autolora.ShuffledRanks(ranks, sizes, j.cfg.Seed)
	case runs.Drawn:
		most := max(j.ranks.K, slices.Max(ranks))
		rule.Name, ranks = runs.RuleDrawn, autolora.RandomRanks(ranks, sizes, most, j.cfg.Seed)
	}
	return j.setRanks(j.newRanks(rule, j.ranks.Names(), ranks))
}
