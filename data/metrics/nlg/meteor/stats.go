package meteor

import "math"

// METEOR's parameters for English, tuned on rankings of translations (Constants.java 186 and 206).
const (
	alpha = 0.85 // weight of recall against precision
	beta  = 0.20 // exponent of fragmentation
	gamma = 0.60 // weight of the penalty for it
	delta = 0.75 // weight of content words, that of function words is 1 - delta
)

var matcherWeights = [matchers]float64{exact: 1, stem: 0.6, synonym: 0.8, paraphrase: 0.6}

// Stats are the statistics of an alignment, from which METEOR computes a score; those of a corpus are their sums.
type Stats struct {
	Hypothesis, Reference Side
	Chunks                int // runs of matches that are adjacent and in the same order on both sides
}

// Side counts the words of one of the two sentences, and those of them that are matched by each matcher: exact,
// stem, synonym, paraphrase.
type Side struct {
	Words, FunctionWords int
	Content, Function    [matchers]int
}

// count returns the side of a sentence without matches.
func count(sentence []*word) Side {
	s := Side{Words: len(sentence)}
	for _, w := range sentence {
		if w.function {
			s.FunctionWords++
		}
	}
	return s
}

// addMatch counts words that a matcher matched.
func (s *Side) addMatch(matcher int, words []*word) {
	for _, w := range words {
		if w.function {
			s.Function[matcher]++
		} else {
			s.Content[matcher]++
		}
	}
}

func (s *Side) add(t Side) {
	s.Words += t.Words
	s.FunctionWords += t.FunctionWords
	for i := range matchers {
		s.Content[i] += t.Content[i]
		s.Function[i] += t.Function[i]
	}
}

// matched counts the words that are matched.
func (s *Side) matched() int {
	n := 0
	for i := range matchers {
		n += s.Content[i] + s.Function[i]
	}
	return n
}

// share returns the weight of the words that are matched over that of all, NaN where there are no words.
func (s *Side) share() float64 {
	sum := 0.0
	for i, n := range s.Content {
		sum += float64(n) * matcherWeights[i] * delta
	}
	for i, n := range s.Function {
		sum += float64(n) * matcherWeights[i] * (1 - delta)
	}
	return sum / (delta*float64(s.Words-s.FunctionWords) + (1-delta)*float64(s.FunctionWords))
}

// add adds the statistics of a segment to those of a corpus. Chunks of perfect segments do not count
// (MeteorStats.java 144).
func (s *Stats) add(t Stats) {
	s.Hypothesis.add(t.Hypothesis)
	s.Reference.add(t.Reference)
	if !t.perfect() {
		s.Chunks += t.Chunks
	}
}

// perfect reports whether all words are matched in one chunk.
func (s *Stats) perfect() bool {
	return s.Hypothesis.matched() == s.Hypothesis.Words && s.Reference.matched() == s.Reference.Words && s.Chunks == 1
}

// Score returns the score, from 0 to 1 (MeteorScorer.java 361).
func (s Stats) Score() float64 {
	precision, recall := s.Hypothesis.share(), s.Reference.share()
	mean := 1 / ((1-alpha)/precision + alpha/recall)
	fragmentation := 0.0
	if !s.perfect() {
		fragmentation = float64(s.Chunks) / (float64(s.Hypothesis.matched()+s.Reference.matched()) / 2)
	}
	score := mean * (1 - gamma*math.Pow(fragmentation, beta))
	if math.IsNaN(score) { // nothing is matched
		return 0
	}
	return max(score, 0)
}
