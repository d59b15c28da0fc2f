package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"autolora/data"
	"autolora/plainjson"
)

// EncodeGeneration gives the tokens of a source text and of the target to generate from it, in the form of LoRA's
// gpt2_encode.py: source, end of text, a space and the target, end of text. Before it stand the special tokens that
// the tokenizer puts before a text, <s> of a LLaMA. A target of "" is none: the prompt, up to the first end of text,
// is all.
//
// Where that is more than maxLength tokens, the longer one of source and target is cut first, as [Tokenizer.Encode]
// cuts pairs, so that both remain, and truncated is true: the source as the tokenizer cuts texts, the target at its
// end, without an end of text then. LoRA's code cuts the end of the whole, which with a long source leaves nothing to
// learn; of E2E and WebNLG, which fit, it makes no difference. maxLength 0 cuts nothing.
//
// The errors are those of Encode, and that of a tokenizer without an end of text.
func (t *Tokenizer) EncodeGeneration(source, target string, maxLength int) (enc data.Encoded, truncated bool, err error) {
	if t.eos < 0 {
		return data.Encoded{}, false, errors.New("the tokenizer has no token for the end of a text, without which none can be generated")
	}
	end := uint32(t.eos)
	from, err := t.encode(source, false)
	if err != nil {
		return data.Encoded{}, false, err
	}
	var to []uint32
	if target != "" {
		if to, err = t.encode(t.space+target, false); err != nil {
			return data.Encoded{}, false, fmt.Errorf("target: %w", err)
		}
		to = append(to, end)
	}
	start := t.template.start()
	if maxLength != 0 {
		room := maxLength - len(start) - 1
		if room < 2 {
			return data.Encoded{}, false, fmt.Errorf("max length %d: want at least %d", maxLength, len(start)+3)
		}
		truncated = len(from)+len(to) > room
		a, b := longestFirst(len(from), len(to), room)
		from, to = cut(from, a, t.left), cut(to, b, false)
	}
	enc.IDs = slices.Grow(start, len(from)+1+len(to))
	for _, ids := range [][]uint32{from, {end}, to} {
		enc.IDs = appendIDs(enc.IDs, ids)
	}
	if n := int32(len(enc.IDs)); len(to) > 0 {
		enc.Trained = []data.Span{{From: n - int32(len(to)), To: n}}
	}
	return enc, truncated, nil
}

// DecodeTarget gives the text that a model generated: ids up to the first end of text, and of their text what is
// before stop, unless that is "", without white space around it. Ids past the vocabulary have no text, as in
// transformers: the embedding of a model may have more rows than its tokenizer has tokens (Qwen2). The errors are
// those of [Tokenizer.Decode].
func (t *Tokenizer) DecodeTarget(ids []int64, stop string) (string, error) {
	if at := slices.Index(ids, t.eos); at >= 0 {
		ids = ids[:at]
	}
	known := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return id >= int64(t.size) })
	text, err := t.Decode(known, true)
	if stop != "" {
		text, _, _ = strings.Cut(text, stop)
	}
	return strings.TrimSpace(text), err
}

// targetSpace is what goes before a target, so that its first word is the token of a word inside a text: a space,
// or nothing where the normalizer puts one before every text. The Metaspace of a pre-tokenizer does not put one
// before a space.
func targetSpace(normalizer json.RawMessage) string {
	var part struct {
		Type  string
		Parts []json.RawMessage `json:"normalizers"`
	}
	if plainjson.Unmarshal(normalizer, &part) != nil {
		return " "
	}
	if part.Type == "Prepend" || slices.ContainsFunc(part.Parts, func(p json.RawMessage) bool { return targetSpace(p) == "" }) {
		return ""
	}
	return " "
}

// EndTokens gives the tokens that end a generated text: the end of text, and the token that is stop, if the
// vocabulary has one for the whole of it, as GPT-2's has for an empty line. stop "" is none.
func (t *Tokenizer) EndTokens(stop string) ([]int64, error) {
	end := []int64{t.eos}
	if stop == "" {
		return end, nil
	}
	ids, err := t.encode(stop, false)
	if err != nil {
		return nil, err
	}
	if len(ids) == 1 {
		end = append(end, int64(ids[0]))
	}
	return end, nil
}
