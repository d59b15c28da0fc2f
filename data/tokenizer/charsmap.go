package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// checkCharsmap checks the table by which sentencepiece models (XLM-R) normalize characters: a double-array trie
// whose leaves point into a list of NUL-ended replacements. The library walks it without bounds checks of its own
// and aborts the process on a bad one (crate spm_precompiled, whose bit fields these are).
func checkCharsmap(encoded string) error {
	table, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return fmt.Errorf("not base64: %w", err)
	}
	if base64.StdEncoding.EncodeToString(table) != encoded {
		return errors.New("not base64: has line breaks")
	}
	if len(table) < 4 {
		return fmt.Errorf("%d bytes: want at least 4", len(table))
	}
	size := int(binary.LittleEndian.Uint32(table)) / 4
	if len(table) < 4+4*size || size == 0 {
		return fmt.Errorf("says %d bytes of trie in %d bytes", 4*size, len(table)-4)
	}
	units := make([]uint32, size)
	for i := range units {
		units[i] = binary.LittleEndian.Uint32(table[4+4*i:])
	}
	replacements := table[4+4*size:]
	if !utf8.Valid(replacements) {
		return errors.New("the replacements are not valid UTF-8")
	}
	return checkTrie(units, replacements)
}

func checkTrie(units []uint32, replacements []byte) error {
	offset := func(unit uint32) int { return int(unit>>10) << (unit & (1 << 9) >> 6) }
	seen := make([]bool, len(units))
	next := []int{offset(units[0])}
	for len(next) > 0 {
		node := next[len(next)-1]
		next = next[:len(next)-1]
		if node|0xff >= len(units) {
			return fmt.Errorf("the trie leads to unit %d of %d", node|0xff, len(units))
		}
		if seen[node] {
			continue
		}
		seen[node] = true
		for label := 1; label < 256; label++ {
			at := node ^ label
			unit := units[at]
			if unit&(1<<31|0xff) != uint32(label) {
				continue
			}
			child := at ^ offset(unit)
			if leaf := unit>>8&1 == 1; leaf && child < len(units) {
				value := int(units[child] & (1<<31 - 1))
				if value > len(replacements) || value < len(replacements) && !utf8.RuneStart(replacements[value]) {
					return fmt.Errorf("the trie points to byte %d of %d bytes of replacements", value, len(replacements))
				}
			}
			next = append(next, child)
		}
	}
	return nil
}
