package nlg

import (
	"math"
	"strings"

	"autolora/data/metrics/nlg/tok"
)

const bleuOrder = 4 // words of the longest n-grams in BLEU

// bleu holds the sums over segments that BLEU is made of.
type bleu struct {
	right, total [bleuOrder]int // n-grams of the outputs by length, [n-1]: those that a reference has, and all
	reference    int            // words of the references that are closest in length
}

// bleu adds the segments up. An output counts as at least so many n-grams of each length.
func (c *corpus) bleu(least int) (b bleu) {
	for _, m := range c.segments {
		for n := range bleuOrder {
			b.right[n] += len(m.grams[n])
			b.total[n] += max(m.words-n, least)
		}
		b.reference += closest(m.words, m.references)
	}
	return b
}

// closest returns the length that is closest to words, the smaller of two.
func closest(words int, lengths []int) int {
	closest, least := 0, 0
	for i, n := range lengths {
		if d := max(n-words, words-n); i == 0 || d < least || d == least && n < closest {
			closest, least = n, d
		}
	}
	return closest
}

// score is the geometric mean of the precisions of n-grams, times a penalty for outputs with fewer words than the
// references.
func (b *bleu) score(precisions [bleuOrder]float64) float64 {
	logs := 0.0
	for _, p := range precisions {
		logs += math.Log(p)
	}
	penalty := math.Exp(min(0, 1-float64(b.reference)/float64(b.total[0])))
	return penalty * math.Exp(logs/bleuOrder)
}

// MultiBLEU returns BLEU as Moses' multi-bleu.perl -lc prints it, but as a fraction of 1: words are what white space
// separates, in lower case (ASCII letters only); a reference without words counts as any other, so it can be the closest
// in length. The score is 0 where no n-gram of some length is right, and NaN without segments.
func MultiBLEU(segments []Segment) float64 {
	return multiBLEU(segments, func(text string) []string { return strings.FieldsFunc(tok.LowerASCII(text), isSpaceASCII) })
}

// MultiBLEUDetok is MultiBLEU as multi-bleu-detok.perl prints it: the words are those of mteval-v13a, in upper and
// lower case as they are.
func MultiBLEUDetok(segments []Segment) float64 { return multiBLEU(segments, tok.MTEval13a) }

func multiBLEU(segments []Segment, split func(string) []string) float64 {
	if len(segments) == 0 {
		return math.NaN()
	}
	b := compare(segments, bleuOrder, split).bleu(0)
	var precisions [bleuOrder]float64
	for n, right := range b.right {
		if right == 0 {
			return 0
		}
		precisions[n] = float64(right) / float64(b.total[n])
	}
	return b.score(precisions)
}

func isSpaceASCII(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }
