package tokenizer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"unsafe"

	"autolora/data"
)

// Encoder encodes the examples of package data for a model, and counts those it had to cut.
type Encoder struct {
	tok       *Tokenizer
	maxLength int
	rows      int

	mu        sync.Mutex
	truncated map[cutAt]bool
}

// cutAt tells an example that was cut from others: a prompt is at the place of its target, the pieces of a
// sentence have one place, and an example may be encoded again.
type cutAt struct {
	file  string
	line  int
	piece *string // its first word
}

var (
	_ data.Encoder  = (*Encoder)(nil)
	_ data.Splitter = (*Encoder)(nil)
)

// NewEncoder returns an encoder that cuts each example to maxLength tokens. positions is the largest number of
// tokens that the model takes; a maxLength above it, or without room for any text, is an error. rows are those of the
// model's embedding: an example with a token beyond them is an error.
func NewEncoder(t *Tokenizer, maxLength, positions, rows int) (*Encoder, error) {
	if maxLength > positions {
		return nil, fmt.Errorf("got %d tokens, want at most %d: the model's positions", maxLength, positions)
	}
	if least := t.template.added(true) + 1; maxLength < least {
		return nil, fmt.Errorf("got %d tokens, want at least %d: the tokenizer adds %d special tokens to a pair of texts", maxLength, least, least-1)
	}
	return &Encoder{tok: t, maxLength: maxLength, rows: rows, truncated: map[cutAt]bool{}}, nil
}

// Encode implements data.Encoder.
func (e *Encoder) Encode(ex data.Example) (data.Encoded, error) {
	enc, truncated, err := e.tok.EncodeExample(ex, e.maxLength)
	if truncated {
		e.count(ex)
	}
	if err != nil || e.tok.size <= e.rows {
		return enc, err
	}
	for _, id := range enc.IDs {
		if int(id) >= e.rows {
			token, _ := e.tok.Decode([]int64{int64(id)}, false)
			return data.Encoded{}, fmt.Errorf("token %q has the id %d, and the model's embedding only %d rows: is it another model's tokenizer?", token, id, e.rows)
		}
	}
	return enc, nil
}

// EncodeExample gives the tokens of an example, at most maxLength of them if that is not 0: of a text or a pair, of a
// sentence that Split would not split, of a source and its target, or of a conversation.
func (t *Tokenizer) EncodeExample(ex data.Example, maxLength int) (enc data.Encoded, truncated bool, err error) {
	switch {
	case ex.Sentence != nil:
		return t.EncodeWords(ex.Words, maxLength)
	case ex.Chat != nil:
		return t.EncodeChat(ex.Chat, maxLength)
	case ex.Writing != nil:
		return t.EncodeGeneration(ex.Source, ex.Target, maxLength)
	case ex.HasPair:
		enc, truncated, err = t.Encode(ex.Text, &ex.Pair, maxLength)
	default:
		enc, truncated, err = t.Encode(ex.Text, nil, maxLength)
	}
	if err == nil && len(enc.IDs) == 0 && t.eos >= 0 { // an empty text, around which a decoder's tokenizer puts nothing
		enc.IDs = []int32{int32(t.eos)}
	}
	return enc, truncated, err
}

// Split implements data.Splitter.
func (e *Encoder) Split(words []string) ([]int, error) { return e.tok.SplitWords(words, e.maxLength) }

// SplitChat implements data.Splitter.
func (e *Encoder) SplitChat(c *data.Conversation) ([]*data.Conversation, error) {
	return e.tok.SplitChat(c)
}

// count takes note of an example that was cut.
func (e *Encoder) count(ex data.Example) {
	key := cutAt{file: ex.File, line: ex.Line}
	if ex.Sentence != nil {
		key.piece = unsafe.SliceData(ex.Words)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.truncated[key] = true
}

// Truncated is how many examples were cut to the maximum length so far.
func (e *Encoder) Truncated() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.truncated)
}

// FirstTruncated returns the places of the first few of them.
func (e *Encoder) FirstTruncated() (places []string) {
	const most = 3
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, at := range slices.SortedFunc(maps.Keys(e.truncated), func(a, b cutAt) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	}) {
		if len(places) == most {
			break
		}
		if place := (data.Example{File: at.file, Line: at.line}).Where(); !slices.Contains(places, place) { // pieces of a sentence have one
			places = append(places, place)
		}
	}
	return places
}
