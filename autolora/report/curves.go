package report

import (
	"maps"
	"math"
	"slices"

	"autolora/autolora/runs"

	"gonum.org/v1/plot/plotter"
)

// Curves is what a run logged, step by step.
type Curves struct {
	Points map[string][]Point // by phase: "search", "train"
	Alpha  []AlphaPoint       // of the search, at some steps

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
	p := Point{Step: r.Step, Loss: value(r.Loss), ValLoss: value(r.ValLoss), Ratio: value(r.Ratio),
		Low: math.NaN(), MeanRank: math.NaN(), High: math.NaN(), Budget: math.NaN()}
	if len(r.Ranks) > 0 {
		p.Low, p.MeanRank, p.High = float64(slices.Min(r.Ranks)), mean(toFloats(r.Ranks)), float64(slices.Max(r.Ranks))
	}
	if r.Budget > 0 {
		p.Budget = float64(r.Budget)
	}
	if c.Points == nil {
		c.Points = make(map[string][]Point)
	}
	// A phase that was gone back on, as by a resumed run, counts from there.
	c.Points[r.Phase] = append(before(c.Points[r.Phase], p.Step, func(p Point) int { return p.Step }), p)
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
	odd := false
	c.Alpha = slices.DeleteFunc(c.Alpha, func(AlphaPoint) bool { odd = !odd; return !odd })
	c.every *= 2
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

// smooth returns the curve of a quantity over the steps of several runs: what
// reduce makes of its values, of all runs and steps, in each of at most n
// equal spans of steps. A few logged steps stay as they are; a single batch's
// loss tells little.
func smooth(series [][]Point, n int, reduce func([]float64) float64, of func(Point) float64) plotter.XYs {
	last := 0
	for _, p := range slices.Concat(series...) {
		last = max(last, p.Step)
	}
	span := max(1, float64(last)/float64(n))
	steps, values := make(map[int][]float64), make(map[int][]float64) // by span
	for _, p := range slices.Concat(series...) {
		if v := of(p); !math.IsNaN(v) && !math.IsInf(v, 0) {
			at := int(float64(p.Step-1) / span)
			steps[at], values[at] = append(steps[at], float64(p.Step)), append(values[at], v)
		}
	}
	var curve plotter.XYs
	for _, at := range slices.Sorted(maps.Keys(steps)) {
		curve = append(curve, plotter.XY{X: mean(steps[at]), Y: reduce(values[at])})
	}
	return curve
}
