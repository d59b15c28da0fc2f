package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"autolora/plainjson"
)

// model is what has to be known of a tokenizer's model: its tokens.
type model struct {
	vocab map[string]uint32
	unk   string // the token for what the vocabulary lacks; "" if there is none
}

// rawModel holds the fields of all four kinds of model.
type rawModel struct {
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       *merges         `json:"merges"`
	Unk          *string         `json:"unk_token"`
	UnkID        *int            `json:"unk_id"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
	MaxChars     *uint32         `json:"max_input_chars_per_word"`
	Dropout      *float64        `json:"dropout"`
	ByteFallback bool            `json:"byte_fallback"`
}

// merge is two neighbouring tokens that BPE joins.
type merge [2]string

// merges are written "a b", or in newer files ["a", "b"].
type merges []merge

func (l *merges) UnmarshalJSON(text []byte) error {
	if first := bytes.TrimLeft(bytes.TrimPrefix(text, []byte{'['}), " \t\r\n"); len(first) == 0 || first[0] != '[' {
		var lines []string
		if err := plainjson.Unmarshal(text, &lines); err != nil {
			return err
		}
		for _, line := range lines {
			m, err := splitMerge(line)
			if err != nil {
				return err
			}
			*l = append(*l, m)
		}
		return nil
	}
	var lists [][]string
	if err := plainjson.Unmarshal(text, &lists); err != nil {
		return err
	}
	for _, parts := range lists {
		if len(parts) != 2 {
			return fmt.Errorf("merge %.40q: want two tokens", parts)
		}
		*l = append(*l, merge(parts))
	}
	return nil
}

// splitMerge reads a merge in the form of merges.txt: two tokens with a space between them.
func splitMerge(line string) (merge, error) {
	a, b, ok := strings.Cut(line, " ")
	if !ok || a == "" || b == "" || strings.Contains(b, " ") {
		return merge{}, fmt.Errorf("merge %.40q: want two tokens with one space between them", line)
	}
	return merge{a, b}, nil
}

// parseModel reads the model of a tokenizer.json and refuses one with which encoding could fail: the library
// would give no ids and no error.
func parseModel(raw json.RawMessage) (*model, error) {
	var r rawModel
	if err := plainjson.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	if isNull(r.Vocab) {
		return nil, errors.New("vocab: missing")
	}
	for _, s := range []*string{&r.Type, r.Unk, r.Prefix, r.Suffix} {
		if s != nil {
			if err := checkString(*s); err != nil {
				return nil, err
			}
			if s != r.Unk && len(*s) > maxAffix {
				return nil, fmt.Errorf("%.20q… has %d bytes: want a prefix or suffix of at most %d", *s, len(*s), maxAffix)
			}
		}
	}
	switch r.kind() {
	case "Unigram":
		return r.unigram()
	case "BPE":
		return r.bpe()
	case "WordPiece":
		if r.Unk == nil || r.Prefix == nil || r.MaxChars == nil {
			return nil, errors.New("WordPiece: want unk_token, continuing_subword_prefix and max_input_chars_per_word")
		}
		if *r.MaxChars > maxWordChars {
			return nil, fmt.Errorf("max_input_chars_per_word %d: want at most %d, BERT has 100", *r.MaxChars, maxWordChars)
		}
		return r.words()
	case "WordLevel":
		if r.Unk == nil {
			return nil, errors.New("WordLevel: want unk_token")
		}
		return r.words()
	}
	return nil, fmt.Errorf("type %q is not supported: want BPE, WordPiece, WordLevel or Unigram", r.Type)
}

// kind is the type, which old files leave out; then it follows from the fields, as in the library.
func (r *rawModel) kind() string {
	switch {
	case r.Type != "":
		return r.Type
	case r.Merges != nil:
		return "BPE"
	case len(r.Vocab) > 0 && r.Vocab[0] == '[':
		return "Unigram"
	case r.MaxChars != nil:
		return "WordPiece"
	}
	return "WordLevel"
}

func (r *rawModel) words() (*model, error) {
	vocab, err := r.vocab()
	if err != nil {
		return nil, err
	}
	if !has(vocab, *r.Unk) {
		return nil, fmt.Errorf("unk_token %q is not in the vocabulary", *r.Unk)
	}
	return &model{vocab, *r.Unk}, nil
}

func (r *rawModel) vocab() (map[string]uint32, error) {
	var vocab map[string]uint32
	if err := plainjson.Unmarshal(r.Vocab, &vocab); err != nil {
		return nil, fmt.Errorf("vocab: %w", err)
	}
	return vocab, checkVocab(vocab)
}

func checkVocab(vocab map[string]uint32) error {
	if len(vocab) == 0 {
		return errors.New("vocab: empty")
	}
	for token, id := range vocab {
		if id > math.MaxInt32 {
			return fmt.Errorf("vocab: %q has id %d, want at most %d", token, id, math.MaxInt32)
		}
	}
	return nil
}

func (r *rawModel) bpe() (*model, error) {
	vocab, err := r.vocab()
	if err != nil {
		return nil, err
	}
	if r.Merges == nil {
		return nil, errors.New("BPE: no merges")
	}
	if r.Dropout != nil && *r.Dropout != 0 {
		return nil, fmt.Errorf("BPE: dropout %v gives other tokens at each call: set it to null", *r.Dropout)
	}
	prefix := ""
	if r.Prefix != nil {
		prefix = *r.Prefix
	}
	for i, m := range *r.Merges {
		if err := m.check(vocab, prefix); err != nil {
			return nil, fmt.Errorf("merge %d: %w", i, err)
		}
	}
	m := &model{vocab: vocab}
	switch {
	case r.Unk == nil: // the library leaves out what it does not know
	case has(vocab, *r.Unk):
		m.unk = *r.Unk
	case !hasAllBytes(vocab): // GPT-2's own file has the unk_token "": nothing is unknown there
		return nil, fmt.Errorf("unk_token %q is not in the vocabulary", *r.Unk)
	}
	return m, nil
}

// check looks up both parts and what they make. The library cuts the prefix off the second part by its length.
func (m merge) check(vocab map[string]uint32, prefix string) error {
	if len(m[1]) < len(prefix) || len(m[1]) > len(prefix) && !utf8.RuneStart(m[1][len(prefix)]) {
		return fmt.Errorf("%q does not start with %q", m[1], prefix)
	}
	for _, token := range []string{m[0], m[1], m[0] + m[1][len(prefix):]} {
		if !has(vocab, token) {
			return fmt.Errorf("%q + %q: %q is not in the vocabulary", m[0], m[1], token)
		}
	}
	return nil
}

func (r *rawModel) unigram() (*model, error) {
	var pieces [][]any
	if err := plainjson.Unmarshal(r.Vocab, &pieces); err != nil {
		return nil, fmt.Errorf("vocab: %w", err)
	}
	if len(pieces) == 0 {
		return nil, errors.New("vocab: empty")
	}
	vocab := make(map[string]uint32, len(pieces))
	for i, p := range pieces {
		if len(p) != 2 {
			return nil, fmt.Errorf("vocab: entry %d has %d elements, want a token and its score", i, len(p))
		}
		token, ok := p[0].(string)
		if _, number := p[1].(float64); !ok || !number {
			return nil, fmt.Errorf("vocab: entry %d: want a token and its score", i)
		}
		vocab[token] = uint32(i)
	}
	m := &model{vocab: vocab}
	switch {
	case r.UnkID == nil && !r.ByteFallback:
		return nil, errors.New("Unigram: no unk_id")
	case r.UnkID == nil:
		return m, checkByteTokens(vocab)
	case *r.UnkID < 0 || *r.UnkID >= len(pieces):
		return nil, fmt.Errorf("unk_id %d: want 0 to %d", *r.UnkID, len(pieces)-1)
	}
	m.unk = pieces[*r.UnkID][0].(string)
	return m, nil
}

// checkByteTokens looks for <0x00> to <0xFF>, into which a model with byte_fallback splits what it does not know.
func checkByteTokens(vocab map[string]uint32) error {
	for b := range 256 {
		if token := fmt.Sprintf("<0x%02X>", b); !has(vocab, token) {
			return fmt.Errorf("byte_fallback without unk_id: %q is not in the vocabulary", token)
		}
	}
	return nil
}

func has(vocab map[string]uint32, token string) bool {
	_, ok := vocab[token]
	return ok
}

// hasAllBytes reports whether the vocabulary has the 256 letters of byte-level BPE.
func hasAllBytes(vocab map[string]uint32) bool {
	for b := range 256 {
		if !has(vocab, string(byteLetter(byte(b)))) {
			return false
		}
	}
	return true
}

// byteLetter is the letter that stands for a byte in byte-level BPE: printable Latin-1 characters for themselves,
// the other bytes from U+0100 on, in order (bytes_to_unicode in GPT-2's encoder.py).
func byteLetter(b byte) rune {
	printable := func(b byte) bool { return b >= '!' && b <= '~' || b >= 0xa1 && b != 0xad }
	if printable(b) {
		return rune(b)
	}
	letter := rune(0x100)
	for other := range int(b) {
		if !printable(byte(other)) {
			letter++
		}
	}
	return letter
}
