package tokenizer

import (
	"strings"
	"testing"
)

// aborts marks what makes the Rust library abort the whole process when it gets there (tried).
const aborts = true

func TestDefinitionErrors(t *testing.T) {
	wordPiece, bpe, unigram, wordLevel := smallDefinitions[0], smallDefinitions[1], smallDefinitions[2], smallDefinitions[3]
	edit := func(text, old, new string) string {
		t.Helper()
		if strings.Count(text, old) < 1 {
			t.Fatalf("%q is not in the definition", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for _, c := range []struct {
		name, text, want string
		aborts           bool
	}{
		{"empty file", "", "line 1: not JSON: unexpected end", false},
		{"not JSON", "{\n\n\"model\": }", "line 3: not JSON: invalid character", false},
		{"cut off", wordPiece[:len(wordPiece)-4], "line 5: not JSON: unexpected end", false},
		{"not an object", "[]", "cannot unmarshal array", false},
		{"not UTF-8", "{\n\"a\xff\": 1}", "line 2: not valid UTF-8", false},
		{"half a surrogate pair", edit(wordPiece, `"prefix": "##"`, `"prefix": "\ud83d"`), `line 4: \ud83d is half of a surrogate pair`, aborts},
		{"the other half", edit(wordPiece, `"prefix": "##"`, `"prefix": "\udc00x"`), `line 4: \udc00 is half`, aborts},
		{"version", edit(wordPiece, `"1.0"`, `"2.0"`), `version: "2.0" is not supported: want "1.0"`, false},
		{"version with NUL", edit(wordPiece, `"1.0"`, `"\u0000"`), `version: "\u0000" is not supported`, aborts},
		{"no model", `{"version": "1.0"}`, "model: missing", false},
		{"model null", `{"model": null}`, "model: missing", false},
		{"model type", edit(wordPiece, `"type": "WordPiece", "unk`, `"type": "SentencePiece", "unk`), `model: type "SentencePiece" is not supported: want BPE`, false},
		{"model type with NUL", edit(wordPiece, `"type": "WordPiece", "unk`, `"type": "\u0000", "unk`), "has a NUL character", false},
		{"no vocab", edit(wordLevel, `"vocab"`, `"words"`), "model: vocab: missing", false},
		{"empty vocab", `{"model": {"type": "WordLevel", "unk_token": "?", "vocab": {}}}`, "model: vocab: empty", false},
		{"negative id", edit(wordPiece, `"a": 2`, `"a": -2`), "model: vocab: json: cannot unmarshal number -2", false},
		{"id of 3 thousand million", edit(wordPiece, `"a": 2`, `"a": 3000000000`), "has id 3000000000, want at most 2147483647", false},
		{"vocab is a list", edit(wordLevel, `{"?": 0, "a": 1}`, `["?"]`), "model: vocab: json: cannot unmarshal array", false},
		{"unknown token not in WordPiece", edit(wordPiece, `"unk_token": "[UNK]"`, `"unk_token": "[unk]"`), `unk_token "[unk]" is not in the vocabulary`, false},
		{"WordPiece without prefix", edit(wordPiece, `"continuing_subword_prefix": "##", `, ``), "WordPiece: want unk_token, continuing_subword_prefix and", false},
		{"WordLevel without unknown token", edit(wordLevel, `"unk_token": "?", `, ``), "WordLevel: want unk_token", false},
		{"unknown token not in BPE", edit(bpe, `"unk_token": null`, `"unk_token": "?"`), `unk_token "?" is not in the vocabulary`, false},
		{"BPE without merges", edit(bpe, `, "merges": ["a b", "Ġ a"]`, ``), "BPE: no merges", false},
		{"dropout", edit(bpe, `"dropout": null`, `"dropout": 0.1`), "dropout 0.1 gives other tokens at each call", false},
		{"merge of three", edit(bpe, `"a b"`, `"a b c"`), `merge "a b c": want two tokens with one space`, false},
		{"merge of three in a list", edit(bpe, `"a b"`, `["a", "b", "c"]`), "want two tokens", false},
		{"merge of a number", edit(bpe, `"a b"`, `7`), "cannot unmarshal number", false},
		{"merge of what is not there", edit(bpe, `"a b"`, `"a c"`), `merge 0: "a" + "c": "c" is not in the vocabulary`, false},
		{"merge into what is not there", edit(bpe, `"Ġ a"`, `"Ġ b"`), `merge 1: "Ġ" + "b": "Ġb" is not in the vocabulary`, false},
		{"merge shorter than the prefix", edit(bpe, `"continuing_subword_prefix": ""`, `"continuing_subword_prefix": "####"`), `merge 0: "b" does not start with "####"`, aborts},
		{"merge cut inside a letter", edit(edit(bpe, `"continuing_subword_prefix": ""`, `"continuing_subword_prefix": "x"`), `"a b"`, `"a Ġ"`), `does not start with "x"`, aborts},
		{"Unigram without unk_id", edit(edit(unigram, `"unk_id": 0, `, ``), `"byte_fallback": true`, `"byte_fallback": false`), "Unigram: no unk_id", false},
		{"Unigram with bytes missing", edit(unigram, `"unk_id": 0, `, ``), `byte_fallback without unk_id: "<0x00>" is not in the vocabulary`, false},
		{"unk_id too large", edit(unigram, `"unk_id": 0`, `"unk_id": 4`), "unk_id 4: want 0 to 3", false},
		{"negative unk_id", edit(unigram, `"unk_id": 0`, `"unk_id": -1`), "unk_id -1: want 0 to 3", false},
		{"Unigram entry of three", edit(unigram, `["a", -2]`, `["a", -2, 0]`), "vocab: entry 2 has 3 elements", false},
		{"Unigram entry without score", edit(unigram, `["a", -2]`, `["a", "b"]`), "vocab: entry 2: want a token and its score", false},
		{"Unigram empty", `{"model": {"type": "Unigram", "unk_id": 0, "vocab": []}}`, "vocab: empty", false},
		{"normalizer is a list", edit(wordPiece, `"normalizer": {`, `"normalizer": [], "x": {`), "normalizer: want an object or null", false},
		{"unknown normalizer", edit(wordPiece, `"BertNormalizer"`, `"MyNormalizer"`), "the tokenizers library refuses it", false},
		{"bad regular expression", edit(bpe, `" {2,}"`, `"("`), "the tokenizers library refuses it", false},
		{"bad charsmap", edit(wordLevel, `{"type": "NFKC"}`, `{"type": "Precompiled", "precompiled_charsmap": "AAAA"}`), "normalizer: precompiled_charsmap: 3 bytes", aborts},
		{"no charsmap", edit(wordLevel, `{"type": "NFKC"}`, `{"type": "Precompiled"}`), "normalizer: precompiled_charsmap: 0 bytes", aborts},
		{"bad charsmap in an untyped sequence", edit(wordLevel, `{"type": "NFKC"}`, `{"normalizers": [{"type": "Precompiled", "precompiled_charsmap": "AAAA"}]}`), "normalizer: normalizers: 0: precompiled_charsmap: 3 bytes", aborts},
		{"NUL in a section", edit(bpe, `"Isolated"`, `"\u0000"`), "pre_tokenizer: \"\\x00\" has a NUL character", aborts},
		{"NUL in a key", edit(bpe, `"invert"`, `"\u0000"`), "pre_tokenizer: \"\\x00\" has a NUL character", aborts},
		{"number out of range", edit(bpe, `"use_regex": true`, `"use_regex": 1e999`), "decoder: the number 1e999 is out of range", aborts},
		{"deep nesting", edit(wordPiece, `"cleanup": true`, `"x": `+strings.Repeat("[", 200)+strings.Repeat("]", 200)), "decoder: more than 64 levels deep", aborts},
		{"added token with another id", edit(wordPiece, `"id": 1`, `"id": 2`), `added_tokens: token 0: "[MASK]" has id 2, want 1`, false},
		{"added token with a gap", edit(unigram, `"id": 4`, `"id": 5`), `added_tokens: token 0: "<mask>" has id 5, want 4`, false},
		{"added token without content", edit(unigram, `"<mask>"`, `""`), "added_tokens: token 0: no content", false},
		{"added token with NUL", edit(unigram, `"<mask>"`, `"\u0000"`), "added_tokens: token 0: \"\\x00\" has a NUL character", false},
		{"added token twice", edit(wordPiece, `[{"id": 1, "content": "[MASK]",`, `[{"id": 1, "content": "[MASK]"}, {"id": 1, "content": "[MASK]",`), "listed twice", false},
		{"added tokens are a number", edit(wordPiece, `"added_tokens": [`, `"added_tokens": 1, "x": [`), "added_tokens: json: cannot unmarshal number", false},
		{"post-processor", edit(wordPiece, `"post_processor": null`, `"post_processor": {"type": "New"}`), `post_processor: type "New" is not supported`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := build("tokenizer.json", []byte(c.text), &settings{})
			if err == nil {
				tok.Close()
				t.Fatalf("no error, want one with %q", c.want)
			}
			if !strings.HasPrefix(err.Error(), "tokenizer.json: ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %q, want one line from tokenizer.json with %q", err, c.want)
			}
		})
	}
}

func TestSmallDefinitionsLoad(t *testing.T) {
	for i, text := range smallDefinitions {
		tok, err := build("tokenizer.json", []byte(text), &settings{})
		if err != nil {
			t.Errorf("definition %d: %v", i, err)
			continue
		}
		tok.Close()
	}
}

func TestLoneSurrogate(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{`"plain"`, -1},
		{`"\ud83d\ude42"`, -1},
		{`"\\ud83d"`, -1},
		{`"\\\ud83d"`, 3},
		{`"a\uD83D"`, 2},
		{`"\ud83d\u0041"`, 1},
		{`"\ud83d\ud83d\ude42"`, 1},
		{`"\ude42"`, 1},
		{`"\u00e9\ude42"`, 7},
		{`"\ud8`, -1},
		{`\`, -1},
	} {
		if got := loneSurrogate([]byte(c.text)); got != c.want {
			t.Errorf("%s: got %d, want %d", c.text, got, c.want)
		}
	}
}
