package nlg

import (
	"math"

	"autolora/data/metrics/nlg/tok"
)

// PyMTEval returns BLEU and NIST as pymteval computes them, which e2e-metrics runs with -p, as LoRA does. The scores
// of one output are those of a corpus of one segment. An output of n words counts as n-k+1 n-grams of k words even
// where that is negative, and a text without words as one empty word. NIST is NaN where pymteval divides by zero:
// it needs n-grams of five words, or outputs so short that they are fewer than none.
func PyMTEval(segments []Segment) (bleu, nist float64) {
	g, matches := matches(segments, nistOrder, pyWords)
	b := pyBLEU(matches)
	return b.score(0), pyNIST(g, matches)
}

// PySentenceBLEU returns the sentBLEU that e2e-metrics writes for each output: pymteval's BLEU with one n-gram of each
// length, a right one, added.
func PySentenceBLEU(segment Segment) float64 {
	_, matches := matches([]Segment{segment}, bleuOrder, pyWords)
	return pyBLEU(matches).score(1)
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

type pyCounts bleu

func pyBLEU(matches []match) (b pyCounts) {
	for _, m := range matches {
		(*bleu)(&b).addMatches(m)
		for n := range b.total {
			b.total[n] += m.words - n
		}
		b.reference += closest(m.words, m.references)
	}
	return b
}

// score returns BLEU with so many right n-grams of each length added.
func (b pyCounts) score(added int) float64 {
	logSum := 0.0
	for n := range b.right {
		right, total := max(float64(b.right[n]+added), 1e-15), max(float64(b.total[n]+added), 1e-9)
		logSum += math.Log(right / total)
	}
	return brevityPenalty(b.total[0], b.reference) * math.Exp(logSum/bleuOrder)
}

func pyNIST(g *ngrams, matches []match) float64 {
	var information, total [nistOrder]float64
	reference := 0.0 // words, the mean of each segment's references
	for _, m := range matches {
		sum := 0
		for _, words := range m.references {
			sum += words
		}
		reference += float64(sum) / float64(len(m.references))
		for n, grams := range m.grams {
			total[n] += float64(m.words - n)
			for _, gram := range grams {
				information[n] += g.information(gram)
			}
		}
	}
	for _, n := range total {
		if n == 0 {
			return math.NaN()
		}
	}
	return nist(information, total, total[0]/reference)
}

// MTEval returns BLEU and NIST as mteval-v13a-sig.pl computes them, which e2e-metrics runs: the published values of the
// E2E challenge. BLEU is smoothed where no n-gram of some length is right. In both, references without words count as
// if they were not there. Lower case is that of ASCII letters.
func MTEval(segments []Segment) (bleu, nist float64) {
	g, matches := matches(segments, nistOrder, func(text string) []string { return tok.MTEval13a(tok.LowerASCII(text)) })
	return mtevalBLEU(matches), mtevalNIST(g, matches)
}

func mtevalBLEU(matches []match) float64 {
	var b bleu
	for _, m := range matches {
		b.addMatches(m)
		b.addWords(m.words)
		b.reference += closest(m.words, withWords(m.references))
	}
	if b.total[0] == 0 {
		return 0
	}
	logSum, smooth := 0.0, 1.0
	for n := range b.right {
		right := float64(b.right[n])
		if b.total[n] == 0 {
			continue
		}
		if right == 0 {
			smooth /= 2
			right = smooth
		}
		logSum += math.Log(right / float64(b.total[n]))
	}
	return brevityPenalty(b.total[0], b.reference) * math.Exp(logSum/bleuOrder)
}

// withWords returns the lengths but 0, or that if there is no other.
func withWords(lengths []int) []int {
	var out []int
	for _, n := range lengths {
		if n > 0 {
			out = append(out, n)
		}
	}
	if out == nil {
		return []int{0}
	}
	return out
}

func mtevalNIST(g *ngrams, matches []match) float64 {
	var information, total [nistOrder]float64
	references := 0 // with words
	for _, m := range matches {
		for _, words := range m.references {
			if words > 0 {
				references++
			}
		}
		for n, grams := range m.grams {
			total[n] += float64(max(m.words-n, 0))
			for _, gram := range grams {
				information[n] += g.mtevalInformation(gram)
			}
		}
	}
	words := total[0]
	for n := range total {
		total[n] = max(total[n], 1)
	}
	perSegment := float64(references) / float64(len(matches))
	return nist(information, total, words/(float64(g.count[0])/perSegment))
}

// mtevalInformation is information, except after the word "0": that is false in Perl, where mteval asks for the
// words before, so it takes there to be none.
func (g *ngrams) mtevalInformation(gram int32) float64 {
	zero, ok := g.words["0"]
	if before := g.before[gram]; ok && before != 0 && before == g.numbers[ngram{0, zero}] {
		return math.Log2(float64(g.count[0]) / float64(g.count[gram]))
	}
	return g.information(gram)
}
