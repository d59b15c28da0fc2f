package tok

import (
	"encoding/binary"
	"fmt"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// pattern is what a lexer looks for: text that matches a regular expression, where text that matches another is ahead.
// Both are in Go's syntax but without ^, $ and \b.
type pattern struct{ token, ahead string }

// lexer finds tokens as the programs of lex do: of all patterns, the one that matches most text, with what is ahead,
// and of those the first. It follows all patterns at once, in a finite automaton whose states are made when a text
// first leads to them.
type lexer struct {
	program []syntax.Inst // of all patterns, one behind the other
	start   *state
	tokens  []*state // by pattern: the start of one without what is ahead; nil if there is nothing
	states  map[string]*state
}

// state says where in the patterns a text has come to.
type state struct {
	places  []uint32              // in the program, sorted
	pattern int                   // the first one that matches here, or none
	ascii   [utf8.RuneSelf]*state // by what follows; nil if that was not seen yet
	others  map[rune]*state
}

const none = -1

func newLexer(patterns []pattern) *lexer {
	x := &lexer{states: map[string]*state{}, tokens: make([]*state, len(patterns))}
	var starts []uint32
	for i, p := range patterns {
		starts = append(starts, x.compile("(?:"+p.token+")(?:"+p.ahead+")", i))
		if p.ahead != "" {
			x.tokens[i] = x.state([]uint32{x.compile(p.token, i)})
		}
	}
	x.start = x.state(starts)
	return x
}

// compile adds an expression to the program and returns its start. An expression that is not in the syntax is a
// mistake in this package.
func (x *lexer) compile(expression string, pattern int) uint32 {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		panic(err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		panic(err)
	}
	base := uint32(len(x.program))
	for _, inst := range program.Inst {
		inst.Out += base
		switch inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			inst.Arg += base
		case syntax.InstMatch:
			inst.Arg = uint32(pattern)
		case syntax.InstEmptyWidth:
			panic(fmt.Sprintf("%s: a place without width", expression))
		}
		x.program = append(x.program, inst)
	}
	return base + uint32(program.Start)
}

// next returns the pattern that matches the start of a text and the length of the token.
func (x *lexer) next(text string) (pattern, length int) {
	pattern, length = x.longest(x.start, text)
	if pattern != none && x.tokens[pattern] != nil {
		_, length = x.longest(x.tokens[pattern], text[:length-1])
	}
	return pattern, length
}

// longest follows a text from a state on and returns the last match.
func (x *lexer) longest(s *state, text string) (pattern, length int) {
	pattern = none
	for i := 0; i < len(text); {
		r, width := rune(text[i]), 1
		var following *state
		if r < utf8.RuneSelf {
			following = s.ascii[r]
		} else {
			r, width = utf8.DecodeRuneInString(text[i:])
			following = s.others[r]
		}
		if following == nil {
			following = x.follow(s, r)
		}
		if s = following; len(s.places) == 0 {
			break
		}
		if i += width; s.pattern != none {
			pattern, length = s.pattern, i
		}
	}
	return pattern, length
}

// follow finds the state after another one and keeps it.
func (x *lexer) follow(s *state, r rune) *state {
	var places []uint32
	for _, place := range s.places {
		if inst := &x.program[place]; inst.Op != syntax.InstMatch && inst.MatchRune(r) {
			places = append(places, inst.Out)
		}
	}
	following := x.state(places)
	if r < utf8.RuneSelf {
		s.ascii[r] = following
	} else {
		if s.others == nil {
			s.others = map[rune]*state{}
		}
		s.others[r] = following
	}
	return following
}

// state returns the state in which the program can be at any of these places.
func (x *lexer) state(at []uint32) *state {
	s := &state{pattern: none}
	seen := make([]bool, len(x.program))
	for len(at) > 0 {
		place := at[len(at)-1]
		at = at[:len(at)-1]
		if seen[place] {
			continue
		}
		seen[place] = true
		switch inst := &x.program[place]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			at = append(at, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			at = append(at, inst.Out)
		case syntax.InstFail:
		case syntax.InstMatch:
			if s.pattern == none || int(inst.Arg) < s.pattern {
				s.pattern = int(inst.Arg)
			}
			fallthrough
		default:
			s.places = append(s.places, place)
		}
	}
	slices.Sort(s.places)
	var key []byte
	for _, place := range s.places {
		key = binary.LittleEndian.AppendUint32(key, place)
	}
	if known, ok := x.states[string(key)]; ok {
		return known
	}
	x.states[string(key)] = s
	return s
}
