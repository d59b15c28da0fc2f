package metrics

import (
	"math"
	"slices"
)

// Accuracy is the fraction of examples whose prediction is right; NaN for no examples.
func Accuracy(gold, pred []int) float64 {
	right := 0
	for i, g := range gold {
		if pred[i] == g {
			right++
		}
	}
	return float64(right) / float64(same(len(gold), len(pred)))
}

// F1 is the harmonic mean of precision and recall of the class positive (GLUE: 1), 0 where it is neither
// predicted nor gold (zero_division=0); NaN for no examples.
func F1(gold, pred []int, positive int) float64 {
	if same(len(gold), len(pred)) == 0 {
		return math.NaN()
	}
	var hits, golds, preds int
	for i, g := range gold {
		if g == positive {
			golds++
		}
		if pred[i] == positive {
			preds++
			if g == positive {
				hits++
			}
		}
	}
	if golds+preds == 0 {
		return 0
	}
	return 2 * float64(hits) / float64(golds+preds)
}

// MacroF1 is the mean of F1 over all classes that are gold or predicted; NaN for no examples.
func MacroF1(gold, pred []int) float64 {
	same(len(gold), len(pred))
	var classes []int
	for _, class := range slices.Concat(gold, pred) {
		if !slices.Contains(classes, class) {
			classes = append(classes, class)
		}
	}
	sum := 0.0
	for _, class := range classes {
		sum += F1(gold, pred, class)
	}
	return sum / float64(len(classes))
}

// Matthews is the Matthews correlation coefficient for any number of classes (Gorodkin's R_K), 0 where it
// is not defined because all gold or all predicted classes are the same; NaN for no examples.
func Matthews(gold, pred []int) float64 {
	n := same(len(gold), len(pred))
	if n == 0 {
		return math.NaN()
	}
	right := 0
	golds, preds := make(map[int]int), make(map[int]int)
	for i, g := range gold {
		golds[g]++
		preds[pred[i]]++
		if g == pred[i] {
			right++
		}
	}
	// The three covariances, times n². Integers, so that the order of the maps does not matter.
	both, goldOnly, predOnly := n*right, n*n, n*n
	for class, k := range golds {
		both -= k * preds[class]
		goldOnly -= k * k
	}
	for _, k := range preds {
		predOnly -= k * k
	}
	if goldOnly == 0 || predOnly == 0 {
		return 0
	}
	return float64(both) / math.Sqrt(float64(goldOnly)*float64(predOnly))
}

// same returns the common length of two lists. Scores panic where it is not common: Classification and Regression
// check that.
func same(a, b int) int {
	if a != b {
		panic("metrics: gold and predicted lists of different length")
	}
	return a
}
