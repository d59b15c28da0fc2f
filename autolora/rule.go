package autolora

import (
	"cmp"
	"fmt"
	"slices"

	"autolora/nn"
)

// RankRule is what gives the ranks of the layers. All rules come to what the rank-1
// parts of each layer are worth; without a budget of parameters each has a way of its
// own to ranks. A new one is a file and an entry of rankRules: a rule of the search
// reads its variables, any other has a Measurement.
type RankRule string

// The rules.
const (
	AlphaRule   RankRule = "alpha"   // the search's α, at or above the threshold of their form (paper)
	SigmoidRule RankRule = "sigmoid" // likewise, with α = sigmoid(a) (Table 4)
	FreeRule    RankRule = "none"    // likewise, with α = a (Table 4)
	// RawRule counts the entries of a at or above their mean. That is what the
	// published GLUE search does, a/Σa ≥ 1/k, wherever Σa > 0; below, its rule
	// would count the low entries.
	RawRule      RankRule = "raw"
	AblationRule RankRule = "ablation"
	TrainedRule  RankRule = "trained"
	GradientRule RankRule = "gradient"
	GoRARule     RankRule = "gora"
	EVARule      RankRule = "eva"
	GatesRule    RankRule = "gates" // of a search of gates, see rule_gates.go
)

// TrainedFirst is what a rule trains before it measures.
type TrainedFirst int

const (
	TrainsNothing TrainedFirst = iota
	TrainsHead                 // the head, on the model as it is
	TrainsLoRA                 // LoRA of rank k on all targets, and the head
)

// rankRule is an entry of rankRules.
type rankRule struct {
	name  RankRule
	form  AlphaForm              // of a rule of the search that has one of its own
	ranks func(e Evidence) []int // without a budget
	first TrainedFirst           // before it measures
	whole bool                   // trains on all the data, not on one half
	// measure returns the rule's measurement; nil of a rule of the search.
	measure func(model *nn.Model, cfg MeasureConfig) (Measurement, error)
}

var rankRules = []rankRule{
	{name: AlphaRule, ranks: atThreshold},
	{name: SigmoidRule, form: Sigmoid, ranks: atThreshold},
	{name: FreeRule, form: Free, ranks: atThreshold},
	{name: RawRule, ranks: func(e Evidence) []int { e.Form = Free; return atThreshold(e) }},
	{name: GatesRule, form: Gates, ranks: atThreshold},
	{name: AblationRule, ranks: halfOfAll, first: TrainsLoRA, measure: newAblations},
	{name: TrainedRule, ranks: halfOfAll, first: TrainsLoRA, whole: true, measure: newSingularValues},
	{name: GradientRule, ranks: halfOfAll, first: TrainsHead, measure: newGradients},
	{name: GoRARule, ranks: gora, first: TrainsHead, measure: newImportances},
	{name: EVARule, ranks: halfOfParts, measure: newVariances},
}

// RankRules lists the rules.
var RankRules = names(rankRules)

func names(rules []rankRule) []RankRule {
	var all []RankRule
	for _, r := range rules {
		all = append(all, r.name)
	}
	return all
}

// entry returns that of a rule; "" is AlphaRule.
func (r RankRule) entry() rankRule {
	i := slices.IndexFunc(rankRules, func(e rankRule) bool { return e.name == cmp.Or(r, AlphaRule) })
	if i < 0 {
		panic(fmt.Sprintf("rank rule %q: want one of %v", r, RankRules))
	}
	return rankRules[i]
}

// Searches reports whether the rule reads the variables of a search; any other has a
// measurement.
func (r RankRule) Searches() bool { return r.entry().measure == nil }

// Form returns the form of α that the rule has, or else the one that is set.
func (r RankRule) Form(set AlphaForm) AlphaForm { return cmp.Or(r.entry().form, set) }

// First returns what is trained before the rule measures, and whether on all the data.
func (r RankRule) First() (first TrainedFirst, whole bool) {
	e := r.entry()
	return e.first, e.whole
}

// Measure returns the measurement of a rule that needs no search, on a model without
// adapters, which gets those that are trained before.
func (r RankRule) Measure(model *nn.Model, cfg MeasureConfig) (Measurement, error) {
	return r.entry().measure(model, cfg)
}

// Evidence is what ranks are made of: what the parts of all layers are worth, and
// what may be spent on them.
type Evidence struct {
	K      int         // parts of a layer, at most
	Form   AlphaForm   // of a search
	Worth  [][]float64 // a row for every layer; of a search α, or a of RawRule
	Costs  []int64     // parameters of one part of each layer
	Budget int64       // parameters that all ranks together may have; 0: the rule decides
}

// Ranks returns the rank of every layer by the rule: within the budget the parts that
// are worth most for what they cost, without one what the rule says.
func (r RankRule) Ranks(e Evidence) []int {
	if e.Budget > 0 {
		return WithinBudget(e.Worth, e.Costs, e.Budget)
	}
	return r.entry().ranks(e)
}

// atThreshold counts the parts of every layer at or above the threshold of the form.
func atThreshold(e Evidence) []int {
	ranks := make([]int, len(e.Worth))
	for i, layer := range e.Worth {
		ranks[i] = e.Form.Rank(layer)
	}
	return ranks
}

// halfOfAll spends the parameters of rank k/2 everywhere, which the threshold of a
// search comes to by chance.
func halfOfAll(e Evidence) []int {
	var all int64
	for _, cost := range e.Costs {
		all += cost
	}
	return WithinBudget(e.Worth, e.Costs, all*int64(e.K)/2)
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
