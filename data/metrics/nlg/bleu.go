package nlg

import (
	"math"
	"strings"

	"autolora/data/metrics/nlg/tok"
)

const bleuOrder = 4 // words of the longest n-grams in BLEU

// MultiBLEU returns BLEU as multi-bleu.perl -lc prints it, but a fraction of 1: words are what white space separates,
// in lower case (ASCII letters only), and a reference without words counts as the closest in length where it is.
// It is 0 where no n-gram of some length is right.
func MultiBLEU(segments []Segment) float64 {
	return multiBLEU(segments, func(text string) []string { return strings.FieldsFunc(tok.LowerASCII(text), isSpaceASCII) })
}

// MultiBLEUDetok is MultiBLEU as Moses' multi-bleu-detok.perl prints it: the words are those of mteval-v13a, in upper
// and lower case as they are.
func MultiBLEUDetok(segments []Segment) float64 { return multiBLEU(segments, tok.MTEval13a) }

func multiBLEU(segments []Segment, split func(string) []string) float64 {
	_, matches := matches(segments, bleuOrder, split)
	var b bleu
	for _, m := range matches {
		b.addMatches(m)
		b.addWords(m.words)
		b.reference += closest(m.words, m.references)
	}
	if b.total[0] == 0 {
		return 0
	}
	logSum := 0.0
	for n := range bleuOrder {
		logSum += math.Log(float64(b.right[n]) / float64(max(b.total[n], 1)))
	}
	return brevityPenalty(b.total[0], b.reference) * math.Exp(logSum/bleuOrder)
}

// bleu holds the sums over segments that BLEU is made of.
type bleu struct {
	right, total [bleuOrder]int // n-grams of the outputs by length, [n-1]: those that a reference has, and all
	reference    int            // words of the references that are closest in length
}

func (b *bleu) addMatches(m match) {
	for n := range b.right {
		b.right[n] += len(m.grams[n])
	}
}

// addWords counts the n-grams of an output of so many words.
func (b *bleu) addWords(words int) {
	for n := range b.total {
		b.total[n] += max(words-n, 0)
	}
}

// closest returns the length that is closest to words, the smaller of two.
func closest(words int, lengths []int) int {
	best := lengths[0]
	for _, n := range lengths[1:] {
		if d, least := distance(n, words), distance(best, words); d < least || d == least && n < best {
			best = n
		}
	}
	return best
}

func distance(a, b int) int { return max(a-b, b-a) }

// brevityPenalty is the factor for outputs of fewer words than the references.
func brevityPenalty(words, reference int) float64 {
	return math.Exp(min(0, 1-float64(reference)/float64(words)))
}

func isSpaceASCII(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }
