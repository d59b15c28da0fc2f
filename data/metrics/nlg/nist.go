package nlg

import "math"

const nistOrder = 5 // words of the longest n-grams in NIST

// nist holds the sums over segments that NIST is made of.
type nist struct {
	information [nistOrder]float64 // bits, of the n-grams of the outputs that a reference has, by length, [n-1]
	total       [nistOrder]float64 // n-grams of the outputs
}

// nist adds the segments up. An output counts as at least so many n-grams of each length.
func (c *corpus) nist(least int, information func(gram int32) float64) (s nist) {
	for _, m := range c.segments {
		for n, grams := range m.grams {
			s.total[n] += float64(max(m.words-n, least))
			for _, gram := range grams {
				s.information[n] += information(gram)
			}
		}
	}
	return s
}

// score is the information per n-gram, summed over the lengths, times a penalty for outputs with fewer words than so
// many of references.
func (s *nist) score(references float64) float64 {
	sum := 0.0
	for n, total := range s.total {
		if total == 0 {
			return math.NaN()
		}
		sum += s.information[n] / total
	}
	return sum * nistPenalty(s.total[0]/references)
}

// nistPenalty is 1/2 for outputs with 2/3 of the references' words.
func nistPenalty(ratio float64) float64 {
	switch {
	case ratio >= 1:
		return 1
	case ratio <= 0:
		return 0
	}
	beta := math.Ln2 / (math.Log(1.5) * math.Log(1.5))
	return math.Exp(-beta * math.Log(ratio) * math.Log(ratio))
}

// information returns the bits that the last word of an n-gram tells to who knows the words before it.
func (c *corpus) information(gram int32) float64 {
	return math.Log2(float64(c.count[c.grams[gram].before]) / float64(c.count[gram]))
}
