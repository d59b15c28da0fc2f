package report

import (
	"maps"
	"math"
	"slices"

	"autolora/autolora/runs"

	"gonum.org/v1/gonum/stat"
)

// Curves is what a run logged, step by step.
type Curves struct {
	Search []Point
	Train  []Point
	Alpha  []AlphaPoint // of the search, at some steps

	alphas, every int // α seen, and one of how many is kept
}

// Point is one logged step. What was not logged is NaN.
type Point struct {
	Step                int
	Loss, ValLoss       float64
	Ratio               float64 // ‖implicit‖/‖direct‖
	Low, MeanRank, High float64 // of the ranks
	Budget              float64 // AdaLoRA's sum of ranks
}

// AlphaPoint is the selection variables of all layers at one step.
type AlphaPoint struct {
	Step  int
	Alpha [][]float64 // [layers][k]
}

// alphaPoints is how many α are kept at most: more would not be seen.
const alphaPoints = 80

// add takes one line of metrics.jsonl.
func (c *Curves) add(r runs.Record) {
	var phase *[]Point
	switch r.Phase {
	case "search":
		phase = &c.Search
	case "train":
		phase = &c.Train
	default:
		return
	}
	p := Point{Step: r.Step, Loss: value(r.Loss), ValLoss: value(r.ValLoss), Ratio: value(r.Ratio),
		Low: math.NaN(), MeanRank: math.NaN(), High: math.NaN(), Budget: math.NaN()}
	if len(r.Ranks) > 0 {
		p.Low, p.High = float64(slices.Min(r.Ranks)), float64(slices.Max(r.Ranks))
		sum := 0
		for _, rank := range r.Ranks {
			sum += rank
		}
		p.MeanRank = float64(sum) / float64(len(r.Ranks))
	}
	if r.Budget > 0 {
		p.Budget = float64(r.Budget)
	}
	// A phase that was gone back on, as by a resumed run, counts from there.
	*phase = append(before(*phase, p.Step, func(p Point) int { return p.Step }), p)

	if r.Phase == "search" && len(r.Alpha) > 0 {
		c.addAlpha(AlphaPoint{r.Step, r.Alpha})
	}
}

// addAlpha keeps a point where its turn has come. Where there are too many,
// every second one goes.
func (c *Curves) addAlpha(p AlphaPoint) {
	c.Alpha = before(c.Alpha, p.Step, func(p AlphaPoint) int { return p.Step })
	c.every = max(1, c.every)
	if c.alphas++; (c.alphas-1)%c.every != 0 {
		return
	}
	c.Alpha = append(c.Alpha, p)
	if len(c.Alpha) <= alphaPoints {
		return
	}
	kept := c.Alpha[:0]
	for i, p := range c.Alpha {
		if i%2 == 0 {
			kept = append(kept, p)
		}
	}
	c.Alpha, c.every = kept, 2*c.every
}

// before returns the points of steps before that one.
func before[P any](points []P, step int, stepOf func(P) int) []P {
	n := len(points)
	for n > 0 && stepOf(points[n-1]) >= step {
		n--
	}
	return points[:n]
}

func value(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

// xy is one point of a curve.
type xy struct{ x, y float64 }

// smooth returns the curve of a quantity over the steps of several runs: what
// reduce makes of its values, of all runs and steps, in each of at most n
// equal spans of steps. A few logged steps stay as they are; a single batch's
// loss tells little.
func smooth(series [][]Point, n int, reduce func([]float64) float64, of func(Point) float64) []xy {
	last := 0
	for _, points := range series {
		for _, p := range points {
			last = max(last, p.Step)
		}
	}
	span := max(1, float64(last)/float64(n))
	type bin struct{ steps, values []float64 }
	bins := make(map[int]*bin)
	for _, points := range series {
		for _, p := range points {
			v := of(p)
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			at := int(float64(p.Step-1) / span)
			b := bins[at]
			if b == nil {
				b = new(bin)
				bins[at] = b
			}
			b.steps, b.values = append(b.steps, float64(p.Step)), append(b.values, v)
		}
	}
	var curve []xy
	for _, at := range slices.Sorted(maps.Keys(bins)) {
		curve = append(curve, xy{mean(bins[at].steps), reduce(bins[at].values)})
	}
	return curve
}

func mean(values []float64) float64 { return stat.Mean(values, nil) }

// geometric returns the geometric mean of values above 0: what an axis of
// logarithms shows as the mean.
func geometric(values []float64) float64 { return stat.GeometricMean(values, nil) }
