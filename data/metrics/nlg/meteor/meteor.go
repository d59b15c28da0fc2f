package meteor

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unicode/utf16"

	"autolora/data/metrics/nlg/parallel"
	"autolora/data/metrics/nlg/tok"

	"github.com/kljensen/snowball/english"
)

// Meteor scores outputs. It does not change and can be used by several goroutines at once.
type Meteor struct {
	functionWords map[string]bool
	prefixes      prefixes
	synonyms      *synonyms
	paraphrases   *paraphrases // nil: there is no table
	matchers      int          // the first so many are used
}

// The matchers, in the order in which METEOR uses them.
const (
	exact = iota
	stem
	synonym
	paraphrase
	matchers
)

// Label names the metric. Without a table of paraphrases it is not METEOR as others report it.
func (m *Meteor) Label() string {
	if m.paraphrases == nil {
		return "meteor (no paraphrase table)"
	}
	return "meteor"
}

// Scores are those of a corpus and of its segments.
type Scores struct {
	Score    float64 // of the sums of the segments' statistics, which is not the mean of their scores
	Segments []Segment
}

// Segment is the score of one output against the reference that suits it best, and how it comes about.
type Segment struct {
	Score float64
	Stats Stats
}

// Score scores outputs against their references, one list for each. A reference may be empty. It is an error if an
// output has none.
func (m *Meteor) Score(outputs []string, references [][]string) (Scores, error) {
	if len(outputs) != len(references) {
		return Scores{}, fmt.Errorf("%s: %d outputs and references for %d", m.Label(), len(outputs), len(references))
	}
	for i := range outputs {
		if len(references[i]) == 0 {
			return Scores{}, fmt.Errorf("%s: output %d has no reference", m.Label(), i+1)
		}
	}
	scores := Scores{Segments: make([]Segment, len(outputs))}
	// Segments do not depend on each other: whichever core is free takes the next.
	var next atomic.Int64
	parallel.Run(min(runtime.GOMAXPROCS(0), len(outputs)), func(int) {
		vocabulary := &vocabulary{Meteor: m, words: make(map[string]*word)}
		for i := next.Add(1) - 1; i < int64(len(outputs)); i = next.Add(1) - 1 {
			scores.Segments[i] = vocabulary.segment(outputs[i], references[i])
		}
	})
	var corpus Stats
	for _, segment := range scores.Segments {
		corpus.add(segment.Stats)
	}
	scores.Score = corpus.Score()
	return scores, nil
}

// segment scores one output. Of references that are equally good the first one is kept (MeteorScorer.java 225).
func (v *vocabulary) segment(output string, references []string) Segment {
	var best Segment
	hypothesis := v.read(output)
	for k, text := range references {
		stats := v.align(hypothesis, v.read(text))
		if score := stats.Score(); k == 0 || score > best.Score {
			best = Segment{score, stats}
		}
	}
	return best
}

// word is what the matchers look at. Words and stems are equal if their hashes are (Stage.java 46, StemMatcher.java
// 51): "an" and "c0" are one word to METEOR.
type word struct {
	hash, stem int32
	synsets    []int32 // ascending
	phraseWord int32   // the word's number in the table of paraphrases, -1 if it is not there
	function   bool
}

// vocabulary holds the words of a corpus, which come again and again.
type vocabulary struct {
	*Meteor
	words map[string]*word
}

// read returns the words of a text.
func (v *vocabulary) read(text string) []*word {
	tokens := fields(tok.Lower(v.prefixes.normalize(text)))
	words := make([]*word, len(tokens))
	for i, token := range tokens {
		w, ok := v.words[token]
		if !ok {
			w = v.newWord(token)
			v.words[token] = w
		}
		words[i] = w
	}
	return words
}

func (m *Meteor) newWord(token string) *word {
	return &word{
		hash:       javaHash(token),
		stem:       javaHash(english.Stem(token, true)),
		synsets:    m.synonyms.of(token),
		phraseWord: m.paraphrases.word(token),
		function:   m.functionWords[token],
	}
}

// javaHash is String.hashCode of Java, which goes through UTF-16.
func javaHash(s string) int32 {
	var h int32
	for _, unit := range utf16.Encode([]rune(s)) {
		h = 31*h + int32(unit)
	}
	return h
}
