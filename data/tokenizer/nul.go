package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// nulTokens are the tokens whose text has a NUL character. The library returns texts as C strings, which end at the
// first of them. So a token that is NUL alone, as byte-level BPE and byte fallback have one, is decoded as another
// control character, which is then replaced: to both kinds of tokenizer one byte below 0x80 is like another.
type nulTokens struct {
	all      map[uint32]bool // tokens with NUL
	alone    map[uint32]bool // those of them that are nothing else
	controls []control       // what can stand for it
}

// control is a token that is a control character alone.
type control struct {
	id   uint32
	text string
}

var errNUL = errors.New("the text has a NUL character, which the tokenizers library cannot return")

// nulTokens looks for tokens with NUL: written as such, as a letter of byte-level BPE, or as <0x00>.
func (d *definition) nulTokens() nulTokens {
	byteLevel := strings.Contains(string(d.sections["decoder"]), `"ByteLevel"`)
	n := nulTokens{all: map[uint32]bool{}, alone: map[uint32]bool{}}
	for token, id := range d.model.vocab {
		letter := byteLevel && strings.ContainsRune(token, byteLetter(0))
		if letter || strings.Contains(token, "\x00") || token == "<0x00>" {
			n.all[id] = true
			n.alone[id] = token == "<0x00>" || byteLevel && token == string(byteLetter(0))
		}
	}
	for b := byte(1); b <= '\b'; b++ { // none of these is white space, nor printable
		name := fmt.Sprintf("<0x%02X>", b)
		if byteLevel {
			name = string(byteLetter(b))
		}
		if id, ok := d.model.vocab[name]; ok {
			n.controls = append(n.controls, control{id, string(rune(b))})
		}
	}
	return n
}

// hide replaces NUL in tokens. Restore puts it back into their text.
func (n nulTokens) hide(tokens []uint32) (restore func(text string) (string, error), err error) {
	hidden := 0
	for _, id := range tokens {
		if n.all[id] {
			hidden++
			if !n.alone[id] {
				return nil, errNUL
			}
		}
	}
	if hidden == 0 {
		return func(text string) (string, error) { return text, nil }, nil
	}
	i := slices.IndexFunc(n.controls, func(c control) bool { return !slices.Contains(tokens, c.id) })
	if i < 0 {
		return nil, errNUL
	}
	for k, id := range tokens {
		if n.alone[id] {
			tokens[k] = n.controls[i].id
		}
	}
	return func(text string) (string, error) {
		if strings.Count(text, n.controls[i].text) != hidden {
			return "", errNUL
		}
		return strings.ReplaceAll(text, n.controls[i].text, "\x00"), nil
	}, nil
}
