package runs

import (
	"math"
	"slices"

	"autolora/data/metrics"
)

// NoBetter reports whether scores are known not to be better than those of
// always giving the commonest answer: by the main score, or by the loss where
// that is not defined, as a correlation with one answer is not. Nothing is known
// where all examples have that answer.
func NoBetter(scores, baseline metrics.Scores, primary string) bool {
	if OneAnswer(baseline) {
		return false
	}
	for _, name := range []string{primary, metrics.NameLoss} {
		got, scored := scores[name]
		least, known := baseline[name]
		if scored && known && !math.IsNaN(got) && !math.IsNaN(least) {
			return got == least || got < least != metrics.Find(name).Lower
		}
	}
	return false
}

// OneAnswer reports whether all examples that were scored have the same right
// answer, as the loss of always giving the commonest one shows: nothing is better.
func OneAnswer(baseline metrics.Scores) bool {
	loss, known := baseline[metrics.NameLoss]
	return known && loss < 1e-12 // 0, but for the rounding of a mean of labels
}

// NoBetter reports whether the run is known to have learnt nothing that its
// score shows.
func (r *Results) NoBetter() bool { return NoBetter(r.Scores, r.Baseline, r.Primary) }

// OnlyClass returns the class that all examples were given, where some are of
// others; in tagging "" and true says that no entity was found where there are
// some, and of examples with any number of labels that none was given.
func (r *Results) OnlyClass() (name string, only bool) {
	given, golds, right := 0, 0, 0 // right: that are of the class given
	for _, c := range r.Classes {
		golds += c.Support
		if c.Predicted > 0 {
			name, right = c.Name, c.Support
			given++
		}
	}
	switch {
	case r.Threshold != nil, r.Confusion == nil && len(r.Classes) <= MaxConfusion: // of entities, beside which there is O
		return "", len(r.Classes) > 0 && given == 0 && golds > 0
	default:
		return name, given == 1 && right < golds
	}
}

// Course is what the loss did in a training.
type Course int

// The courses of a loss.
const (
	Unremarkable Course = iota
	HardlyMoved
	Rose // from the start, or from where it had been
)

// LossCourse returns what the training's loss did, and from where to where, in a
// run that has come to little; another has no need of a loss that falls: the
// model may have been good before.
func (r *Results) LossCourse() (course Course, from, to float64) {
	n := len(r.TrainLoss)
	if n < 2 || !r.little() {
		return Unremarkable, 0, 0
	}
	moved := 0.05 // the share by which a loss has to fall to have moved at all
	if len(r.Baseline) == 0 {
		moved = 0.01 // a language model knows how to write before
	}
	first, last, least := r.TrainLoss[0], r.TrainLoss[n-1], slices.Min(r.TrainLoss)
	switch {
	case last > (1+moved)*first:
		return Rose, first, last
	case last > (1+2*moved)*least && least < (1-2*moved)*first && (len(r.Baseline) > 0 || 2*(last-least) > first-least):
		return Rose, least, last // of texts, which are not known to have come to little, by more than the noise of few batches
	case last > (1-moved)*first:
		return HardlyMoved, first, last
	}
	return Unremarkable, first, last
}

// little reports whether a run is not known to be much better than the commonest
// answer: neither by its loss nor by a fifth of the way to a perfect score.
func (r *Results) little() bool {
	loss, least := r.Scores[metrics.NameLoss], r.Baseline[metrics.NameLoss]
	score, always := r.Scores[r.Primary], r.Baseline[r.Primary]
	if math.IsNaN(always) {
		always = 0 // of a correlation
	}
	return len(r.Baseline) == 0 || r.NoBetter() || !(loss < 0.95*least) && !(score-always > 0.2*(1-always))
}
