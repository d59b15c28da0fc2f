package meteor

import "slices"

// beamSize is how many partial alignments are kept (Constants.java 77).
const beamSize = 40

// match says that words of the hypothesis from hyp on stand for words of the reference from ref on.
type match struct {
	ref, refWords int
	hyp, hypWords int
	matcher       int
}

// distance is how far apart the places are at which the two sides begin.
func (m match) distance() int { return max(m.ref-m.hyp, m.hyp-m.ref) }

// alignment looks for the best way to match a hypothesis and a reference. Positions are those of words.
type alignment struct {
	hyp, ref             []*word
	matches              [][]match // possible ones by where they begin in the reference, in the order in which they were found
	hypCovers, refCovers []int     // how many of them each word is in
}

// align returns the statistics of the alignment that METEOR finds (Aligner.java 150).
func (m *Meteor) align(hyp, ref []*word) Stats {
	a := &alignment{hyp, ref, make([][]match, len(ref)), make([]int, len(hyp)), make([]int, len(ref))}
	a.matchWords(exact, func(h, r *word) bool { return h.hash == r.hash })
	// Where the sentences are equal the other matchers only lead the search astray (Aligner.java 155).
	if !slices.EqualFunc(hyp, ref, func(h, r *word) bool { return h.hash == r.hash }) {
		if m.matchers > stem {
			a.matchWords(stem, func(h, r *word) bool { return h.stem == r.stem && h.hash != r.hash })
		}
		if m.matchers > synonym {
			a.matchWords(synonym, func(h, r *word) bool { return meet(h.synsets, r.synsets) && h.hash != r.hash })
		}
		if m.matchers > paraphrase {
			a.matchPhrases(m.paraphrases)
		}
	}
	return a.stats(a.search())
}

func (a *alignment) add(m match) {
	a.matches[m.ref] = append(a.matches[m.ref], m)
	for i := range m.hypWords {
		a.hypCovers[m.hyp+i]++
	}
	for i := range m.refWords {
		a.refCovers[m.ref+i]++
	}
}

// matchWords adds the pairs of words that are equal in the eyes of a matcher.
func (a *alignment) matchWords(matcher int, equal func(hyp, ref *word) bool) {
	for j, r := range a.ref {
		for i, h := range a.hyp {
			if equal(h, r) {
				a.add(match{j, 1, i, 1, matcher})
			}
		}
	}
}

// matchPhrases adds the pairs of phrases of which one is a paraphrase of the other, and does so twice if each is.
func (a *alignment) matchPhrases(table *paraphrases) {
	pairs := func(from, to []*word, found func(start, words, toStart, toWords int)) {
		for start := range from {
			for n, phrase := range table.from(from, start) {
				for at := range to {
					if begins(to[at:], phrase) {
						found(start, n, at, len(phrase))
					}
				}
			}
		}
	}
	pairs(a.ref, a.hyp, func(ref, refWords, hyp, hypWords int) { a.add(match{ref, refWords, hyp, hypWords, paraphrase}) })
	pairs(a.hyp, a.ref, func(hyp, hypWords, ref, refWords int) { a.add(match{ref, refWords, hyp, hypWords, paraphrase}) })
}

// begins reports whether a sentence begins with a phrase.
func begins(sentence []*word, phrase []int32) bool {
	return len(sentence) >= len(phrase) && slices.EqualFunc(sentence[:len(phrase)], phrase, func(w *word, number int32) bool {
		return w.phraseWord == number
	})
}

// path is an alignment of the words of the reference up to where the search is.
type path struct {
	matched  int // credit for the words of both sides that are matched
	chunks   int // without the one that is not closed yet
	distance int // between the places of the two sides of matches
	refEnd   int // where the last match ends in the reference
	hypEnd   int // and in the hypothesis, -1 if a word of the reference was skipped since
	chosen   *choice
}

// choice is a list of the matches that a path has chosen where there were several, the last one first. Paths share
// its tail.
type choice struct {
	match
	before *choice
}

// uses reports whether words of the hypothesis are in a match that was chosen.
func (c *choice) uses(start, end int) bool {
	for ; c != nil; c = c.before {
		if start < c.hyp+c.hypWords && c.hyp < end {
			return true
		}
	}
	return false
}

// follow extends a path by a match, except for the distance.
func (p *path) follow(m match) {
	p.matched += credit(m.hypWords, m.matcher) + credit(m.refWords, m.matcher)
	if p.hypEnd != -1 && m.hyp != p.hypEnd {
		p.chunks++
	}
	p.refEnd = m.ref + m.refWords
	p.hypEnd = m.hyp + m.hypWords
}

// closeChunk ends the chunk that the last match is in.
func (p *path) closeChunk() {
	if p.hypEnd != -1 {
		p.chunks++
		p.hypEnd = -1
	}
}

// credit is what a match counts in the search: a word of an exact match 1, of others 1/2. The sum is kept in an int,
// which drops the halves: matches of one word by stem or synonym count nothing (Aligner.java 331 and 371,
// PartialAlignment.java 21; MeteorScorer.java 108 for the weights, which are not those of the score).
func credit(words, matcher int) int {
	if matcher == exact {
		return words
	}
	return words / 2
}

// compare orders paths, the better one first (PARTIAL_COMPARE_TOTAL in Constants.java).
func compare(a, b path) int {
	if a.matched != b.matched {
		return b.matched - a.matched
	}
	if a.chunks != b.chunks {
		return a.chunks - b.chunks
	}
	return a.distance - b.distance
}

// search chooses from the possible matches, and returns the chosen ones by where they begin in the reference, nil
// where none does. It goes through the reference from left to right and keeps the best paths (Aligner.java 190 to
// 221, and 289).
func (a *alignment) search() []*match {
	best := make([]*match, len(a.ref))
	fixed := make([]bool, len(a.ref)) // words in matches without an alternative
	for j := range a.ref {
		if ms := a.matches[j]; len(ms) == 1 && a.alone(ms[0]) {
			best[j] = &ms[0]
			for k := range ms[0].refWords {
				fixed[j+k] = true
			}
		}
	}

	paths, next := []path{{hypEnd: -1}}, []path(nil)
	for j := range a.ref {
		slices.SortStableFunc(paths, compare)
		next = next[:0]
		for _, p := range paths[:min(len(paths), beamSize)] {
			switch {
			case j < p.refEnd: // within the last match
			case fixed[j]:
				p.follow(*best[j])
				p.distance += best[j].distance()
			default:
				for _, m := range a.matches[j] {
					// Matches of fixed words have no rivals, and earlier ones of the path end before j.
					if p.chosen.uses(m.hyp, m.hyp+m.hypWords) {
						continue
					}
					q := p
					q.follow(m)
					q.chosen = &choice{m, p.chosen}
					next = append(next, q)
					// The distance goes to the path that is left behind, and so to the alternatives that are tried
					// after this one, but not to the path that has the match (Aligner.java 385).
					p.distance += m.distance()
				}
				p.closeChunk() // leaving the word out ends it (Aligner.java 391)
			}
			next = append(next, p)
		}
		paths, next = next, paths
	}
	slices.SortStableFunc(paths, compare)
	paths = paths[:min(len(paths), beamSize)]
	for i := range paths {
		paths[i].closeChunk()
	}
	for c := slices.MinFunc(paths, compare).chosen; c != nil; c = c.before {
		best[c.ref] = &c.match
	}
	return best
}

// alone reports whether the words of a match are in no other one.
func (a *alignment) alone(m match) bool {
	covered := func(n int) bool { return n > 1 }
	return !slices.ContainsFunc(a.refCovers[m.ref:m.ref+m.refWords], covered) &&
		!slices.ContainsFunc(a.hypCovers[m.hyp:m.hyp+m.hypWords], covered)
}

// stats counts what the chosen matches cover (Aligner.java 250 and 330).
func (a *alignment) stats(matches []*match) Stats {
	s := Stats{Hypothesis: count(a.hyp), Reference: count(a.ref)}
	hypEnd := -1
	for j := 0; j < len(matches); {
		m := matches[j]
		if m == nil {
			hypEnd = -1
			j++
			continue
		}
		if m.hyp != hypEnd {
			s.Chunks++
		}
		s.Hypothesis.addMatch(m.matcher, a.hyp[m.hyp:m.hyp+m.hypWords])
		s.Reference.addMatch(m.matcher, a.ref[m.ref:m.ref+m.refWords])
		hypEnd = m.hyp + m.hypWords
		j += m.refWords
	}
	return s
}
