package nlg

import "strings"

// ROUGEL returns ROUGE-L as pycoco computes it, the mean and the score of each output: the F-score of the longest
// common subsequence of words in its output and a reference, with precision and recall each the best over the
// references. Words are what single spaces separate; e2e-metrics tokenises the texts with PTB before.
func ROUGEL(segments []Segment) (mean float64, scores []float64) {
	scores = make([]float64, len(segments))
	var l lcs
	for i, segment := range segments {
		hypothesis := l.number(segment.Hypothesis)
		precision, recall := 0.0, 0.0
		for _, text := range segment.References {
			reference := l.number(text)
			common := float64(l.length(hypothesis, reference))
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

// lcs finds longest common subsequences.
type lcs struct {
	words map[string]int32
	row   []int32
}

func (l *lcs) number(text string) []int32 {
	if l.words == nil {
		l.words = map[string]int32{}
	}
	out := make([]int32, 0, strings.Count(text, " ")+1)
	for word := range strings.SplitSeq(text, " ") {
		id, ok := l.words[word]
		if !ok {
			id = int32(len(l.words))
			l.words[word] = id
		}
		out = append(out, id)
	}
	return out
}

// length is that of a longest common subsequence.
func (l *lcs) length(a, b []int32) int {
	l.row = append(l.row[:0], make([]int32, len(b)+1)...) // row[j] is that of the words of a so far and b[:j]
	for _, word := range a {
		var diagonal int32 // row[j] before this word
		for j, other := range b {
			above := l.row[j+1]
			if word == other {
				l.row[j+1] = diagonal + 1
			} else {
				l.row[j+1] = max(above, l.row[j])
			}
			diagonal = above
		}
	}
	return int(l.row[len(b)])
}

// average returns the mean, NaN of none.
func average(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
