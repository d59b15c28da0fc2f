package tokenizer

import (
	"errors"
	"fmt"

	"autolora/data"
)

// EncodeWords gives the ids of a sentence that is given as words, as transformers does with
// is_split_into_words=True (and for byte-level tokenizers add_prefix_space=True): each word is encoded by itself,
// and special tokens stand around the sentence. Encoded.First has the first token of every word. A word of which
// the tokenizer makes nothing, like a control character, is one unknown token, so that every word has a first
// token; transformers leaves such a word out.
//
// maxLength 0 is no limit. A single word that is longer is cut to its first tokens, and truncated is true; several
// words that are longer are an error, since [Tokenizer.SplitWords] says how to split them without losing any.
func (t *Tokenizer) EncodeWords(words []string, maxLength int) (enc data.Encoded, truncated bool, err error) {
	before := len(t.template.start())
	var all []uint32
	enc.First = make([]int32, len(words))
	for i, word := range words {
		ids, err := t.encodeWord(word)
		if err != nil {
			return data.Encoded{}, false, fmt.Errorf("word %d: %w", i+1, err)
		}
		enc.First[i] = int32(before + len(all))
		all = append(all, ids...)
	}
	if room := maxLength - t.template.added(false); maxLength != 0 && len(all) > room {
		if len(words) > 1 || room < 1 {
			return data.Encoded{}, false, fmt.Errorf("a sentence of %d words has %d tokens: want at most %d", len(words), len(all), room)
		}
		all, truncated = all[:room], true
	}
	enc.IDs, enc.Segments = t.template.join([2][]uint32{all}, false)
	return enc, truncated, nil
}

// SplitWords says how to split a sentence so that EncodeWords takes every part: the number of words of each, as
// many as fit, a word that does not fit by itself alone.
func (t *Tokenizer) SplitWords(words []string, maxLength int) ([]int, error) {
	room := maxLength - t.template.added(false)
	if room < 1 {
		return nil, fmt.Errorf("max length %d: the tokenizer adds %d special tokens", maxLength, t.template.added(false))
	}
	var parts []int
	left := 0 // tokens that fit into the last part
	for i, word := range words {
		ids, err := t.encodeWord(word)
		if err != nil {
			return nil, fmt.Errorf("word %d: %w", i+1, err)
		}
		n := min(len(ids), room)
		if n > left {
			parts = append(parts, 0)
			left = room
		}
		parts[len(parts)-1]++
		left -= n
	}
	return parts, nil
}

// encodeWord gives the ids of one word, at least one, which must not be changed.
func (t *Tokenizer) encodeWord(word string) ([]uint32, error) {
	if ids, ok := t.words.Load(word); ok {
		return ids.([]uint32), nil
	}
	ids, err := t.encode(word, true)
	switch {
	case err != nil:
		return nil, err
	case len(ids) == 0 && t.unk < 0:
		return nil, errors.New("the tokenizer makes no token of it and has none for unknown words")
	case len(ids) == 0:
		ids = []uint32{uint32(t.unk)}
	}
	t.words.Store(word, ids)
	return ids, nil
}
