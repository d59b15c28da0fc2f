package tokenizer

import (
	"errors"
	"fmt"
)

// What a tokenizer.json may ask for. Those in use come to a tenth of it at most.
const (
	maxWordChars  = 500      // of max_input_chars_per_word: WordPiece takes the third power of it in time
	maxAffix      = 64       // bytes of a prefix or suffix that every letter or text of a text may get
	maxParts      = 64       // of a normalizer, pre-tokenizer or decoder
	maxGrowth     = 64       // of a text by the parts of a normalizer with those of a pre-tokenizer, or of a decoder
	maxNormalized = 32 << 20 // bytes of a text after them
)

// growth bounds what the parts of a normalizer, pre-tokenizer or decoder make of a text: of n bytes at most factor·n + added.
type growth struct{ factor, added, parts int }

// follow takes the parts of value into account, in their order.
func (g *growth) follow(value any) error {
	part, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	for _, list := range []string{"normalizers", "pretokenizers", "decoders"} {
		parts, _ := part[list].([]any)
		for _, inner := range parts {
			if err := g.follow(inner); err != nil {
				return err
			}
		}
	}
	if g.parts++; g.parts > maxParts {
		return fmt.Errorf("more than %d parts", maxParts)
	}
	switch part["type"] {
	case "Prepend":
		text, _ := part["prepend"].(string)
		if len(text) > maxAffix {
			return fmt.Errorf("Prepend of %d bytes: want at most %d", len(text), maxAffix)
		}
		g.added += len(text)
	case "ByteLevel": // a letter of two bytes for each byte but those of ASCII, and a space before each piece
		g.factor *= 3
		g.added = 3*g.added + 3
	case "Replace":
		content, _ := part["content"].(string)
		pattern, _ := part["pattern"].(map[string]any)
		times := 1 + len(content) // an expression may match between any two letters
		if text, ok := pattern["String"].(string); ok {
			if text == "" {
				return errors.New("Replace of an empty text, which is between any two letters")
			}
			times = max(1, (len(content)+len(text)-1)/len(text))
		}
		g.factor *= times
		g.added = g.added*times + len(content) // before, between and behind the letters
	}
	if g.factor > maxGrowth || g.added > maxNormalized/2 {
		return fmt.Errorf("makes texts more than %d times as long", maxGrowth)
	}
	return nil
}

// check refuses a text that could become too long.
func (g growth) check(text string) error {
	if n := g.factor*len(text) + g.added; n > maxNormalized {
		return fmt.Errorf("text of %d bytes, of which the tokenizer's normalizer may make %d: want at most %d", len(text), n, maxNormalized)
	}
	return nil
}
