package report

import (
	"math"
	"math/rand/v2"
	"slices"

	"autolora/autolora/runs"

	"gonum.org/v1/gonum/stat"
)

// rankRule is how a search gets ranks from its variables.
type rankRule runs.Rule

// The forms of α.
const (
	softmax = "softmax" // α = softmax(a), scaled or not
	free    = "none"    // α = a
	sigmoid = "sigmoid" // α = sigmoid(a)
)

// counts reports whether ranks are numbers of variables above a threshold, which chance
// alone puts there: within a budget that decides the mean, and gates are all or none.
func (r rankRule) counts() bool {
	return r.Form != "" && r.Counts != runs.CountsGates && r.Budget == 0
}

// raw reports whether entries of a are counted, and not of α.
func (r rankRule) raw() bool { return r.Counts == runs.CountsRaw }

// threshold returns the value from which on the α of a layer of that rank count.
// Within a budget it is the last one that does; infinity where none does.
func (r rankRule) threshold(alpha []float64, rank int) float64 {
	switch {
	case r.Budget > 0 && rank == 0:
		return math.Inf(1)
	case r.Budget > 0:
		return slices.Sorted(slices.Values(alpha))[len(alpha)-rank]
	case r.raw() && r.Form == softmax: // α/Σα = softmax(a): the mean of a is that of log α
		return stat.GeometricMean(alpha, nil)
	case r.raw() && r.Form == sigmoid:
		sum := 0.0
		for _, v := range alpha {
			sum += math.Log(v / (1 - v))
		}
		return 1 / (1 + math.Exp(-sum/float64(len(alpha))))
	case r.Form == sigmoid, r.Counts == runs.CountsGates:
		return 0.5
	}
	return stat.Mean(alpha, nil)
}

// chance returns the mean and standard deviation of the rank of one layer if
// its k variables are exchangeable, each as likely to be high as any other:
// what the threshold gives by itself.
//
// Of k coins (sigmoid) these are k/2 and √k/2. Of normal variables around
// their own mean the signs correlate by −2/π·asin(1/(k−1)), which makes the
// standard deviation smaller. For softmax that is the limit of variables close
// to each other; the more they spread, the fewer of the α reach their mean, so
// where spread, the standard deviation of a within a layer, is known, they are
// drawn with it.
func (r rankRule) chance(k int, spread float64) (mean, sd float64) {
	n := float64(k)
	switch {
	case r.Form == softmax && !r.raw() && spread > 0:
		return softmaxChance(k, spread)
	case r.Form == sigmoid && !r.raw() || k < 2:
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
