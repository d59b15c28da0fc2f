package report

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"autolora/autolora/runs"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot/plotter"
)

// Curves is what a run logged, step by step, by phase: "search", "train".
type Curves map[string][]runs.Record

// add takes one line of metrics.jsonl. A phase that was gone back on, as by a
// resumed run, counts from there. An evaluation follows the step after which it
// was made.
func (c Curves) add(r runs.Record) {
	n, found := slices.BinarySearchFunc(c[r.Phase], r.Step, func(r runs.Record, step int) int { return cmp.Compare(r.Step, step) })
	if found && r.Loss == nil && c[r.Phase][n].Loss != nil {
		n++
	}
	c[r.Phase] = append(c[r.Phase][:n], r)
}

// loggedAlpha returns as many records of the search with α as will be seen,
// evenly.
func (r *Run) loggedAlpha() []runs.Record {
	const most = 80
	with := slices.DeleteFunc(slices.Clone(r.Curves["search"]), func(p runs.Record) bool { return len(slices.Concat(p.Alpha...)) == 0 })
	var kept []runs.Record
	for i := 0; i < len(with); i += 1 + len(with)/most {
		kept = append(kept, with[i])
	}
	return kept
}

// The quantities of a record that are drawn; nothing where it was not logged.
func loss(r runs.Record) []float64           { return logged(r.Loss) }
func validationLoss(r runs.Record) []float64 { return logged(r.ValLoss) }
func ranks(r runs.Record) []float64          { return toFloats(r.Ranks) }

// logRatio is in powers of ten.
func logRatio(r runs.Record) []float64 {
	if r.Ratio == nil {
		return nil
	}
	return []float64{math.Log10(*r.Ratio)}
}

func budget(r runs.Record) []float64 {
	if r.Budget == 0 {
		return nil
	}
	return []float64{float64(r.Budget)}
}

func logged(v *float64) []float64 {
	if v == nil {
		return nil
	}
	return []float64{*v}
}

// smooth returns the curve of a quantity over the steps of a phase of several
// runs: what reduce makes of its values, of all runs and steps, in each of at
// most n equal spans of steps. A few logged steps stay as they are; a single
// batch's loss tells little.
func smooth(all []*Run, phase string, n int, reduce func([]float64) float64, of func(runs.Record) []float64) plotter.XYs {
	last := 0
	for _, r := range all {
		for _, p := range r.Curves[phase] {
			last = max(last, p.Step)
		}
	}
	span := max(1, float64(last)/float64(n))
	steps, values := make(map[int][]float64), make(map[int][]float64) // by span
	for _, r := range all {
		for _, p := range r.Curves[phase] {
			known := slices.DeleteFunc(of(p), func(v float64) bool { return !Number(v).Known() })
			if at := int(float64(p.Step-1) / span); len(known) > 0 {
				steps[at], values[at] = append(steps[at], float64(p.Step)), append(values[at], known...)
			}
		}
	}
	var curve plotter.XYs
	for _, at := range slices.Sorted(maps.Keys(steps)) {
		curve = append(curve, plotter.XY{X: mean(steps[at]), Y: reduce(values[at])})
	}
	return curve
}

func mean(values []float64) float64 { return stat.Mean(values, nil) }
