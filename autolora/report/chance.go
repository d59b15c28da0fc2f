package report

import (
	"math"
	"math/rand/v2"
	"strings"

	"gonum.org/v1/gonum/stat"
)

// rankRule is how a search gets ranks from its variables.
type rankRule struct {
	form form
	// raw: entries of a at or above their mean are counted, instead of α at or
	// above the threshold of the form.
	raw bool
}

// form is how α comes from the variables a of a layer, and what is counted.
type form string

// The forms.
const (
	noForm  form = ""        // not a search's: AdaLoRA's, or one that is not known
	softmax form = "softmax" // α = softmax(a), scaled or not, at or above their mean
	free    form = "none"    // α = a, at or above their mean
	sigmoid form = "sigmoid" // α = sigmoid(a), at or above 0.5
)

// parseRule returns the rule that a ranks.json names in its "rule": the form
// of α, a colon, and what is counted.
func parseRule(text string) rankRule {
	name, counted, _ := strings.Cut(text, ":")
	r := rankRule{raw: strings.Contains(counted, "raw a")}
	for _, f := range []form{softmax, free, sigmoid} {
		if strings.HasSuffix(name, string(f)) { // "8·softmax"
			r.form = f
		}
	}
	return r
}

// threshold returns the value from which on the α of a layer count.
func (r rankRule) threshold(alpha []float64) float64 {
	switch {
	case r.raw && r.form == softmax: // α/Σα = softmax(a): the mean of a is that of log α
		return stat.GeometricMean(alpha, nil)
	case r.raw && r.form == sigmoid:
		sum := 0.0
		for _, v := range alpha {
			sum += math.Log(v / (1 - v))
		}
		return 1 / (1 + math.Exp(-sum/float64(len(alpha))))
	case r.form == sigmoid:
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
	case r.form == softmax && !r.raw && spread > 0:
		return softmaxChance(k, spread)
	case r.form == sigmoid && !r.raw || k < 2:
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
