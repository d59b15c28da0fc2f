package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixtureCharsmap is the charsmap of the small Unigram tokenizer, made by sentencepiece.
func fixtureCharsmap(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "unigram", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Normalizer struct {
			Normalizers []struct {
				Charsmap []byte `json:"precompiled_charsmap"`
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Normalizer.Normalizers[0].Charsmap
}

func TestCharsmap(t *testing.T) {
	good := fixtureCharsmap(t)
	size := int(binary.LittleEndian.Uint32(good))
	change := func(f func(b []byte) []byte) string {
		return base64.StdEncoding.EncodeToString(f(append([]byte{}, good...)))
	}
	for _, c := range []struct{ name, charsmap, want string }{
		{"good", change(func(b []byte) []byte { return b }), ""},
		{"empty", "", "0 bytes: want at least 4"},
		{"three bytes", "AAAA", "3 bytes: want at least 4"},
		{"not base64", "!!!!", "not base64"},
		{"line break", "AAAA\nAAAA", "not base64: has line breaks"},
		{"no trie", "AAAAAA==", "says 0 bytes of trie"},
		{"trie longer than the table", change(func(b []byte) []byte { return b[:size] }), "bytes of trie in"},
		{"size that lies", change(func(b []byte) []byte { b[3] = 0x7f; return b }), "bytes of trie in"},
		{"replacements cut off", change(func(b []byte) []byte { return b[:4+size] }), "the trie points to byte"},
		{"replacements not UTF-8", change(func(b []byte) []byte { b[4+size] = 0xff; return b }), "not valid UTF-8"},
		{"root leads out of the trie", change(func(b []byte) []byte { b[6], b[7] = 0xff, 0x7f; return b }), "the trie leads to unit"},
		{"trie cut short", change(func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b, 512)
			return append(b[:4+512], "\x00"...)
		}), "the trie leads to unit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkCharsmap(c.charsmap)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
