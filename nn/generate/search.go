package generate

import (
	"cmp"
	"slices"
)

// Text is a finished text.
type Text struct {
	IDs   []int64 // the new tokens, the one that ended the text included
	Score float32 // log probability over the length penalty; 0 of greedy search and sampling
}

// hypothesis is a text that a search goes on with.
type hypothesis struct {
	tokens []int64 // the new ones
	sum    float32 // of their log probabilities
	parent int     // the hypothesis of the step before that it continues
}

// after returns h, the parent-th of its step, with a token more.
func (h hypothesis) after(parent int, token int64, sum float32) hypothesis {
	return hypothesis{append(slices.Clone(h.tokens), token), sum, parent}
}

// next is a token that may follow a hypothesis, with its log probability.
type next struct {
	token int64
	logp  float32
}

// search looks for the best texts for one prompt.
type search interface {
	// running returns the hypotheses whose next tokens are wanted; none when the
	// search is over.
	running() []hypothesis
	// width is the number of the likeliest tokens that advance wants of each.
	width() int
	// advance goes one token further. followers has the likeliest tokens after
	// each running hypothesis, best first.
	advance(followers [][]next)
	// best returns the finished texts, best first.
	best() []Text
}

// candidate is a continuation of a running hypothesis.
type candidate struct {
	parent int
	token  int64
	sum    float32
}

// candidates returns the best n continuations of hs, best first; of equal ones
// first those of better hypotheses.
func candidates(hs []hypothesis, followers [][]next, n int) []candidate {
	var all []candidate
	for i, h := range hs {
		for _, f := range followers[i] {
			all = append(all, candidate{i, f.token, h.sum + f.logp})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.sum, a.sum) })
	return all[:min(n, len(all))]
}

// beamSearch is the search of transformers (GenerationMixin._beam_search).
type beamSearch struct {
	Config
	beams    []hypothesis
	finished []Text // best first, at most Beams
	// closed: no running hypothesis can become better than what is finished.
	closed bool
	length int // tokens generated so far
}

func (x *beamSearch) width() int { return max(2, 1+len(x.End)) * x.Beams }

func (x *beamSearch) full() bool { return len(x.finished) == x.Beams }

func (x *beamSearch) running() []hypothesis {
	if x.closed || x.length == x.MaxNewTokens || x.EarlyStopping == WhenFull && x.full() {
		return nil
	}
	return x.beams
}

func (x *beamSearch) advance(followers [][]next) {
	x.length++
	last := x.length == x.MaxNewTokens
	old := x.beams
	x.beams = nil
	var ended []Text
	for rank, c := range candidates(old, followers, x.width()) {
		h := old[c.parent].after(c.parent, c.token, c.sum)
		switch {
		case x.ends(c.token) || last:
			if rank < x.Beams { // one further down is dropped
				ended = append(ended, Text{h.tokens, x.score(c.sum, x.length)})
			}
		case len(x.beams) < x.Beams:
			x.beams = append(x.beams, h)
		}
	}
	x.finished = append(x.finished, ended...)
	slices.SortStableFunc(x.finished, func(a, b Text) int { return cmp.Compare(b.Score, a.Score) })
	x.finished = x.finished[:min(x.Beams, len(x.finished))]
	if len(x.beams) == 0 {
		x.closed = true
		return
	}
	length := x.length
	if x.EarlyStopping == Never && x.LengthPenalty > 0 {
		length = x.MaxNewTokens
	}
	x.closed = x.full() && x.score(x.beams[0].sum, length) <= x.finished[x.Beams-1].Score
}

func (x *beamSearch) best() []Text { return x.finished }

// loraSearch is the search of LoRA's examples/NLG/src/gpt2_beam.py, which keeps
// the one best text. It ends earlier than the original where nothing that
// follows can be better.
type loraSearch struct {
	Config
	beams  []hypothesis // those that have not ended
	found  *Text
	length int
}

func (x *loraSearch) width() int { return x.Beams }

func (x *loraSearch) running() []hypothesis {
	if x.length == x.MaxNewTokens || x.found != nil && !x.improvable() {
		return nil
	}
	return x.beams
}

// improvable reports whether a text that is not finished can still become
// better than the best: sums only fall, and the penalty grows or falls with the
// length.
func (x *loraSearch) improvable() bool {
	for _, h := range x.beams {
		if max(x.score(h.sum, x.length+1), x.score(h.sum, x.MaxNewTokens)) > x.found.Score {
			return true
		}
	}
	return false
}

func (x *loraSearch) advance(followers [][]next) {
	x.length++
	old := x.beams
	x.beams = nil
	for _, c := range candidates(old, followers, x.Beams) {
		h := old[c.parent].after(c.parent, c.token, c.sum)
		if x.ends(c.token) {
			x.finish(h)
		} else {
			x.beams = append(x.beams, h)
		}
	}
	if x.length == x.MaxNewTokens {
		for _, h := range x.beams {
			x.finish(h)
		}
	}
}

func (x *loraSearch) finish(h hypothesis) {
	if score := x.score(h.sum, x.length); x.found == nil || score > x.found.Score {
		x.found = &Text{h.tokens, score}
	}
}

func (x *loraSearch) best() []Text {
	if x.found == nil {
		return nil
	}
	return []Text{*x.found}
}

// single goes on with one text: by the likeliest token, or by one that choose
// draws.
type single struct {
	Config
	text   hypothesis
	done   bool
	choose func(followers []next) int64 // nil: the likeliest
}

func (x *single) width() int {
	if x.choose == nil {
		return 1
	}
	return x.TopK // 0: all
}

func (x *single) running() []hypothesis {
	if x.done {
		return nil
	}
	return []hypothesis{x.text}
}

func (x *single) advance(followers [][]next) {
	token := followers[0][0].token
	if x.choose != nil {
		token = x.choose(followers[0])
	}
	x.text = x.text.after(0, token, 0)
	x.done = x.ends(token) || len(x.text.tokens) == x.MaxNewTokens
}

func (x *single) best() []Text { return []Text{{IDs: x.text.tokens}} }
