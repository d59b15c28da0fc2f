package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/human"
)

// PruningWords says how much of an adapter was left out and what that cost, where
// what is left lies, and what would do as well.
func PruningWords(p *runs.Pruning, ranks *runs.Ranks) []string {
	whole, chosen := p.Whole(), p.Chosen
	first := fmt.Sprintf("Of %s parameters %s are left, chosen by %s: the loss of the %s that chose %s by %s",
		human.Thousands(whole.Parameters), human.Thousands(chosen.Parameters), weighedBy[p.By], human.Count(p.Choosing, "example"), sided(chosen, "rose", "fell"), rise(chosen))
	switch {
	case chosen.Parameters == whole.Parameters:
		first = fmt.Sprintf("Nothing could be left out within the tolerance of %s: every smaller adapter that was tried lost more", shownLoss(p.Tolerance))
	case p.Budget == 0:
		first += fmt.Sprintf("; %s was allowed", shownLoss(p.Tolerance))
	}
	all := []string{first + "."}
	if r := p.Reported; r != nil {
		text := fmt.Sprintf("On the %s that had no say it is %s", human.Count(p.Reporting, "other example"), shownLoss(r.Loss))
		if p.Steps > 0 {
			text += fmt.Sprintf(" after %s of training", human.Count(p.Steps, "more step"))
		}
		if p.Steps > 0 || chosen.Parameters < whole.Parameters { // else it is the whole adapter's
			text += fmt.Sprintf(", %s %s the whole adapter's", rise(*r), sided(*r, "above", "below"))
		}
		all = append(all, text+".")
	}
	if ranks != nil {
		if where := whereLeft(*ranks); where != "" {
			all = append(all, "What is left lies in "+where+".")
		}
	}
	return append(all, "Where there is no adapter yet, training a small one is as good as cutting a large one.")
}

var weighedBy = map[string]string{runs.ByTrained: "singular values", runs.ByAblation: "ablation", runs.ByRandom: "chance"}

// rise returns by how much the loss is another, without the sign.
func rise(c runs.Cut) string {
	return fmt.Sprintf("%s (standard error %s)", shownLoss(math.Abs(c.Rise)), shownLoss(c.RiseError))
}

func shownLoss(v float64) string { return heldOut.format(Number(v)) }

// sided returns the word for the side that the loss is on.
func sided(c runs.Cut, above, below string) string {
	if c.Rise < 0 {
		return below
	}
	return above
}

// whereLeft counts the parts of each kind of layer.
func whereLeft(ranks runs.Ranks) string {
	layout, list := runs.NewLayout(ranks.Names()), ranks.List()
	type kind struct {
		name  string
		parts int
	}
	var kinds []kind
	for i, name := range layout.Kinds {
		parts := 0
		for _, block := range layout.Blocks {
			if layer, ok := layout.Layer(i, block); ok {
				parts += list[layer]
			}
		}
		if parts > 0 {
			kinds = append(kinds, kind{name, parts})
		}
	}
	slices.SortStableFunc(kinds, func(a, b kind) int { return b.parts - a.parts })
	var words []string
	for _, k := range kinds {
		words = append(words, fmt.Sprintf("%s (%s)", k.name, human.Count(k.parts, "part")))
	}
	return strings.Join(words, ", ")
}

// pruningPicture is the held-out loss of adapters against their parameters.
func (r *Report) pruningPicture() picture {
	p := picture{name: "pruning", Title: "Pruning", columns: 3,
		Caption: "Held-out loss of what is left of an adapter, on the examples that choose (bars: standard error of the rise). Dashed: what was allowed; the filled dot is what was chosen."}
	for _, run := range r.runs {
		cuts := run.Pruning
		if cuts == nil || len(cuts.Curve) < 2 {
			continue
		}
		part := lossCurve{x: parameters, joined: true, allowed: math.NaN()}
		for _, c := range cuts.Curve {
			part.points = append(part.points, lossPoint{float64(c.Parameters), c.Loss, c.RiseError, true})
		}
		part.chosen = lossPoint{float64(cuts.Chosen.Parameters), cuts.Chosen.Loss, cuts.Chosen.RiseError, true}
		if cuts.Budget == 0 {
			part.allowed = cuts.Whole().Loss + cuts.Tolerance
		}
		task, _ := taskOf(run.Results.Task)
		p.addLosses(fmt.Sprintf("%s, by %s", task.Title, weighedBy[cuts.By]), part)
	}
	return p
}
