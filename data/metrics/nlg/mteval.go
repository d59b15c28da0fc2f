package nlg

import (
	"math"
	"slices"

	"autolora/data/metrics/nlg/tok"
)

// PyMTEval returns BLEU and NIST as pymteval computes them, which e2e-metrics runs with -p, as LoRA does. For the scores
// of one output, give it one segment. An output of n words counts as n-k+1 n-grams of k words even where that is
// negative, and a text without words has an empty one. NIST is NaN where pymteval divides by zero, as it does for one
// output of less than five words. Both are NaN without segments.
func PyMTEval(segments []Segment) (bleu, nist float64) {
	c := compare(segments, nistOrder, pyWords)
	words := 0.0 // of the references, the mean in each segment
	for _, m := range c.segments {
		sum := 0
		for _, n := range m.references {
			sum += n
		}
		words += float64(sum) / float64(len(m.references))
	}
	information := c.nist(math.MinInt, c.information)
	return c.pyBLEU(0), information.score(words)
}

// PySentenceBLEU returns the sentBLEU that e2e-metrics writes for an output: pymteval's BLEU with one more n-gram of
// each length, which is right.
func PySentenceBLEU(segment Segment) float64 {
	return compare([]Segment{segment}, bleuOrder, pyWords).pyBLEU(1)
}

// pyBLEU is pymteval's BLEU with so many right n-grams of each length added.
func (c *corpus) pyBLEU(added int) float64 {
	if len(c.segments) == 0 {
		return math.NaN()
	}
	b := c.bleu(math.MinInt)
	var precisions [bleuOrder]float64
	for n := range precisions {
		precisions[n] = max(float64(b.right[n]+added), 1e-15) / max(float64(b.total[n]+added), 1e-9)
	}
	return b.score(precisions)
}

// pyWords are the words of mteval-v13a in lower case.
func pyWords(text string) []string {
	words := tok.MTEval13a(text)
	if len(words) == 0 {
		return []string{""}
	}
	for i, word := range words {
		words[i] = tok.Lower(word)
	}
	return words
}

// MTEval returns BLEU and NIST as mteval-v13a-sig.pl computes them, which e2e-metrics runs without -p: the published
// values of the E2E challenge. BLEU is smoothed where no n-gram of some length is right. References without words
// do not count. Lower case is that of ASCII letters. Both scores are NaN without segments.
func MTEval(segments []Segment) (bleu, nist float64) {
	if len(segments) == 0 {
		return math.NaN(), math.NaN()
	}
	c := compare(segments, nistOrder, func(text string) []string { return tok.MTEval13a(tok.LowerASCII(text)) })
	references := 0
	for i := range c.segments {
		m := &c.segments[i]
		m.references = slices.DeleteFunc(m.references, func(words int) bool { return words == 0 })
		references += len(m.references)
	}
	information := c.nist(0, c.mtevalInformation)
	for n, total := range information.total {
		information.total[n] = max(total, 1)
	}
	// The mean of all references times the segments, not the mean in each segment.
	words := float64(c.count[0]) / float64(references) * float64(len(segments))
	return c.mtevalBLEU(), information.score(words)
}

func (c *corpus) mtevalBLEU() float64 {
	b := c.bleu(0)
	if b.total[0] == 0 {
		return 0
	}
	precisions, smooth := [bleuOrder]float64{}, 1.0
	for n, total := range b.total {
		switch {
		case total == 0:
			precisions[n] = 1
		case b.right[n] == 0:
			smooth /= 2
			precisions[n] = smooth / float64(total)
		default:
			precisions[n] = float64(b.right[n]) / float64(total)
		}
	}
	return b.score(precisions)
}

// mtevalInformation is information, but after the word "0" as if there were no word before: mteval asks whether there
// is one with "if", and "0" is false in Perl.
func (c *corpus) mtevalInformation(gram int32) float64 {
	before := c.grams[gram].before
	if before == c.words["0"] {
		before = 0
	}
	return math.Log2(float64(c.count[before]) / float64(c.count[gram]))
}
