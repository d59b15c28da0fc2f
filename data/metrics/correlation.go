package metrics

import (
	"cmp"
	"math"
	"slices"
)

// Pearson is the correlation coefficient of x and y, within [-1, 1]. It is NaN where it is not defined:
// for fewer than two examples, for a list whose values are all the same, and if a value is NaN or infinite.
func Pearson(x, y []float64) float64 {
	if same(len(x), len(y)) < 2 || constant(x) || constant(y) {
		return math.NaN()
	}
	dx, dy := centered(x), centered(y)
	sum := 0.0
	for i := range dx {
		sum += dx[i] * dy[i]
	}
	return max(-1, min(1, sum)) // NaN stays NaN
}

// Spearman is Pearson's correlation of the ranks, values that are equal sharing the mean of their ranks. It
// is NaN where Pearson is.
func Spearman(x, y []float64) float64 {
	if same(len(x), len(y)) < 2 || !finite(x) || !finite(y) {
		return math.NaN()
	}
	return Pearson(ranks(x), ranks(y))
}

// centered returns x less its mean, scaled to length 1. The largest value is divided out first, so that
// squares neither overflow nor vanish.
func centered(x []float64) []float64 {
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	rest := 0.0 // what rounding lost: it matters where the values differ little
	for _, v := range x {
		rest += (v - mean) / float64(len(x))
	}
	mean += rest
	d := make([]float64, len(x))
	largest := 0.0
	for i, v := range x {
		d[i] = v - mean
		largest = max(largest, math.Abs(d[i]))
	}
	squares := 0.0
	for i := range d {
		d[i] /= largest
		squares += d[i] * d[i]
	}
	length := math.Sqrt(squares)
	for i := range d {
		d[i] /= length
	}
	return d
}

// ranks returns the rank of each value, from 1, the mean rank for equal values.
func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	r := make([]float64, len(x))
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && x[order[j]] == x[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			r[k] = float64(i+1+j) / 2
		}
		i = j
	}
	return r
}

func constant(x []float64) bool {
	return !slices.ContainsFunc(x, func(v float64) bool { return v != x[0] })
}

func finite(x []float64) bool {
	return !slices.ContainsFunc(x, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}
