package report

import (
	"math"
	"math/rand/v2"
	"strings"

	"gonum.org/v1/gonum/stat"
)

// rankRule is how a search got ranks from its variables.
type rankRule int

// The rules: what is counted in a layer.
const (
	otherRule  rankRule = iota // not a search's: AdaLoRA's, or one that is not known
	aboveMean                  // entries of a, or of free α, at or above their mean
	aboveShare                 // α = softmax(a), scaled or not, at or above their mean
	aboveHalf                  // α = sigmoid(a) at or above 0.5
)

// parseRule returns the rule that a ranks.json names in its "rule": the form
// of α, a colon, and what is counted.
func parseRule(text string) rankRule {
	form, counted, _ := strings.Cut(text, ":")
	switch {
	case strings.Contains(counted, "raw a"):
		return aboveMean
	case strings.HasSuffix(form, "softmax"):
		return aboveShare
	case form == "sigmoid":
		return aboveHalf
	case form == "none":
		return aboveMean
	}
	return otherRule
}

// threshold returns the value of α from which on they count, for the α of one
// layer as they are stored.
func (r rankRule) threshold(alpha []float64) float64 {
	if r == aboveHalf {
		return 0.5
	}
	return stat.Mean(alpha, nil)
}

// chance returns the mean and standard deviation of the rank of one layer if
// its k variables are exchangeable, each as likely to be high as any other:
// what the threshold gives by itself.
//
// Of k coins (aboveHalf) these are k/2 and √k/2. Of normal variables around
// their own mean the signs correlate by −2/π·asin(1/(k−1)), which makes the
// standard deviation smaller. For softmax that is the limit of variables close
// to each other; the more they spread, the fewer of the α reach their mean, so
// where spread, the standard deviation of a within a layer, is known, they are
// drawn with it.
func (r rankRule) chance(k int, spread float64) (mean, sd float64) {
	n := float64(k)
	switch {
	case r == aboveShare && spread > 0:
		return softmaxChance(k, spread)
	case r == aboveHalf || k < 2:
		return n / 2, math.Sqrt(n) / 2
	}
	return n / 2, math.Sqrt(n/4 - n*(n-1)*math.Asin(1/(n-1))/(2*math.Pi))
}

// softmaxChance draws the ranks of many layers.
func softmaxChance(k int, spread float64) (mean, sd float64) {
	const draws = 20_000
	rng := rand.New(rand.NewPCG(3, 4))
	ranks, a := make([]float64, draws), make([]float64, k)
	for i := range ranks {
		total := 0.0
		for j := range a {
			a[j] = math.Exp(spread * rng.NormFloat64())
			total += a[j]
		}
		for _, v := range a {
			if v >= total/float64(k) {
				ranks[i]++
			}
		}
	}
	return stat.MeanStdDev(ranks, nil)
}
