package nlg

import (
	"math"
	"strings"
)

const ciderOrder = 4 // words of the longest n-grams in CIDEr

// CIDEr returns CIDEr as pycoco computes it (CIDEr-D without stemming), the mean and the score of each output, up
// to 10: the cosine of output and reference as vectors of their n-grams, which count the more the fewer segments have
// them in a reference, times a penalty for a difference in length; the mean over the lengths of n-grams and the
// references. So an output has no score without its corpus. Words are what white space separates; e2e-metrics
// tokenises the texts with PTB before.
func CIDEr(segments []Segment) (mean float64, scores []float64) {
	g := newNgrams(ciderOrder)
	hypotheses := make([]sentence, len(segments))
	references := make([][]sentence, len(segments))
	for i, segment := range segments {
		hypotheses[i] = g.number(strings.Fields(segment.Hypothesis), true)
		references[i] = make([]sentence, len(segment.References))
		for r, text := range segment.References {
			references[i][r] = g.number(strings.Fields(text), true)
		}
	}
	c := cider{g.inverseFrequency(references), g.tally(), g.tally()}
	scores = make([]float64, len(segments))
	for i, hypothesis := range hypotheses {
		scores[i] = 10 * c.similarity(hypothesis, references[i])
	}
	return average(scores), scores
}

// inverseFrequency returns, by number, the logarithm of how many segments there are for one that has the n-gram in
// a reference; one at least.
func (g *ngrams) inverseFrequency(references [][]sentence) []float64 {
	segments := make([]int32, len(g.grams)) // with the n-gram
	last := make([]int32, len(g.grams))     // of them, from 1
	for i, references := range references {
		for _, reference := range references {
			for _, grams := range reference {
				for _, gram := range grams {
					if last[gram] != int32(i+1) {
						last[gram] = int32(i + 1)
						segments[gram]++
					}
				}
			}
		}
	}
	out := make([]float64, len(segments))
	for gram, n := range segments {
		out[gram] = math.Log(float64(len(references)) / float64(max(n, 1)))
	}
	return out
}

type cider struct {
	weight                []float64 // by number
	hypothesis, reference tally
}

// similarity returns the mean similarity of an output and its references.
func (c *cider) similarity(hypothesis sentence, references []sentence) float64 {
	sum := 0.0
	for n := range ciderOrder {
		square := c.square(&c.hypothesis, hypothesis[n])
		for _, reference := range references {
			product, referenceSquare := 0.0, c.square(&c.reference, reference[n])
			for _, gram := range c.reference.found {
				weight := c.weight[gram]
				of := weight * float64(c.reference.count[gram])
				product += min(weight*float64(c.hypothesis.count[gram]), of) * of
			}
			c.reference.reset()
			if product > 0 {
				// Length is pycoco's: the number of bigrams.
				difference := float64(len(hypothesis[1]) - len(reference[1]))
				const sigma = 6
				sum += product / math.Sqrt(square*referenceSquare) * math.Exp(-difference*difference/(2*sigma*sigma))
			}
		}
		c.hypothesis.reset()
	}
	return sum / float64(ciderOrder*len(references))
}

// square counts the n-grams of a sentence and returns the squared length of its vector.
func (c *cider) square(t *tally, grams []int32) float64 {
	for _, gram := range grams {
		t.add(gram)
	}
	sum := 0.0
	for _, gram := range t.found {
		of := c.weight[gram] * float64(t.count[gram])
		sum += of * of
	}
	return sum
}
