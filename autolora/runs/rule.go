package runs

import (
	"encoding/json"
	"fmt"
)

// Rule is how ranks came about.
type Rule struct {
	Name string `json:"name"` // the setting rule, or one of the rules below

	// Of a search.
	Form      string  `json:"form,omitempty"`      // how α comes from the variables a: softmax, none or sigmoid
	Counts    string  `json:"counts,omitempty"`    // what a rank is the number of: CountsAlpha, CountsRaw or CountsGates; without a search CountsWorth
	Scale     float64 `json:"scale,omitempty"`     // S of S·softmax
	Threshold string  `json:"threshold,omitempty"` // from where on it counts: Mean, of the layer, or a number
	Budget    int64   `json:"budget,omitempty"`    // parameters that those worth most may have, in place of a threshold

	From   string `json:"from,omitempty"`   // of a control: the ranks that it is made of; of a cut: the adapter
	Tried  int    `json:"tried,omitempty"`  // of a grid: its configurations
	Metric string `json:"metric,omitempty"` // of a grid: what they are ranked by; of a cut: what its parts are weighed by
}

// What a rule of a search counts, and a threshold.
const (
	CountsAlpha = "α"
	CountsRaw   = "raw a"
	CountsWorth = "worth"
	CountsGates = "gates"
	Mean        = "mean"
)

// The rules of what is no search.
const (
	RuleAdaLoRA  = "adalora"  // parts that the budget left
	RuleGrid     = "grid"     // the best of a grid
	RuleSpread   = "spread"   // a control: the parameters spread evenly
	RulePermuted = "permuted" // a control: the ranks permuted over the layers
	RuleDrawn    = "random"   // a control: the parameters placed at random
	RulePruned   = "pruned"   // what was left of an adapter
)

// String says the rule in a sentence.
func (r Rule) String() string {
	switch {
	case r.Name == RuleAdaLoRA:
		return "adalora: parts that the budget left"
	case r.Name == RuleGrid:
		return fmt.Sprintf("grid search: the best of %d configurations by %s", r.Tried, r.Metric)
	case r.Name == RuleSpread && r.From == "":
		return fmt.Sprintf("%d parameters spread evenly", r.Budget)
	case r.Name == RuleSpread:
		return fmt.Sprintf("control: the parameters of %s spread evenly", r.From)
	case r.Name == RulePermuted:
		return fmt.Sprintf("control: the ranks of %s permuted over the layers", r.From)
	case r.Name == RuleDrawn:
		return fmt.Sprintf("control: the parameters of %s placed at random", r.From)
	case r.Name == RulePruned:
		return fmt.Sprintf("pruned: what is left of %s by %s, within %d parameters", r.From, r.Metric, r.Budget)
	case r.Counts == CountsWorth && r.Budget > 0:
		return fmt.Sprintf("%s: the parts of all layers that are worth most for their cost, within %d parameters", r.Name, r.Budget)
	case r.Counts == CountsWorth:
		return r.Name + ": the parts of all layers that are worth most"
	case r.Form == "":
		return r.Name
	}
	form, threshold := r.Form, r.Threshold
	switch {
	case r.Budget > 0:
		return fmt.Sprintf("%s: the highest %s of all layers for their cost, within %d parameters", form, r.Counts, r.Budget)
	case r.Counts == CountsGates:
		return fmt.Sprintf("%s: rank k where the layer's gate is ≥ %s", form, threshold)
	case r.Counts == CountsRaw:
		threshold = "the layer's mean a"
	case form == "softmax" && r.Scale > 0 && r.Scale != 1: // their mean
		form, threshold = fmt.Sprintf("%v·softmax", r.Scale), fmt.Sprintf("%v/k", r.Scale)
	case form == "softmax":
		threshold = "1/k"
	case threshold == Mean:
		threshold = "the layer's mean α"
	}
	return fmt.Sprintf("%s: number of %s ≥ %s", form, r.Counts, threshold)
}

// UnmarshalJSON also takes a sentence, of which only the words are kept.
func (r *Rule) UnmarshalJSON(text []byte) error {
	var name string
	if json.Unmarshal(text, &name) == nil {
		*r = Rule{Name: name}
		return nil
	}
	type plain Rule
	return json.Unmarshal(text, (*plain)(r))
}
