package autolora

import "math"

// AlphaForm is how the selection variables α come from the free variables a
// (paper, Eq. 3 and Table 4), which also gives the threshold of the ranks.
type AlphaForm string

// The three forms.
const (
	Softmax AlphaForm = "softmax" // α = S·softmax(a) per layer, threshold S/k, which is their mean
	Free    AlphaForm = "none"    // α = a ("w/o constraint"), threshold mean(α) of the layer
	Sigmoid AlphaForm = "sigmoid" // α = sigmoid(a), threshold 0.5
)

// Gates is the form of the rule gates: the parts of a layer share one α.
const Gates AlphaForm = "gates"

// AlphaForms lists the forms that a search of the paper may have.
var AlphaForms = []AlphaForm{Softmax, Free, Sigmoid}

// Rank returns the rank that one layer's α gives: the number of entries at or
// above the threshold. It is at least 1 with softmax and with the free form,
// and may be 0 with sigmoid. With gates it is all or none.
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
	if f == Sigmoid || f == Gates {
		return 0.5 - slack
	}
	mean, scale := 0.0, 0.0
	for _, a := range alpha {
		mean += a / float64(len(alpha))
		scale = max(scale, math.Abs(a))
	}
	return mean - slack*scale
}
