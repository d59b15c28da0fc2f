package report

import (
	"math"
	"math/rand/v2"
	"slices"

	"autolora/data/metrics"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Sample sums up the values of one quantity over seeds.
type Sample struct {
	N      int       `json:"n"`
	Mean   Number    `json:"mean"`
	SD     Number    `json:"sd"` // with n−1; not known for one value
	Values []float64 `json:"values"`
}

// sample sums up values; those that are not known do not count.
func sample(values []float64) Sample {
	known := slices.DeleteFunc(append([]float64{}, values...), func(v float64) bool { return !Number(v).Known() })
	s := Sample{N: len(known), Mean: unknown, SD: unknown, Values: known}
	if s.N > 0 {
		s.Mean, s.SD = Number(stat.Mean(known, nil)), Number(stat.StdDev(known, nil))
	}
	if s.N > 1 && slices.Min(known) == slices.Max(known) { // and no rounding error
		s.Mean, s.SD = Number(known[0]), 0
	}
	return s
}

// Interval is a mean with its 95 % confidence interval and a two-sided test
// against 0, after Student's t. Low, High and P are not known where the spread
// is not: for one value, and where all values are equal.
type Interval struct {
	Mean Number `json:"mean"`
	Low  Number `json:"low"`
	High Number `json:"high"`
	P    Number `json:"p"`
	DF   Number `json:"df"` // degrees of freedom; not known of several variances' bounded
}

// Beyond reports whether the interval is known and excludes 0.
func (i Interval) Beyond() bool { return i.Low.Known() && (i.Low > 0 || i.High < 0) }

// student returns the interval of a mean with that standard error.
func student(mean, se, df float64) Interval {
	i := Interval{Mean: Number(mean), Low: unknown, High: unknown, P: unknown, DF: unknown}
	if !(se > 0) || !(df > 0) {
		return i
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}
	half := t.Quantile(0.975) * se
	i.Low, i.High, i.DF = Number(mean-half), Number(mean+half), Number(df)
	i.P = Number(2 * t.CDF(-math.Abs(mean/se)))
	return i
}

// component is one of the variances that make up that of a mean, estimated with so many
// degrees of freedom.
type component struct{ variance, df float64 }

// bounded returns the interval of a mean whose variance is the sum of components that are
// estimated independently of each other: half of it is √Σ t²·variance, each with the t of
// its own degrees of freedom. It holds the truth in at least 95 % of cases, whatever the
// true sizes (Banerjee 1960): with w their shares, P(z² ≤ Σ w·t²·χ²/df) is at least the
// mean of the P(z² ≤ t²·χ²/df) by w, each of which is 95 %, for the distribution function
// of z² is concave. Satterthwaite's degrees of freedom promise less where a component that
// has few of them is most of the sum: with one and a second component of a tenth, 12 %
// of intervals leave out the truth.
func bounded(mean float64, of ...component) Interval {
	half := func(level float64) float64 { // of the interval that leaves out that share
		squares := 0.0
		for _, c := range of {
			if c.variance > 0 { // else it may have no degrees of freedom either
				t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: c.df}.Quantile(level / 2)
				squares += t * t * c.variance
			}
		}
		return math.Sqrt(squares)
	}
	i := student(mean, 0, 0) // nothing known but the mean
	if !(half(0.05) > 0) {
		return i
	}
	i.Low, i.High = Number(mean-half(0.05)), Number(mean+half(0.05))
	low, high := 0.0, 1.0 // p is where the interval ends at 0
	for range 50 {
		if middle := (low + high) / 2; half(middle) > math.Abs(mean) {
			low = middle
		} else {
			high = middle
		}
	}
	i.P = Number(high)
	return i
}

// paired returns the interval of the mean of differences.
func paired(s Sample) Interval {
	return student(float64(s.Mean), float64(s.SD)/math.Sqrt(float64(s.N)), float64(s.N-1))
}

// stratified returns the interval of the average over tasks of the mean
// differences, the tasks being these and the seeds being drawn: the variances
// of the tasks' means add up, and the degrees of freedom are Satterthwaite's
// (1946). It is not known where a task has one seed.
func stratified(tasks []Sample) Interval {
	var mean, variance, square float64
	n := float64(len(tasks))
	for _, s := range tasks {
		v := float64(s.SD) * float64(s.SD) / float64(s.N) / (n * n)
		mean += float64(s.Mean) / n
		variance += v
		square += v * v / float64(s.N-1)
	}
	return student(mean, math.Sqrt(variance), variance*variance/square)
}

// signTest returns the two-sided p value of that many wins against losses, if
// either were as likely: an exact binomial test, ties left out.
func signTest(wins, losses int) Number {
	n := wins + losses
	if n == 0 {
		return unknown
	}
	tail := distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(min(wins, losses)))
	return Number(min(1, 2*tail))
}

// Agreement is how far lists of ranks, over the same layers, agree with each
// other: the mean of the correlations of all pairs of lists. By chance, if the
// layers of each list were permuted, the mean is 0, and, exactly, a pair's
// standard deviation is 1/√(layers−1); pairs do not correlate with each other,
// so that of the mean is smaller by √pairs.
type Agreement struct {
	Lists    int    `json:"lists"`
	Layers   int    `json:"layers"`
	Pairs    int    `json:"pairs"` // of lists that are not constant
	Pearson  Number `json:"pearson"`
	Spearman Number `json:"spearman"`
	ChanceSD Number `json:"chance_sd"`
	P        Number `json:"p"` // share of permutations with as high a mean Pearson correlation
}

// permutations is the number of random permutations behind a p value. With it
// the smallest p is 0.0001.
const permutations = 9999

// agreement compares lists of the ranks of the same layers.
func agreement(lists [][]float64) Agreement {
	a := Agreement{Lists: len(lists), Pearson: unknown, Spearman: unknown, ChanceSD: unknown, P: unknown}
	var varied [][]float64
	for _, list := range lists {
		a.Layers = len(list)
		if stat.StdDev(list, nil) > 1e-6 {
			varied = append(varied, slices.Clone(list))
		}
	}
	a.Pairs = len(varied) * (len(varied) - 1) / 2
	if a.Pairs == 0 {
		return a
	}
	found := meanOfPairs(varied, pearson)
	a.Pearson, a.Spearman = Number(found), Number(meanOfPairs(varied, metrics.Spearman))
	a.ChanceSD = Number(1 / math.Sqrt(float64(a.Pairs*(a.Layers-1))))
	rng := rand.New(rand.NewPCG(1, 2))
	above := 0
	for range permutations {
		for _, v := range varied[1:] { // against the first, which may as well stay
			rng.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
		}
		if meanOfPairs(varied, pearson) >= found-1e-12 {
			above++
		}
	}
	a.P = Number(float64(above+1) / (permutations + 1))
	return a
}

func pearson(x, y []float64) float64 { return stat.Correlation(x, y, nil) }

// meanOfPairs returns the mean correlation of all pairs of lists.
func meanOfPairs(lists [][]float64, correlation func(x, y []float64) float64) float64 {
	var all []float64
	for i, x := range lists {
		for _, y := range lists[:i] {
			all = append(all, correlation(x, y))
		}
	}
	return mean(all)
}
