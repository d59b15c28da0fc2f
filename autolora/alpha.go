package autolora

import (
	"fmt"
	"math"
)

// AlphaForm is how the selection variables α come from the free variables a
// (paper, Eq. 3 and Table 4), which also gives the threshold of the ranks.
type AlphaForm string

// The three forms.
const (
	Softmax AlphaForm = "softmax" // α = S·softmax(a) per layer, threshold S/k, which is their mean
	Free    AlphaForm = "none"    // α = a ("w/o constraint"), threshold mean(α) of the layer
	Sigmoid AlphaForm = "sigmoid" // α = sigmoid(a), threshold 0.5
)

// AlphaForms lists the forms.
var AlphaForms = []AlphaForm{Softmax, Free, Sigmoid}

// Rank returns the rank that one layer's α gives: the number of entries at or
// above the threshold. It is at least 1 with softmax and with the free form,
// and may be 0 with sigmoid.
func (f AlphaForm) Rank(alpha []float64) int {
	threshold := f.threshold(alpha)
	rank := 0
	for _, a := range alpha {
		if a >= threshold {
			rank++
		}
	}
	return rank
}

// slack absorbs rounding: equal α, as at the start, all count as being at the
// mean. α comes from float32 arithmetic, whose spacing below 1 is 6e-8.
const slack = 1e-6

func (f AlphaForm) threshold(alpha []float64) float64 {
	if f == Sigmoid {
		return 0.5 - slack
	}
	mean, scale := 0.0, 0.0
	for _, a := range alpha {
		mean += a / float64(len(alpha))
		scale = max(scale, math.Abs(a))
	}
	return mean - slack*scale
}

// RankRule is which of a layer's numbers give its rank.
type RankRule string

// The two rules.
const (
	AlphaRule RankRule = "alpha" // α at or above the form's threshold (paper)
	// RawRule counts the entries of a at or above their mean. That is what the
	// published GLUE search does, a/Σa ≥ 1/k, wherever Σa > 0; below, its rule
	// would count the low entries.
	RawRule RankRule = "raw"
)

// RankRules lists the rules.
var RankRules = []RankRule{AlphaRule, RawRule}

// Text says the rule in ranks.json, with S the scale of softmax.
func (r RankRule) Text(form AlphaForm, scale float64) string {
	switch {
	case r == RawRule:
		return string(form) + ": number of raw a ≥ the layer's mean a"
	case form == Free:
		return "none: number of α ≥ the layer's mean α"
	case form == Sigmoid:
		return "sigmoid: number of α ≥ 0.5"
	case scale != 1:
		return fmt.Sprintf("%v·softmax: number of α ≥ %[1]v/k", scale)
	}
	return "softmax: number of α ≥ 1/k"
}
