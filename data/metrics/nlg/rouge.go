package nlg

import "strings"

// ROUGEL returns ROUGE-L as pycoco computes it, the mean and the score of each output: the F-score of the longest
// common subsequence of words in its output and a reference, with precision and recall each the best over the
// references. Words are what single spaces separate; e2e-metrics tokenises the texts with PTB before.
func ROUGEL(segments []Segment) (mean float64, scores []float64) {
	scores = make([]float64, len(segments))
	for i, segment := range segments {
		hypothesis := strings.Split(segment.Hypothesis, " ")
		precision, recall := 0.0, 0.0
		for _, text := range segment.References {
			reference := strings.Split(text, " ")
			common := float64(commonLength(hypothesis, reference))
			precision = max(precision, common/float64(len(hypothesis)))
			recall = max(recall, common/float64(len(reference)))
		}
		const beta2 = 1.2 * 1.2
		if precision > 0 {
			scores[i] = (1 + beta2) * precision * recall / (recall + beta2*precision)
		}
	}
	return average(scores), scores
}

// commonLength is the length of a longest common subsequence.
func commonLength(a, b []string) int {
	row := make([]int, len(b)+1) // row[j] is that of the words of a so far and b[:j]
	for _, word := range a {
		diagonal := 0 // row[j] before this word
		for j, other := range b {
			above := row[j+1]
			row[j+1] = max(above, row[j])
			if word == other {
				row[j+1] = diagonal + 1
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// average returns the mean, NaN of none.
func average(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
