package nlg

import "math"

const nistOrder = 5 // words of the longest n-grams in NIST

// nist returns the information in the right n-grams of the outputs per n-gram, summed over the lengths of n-grams,
// times a penalty for outputs of fewer words than ratio times those of the references. NaN is what is not defined.
func nist(information, total [nistOrder]float64, ratio float64) float64 {
	sum := 0.0
	for n := range information {
		sum += information[n] / total[n]
	}
	return sum * nistPenalty(ratio)
}

// nistPenalty is 1/2 for outputs of 2/3 of the references' words.
func nistPenalty(ratio float64) float64 {
	switch {
	case ratio >= 1:
		return 1
	case ratio <= 0:
		return 0
	}
	beta := math.Ln2 / (math.Log(1.5) * math.Log(1.5))
	return math.Exp(-beta * math.Log(ratio) * math.Log(ratio))
}

// information returns the bits that the last word of an n-gram tells who knows the words before it.
func (g *ngrams) information(gram int32) float64 {
	return math.Log2(float64(g.count[g.before[gram]]) / float64(g.count[gram]))
}
