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
		c.Alpha = append(before(c.Alpha, r.Step, func(p AlphaPoint) int { return p.Step }), AlphaPoint{r.Step, r.Alpha})
	}
}

// thin leaves as many α as will be seen, evenly.
func (c *Curves) thin() {
	var kept []AlphaPoint
	for i := 0; i < len(c.Alpha); i += 1 + len(c.Alpha)/alphaPoints {
		kept = append(kept, c.Alpha[i])
	}
	c.Alpha = kept
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
