package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"autolora/plainjson"
)

// template says what stands around one text, and around a pair.
type template struct {
	single, pair []piece
}

// piece is a part of a template: one of the texts, or special tokens.
type piece struct {
	text    int // 0 or 1: the first or the second text; otherwise noText
	ids     []uint32
	segment uint8
}

const noText = -1

// bare adds no special tokens. The second text is segment 1, as in the library.
var bare = template{
	single: []piece{{text: 0}},
	pair:   []piece{{text: 0}, {text: 1, segment: 1}},
}

func (t template) pieces(pair bool) []piece {
	if pair {
		return t.pair
	}
	return t.single
}

// flat is the template with all of a pair in segment 0.
func (t template) flat() template {
	pair := slices.Clone(t.pair)
	for i := range pair {
		pair[i].segment = 0
	}
	return template{t.single, pair}
}

// added is the number of special tokens around one text, or around a pair.
func (t template) added(pair bool) int {
	n := 0
	for _, p := range t.pieces(pair) {
		n += len(p.ids)
	}
	return n
}

// start is the special tokens before a single text.
func (t template) start() (ids []int32) {
	for _, p := range t.single {
		if p.text == 0 {
			break
		}
		ids = appendIDs(ids, p.ids)
	}
	return ids
}

// between is the special tokens between the texts of a pair.
func (t template) between() (ids []uint32) {
	first := slices.IndexFunc(t.pair, func(p piece) bool { return p.text == 0 })
	for _, p := range t.pair[first+1:] {
		if p.text == 1 {
			break
		}
		ids = append(ids, p.ids...)
	}
	return ids
}

// appendIDs appends tokens in the width in which they are kept. The largest fits: checkVocab bounds them.
func appendIDs(ids []int32, tokens []uint32) []int32 {
	for _, id := range tokens {
		ids = append(ids, int32(id))
	}
	return ids
}

// maxID is the largest id of a special token, -1 if there is none.
func (t template) maxID() int64 {
	largest := int64(-1)
	for _, p := range slices.Concat(t.single, t.pair) {
		for _, id := range p.ids {
			largest = max(largest, int64(id))
		}
	}
	return largest
}

// join puts the special tokens around the texts. segments is nil if all are 0.
func (t template) join(texts [2][]uint32, pair bool) (ids []int32, segments []uint8) {
	n := t.added(pair) + len(texts[0]) + len(texts[1])
	ids = make([]int32, 0, n)
	for _, p := range t.pieces(pair) {
		start := len(ids)
		ids = appendIDs(ids, p.ids)
		if p.text != noText {
			ids = appendIDs(ids, texts[p.text])
		}
		if p.segment == 0 || start == len(ids) {
			continue
		}
		if segments == nil {
			segments = make([]uint8, n)
		}
		for i := start; i < len(ids); i++ {
			segments[i] = p.segment
		}
	}
	return ids, segments
}

// processor holds the fields of all kinds of post_processor.
type processor struct {
	Type          string
	Processors    []json.RawMessage // of a Sequence
	Cls, Sep      []json.RawMessage // a token and its id
	Single, Pair  []rawPiece
	SpecialTokens specialTokens `json:"special_tokens"`
}

// parseProcessor reads a post_processor of a tokenizer.json, at that depth; null is one that adds nothing.
func parseProcessor(raw json.RawMessage, depth int) (template, error) {
	if isNull(raw) {
		return bare, nil
	}
	var p processor
	if err := plainjson.Unmarshal(raw, &p); err != nil {
		return template{}, err
	}
	switch p.Type {
	case "ByteLevel": // moves offsets only
		return bare, nil
	case "BertProcessing", "RobertaProcessing":
		return p.clsSep()
	case "TemplateProcessing":
		single, err := readPieces(p.Single, p.SpecialTokens, [2]int{1, 0})
		if err != nil {
			return template{}, fmt.Errorf("single: %w", err)
		}
		pair, err := readPieces(p.Pair, p.SpecialTokens, [2]int{1, 1})
		if err != nil {
			return template{}, fmt.Errorf("pair: %w", err)
		}
		return template{single, pair}, nil
	case "Sequence":
		if depth > maxDepth {
			return template{}, fmt.Errorf("more than %d levels deep", maxDepth)
		}
		return p.sequence(depth)
	}
	return template{}, fmt.Errorf("type %q is not supported: want BertProcessing, RobertaProcessing, TemplateProcessing, ByteLevel or a Sequence of these", p.Type)
}

// sequence takes a Sequence in which one processor at most adds tokens; the others move offsets.
func (p *processor) sequence(depth int) (template, error) {
	adds := func(t template) bool { return t.added(false) > 0 || t.added(true) > 0 }
	result := bare
	for i, raw := range p.Processors {
		t, err := parseProcessor(raw, depth+1)
		switch {
		case err != nil:
			return template{}, fmt.Errorf("processor %d: %w", i, err)
		case adds(t) && adds(result):
			return template{}, fmt.Errorf("processor %d: a second processor that adds tokens is not supported", i)
		case adds(t):
			result = t
		}
	}
	return result, nil
}

// clsSep reads the two fixed forms: BERT's [CLS] A [SEP] B [SEP] with segment 1 from B on, and RoBERTa's
// <s> A </s></s> B </s>, all segment 0.
func (p *processor) clsSep() (template, error) {
	var ids [2][]uint32
	for i, pair := range [][]json.RawMessage{p.Cls, p.Sep} {
		var id *uint32
		if len(pair) != 2 || plainjson.Unmarshal(pair[1], &id) != nil || id == nil {
			return template{}, fmt.Errorf("cls %.40s, sep %.40s: want a token and its id of each", p.Cls, p.Sep)
		}
		ids[i] = []uint32{*id}
	}
	cls, sep := piece{text: noText, ids: ids[0]}, piece{text: noText, ids: ids[1]}
	first := []piece{cls, {text: 0}, sep}
	second := []piece{{text: 1, segment: 1}, {text: noText, ids: sep.ids, segment: 1}}
	if p.Type == "RobertaProcessing" {
		second = []piece{sep, {text: 1}, sep}
	}
	return template{single: first, pair: slices.Concat(first, second)}, nil
}

// rawPiece is {"Sequence": {"id": "A", "type_id": 0}} or {"SpecialToken": {"id": NAME, "type_id": 0}} with NAME a key of
// special_tokens.
type rawPiece struct {
	Sequence, SpecialToken *struct {
		ID     string `json:"id"`
		TypeID uint8  `json:"type_id"`
	}
}

type specialTokens map[string]struct {
	IDs []uint32 `json:"ids"`
}

// maxAdded bounds the special tokens around a text; those in use are ten at most.
const maxAdded = 1000

// readPieces reads a list in which the sequences A and B are there as often as want says.
func readPieces(list []rawPiece, tokens specialTokens, want [2]int) ([]piece, error) {
	var seen [2]int
	added := 0
	pieces := make([]piece, 0, len(list))
	for i, raw := range list {
		p, err := raw.read(tokens)
		if err != nil {
			return nil, fmt.Errorf("piece %d: %w", i, err)
		}
		if p.text != noText {
			seen[p.text]++
		}
		if added += len(p.ids); added > maxAdded {
			return nil, fmt.Errorf("adds more than %d special tokens", maxAdded)
		}
		pieces = append(pieces, p)
	}
	if seen != want {
		return nil, fmt.Errorf("has sequence A %d times and B %d times, want %d and %d", seen[0], seen[1], want[0], want[1])
	}
	return pieces, nil
}

func (r rawPiece) read(tokens specialTokens) (piece, error) {
	switch {
	case (r.Sequence == nil) == (r.SpecialToken == nil):
		return piece{}, errors.New("want either a Sequence or a SpecialToken")
	case r.SpecialToken != nil:
		token, ok := tokens[r.SpecialToken.ID]
		if !ok {
			return piece{}, fmt.Errorf("%q is not in special_tokens", r.SpecialToken.ID)
		}
		return piece{text: noText, ids: token.IDs, segment: r.SpecialToken.TypeID}, nil
	case r.Sequence.ID == "A":
		return piece{text: 0, segment: r.Sequence.TypeID}, nil
	case r.Sequence.ID == "B":
		return piece{text: 1, segment: r.Sequence.TypeID}, nil
	}
	return piece{}, fmt.Errorf("sequence %q: want A or B", r.Sequence.ID)
}
