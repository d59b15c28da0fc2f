package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// wordLevelWith is a tokenizer of the word a with other sections beside its model.
func wordLevelWith(sections string) string {
	return `{` + sections + `, "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1}}}`
}

// An expression that backtracks without end is an error about the text, and the next text is encoded.
func TestBacktracking(t *testing.T) {
	for _, c := range []struct{ name, sections, bad string }{
		{"split", `"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": false}`, "a!"},
		{"within a sequence", `"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "(a|a)*$"}, "behavior": "Removed", "invert": true}, {"type": "Whitespace"}]}`, "a!"},
		{"looked ahead", `"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?=(a+)+$)|(x+x+)+y"}, "behavior": "Isolated", "invert": false}`, "x!"},
		{"replace", `"normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "b"}`, "a!"},
		{"polynomial", `"normalizer": {"type": "Replace", "pattern": {"Regex": "a*a*a*a*a*a*$"}, "content": "b"}`, "a!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := build("tokenizer.json", []byte(wordLevelWith(c.sections)), &settings{})
			if err != nil {
				t.Fatal(err)
			}
			defer tok.Close()
			began := time.Now()
			text := strings.Repeat(c.bad[:1], 400) + c.bad[1:]
			if _, _, err := tok.Encode(text, nil, 0); err == nil || !strings.Contains(err.Error(), "backtracks without end") {
				t.Errorf("a text of %d letters: %v", len(text), err)
			}
			t.Logf("after %v", time.Since(began))
			if _, _, err := tok.EncodeWords([]string{"a", text}, 0); err == nil || !strings.Contains(err.Error(), "word 2: a regular expression") {
				t.Errorf("a sentence: %v", err)
			}
			if enc, _, err := tok.Encode("a", nil, 0); err != nil || len(enc.IDs) != 1 {
				t.Errorf("a text of one letter: %v, %v", enc.IDs, err)
			}
		})
	}
	t.Run("decoder", func(t *testing.T) {
		text := `{"decoder": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "b"}, "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "` + strings.Repeat("a", 60) + `!": 1}}}`
		tok, err := build("tokenizer.json", []byte(text), &settings{})
		if err != nil {
			t.Fatal(err)
		}
		defer tok.Close()
		if text, err := tok.Decode([]int64{1}, false); err == nil {
			t.Errorf("decoded as %q", text)
		}
	})
}

// The expressions in use take long texts of any kind.
func TestNoFalseBacktracking(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long texts")
	}
	for _, expression := range []string{
		`'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`,
		`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
		`[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
	} {
		tok, err := build("tokenizer.json", []byte(wordLevelWith(`"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "`+expression+`"}, "behavior": "Isolated", "invert": false}`)), &settings{})
		if err != nil {
			t.Fatal(err)
		}
		for _, unit := range []string{"a", "A", " ", "\n", " \t", "-", "雪", "a ", "1"} {
			if _, _, err := tok.Encode(strings.Repeat(unit, (1<<20)/len(unit)), nil, 0); err != nil {
				t.Errorf("%.20s of %q: %v", expression, unit, err)
			}
		}
		tok.Close()
	}
}

func TestBombs(t *testing.T) {
	parts := func(n int, part string) string { return strings.TrimSuffix(strings.Repeat(part+", ", n), ", ") }
	normalizers := func(parts string) string {
		return wordLevelWith(`"normalizer": {"type": "Sequence", "normalizers": [` + parts + `]}`)
	}
	doubled := `{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}`
	for _, c := range []struct{ name, text, want string }{
		{"doubled 24 times", normalizers(parts(24, doubled)), "normalizer: makes texts more than 64 times as long"},
		{"within sequences", normalizers(`{"type": "Sequence", "normalizers": [` + parts(6, doubled) + `]}, {"type": "Sequence", "normalizers": [` + parts(6, doubled) + `]}`), "normalizer: makes texts"},
		{"by an expression", normalizers(`{"type": "Replace", "pattern": {"Regex": "x*"}, "content": "` + strings.Repeat("a", 300) + `"}`), "normalizer: makes texts"},
		{"by a long text", normalizers(`{"type": "Prepend", "prepend": "` + strings.Repeat("a", 65) + `"}`), "normalizer: Prepend of 65 bytes: want at most 64"},
		{"between all letters", normalizers(`{"type": "Replace", "pattern": {"String": ""}, "content": "ab"}`), "normalizer: Replace of an empty text"},
		{"a decoder", wordLevelWith(`"decoder": {"type": "Sequence", "decoders": [` + parts(24, doubled) + `]}`), "decoder: makes texts"},
		{"bytes of bytes", normalizers(parts(6, `{"type": "ByteLevel"}`)), "normalizer: makes texts more than 64 times as long"},
		{"bytes of bytes before the tokenizer", wordLevelWith(`"pre_tokenizer": {"type": "Sequence", "pretokenizers": [` + parts(6, `{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false}`) + `]}`), "pre_tokenizer: makes texts"},
		{"by both", wordLevelWith(`"normalizer": {"type": "Sequence", "normalizers": [` + parts(5, doubled) + `]}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [` + parts(3, `{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false}`) + `]}`), "pre_tokenizer: makes texts"},
		{"special tokens", wordLevelWith(`"post_processor": {"type": "TemplateProcessing", "single": [` + parts(11, `{"SpecialToken": {"id": "a", "type_id": 0}}`) + `, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"a": {"ids": [` + parts(100, "1") + `]}}}`), "post_processor: single: adds more than 1000 special tokens"},
		{"many normalizers", normalizers(parts(100, `{"type": "NFKC"}`)), "normalizer: more than 64 parts"},
		{"many pre-tokenizers", wordLevelWith(`"pre_tokenizer": {"type": "Sequence", "pretokenizers": [` + parts(100, `{"type": "Whitespace"}`) + `]}`), "pre_tokenizer: more than 64 parts"},
		{"long words", strings.Replace(smallDefinitions[0], `"max_input_chars_per_word": 100`, `"max_input_chars_per_word": 4294967295`, 1), "max_input_chars_per_word 4294967295: want at most 500"},
		{"a long prefix", strings.Replace(smallDefinitions[0], `"continuing_subword_prefix": "##"`, `"continuing_subword_prefix": "`+strings.Repeat("#", 100)+`"`, 1), "want a prefix or suffix of at most 64"},
		{"a long suffix", strings.Replace(smallDefinitions[1], `"end_of_word_suffix": ""`, `"end_of_word_suffix": "`+strings.Repeat("#", 100)+`"`, 1), "want a prefix or suffix of at most 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := build("tokenizer.json", []byte(c.text), &settings{})
			if err == nil {
				tok.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("not regular", func(t *testing.T) {
		for expression, want := range map[string]string{
			`(a)\1*\1*b`: `\1`, `(?<n>a)\k<n>`: `\k<`, `(?<n>a\g<n>?b)`: `\g<`, `\g'0'`: `\g'`, `(?~abc)`: "(?~", `(a)?(?(1)b|c)`: "(?(",
			`\\1`: "", `\\k<`: "", `\(?\(`: "", `\0`: "", `(?:a)(?=b)(?<!c)(?i:d)(?<n>e)`: "",
		} {
			quoted, _ := json.Marshal(expression)
			tok, err := build("tokenizer.json", []byte(normalizers(`{"type": "Replace", "pattern": {"Regex": `+string(quoted)+`}, "content": ""}`)), &settings{})
			if err == nil {
				tok.Close()
			}
			if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), " has "+want+", for which it may need any time") {
				t.Errorf("%s: got %v, want %q", expression, err, want)
			}
		}
	})
	t.Run("a long text that grows", func(t *testing.T) {
		tok, err := build("tokenizer.json", []byte(normalizers(parts(5, doubled))), &settings{})
		if err != nil {
			t.Fatal(err)
		}
		defer tok.Close()
		const most = maxNormalized / 32
		if _, _, err := tok.Encode("a", nil, 0); err != nil {
			t.Error(err)
		}
		want := fmt.Sprintf("text of %d bytes, of which the tokenizer's normalizer may make %d: want at most %d", most+1, 32*(most+1)+62, maxNormalized)
		if _, _, err := tok.Encode(strings.Repeat("b", most+1), nil, 0); err == nil || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	})
}
