package report

import (
	"slices"

	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// LossDifference is the held-out loss of one method minus that of another, example by
// example, over the seeds that both have on the same examples.
//
// It has two standard errors, for chance comes in by two doors. That over examples is
// of the differences' mean over the seeds: other examples of the same kind, with these
// very trainings. That over seeds is of the differences of whole runs: other trainings,
// on these very examples. Interval and p are for both together, as if both were drawn
// anew: the variances add up, each with the t of its own degrees of freedom, see bounded.
// What seeds and examples do only together is counted in both (as by Clark's minF', 1973),
// so the interval is rather too wide. Of one seed nothing is known of others: then they
// are for other examples alone.
type LossDifference struct {
	Seeds         []uint64  `json:"seeds"`
	Examples      int       `json:"examples"`
	Mean          Number    `json:"mean"`
	StandardError Number    `json:"standard_error"` // over examples
	BySeed        []float64 `json:"by_seed"`        // the mean of each seed
	SD            Number    `json:"sd_of_seeds"`
	Interval      Interval  `json:"interval"`
}

// compareLosses returns the losses of a minus those of b; nil where no seed has both on
// the same examples.
func compareLosses(a, b *Method) *LossDifference {
	var sum runs.Losses
	d := &LossDifference{}
	for _, r := range a.runs {
		other := b.run(r.Results.Seed)
		if r.Losses == nil || other == nil || other.Losses == nil || !sameExamples(*r.Losses, *other.Losses) {
			continue
		}
		of := r.Losses.Minus(*other.Losses)
		switch {
		case d.Seeds == nil:
			sum = of
		case !sameExamples(sum, of):
			continue
		default:
			for i, v := range of.Loss {
				sum.Loss[i] += v
			}
		}
		d.Seeds, d.BySeed = append(d.Seeds, r.Results.Seed), append(d.BySeed, of.Mean())
	}
	if d.Seeds == nil {
		return nil
	}
	for i := range sum.Loss {
		sum.Loss[i] /= float64(len(d.Seeds))
	}
	seeds := sample(d.BySeed)
	d.Examples, d.Mean, d.SD, d.StandardError = len(sum.Loss), Number(sum.Mean()), seeds.SD, Number(sum.StandardError())
	n := float64(len(d.Seeds))
	d.Interval = bounded(float64(d.Mean), component{variance(d.StandardError), float64(d.Examples - 1)}, component{variance(d.SD) / n, n - 1})
	return d
}

// same reports whether every example has the same loss by both methods with every seed,
// as where two ways come to the same ranks.
func (d *LossDifference) same() bool {
	return d.StandardError == 0 && !slices.ContainsFunc(d.BySeed, func(v float64) bool { return v != 0 })
}

// variance is 0 of what is not known, as of one example.
func variance(sd Number) float64 {
	if !sd.Known() {
		return 0
	}
	return float64(sd * sd)
}

// sameExamples reports whether losses are of the same examples.
func sameExamples(a, b runs.Losses) bool {
	return a.Part == b.Part && a.Data == b.Data && len(a.Loss) == len(b.Loss) && slices.Equal(a.Rows, b.Rows)
}

// heldOut is the loss as tables and sentences show differences of it: they are small.
var heldOut = func() score {
	how := scoreOf(metrics.NameLoss)
	how.Digits = 4
	return how
}()
