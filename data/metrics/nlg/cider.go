package nlg

import (
	"math"
	"slices"
	"strings"
)

const ciderOrder = 4 // words of the longest n-grams in CIDEr

// CIDEr returns CIDEr as pycoco computes it (CIDEr-D without stemming), the mean and the score of each output, up
// to 10: the cosine of output and reference as vectors of their n-grams, which count the more the fewer segments have
// them in a reference, times a penalty for a difference in length; the mean over the lengths of n-grams and the
// references. So an output has no score without its corpus. Words are what white space separates; e2e-metrics
// tokenises the texts with PTB before.
func CIDEr(segments []Segment) (mean float64, scores []float64) {
	references := make([][]ngrams, len(segments))
	with := map[string]int{} // segments that have an n-gram in a reference
	for i, segment := range segments {
		seen := map[string]bool{}
		for _, text := range segment.References {
			reference := ngramsOf(strings.Fields(text), ciderOrder)
			references[i] = append(references[i], reference)
			for _, gram := range slices.Concat(reference...) {
				if !seen[gram] {
					seen[gram] = true
					with[gram]++
				}
			}
		}
	}
	// An n-gram that no reference has counts as one of one segment.
	weight := func(gram string) float64 { return math.Log(float64(len(segments)) / float64(max(with[gram], 1))) }
	scores = make([]float64, len(segments))
	for i, segment := range segments {
		scores[i] = 10 * similarity(ngramsOf(strings.Fields(segment.Hypothesis), ciderOrder), references[i], weight)
	}
	return average(scores), scores
}

// similarity returns the mean similarity of an output and its references.
func similarity(hypothesis ngrams, references []ngrams, weight func(gram string) float64) float64 {
	sum := 0.0
	for n := range ciderOrder {
		own, _, square := vector(hypothesis[n], weight)
		for _, reference := range references {
			of, grams, referenceSquare := vector(reference[n], weight)
			product := 0.0
			for _, gram := range grams {
				product += min(own[gram], of[gram]) * of[gram]
			}
			if product > 0 {
				// Length is pycoco's: the number of bigrams.
				difference := float64(len(hypothesis[1]) - len(reference[1]))
				const sigma = 6
				sum += product / math.Sqrt(square*referenceSquare) * math.Exp(-difference*difference/(2*sigma*sigma))
			}
		}
	}
	return sum / float64(ciderOrder*len(references))
}

// vector returns the weights of n-grams times their numbers, the n-grams in the order in which they first appear, and
// the squared length of the vector.
func vector(grams []string, weight func(gram string) float64) (weights map[string]float64, different []string, square float64) {
	count := map[string]int{}
	for _, gram := range grams {
		if count[gram]++; count[gram] == 1 {
			different = append(different, gram)
		}
	}
	weights = make(map[string]float64, len(different))
	for _, gram := range different {
		of := weight(gram) * float64(count[gram])
		weights[gram] = of
		square += of * of
	}
	return weights, different, square
}
