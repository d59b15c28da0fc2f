package tokenizer

import (
	"strings"
	"testing"
)

// Half of these, such as a bad charsmap, a NUL character, half a surrogate pair and a merge shorter than the prefix,
// make the Rust library abort the whole process when they get there.
func TestDefinitionErrors(t *testing.T) {
	wordPiece, bpe, unigram, wordLevel := smallDefinitions[0], smallDefinitions[1], smallDefinitions[2], smallDefinitions[3]
	edit := func(text, old, new string) string {
		t.Helper()
		if strings.Count(text, old) < 1 {
			t.Fatalf("%q is not in the definition", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty file", "", "line 1: not JSON: unexpected end"},
		{"not JSON", "{\n\n\"model\": }", "line 3: not JSON: invalid character"},
		{"cut off", wordPiece[:len(wordPiece)-4], "line 5: not JSON: unexpected end"},
		{"not an object", "[]", "line 1: got a list, want an object"},
		{"not UTF-8", "{\n\"a\xff\": 1}", "line 2: not valid UTF-8"},
		{"half a surrogate pair", edit(wordPiece, `"prefix": "##"`, `"prefix": "\ud83d"`), `line 4: \ud83d is half of a surrogate pair`},
		{"the other half", edit(wordPiece, `"prefix": "##"`, `"prefix": "\udc00x"`), `line 4: \udc00 is half`},
		{"version", edit(wordPiece, `"1.0"`, `"2.0"`), `version: "2.0" is not supported: want "1.0"`},
		{"version with NUL", edit(wordPiece, `"1.0"`, `"\u0000"`), `version: "\u0000" is not supported`},
		{"no model", `{"version": "1.0"}`, "model: missing"},
		{"model null", `{"model": null}`, "model: missing"},
		{"model type", edit(wordPiece, `"type": "WordPiece", "unk`, `"type": "SentencePiece", "unk`), `model: type "SentencePiece" is not supported: want BPE`},
		{"model type with NUL", edit(wordPiece, `"type": "WordPiece", "unk`, `"type": "\u0000", "unk`), "has a NUL character"},
		{"no vocab", edit(wordLevel, `"vocab"`, `"words"`), "model: vocab: missing"},
		{"empty vocab", `{"model": {"type": "WordLevel", "unk_token": "?", "vocab": {}}}`, "model: vocab: empty"},
		{"negative id", edit(wordPiece, `"a": 2`, `"a": -2`), "model: vocab: got -2, want an integer from 0 to 2^32-1"},
		{"id of 3 thousand million", edit(wordPiece, `"a": 2`, `"a": 3000000000`), "has id 3000000000, want at most 2147483647"},
		{"vocab is a list", edit(wordLevel, `{"?": 0, "a": 1}`, `["?"]`), "model: vocab: got a list, want an object"},
		{"unknown token not in WordPiece", edit(wordPiece, `"unk_token": "[UNK]"`, `"unk_token": "[unk]"`), `unk_token "[unk]" is not in the vocabulary`},
		{"WordPiece without prefix", edit(wordPiece, `"continuing_subword_prefix": "##", `, ``), "WordPiece: want unk_token, continuing_subword_prefix and"},
		{"WordLevel without unknown token", edit(wordLevel, `"unk_token": "?", `, ``), "WordLevel: want unk_token"},
		{"unknown token not in BPE", edit(bpe, `"unk_token": null`, `"unk_token": "?"`), `unk_token "?" is not in the vocabulary`},
		{"BPE without merges", edit(bpe, `, "merges": ["a b", "Ġ a"]`, ``), "BPE: no merges"},
		{"dropout", edit(bpe, `"dropout": null`, `"dropout": 0.1`), "dropout 0.1 gives other tokens at each call"},
		{"merge of three", edit(bpe, `"a b"`, `"a b c"`), `merge "a b c": want two tokens with one space`},
		{"merge of three in a list", edit(bpe, `["a b", "Ġ a"]`, `[["a", "b"], ["a", "b", "c"]]`), `merge ["a" "b" "c"]: want two tokens`},
		{"merges of both forms", edit(bpe, `"a b"`, `["a", "b"]`), "model: got a text, want a list"},
		{"merge of a number", edit(bpe, `"a b"`, `7`), "model: got a number, want a text"},
		{"merge of what is not there", edit(bpe, `"a b"`, `"a c"`), `merge 0: "a" + "c": "c" is not in the vocabulary`},
		{"merge into what is not there", edit(bpe, `"Ġ a"`, `"Ġ b"`), `merge 1: "Ġ" + "b": "Ġb" is not in the vocabulary`},
		{"merge shorter than the prefix", edit(bpe, `"continuing_subword_prefix": ""`, `"continuing_subword_prefix": "####"`), `merge 0: "b" does not start with "####"`},
		{"merge cut inside a letter", edit(edit(bpe, `"continuing_subword_prefix": ""`, `"continuing_subword_prefix": "x"`), `"a b"`, `"a Ġ"`), `does not start with "x"`},
		{"Unigram without unk_id", edit(edit(unigram, `"unk_id": 0, `, ``), `"byte_fallback": true`, `"byte_fallback": false`), "Unigram: no unk_id"},
		{"Unigram with bytes missing", edit(unigram, `"unk_id": 0, `, ``), `byte_fallback without unk_id: "<0x00>" is not in the vocabulary`},
		{"unk_id too large", edit(unigram, `"unk_id": 0`, `"unk_id": 4`), "unk_id 4: want 0 to 3"},
		{"negative unk_id", edit(unigram, `"unk_id": 0`, `"unk_id": -1`), "unk_id -1: want 0 to 3"},
		{"Unigram entry of three", edit(unigram, `["a", -2]`, `["a", -2, 0]`), "vocab: entry 2 has 3 elements"},
		{"Unigram entry without score", edit(unigram, `["a", -2]`, `["a", "b"]`), "vocab: entry 2: want a token and its score"},
		{"Unigram empty", `{"model": {"type": "Unigram", "unk_id": 0, "vocab": []}}`, "vocab: empty"},
		{"normalizer is a list", edit(wordPiece, `"normalizer": {`, `"normalizer": [], "x": {`), "normalizer: want an object or null"},
		{"unknown normalizer", edit(wordPiece, `"BertNormalizer"`, `"MyNormalizer"`), `normalizer: type "MyNormalizer" is not supported: want one of BertNormalizer`},
		{"unknown pre-tokenizer in a sequence", edit(bpe, `"Digits"`, `"FixedLength"`), `pre_tokenizer: pretokenizers: 1: type "FixedLength" is not supported`},
		{"unknown decoder", edit(wordLevel, `"CTC"`, `"XYZ"`), `decoder: type "XYZ" is not supported`},
		{"decoder without type", edit(wordLevel, `"type": "CTC", `, ``), `decoder: type "" is not supported`},
		{"sequence without parts", edit(bpe, `"normalizers":`, `"parts":`), `normalizer: Sequence: no list "normalizers"`},
		{"normalizer without a field", edit(wordPiece, `"clean_text": true, `, ``), "the tokenizers library refuses it"},
		{"bad regular expression", edit(bpe, `" {2,}"`, `"("`), "the tokenizers library refuses it"},
		{"nothing to prepend", edit(bpe, `"prepend": "x"`, `"prepend": ""`), `normalizer: Prepend: "prepend" is empty`},
		{"bad charsmap", edit(wordLevel, `{"type": "NFKC"}`, `{"type": "Precompiled", "precompiled_charsmap": "AAAA"}`), "normalizer: precompiled_charsmap: 3 bytes"},
		{"no charsmap", edit(wordLevel, `{"type": "NFKC"}`, `{"type": "Precompiled"}`), "normalizer: precompiled_charsmap: 0 bytes"},
		{"charsmap in an untyped sequence", edit(wordLevel, `{"type": "NFKC"}`, `{"normalizers": [{"type": "Precompiled", "precompiled_charsmap": "AAAA"}]}`), `normalizer: type "" is not supported`},
		{"bad charsmap where none belongs", edit(wordLevel, `{"type": "NFKC"}`, `{"type": "NFKC", "x": [{"precompiled_charsmap": "AAAA"}]}`), "normalizer: precompiled_charsmap: 3 bytes"},
		{"NUL in a section", edit(bpe, `"Isolated"`, `"\u0000"`), "pre_tokenizer: \"\\x00\" has a NUL character"},
		{"NUL in a key", edit(bpe, `"invert"`, `"\u0000"`), "pre_tokenizer: \"\\x00\" has a NUL character"},
		{"number out of range", edit(bpe, `"use_regex": true`, `"use_regex": 1e999`), "decoder: the number 1e999 is out of range"},
		{"deep nesting", edit(wordPiece, `"cleanup": true`, `"x": `+strings.Repeat("[", 200)+strings.Repeat("]", 200)), "decoder: more than 64 levels deep"},
		{"added token with another id", edit(wordPiece, `"id": 1`, `"id": 2`), `added_tokens: token 0: "[MASK]" has id 2, want 1`},
		{"added token with a gap", edit(unigram, `"id": 4`, `"id": 5`), `added_tokens: token 0: "<mask>" has id 5, want 4`},
		{"added token without content", edit(unigram, `"<mask>"`, `""`), "added_tokens: token 0: no content"},
		{"added token with NUL", edit(unigram, `"<mask>"`, `"\u0000"`), "added_tokens: token 0: \"\\x00\" has a NUL character"},
		{"added token twice", edit(wordPiece, `[{"id": 1, "content": "[MASK]",`, `[{"id": 1, "content": "[MASK]"}, {"id": 1, "content": "[MASK]",`), "listed twice"},
		{"added tokens are a number", edit(wordPiece, `"added_tokens": [`, `"added_tokens": 1, "x": [`), "added_tokens: got a number, want a list"},
		{"post-processor", edit(wordPiece, `"post_processor": null`, `"post_processor": {"type": "New"}`), `post_processor: type "New" is not supported`},
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
