package autolora

import (
	"cmp"
	"slices"
)

// RankRule is what gives the ranks of the layers after a search. A new one is a
// file with a function of Evidence, and an entry of rankRules.
type RankRule string

// The rules.
const (
	AlphaRule RankRule = "alpha" // α at or above the form's threshold (paper)
	// RawRule counts the entries of a at or above their mean. That is what the
	// published GLUE search does, a/Σa ≥ 1/k, wherever Σa > 0; below, its rule
	// would count the low entries.
	RawRule RankRule = "raw"
)

// Evidence is what a rule decides by: the variables of all layers, a row of k
// numbers each, and what it may spend.
type Evidence struct {
	Form  AlphaForm
	Alpha [][]float64 // α
	Raw   [][]float64 // a

	Costs  []int64 // parameters of one rank of each layer
	Budget int64   // parameters that all ranks together may have; 0: the rule's own threshold counts
}

var rankRules = map[RankRule]func(Evidence) []int{
	AlphaRule: func(e Evidence) []int { return e.ranks(e.Form, e.Alpha) },
	RawRule:   func(e Evidence) []int { return e.ranks(Free, e.Raw) },
}

// RankRules lists the rules.
var RankRules = []RankRule{AlphaRule, RawRule}

// ranks counts the parts of every layer by their worth: those that the budget is
// spent on, or without one those at or above the threshold of the form.
func (e Evidence) ranks(form AlphaForm, worth [][]float64) []int {
	if e.Budget > 0 {
		return WithinBudget(worth, e.Costs, e.Budget)
	}
	ranks := make([]int, len(worth))
	for i, layer := range worth {
		ranks[i] = form.Rank(layer)
	}
	return ranks
}

// WithinBudget spends a budget of parameters on the parts of all layers that are
// worth most for what they cost, and returns how many of each layer's. worth has
// a row for every layer, costs the parameters of one part of each.
func WithinBudget(worth [][]float64, costs []int64, budget int64) []int {
	var layers []int // of every part
	var each []int64
	for i, row := range worth {
		layers = append(layers, slices.Repeat([]int{i}, len(row))...)
		each = append(each, slices.Repeat(costs[i:i+1], len(row))...)
	}
	ranks := make([]int, len(worth))
	for part, stays := range largest(slices.Concat(worth...), each, budget) {
		if stays {
			ranks[layers[part]]++
		}
	}
	return ranks
}

// KeepBest returns which parts are left where each layer has the rank given: those of
// the highest worth in it, of equal ones the first.
func KeepBest(worth [][]float64, ranks []int) [][]bool {
	keep := make([][]bool, len(worth))
	for i, row := range worth {
		each := slices.Repeat([]int64{1}, len(row))
		keep[i] = largest(row, each, int64(ranks[i]))
	}
	return keep
}

// largest reports which parts a budget is spent on: those with the highest score
// for their cost first, as long as they fit. Of equal ones the first go before the
// others.
func largest(scores []float64, costs []int64, budget int64) []bool {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Compare(scores[j]/float64(costs[j]), scores[i]/float64(costs[i]))
	})
	keep := make([]bool, len(scores))
	for _, i := range order {
		if costs[i] <= budget {
			keep[i] = true
			budget -= costs[i]
		}
	}
	return keep
}
