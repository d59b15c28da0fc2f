package nlg

// ngrams numbers n-grams, from 1: one is known by the number of the n-gram without its last word, and that of the word.
// Number 0 is the n-gram without words.
type ngrams struct {
	longest int // words
	words   map[string]int32
	grams   []ngram       // by number
	others  map[key]int32 // of more than one word, but those that are the next of some
}

type ngram struct {
	before int32 // without its last word
	word   int32 // the last one, if there are more
	next   int32 // the first seen of those that begin with it and have a word more; 0: none. Most have only one.
}

type key struct{ before, word int32 }

func newNgrams(longest int) *ngrams {
	return &ngrams{longest, map[string]int32{}, make([]ngram, 1), map[key]int32{}}
}

// sentence is the n-grams of a text by their numbers: [n-1][i] is that of n words from word i on.
type sentence [][]int32

// number numbers the n-grams of a text; those not seen before are 0 unless it is to add them.
func (g *ngrams) number(words []string, add bool) sentence {
	out := make(sentence, g.longest)
	numbers := make([]int32, 0, g.longest*len(words))
	for n := range out {
		start := len(numbers)
		for i := range len(words) - n {
			var number int32
			if n == 0 {
				if number = g.words[words[i]]; number == 0 && add {
					number = g.add(ngram{})
					g.words[words[i]] = number
				}
			} else {
				before, word := out[n-1][i], out[0][i+n]
				if number = g.find(before, word); number == 0 && add {
					number = g.add(ngram{before: before, word: word})
					if next := &g.grams[before].next; *next == 0 {
						*next = number
					} else {
						g.others[key{before, word}] = number
					}
				}
			}
			numbers = append(numbers, number)
		}
		out[n] = numbers[start:]
	}
	return out
}

func (g *ngrams) add(new ngram) int32 {
	g.grams = append(g.grams, new)
	return int32(len(g.grams) - 1)
}

// find returns the number of an n-gram of more than one word, 0 if it has none.
func (g *ngrams) find(before, word int32) int32 {
	next := g.grams[before].next
	if next == 0 || g.grams[next].word == word {
		return next
	}
	return g.others[key{before, word}]
}

// tally counts n-grams by their numbers.
type tally struct {
	count []int32
	found []int32 // those with a count, each once
}

func (g *ngrams) tally() tally { return tally{count: make([]int32, len(g.grams))} }

func (t *tally) add(gram int32) {
	if t.count[gram] == 0 {
		t.found = append(t.found, gram)
	}
	t.count[gram]++
}

func (t *tally) reset() {
	for _, gram := range t.found {
		t.count[gram] = 0
	}
	t.found = t.found[:0]
}

// corpus is what BLEU and NIST know of segments.
type corpus struct {
	*ngrams        // those of the outputs
	count    []int // by number: in all references; of 0, their words
	segments []match
}

type match struct {
	words      int   // of the output
	references []int // words of each
	// The n-grams of the output that a reference has, by length, [n-1]: each as often as it is in the output, but no
	// more often than in the reference that has most of it.
	grams sentence
}

// compare counts the n-grams of up to so many words, which split finds in a text.
func compare(segments []Segment, longest int, split func(string) []string) *corpus {
	g := newNgrams(longest)
	outputs := make([]sentence, len(segments))
	for i, s := range segments {
		outputs[i] = g.number(split(s.Hypothesis), true)
	}
	c := &corpus{g, make([]int, len(g.grams)), make([]match, len(segments))}
	reference, most := g.tally(), g.tally()
	for i, s := range segments {
		m := match{words: len(outputs[i][0]), references: make([]int, len(s.References)), grams: make(sentence, longest)}
		for r, text := range s.References {
			words := split(text)
			m.references[r] = len(words)
			c.count[0] += len(words)
			for _, grams := range g.number(words, false) {
				for _, gram := range grams {
					if gram == 0 {
						continue
					}
					c.count[gram]++
					if reference.add(gram); reference.count[gram] > most.count[gram] {
						most.add(gram)
					}
				}
			}
			reference.reset()
		}
		for n, grams := range outputs[i] {
			for _, gram := range grams {
				if most.count[gram] > 0 {
					most.count[gram]--
					m.grams[n] = append(m.grams[n], gram)
				}
			}
		}
		most.reset()
		c.segments[i] = m
	}
	return c
}
