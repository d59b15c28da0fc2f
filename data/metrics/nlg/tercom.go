package nlg

import (
	"strings"

	"autolora/data/metrics/nlg/tok"
)

// The limits of tercom 0.7.25 where no option says otherwise.
const (
	maxShiftWords    = 10 // of a run that is moved
	maxShiftDistance = 50 // words that it is moved over
	maxBehind        = 20 // edits by which a path to a word may be longer than the shortest
)

// Tercom returns the edits of one output against the reference that needs the fewest, and the mean number of words
// of the references, as tercom 0.7.25 counts them without options: words are what white space separates, in
// lower case. The score of a corpus is the sum of the edits over the sum of the words.
//
// Snover et al. (2006), "A study of translation edit rate with targeted human annotation", section 2, describe the
// search for shifts: greedy, of runs that stand in the reference too and are not right yet, the longest first.
func Tercom(s Segment) (edits int, words float64) {
	hyp := tercomWords(s.Hypothesis)
	total := 0
	for i, reference := range s.References {
		ref := tercomWords(reference)
		n := len(hyp) + len(ref) // where one of them has no words
		if len(hyp) > 0 && len(ref) > 0 {
			n = newShiftSearch(hyp, ref).edits()
		}
		if i == 0 || n < edits {
			edits = n
		}
		total += len(ref)
	}
	if n := len(s.References); n > 0 {
		words = float64(total) / float64(n)
	}
	return edits, words
}

// tercomRate is edits per word; tercom gives references without words the rate 1, or 0 to an output without words.
func tercomRate(edits int, words float64) float64 {
	if words == 0 {
		return float64(min(edits, 1))
	}
	return float64(edits) / words
}

// tercomWords are the words in lower case, split at ASCII white space only.
func tercomWords(text string) []string { return strings.FieldsFunc(tok.Lower(text), isSpaceASCII) }

// shift moves the words in [start, end) of a sentence behind the word at after, -1 for the beginning. Places are
// those before the shift.
type shift struct{ start, end, after int }

// shiftSearch looks for the shifts that bring one sentence closer to another.
type shiftSearch struct {
	hyp, ref []int32
	exact    *editDistance // a lower bound of the distance within the beam
	table    beamTable

	hypWrong, refWrong []bool                     // the words that are not aligned to an equal one
	aligned            []int                      // [len(ref)] the word of hyp that each is aligned to, or that a missing one would follow
	shifts             [maxShiftWords + 1][]shift // by number of words
	shifted, best      []int32
}

func newShiftSearch(hyp, ref []string) *shiftSearch {
	a, b, words := number(hyp, ref)
	return &shiftSearch{
		hyp: a, ref: b, exact: newEditDistance(b, words), table: newBeamTable(len(a), len(b)),
		hypWrong: make([]bool, len(a)), refWrong: make([]bool, len(b)), aligned: make([]int, len(b)),
		shifted: make([]int32, len(a)), best: make([]int32, len(a)),
	}
}

// edits returns how many edits turn hyp into ref, a shift counting as one.
func (s *shiftSearch) edits() int {
	distance := s.table.distance(s.hyp, s.ref)
	for shifts := 0; ; shifts++ {
		s.align()
		s.gather()
		next, ok := s.choose(distance)
		if !ok {
			return distance + shifts
		}
		distance = next
		s.hyp, s.best = s.best, s.hyp
		s.table.distance(s.hyp, s.ref)
	}
}

// align reads from the table which words are wrong, and where a word of ref belongs in hyp.
func (s *shiftSearch) align() {
	for i, j := len(s.ref), len(s.hyp); i > 0 || j > 0; {
		switch s.table.step(i, j) {
		case keep, replace:
			wrong := s.table.step(i, j) == replace
			i, j = i-1, j-1
			s.hypWrong[j], s.refWrong[i], s.aligned[i] = wrong, wrong, j
		case insert:
			j--
			s.hypWrong[j] = true
		case remove:
			i--
			s.refWrong[i], s.aligned[i] = true, j-1
		}
	}
}

// gather lists the shifts that tercom tries, in its order. A run of hyp is tried where it has a wrong word and
// stands somewhere in ref with a wrong word, too far from its place there to be in it already but within reach.
// It is moved behind each word that the words of ref before and in that place are aligned to.
func (s *shiftSearch) gather() {
	for n := range s.shifts {
		s.shifts[n] = s.shifts[n][:0]
	}
	for start := range s.hyp {
		if !s.misplaced(start) {
			continue
		}
		wrong := false
		for end := start + 1; end <= len(s.hyp) && end <= start+maxShiftWords; end++ {
			wrong = wrong || s.hypWrong[end-1]
			found, reachable := false, false
			for place := range s.ref {
				if !s.stands(start, end, place) {
					continue
				}
				found = true
				to := s.aligned[place]
				if !wrong || to >= start && to < end || to-start > maxShiftDistance || start-to > maxShiftDistance {
					continue
				}
				reachable = true
				s.add(start, end, place)
			}
			if !found || wrong && !reachable {
				break // nor can a longer run be moved
			}
		}
	}
}

// misplaced reports whether a word stands somewhere in ref within reach but in another place than this.
func (s *shiftSearch) misplaced(start int) bool {
	for place, to := range s.aligned {
		if s.ref[place] == s.hyp[start] && to != start && to-start <= maxShiftDistance && start-to-1 <= maxShiftDistance {
			return true
		}
	}
	return false
}

// stands reports whether the words of hyp in [start, end) are those of ref from place on.
func (s *shiftSearch) stands(start, end, place int) bool {
	if place+end-start > len(s.ref) {
		return false
	}
	for i, word := range s.hyp[start:end] {
		if s.ref[place+i] != word {
			return false
		}
	}
	return true
}

// add adds the shifts of a run to a place in ref.
func (s *shiftSearch) add(start, end, place int) {
	n := end - start
	wrong := false
	for _, w := range s.refWrong[place : place+n] {
		wrong = wrong || w
	}
	if !wrong {
		return
	}
	list := &s.shifts[n]
	for at := place - 1; at < place+n; at++ {
		switch {
		case at < 0:
			*list = append(*list, shift{start, end, -1})
		case s.aligned[at] != start && (at == place || s.aligned[at] != s.aligned[place]):
			*list = append(*list, shift{start, end, s.aligned[at]})
		}
	}
}

// choose sets best to the sentence after the best shift and returns its distance, if one saves at least what it
// costs. Of equally good ones it is the first, except that one that only saves its cost is replaced.
func (s *shiftSearch) choose(distance int) (next int, ok bool) {
	least := distance // edits with the shift chosen, which counts as one
	for n := maxShiftWords; n > 0; n-- {
		for _, shift := range s.shifts[n] {
			// No shift of n words saves more than 2n edits.
			if saved := distance - least; saved > 2*n || ok && saved == 2*n {
				return next, ok
			}
			shift.apply(s.shifted, s.hyp)
			enough := func(edits int) bool { return edits+1 < least || !ok && edits+1 == least }
			if !enough(s.exact.to(s.shifted)) {
				continue
			}
			if edits := s.table.distance(s.shifted, s.ref); enough(edits) {
				next, least, ok = edits, edits+1, true
				s.best, s.shifted = s.shifted, s.best
			}
		}
	}
	return next, ok
}

// apply sets to to the words of from after the shift. A run moved behind one of its own words goes as many words to
// the right as that word is from its start.
func (sh shift) apply(to, from []int32) {
	before := sh.after + 1
	switch {
	case sh.after >= sh.end:
		before -= sh.end - sh.start
	case sh.after >= sh.start:
		before = sh.after
	}
	move(to, from, sh.start, sh.end, before)
}

// steps of a path through the table, which tells how to come from hyp to ref.
const (
	none byte = iota
	keep
	replace
	insert // a word of hyp that ref lacks
	remove // a word of ref that hyp lacks
)

// beamTable is the table of edit distances between the beginnings of two sentences, without the paths that are far
// behind others.
type beamTable struct {
	rows      int    // len(ref)+1
	steps     []byte // [len(hyp)+1, rows] the last step to each entry
	last, cur []int  // [rows] the distances in two columns
}

func newBeamTable(hyp, ref int) beamTable {
	return beamTable{ref + 1, make([]byte, (hyp+1)*(ref+1)), make([]int, ref+1), make([]int, ref+1)}
}

func (t *beamTable) step(i, j int) byte { return t.steps[j*t.rows+i] }

// distance fills the table and returns its last entry. Of paths of the same length, it prefers to keep or replace
// a word, then to insert one.
func (t *beamTable) distance(hyp, ref []int32) int {
	const never = 1 << 30
	for j := 0; j <= len(hyp); j++ {
		steps := t.steps[j*t.rows:][:t.rows]
		ahead := never // the least distance after keeping or replacing a word
		for i := range t.cur {
			d, step := never, none
			if i > 0 && j > 0 && t.last[i-1] < never {
				if d, step = t.last[i-1], keep; ref[i-1] != hyp[j-1] {
					d, step = d+1, replace
				}
				ahead = min(ahead, d)
			}
			if j > 0 && t.last[i]+1 < d {
				d, step = t.last[i]+1, insert
			}
			t.cur[i], steps[i] = d, step
		}
		if j == 0 {
			t.cur[0] = 0
		}
		for i := range t.cur {
			if i > 0 && t.cur[i-1]+1 < t.cur[i] {
				t.cur[i], steps[i] = t.cur[i-1]+1, remove
			}
			if j < len(hyp) && t.cur[i] > ahead+maxBehind {
				t.cur[i] = never
			}
		}
		t.last, t.cur = t.cur, t.last
	}
	return t.last[len(ref)]
}
