package metrics

import (
	"maps"
	"math"
	"slices"
)

// ClassScores are the scores of one class.
type ClassScores struct {
	Name string `json:"class"`
	EntityScores
	Predicted int `json:"predicted"` // how often it was given
}

// PerClass returns the scores of every class, whose names are labels, and the confusion matrix: how many examples of
// one class (row) were given another (column). Both are those of scikit-learn with zero_division=0.
func PerClass(labels []string, gold, pred []int) (scores []ClassScores, confusion [][]int) {
	same(len(gold), len(pred))
	counts := make([]entityCounts, len(labels))
	confusion = make([][]int, len(labels))
	for i := range confusion {
		confusion[i] = make([]int, len(labels))
	}
	for i, g := range gold {
		confusion[g][pred[i]]++
		counts[g].gold++
		counts[pred[i]].pred++
		if g == pred[i] {
			counts[g].hits++
		}
	}
	for i, c := range counts {
		scores = append(scores, ClassScores{labels[i], c.scores(), c.pred})
	}
	return scores, confusion
}

// WeightedF1 is the mean of F1 over the classes, weighted by how often they are gold; NaN for no examples.
func WeightedF1(gold, pred []int) float64 {
	golds := occurrences(gold)
	sum := 0.0
	for _, class := range slices.Sorted(maps.Keys(golds)) {
		sum += float64(golds[class]) * F1(gold, pred, class)
	}
	return sum / float64(same(len(gold), len(pred)))
}

// Commonest returns the class that is gold most often, the first of several; -1 for no examples.
func Commonest(gold []int) int {
	best, counts := -1, occurrences(gold)
	for class, n := range counts {
		if best < 0 || n > counts[best] || n == counts[best] && class < best {
			best = class
		}
	}
	return best
}

// CrossEntropy returns −log softmax(logits)[class], and the softmax's largest value.
func CrossEntropy(logits []float64, class int) (loss, most float64) {
	top := slices.Max(logits)
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(v - top)
	}
	return math.Log(sum) + top - logits[class], 1 / sum
}

// Entropy is the least mean cross entropy that one answer to all examples can have: that of giving every class the
// probability of its share; NaN for no examples.
func Entropy(gold []int) float64 {
	counts := occurrences(gold)
	sum := 0.0
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		share := float64(counts[class]) / float64(len(gold))
		sum -= share * math.Log(share)
	}
	if len(gold) == 0 {
		return math.NaN()
	}
	return sum
}

// WeighedEntropy returns the mean loss of giving every example the same probabilities of classes, of the best ones, where
// an example of a class counts as much as its weight.
func WeighedEntropy(gold []int, weights []float64) float64 {
	of, all := make([]float64, len(weights)), 0.0
	for _, class := range gold {
		of[class] += weights[class]
		all += weights[class]
	}
	sum := 0.0
	for _, weight := range of {
		if weight > 0 {
			sum -= weight * math.Log(weight/all)
		}
	}
	return sum / float64(len(gold))
}

// occurrences counts each class.
func occurrences(classes []int) map[int]int {
	counts := make(map[int]int)
	for _, class := range classes {
		counts[class]++
	}
	return counts
}

// Balanced returns a weight for each of k classes: the inverse of its share of gold, so that all classes count alike
// and the mean over the examples is 1. A class that does not occur has 0.
func Balanced(gold []int, k int) []float64 {
	weights, counts := make([]float64, k), occurrences(gold)
	for class, n := range counts {
		weights[class] = float64(len(gold)) / float64(len(counts)*n)
	}
	return weights
}
