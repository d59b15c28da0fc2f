package nlg

import "strings"

// ngrams are the n-grams of a text by length, [n-1][i] is that of n words from word i on, with spaces between them.
type ngrams [][]string

func ngramsOf(words []string, longest int) ngrams {
	out := make(ngrams, longest)
	for n := range out {
		for i := range len(words) - n {
			out[n] = append(out[n], strings.Join(words[i:i+n+1], " "))
		}
	}
	return out
}

// corpus is what BLEU and NIST know of segments.
type corpus struct {
	count    map[string]int // of each n-gram in all references
	words    int            // of all references
	segments []match
}

type match struct {
	words      int   // of the output
	references []int // words of each
	// The n-grams of the output that a reference has, by length, [n-1]: each as often as it is in the output, but no
	// more often than in the reference that has most of it.
	grams ngrams
}

// compare counts the n-grams of up to so many words, which split finds in a text.
func compare(segments []Segment, longest int, split func(string) []string) *corpus {
	c := &corpus{count: map[string]int{}}
	for _, s := range segments {
		output := split(s.Hypothesis)
		m := match{words: len(output), grams: make(ngrams, longest)}
		most := map[string]int{}
		for _, text := range s.References {
			words := split(text)
			m.references = append(m.references, len(words))
			c.words += len(words)
			reference := map[string]int{}
			for _, grams := range ngramsOf(words, longest) {
				for _, gram := range grams {
					c.count[gram]++
					reference[gram]++
					most[gram] = max(most[gram], reference[gram])
				}
			}
		}
		for n, grams := range ngramsOf(output, longest) {
			for _, gram := range grams {
				if most[gram] > 0 {
					most[gram]--
					m.grams[n] = append(m.grams[n], gram)
				}
			}
		}
		c.segments = append(c.segments, m)
	}
	return c
}
