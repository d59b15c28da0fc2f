package nlg

// ngrams numbers n-grams. One is known by the number of the n-gram without its last word, and that word. Number 0 is
// the n-gram without words.
type ngrams struct {
	longest int // words
	words   map[string]int32
	numbers map[ngram]int32
	before  []int32 // by number: the n-gram without its last word
}

type ngram struct{ before, word int32 }

func newNgrams(longest int) *ngrams {
	return &ngrams{longest, map[string]int32{}, map[ngram]int32{}, []int32{0}}
}

// sentence is the n-grams of a text by their numbers: [n-1][i] is that of n words from word i on.
type sentence [][]int32

// number numbers the n-grams of a text.
func (g *ngrams) number(words []string) sentence {
	ids := make([]int32, len(words))
	for i, word := range words {
		id, ok := g.words[word]
		if !ok {
			id = int32(len(g.words))
			g.words[word] = id
		}
		ids[i] = id
	}
	out := make(sentence, g.longest)
	numbers := make([]int32, 0, g.longest*len(words))
	for n := range out {
		start := len(numbers)
		for i := range len(words) - n {
			gram := ngram{word: ids[i+n]}
			if n > 0 {
				gram.before = out[n-1][i]
			}
			number, ok := g.numbers[gram]
			if !ok {
				number = int32(len(g.before))
				g.numbers[gram] = number
				g.before = append(g.before, gram.before)
			}
			numbers = append(numbers, number)
		}
		out[n] = numbers[start:]
	}
	return out
}

// find appends the n-grams of a text that have a number.
func (g *ngrams) find(found []int32, words []string) []int32 {
	for i := range words {
		var number int32
		for _, word := range words[i:min(i+g.longest, len(words))] {
			id, ok := g.words[word]
			if !ok {
				break
			}
			if number, ok = g.numbers[ngram{number, id}]; !ok {
				break
			}
			found = append(found, number)
		}
	}
	return found
}

// tally counts n-grams by their numbers.
type tally struct {
	count []int
	found []int32 // those with a count, each once
}

func (g *ngrams) tally() tally { return tally{count: make([]int, len(g.before))} }

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
		outputs[i] = g.number(split(s.Hypothesis))
	}
	c := &corpus{g, make([]int, len(g.before)), make([]match, len(segments))}
	reference, most := g.tally(), g.tally()
	var found []int32
	for i, s := range segments {
		m := match{words: len(outputs[i][0]), references: make([]int, len(s.References)), grams: make(sentence, longest)}
		for r, text := range s.References {
			words := split(text)
			m.references[r] = len(words)
			c.count[0] += len(words)
			found = g.find(found[:0], words)
			for _, gram := range found {
				c.count[gram]++
				if reference.add(gram); reference.count[gram] > most.count[gram] {
					most.add(gram)
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
