package nlg

// ngrams numbers the n-grams of a corpus and counts them in its references. An n-gram is known by the number of the
// one without its last word, and that word. Number 0 is the one without words.
type ngrams struct {
	longest int
	words   map[string]int32
	numbers map[ngram]int32
	before  []int32 // by number: the n-gram without its last word
	count   []int   // by number: in all references; of 0, their words
}

type ngram struct{ before, word int32 }

func newNgrams(longest int) *ngrams {
	return &ngrams{longest: longest, words: map[string]int32{}, numbers: map[ngram]int32{}, before: []int32{0}, count: []int{0}}
}

// sentence is a text as the numbers of its n-grams.
type sentence struct {
	words int
	grams [][]int32 // [longest] grams[n-1][i] is that of n words from word i on
}

// read numbers the n-grams of a text.
func (g *ngrams) read(words []string) sentence {
	s := sentence{len(words), make([][]int32, g.longest)}
	ids := make([]int32, len(words))
	for i, word := range words {
		ids[i] = g.word(word)
	}
	numbers := make([]int32, 0, g.longest*len(words))
	for n := range s.grams {
		start := len(numbers)
		for i := range len(words) - n {
			var before int32
			if n > 0 {
				before = s.grams[n-1][i]
			}
			numbers = append(numbers, g.number(before, ids[i+n]))
		}
		s.grams[n] = numbers[start:]
	}
	return s
}

func (g *ngrams) word(word string) int32 {
	id, ok := g.words[word]
	if !ok {
		id = int32(len(g.words))
		g.words[word] = id
	}
	return id
}

func (g *ngrams) number(before, word int32) int32 {
	n, ok := g.numbers[ngram{before, word}]
	if !ok {
		n = int32(len(g.before))
		g.numbers[ngram{before, word}] = n
		g.before = append(g.before, before)
		g.count = append(g.count, 0)
	}
	return n
}

// addReference counts the n-grams of a reference.
func (g *ngrams) addReference(s sentence) {
	g.count[0] += s.words
	for _, grams := range s.grams {
		for _, gram := range grams {
			g.count[gram]++
		}
	}
}

// tally counts n-grams by their numbers.
type tally struct {
	count []int
	found []int32 // those with a count, each once
}

func (t *tally) grow(g *ngrams) {
	t.count = append(t.count, make([]int, len(g.before)-len(t.count))...)
}

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

// match is what BLEU and NIST know of a segment.
type match struct {
	words      int       // of the output
	references []int     // words of each
	grams      [][]int32 // [longest] the n-grams of the output that a reference has, each as often as there if it is that often in the output
}

// matches counts the n-grams of a corpus up to the given length, in words that split gives.
func matches(segments []Segment, longest int, split func(string) []string) (*ngrams, []match) {
	g := newNgrams(longest)
	out := make([]match, len(segments))
	var reference, most tally // n-grams of one reference; the most in any
	for i, segment := range segments {
		hypothesis := g.read(split(segment.Hypothesis))
		m := match{words: hypothesis.words, references: make([]int, len(segment.References)), grams: make([][]int32, longest)}
		for r, text := range segment.References {
			s := g.read(split(text))
			g.addReference(s)
			m.references[r] = s.words
			reference.grow(g)
			most.grow(g)
			for _, grams := range s.grams {
				for _, gram := range grams {
					if reference.add(gram); reference.count[gram] > most.count[gram] {
						most.add(gram)
					}
				}
			}
			reference.reset()
		}
		most.grow(g)
		for n, grams := range hypothesis.grams {
			for _, gram := range grams {
				if most.count[gram] > 0 {
					most.count[gram]--
					m.grams[n] = append(m.grams[n], gram)
				}
			}
		}
		most.reset()
		out[i] = m
	}
	return g, out
}
