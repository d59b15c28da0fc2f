package metrics

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// MultiLabel computes the scores named f1_micro, f1_macro, f1_weighted and subset_accuracy of k labels, any number of which
// an example may have. gold and pred have the labels of each example, as indices, each once. They are scikit-learn's with
// zero_division=0. It is an error if the lists differ in length or are empty.
func MultiLabel(names []string, k int, gold, pred [][]int) (Scores, error) {
	if err := checkLengths(len(gold), len(pred)); err != nil {
		return nil, err
	}
	for i, labels := range slices.Concat(gold, pred) {
		if slices.ContainsFunc(labels, func(label int) bool { return label < 0 || label >= k }) {
			return nil, fmt.Errorf("score: example %d has the labels %d: want 0 to %d", i%len(gold), labels, k-1)
		}
	}
	return compute("multi-label classification", names, func(m Metric) (float64, bool) {
		if m.sets == nil {
			return 0, false
		}
		return m.sets(k, gold, pred), true
	})
}

// countLabels counts what is gold, predicted and both of each label.
func countLabels(k int, gold, pred [][]int) []entityCounts {
	same(len(gold), len(pred))
	counts := make([]entityCounts, k)
	for i, labels := range gold {
		for _, label := range labels {
			counts[label].gold++
			if slices.Contains(pred[i], label) {
				counts[label].hits++
			}
		}
		for _, label := range pred[i] {
			counts[label].pred++
		}
	}
	return counts
}

// microF1 is F1 of all decisions on all labels together.
func microF1(k int, gold, pred [][]int) float64 {
	var all entityCounts
	for _, c := range countLabels(k, gold, pred) {
		all.gold, all.pred, all.hits = all.gold+c.gold, all.pred+c.pred, all.hits+c.hits
	}
	return all.scores().F1
}

// macroF1 is the mean of F1 over the labels, those too that occur nowhere.
func macroF1(k int, gold, pred [][]int) float64 {
	sum := 0.0
	for _, c := range countLabels(k, gold, pred) {
		sum += c.scores().F1
	}
	return sum / float64(k)
}

// weightedF1 is the mean of F1 over the labels, weighted by how often they are gold; 0 where none is.
func weightedF1(k int, gold, pred [][]int) float64 {
	sum, golds := 0.0, 0
	for _, c := range countLabels(k, gold, pred) {
		sum += float64(c.gold) * c.scores().F1
		golds += c.gold
	}
	return sum / float64(max(golds, 1))
}

// subsetAccuracy is the share of examples whose labels are all right, and no others given.
func subsetAccuracy(_ int, gold, pred [][]int) float64 {
	right := 0
	for i := range gold {
		if setKey(gold[i]) == setKey(pred[i]) {
			right++
		}
	}
	return float64(right) / float64(same(len(gold), len(pred)))
}

// PerLabel returns the scores of every label.
func PerLabel(labels []string, gold, pred [][]int) (scores []ClassScores) {
	for i, c := range countLabels(len(labels), gold, pred) {
		scores = append(scores, ClassScores{labels[i], c.scores(), c.pred})
	}
	return scores
}

// setKey tells sets of labels apart.
func setKey(labels []int) string { return fmt.Sprint(slices.Sorted(slices.Values(labels))) }

// CommonestSet returns the labels that most examples have together, the first of several; nil for no examples.
func CommonestSet(gold [][]int) (labels []int) {
	counts, best := make(map[string]int), 0
	for _, set := range gold {
		counts[setKey(set)]++
	}
	for _, set := range gold {
		if n := counts[setKey(set)]; n > best {
			best, labels = n, set
		}
	}
	return labels
}

// BinaryCrossEntropy returns the mean of −log p of whether each label is among gold, for a logit of each.
func BinaryCrossEntropy(logits []float64, gold []int) float64 {
	sum := 0.0
	for label, v := range logits {
		if slices.Contains(gold, label) {
			v = -v
		}
		sum += math.Log1p(math.Exp(-math.Abs(v))) + max(v, 0) // log(1 + eᵛ)
	}
	return sum / float64(len(logits))
}

// BinaryEntropy is the least mean of BinaryCrossEntropy that one answer to all examples can have: that of giving each of k
// labels the probability of its share; NaN for no examples.
func BinaryEntropy(k int, gold [][]int) float64 {
	counts := occurrences(slices.Concat(gold...))
	sum := 0.0
	for _, label := range slices.Sorted(maps.Keys(counts)) {
		share := float64(counts[label]) / float64(len(gold))
		sum -= share * math.Log(share)
		if share < 1 {
			sum -= (1 - share) * math.Log(1-share)
		}
	}
	if len(gold) == 0 {
		return math.NaN()
	}
	return sum / float64(k)
}

// Threshold returns the number with the highest micro F1 if an example is given the labels whose probabilities are above it,
// that next to 0.5 of several. It lies in the middle between two probabilities, or between one and 0 or 1. probabilities are those of
// each example's labels.
func Threshold(gold [][]int, probabilities [][]float64) float64 {
	type decision struct {
		p    float64
		gold bool
	}
	var all []decision
	golds := 0
	for i, row := range probabilities {
		for label, p := range row {
			all = append(all, decision{p, slices.Contains(gold[i], label)})
		}
		golds += len(gold[i])
	}
	slices.SortFunc(all, func(a, b decision) int { return cmp.Compare(b.p, a.p) }) // from the highest
	best, threshold := -1.0, 0.5
	hits, above := 0, 1.0
	for n := 0; ; n++ { // n labels are given
		if n == len(all) || n == 0 || all[n].p < all[n-1].p {
			below := 0.0
			if n < len(all) {
				below = all[n].p
			}
			f1, at := 2*float64(hits)/float64(max(golds+n, 1)), (above+below)/2
			if f1 > best || f1 == best && math.Abs(at-0.5) < math.Abs(threshold-0.5) {
				best, threshold = f1, at
			}
		}
		if n == len(all) {
			return threshold
		}
		if above = all[n].p; all[n].gold {
			hits++
		}
	}
}
