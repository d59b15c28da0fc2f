package nlg

import "strings"

// ROUGEL returns ROUGE-L as pycoco computes it, the mean and the score of each output: the F-score of the longest
// common subsequence of words in its output and a reference, with precision and recall each the best over the
// references. Words are what single spaces separate; e2e-metrics tokenises the texts with PTB before.
func ROUGEL(segments []Segment) (mean float64, scores []float64) {
	scores = make([]float64, len(segments))
	words := newNgrams(1)
	var row []int32
	for i, segment := range segments {
		hypothesis := words.number(strings.Split(segment.Hypothesis, " "), true)[0]
		precision, recall := 0.0, 0.0
		for _, text := range segment.References {
			reference := words.number(strings.Split(text, " "), true)[0]
			row = append(row[:0], make([]int32, len(reference)+1)...)
			common := float64(commonLength(row, hypothesis, reference))
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

// commonLength is the length of a longest common subsequence. row is len(b)+1 zeros: row[j] becomes that of the words of
// a so far and b[:j].
func commonLength(row, a, b []int32) int32 {
	for _, word := range a {
		diagonal := int32(0) // row[j] before this word
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
