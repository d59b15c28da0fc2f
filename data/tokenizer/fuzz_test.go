package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Small definitions of each kind of model, with the sections that the library is picky about.
var smallDefinitions = []string{
	`{"version": "1.0", "truncation": null, "padding": null,
	  "added_tokens": [{"id": 1, "content": "[MASK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
	  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
	  "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
	  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "[MASK]": 1, "a": 2, "##b": 3}}}`,
	`{"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "Prepend", "prepend": "x"}, {"type": "Nmt"}, {"type": "Lowercase"}]},
	  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\s+|\\d"}, "behavior": "Isolated", "invert": false}, {"type": "Digits", "individual_digits": true}, {"type": "Punctuation", "behavior": "MergedWithNext"}, {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": false}]},
	  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
	  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
	    "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġa": 4}, "merges": ["a b", "Ġ a"]}}`,
	`{"added_tokens": [{"id": 4, "content": "<mask>", "single_word": true, "lstrip": true, "rstrip": true, "normalized": true, "special": false}],
	  "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
	  "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
	  "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": [["<unk>", 0.0], ["▁", -1.5], ["a", -2], ["▁ab", -2.25]]}}`,
	`{"pre_tokenizer": {"type": "CharDelimiterSplit", "delimiter": "-"}, "normalizer": {"type": "NFKC"}, "decoder": {"type": "CTC", "pad_token": "a", "word_delimiter_token": "|", "cleanup": true},
	  "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1}}}`,
	`{"pre_tokenizer": {"type": "UnicodeScripts"}, "decoder": {"type": "BPEDecoder", "suffix": "</w>"}, "model": {"unk_token": "u", "end_of_word_suffix": "</w>", "continuing_subword_prefix": "#", "vocab": {"u": 0, "a": 1, "#b": 2, "ab": 3}, "merges": [["a", "#b"]]}}`,
}

// FuzzDefinition hands to the Rust library whatever the checks let through; it must not abort the process.
func FuzzDefinition(f *testing.F) {
	for _, text := range smallDefinitions {
		f.Add([]byte(text), "a ab\x00b — 1é <mask>")
	}
	text, err := os.ReadFile(filepath.Join("testdata", "unigram", "tokenizer.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(shortenVocab(f, text)), "½ Å™  b")
	f.Fuzz(func(t *testing.T, text []byte, input string) {
		tok, err := build("tokenizer.json", text, &settings{})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		defer tok.Close()
		enc, _, err := tok.Encode(input, &input, 0)
		if err != nil {
			return
		}
		for _, id := range enc.IDs {
			if id < 0 || int(id) >= tok.size {
				t.Errorf("id %d of a vocabulary of %d", id, tok.size)
			}
		}
		tok.Decode(wide(enc.IDs), true)
	})
}

// shortenVocab keeps a few tokens, for the fuzzer's speed.
func shortenVocab(f *testing.F, text []byte) []byte {
	var file map[string]any
	if err := json.Unmarshal(text, &file); err != nil {
		f.Fatal(err)
	}
	model := file["model"].(map[string]any)
	model["vocab"] = model["vocab"].([]any)[:20]
	delete(file, "added_tokens")
	delete(file, "post_processor")
	text, err := json.Marshal(file)
	if err != nil {
		f.Fatal(err)
	}
	return text
}

func FuzzPostProcessor(f *testing.F) {
	for _, text := range []string{
		bertProcessing, robertaProcessing, byteLevelOffsets, templateBERT, templateOdd, `null`, `{"type": 1}`,
		`{"type": "Sequence", "processors": [` + byteLevelOffsets + `,` + templateBERT + `]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tpl, err := parseProcessor(text, 0)
		if err != nil {
			return
		}
		for _, pair := range []bool{false, true} {
			texts := [2][]uint32{{1, 2, 3}}
			if pair {
				texts[1] = []uint32{4, 5}
			}
			ids, segments := tpl.join(texts, pair)
			if want := tpl.added(pair) + len(texts[0]) + len(texts[1]); len(ids) != want {
				t.Errorf("pair %v: %d ids, want %d", pair, len(ids), want)
			}
			if segments != nil && len(segments) != len(ids) {
				t.Errorf("pair %v: %d segments for %d ids", pair, len(segments), len(ids))
			}
		}
	})
}

func FuzzVocabText(f *testing.F) {
	for _, text := range []string{"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n", "a\r\nb\r\n", "a\na", "", "\n\n", "\xff\n", "[UNK]\n[CLS]\n[SEP]"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		vocab, err := parseVocabText("vocab.txt", text)
		if err != nil {
			return
		}
		lines := strings.Count(string(text), "\n") + 1
		for token, id := range vocab {
			if int(id) >= lines || strings.Contains(token, "\n") {
				t.Errorf("token %q has id %d in a file of %d lines", token, id, lines)
			}
		}
		file, err := wordPiece("vocab.txt", text, &settings{})
		if err != nil {
			return
		}
		tok, err := build("vocab.txt", file, &settings{})
		if err != nil {
			return
		}
		defer tok.Close()
		if _, _, err := tok.Encode("a ab [MASK]", nil, 0); err != nil {
			t.Error(err)
		}
	})
}

func FuzzMerges(f *testing.F) {
	for _, text := range []string{"#version: 0.2\na b\n", "a b\nab c", "# #\n", "#version: 0.2\r\na b\r\n", "a  b", "a b c", "ab", "\xff \xfe", ""} {
		f.Add([]byte(text))
	}
	vocab := map[string]uint32{"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4, "#": 5, "##": 6}
	f.Fuzz(func(t *testing.T, text []byte) {
		merges, err := parseMerges("merges.txt", text, vocab)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "merges.txt: line ") {
				t.Errorf("error without its line: %v", err)
			}
			return
		}
		for _, m := range merges {
			if !has(vocab, m[0]+m[1]) {
				t.Errorf("merge %q makes no token", m)
			}
		}
	})
}

func FuzzCharsmap(f *testing.F) {
	f.Add(base64.StdEncoding.EncodeToString(fixtureCharsmap(f)))
	f.Add("AAAA")
	f.Add("")
	f.Fuzz(func(t *testing.T, charsmap string) {
		if checkCharsmap(charsmap) != nil {
			return
		}
		file := strings.Replace(smallDefinitions[3], `{"type": "NFKC"}`, `{"type": "Precompiled", "precompiled_charsmap": "`+charsmap+`"}`, 1)
		tok, err := build("tokenizer.json", []byte(file), &settings{})
		if err != nil {
			t.Fatal(err)
		}
		defer tok.Close()
		if _, _, err := tok.Encode("aÅﬁⅧ™ ½\t\x01 ÿ\U0010ffff", nil, 0); err != nil {
			t.Error(err)
		}
	})
}
