package tokenizer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"autolora/foreign"
)

// readDefinition finds the tokenizer of a model folder: tokenizer.json, or the text of one made from vocab.txt
// (WordPiece), from vocab.json and merges.txt (byte-level BPE), or from tokenizer.model or spm.model (sentencepiece).
func readDefinition(dir string, set *settings) (name string, text []byte, err error) {
	for _, form := range []struct {
		file string
		make func(path string, text []byte, set *settings) ([]byte, error)
	}{
		{"tokenizer.json", func(_ string, text []byte, _ *settings) ([]byte, error) { return text, nil }},
		{"vocab.txt", wordPiece},
		{"vocab.json", byteLevel},
		{"tokenizer.model", sentencePiece},
		{"spm.model", debertaPieces},
	} {
		name = filepath.Join(dir, form.file)
		text, err = foreign.ReadFile(name, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			text, err = form.make(name, text, set)
		}
		return name, text, err
	}
	return "", nil, fmt.Errorf("%s: no tokenizer: looked for tokenizer.json, vocab.txt, vocab.json with merges.txt, tokenizer.model, and spm.model", dir)
}

// wordPiece makes BERT's tokenizer from vocab.txt.
func wordPiece(path string, text []byte, set *settings) ([]byte, error) {
	if err := set.checkClass(path, "BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer"); err != nil {
		return nil, err
	}
	vocab, err := parseVocabText(path, text)
	if err != nil {
		return nil, err
	}
	unk, cls, sep := named(set.Unk, "[UNK]"), named(set.CLS, "[CLS]"), named(set.Sep, "[SEP]")
	for _, t := range []addedToken{unk, cls, sep} {
		if !has(vocab, t.Content) {
			return nil, fmt.Errorf("%s: has no token %q: not the vocabulary of a BERT model", path, t.Content)
		}
	}
	return json.Marshal(map[string]any{
		"added_tokens":   set.addedTokens(vocab, unk, cls, sep, named(set.Pad, "[PAD]"), named(set.Mask, "[MASK]")),
		"normalizer":     map[string]any{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": nil, "lowercase": true},
		"pre_tokenizer":  map[string]any{"type": "BertPreTokenizer"},
		"post_processor": around("BertProcessing", vocab, cls, sep),
		"decoder":        map[string]any{"type": "WordPiece", "prefix": "##", "cleanup": true},
		"model": map[string]any{
			"type": "WordPiece", "vocab": vocab, "unk_token": unk.Content,
			"continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
		},
	})
}

// around is a post_processor that puts cls and sep around texts.
func around(kind string, vocab map[string]uint32, cls, sep addedToken) map[string]any {
	token := func(t addedToken) []any { return []any{t.Content, vocab[t.Content]} }
	return map[string]any{"type": kind, "cls": token(cls), "sep": token(sep)}
}

// parseVocabText reads vocab.txt: a token a line, the first one with id 0. Space at the end of a line is not of the
// token, and of equal lines the last one counts, as in transformers.
func parseVocabText(path string, text []byte) (map[string]uint32, error) {
	vocab := map[string]uint32{}
	err := eachLine(path, text, func(number int, token string) error {
		vocab[strings.TrimRightFunc(token, unicode.IsSpace)] = uint32(number - 1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(vocab) == 0 {
		return nil, fmt.Errorf("%s: empty", path)
	}
	return vocab, nil
}

// byteLevel makes RoBERTa's tokenizer from vocab.json and the merges.txt beside it, or GPT-2's where the
// vocabulary has no <s> and </s>.
func byteLevel(path string, text []byte, set *settings) ([]byte, error) {
	var vocab map[string]uint32
	if err := parseJSON(path, text, &vocab); err != nil {
		return nil, err
	}
	if err := checkVocab(vocab); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	mergesPath := filepath.Join(filepath.Dir(path), "merges.txt")
	mergesText, err := foreign.ReadFile(mergesPath, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no merges.txt beside it", path)
	}
	if err != nil {
		return nil, err
	}
	merges, err := parseMerges(mergesPath, mergesText, vocab)
	if err != nil {
		return nil, err
	}
	lines := make([]string, len(merges))
	for i, m := range merges {
		lines[i] = m[0] + " " + m[1]
	}
	cls, sep := named(set.CLS, "<s>"), named(set.Sep, "</s>")
	classes := []string{"GPT2Tokenizer"}
	roberta := has(vocab, cls.Content) && has(vocab, sep.Content) && set.class() != classes[0]
	if roberta {
		classes = []string{"RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"}
	}
	if err := set.checkClass(path, classes...); err != nil {
		return nil, err
	}
	if !roberta && set.AddBOS != nil && *set.AddBOS {
		return nil, fmt.Errorf("%s: add_bos_token is not supported without tokenizer.json: save one with transformers", path)
	}
	file := map[string]any{
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
		"decoder":       map[string]any{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true},
		"model":         map[string]any{"type": "BPE", "vocab": vocab, "merges": lines},
	}
	if roberta {
		mask := addedToken{Content: "<mask>", LStrip: true}
		if set.Mask != nil {
			mask = addedToken(*set.Mask)
		}
		file["added_tokens"] = set.addedTokens(vocab, cls, sep, named(set.BOS, "<s>"), named(set.EOS, "</s>"),
			named(set.Pad, "<pad>"), named(set.Unk, "<unk>"), mask)
		file["post_processor"] = around("RobertaProcessing", vocab, cls, sep)
	} else {
		file["added_tokens"] = set.addedTokens(vocab, named(set.BOS, endOfText), named(set.EOS, endOfText),
			named(set.Unk, endOfText), named(set.Pad, endOfText))
	}
	return json.Marshal(file)
}

// parseMerges reads merges.txt: a merge a line, the first one being the first to apply. The first line may be a
// header that starts with "#version"; other lines that start with '#' are merges.
func parseMerges(path string, text []byte, vocab map[string]uint32) ([]merge, error) {
	merges := []merge{}
	err := eachLine(path, text, func(number int, line string) error {
		if number == 1 && strings.HasPrefix(line, "#version") || line == "" {
			return nil
		}
		m, err := splitMerge(line)
		if err == nil {
			err = m.check(vocab, "")
		}
		merges = append(merges, m)
		return err
	})
	return merges, err
}

// eachLine calls fn with each line of a file and its number from 1. The error names the line, which must be UTF-8.
func eachLine(path string, text []byte, fn func(number int, line string) error) error {
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		err := errors.New("not valid UTF-8")
		if utf8.ValidString(line) {
			err = fn(number, strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
		}
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", path, number, err)
		}
	}
	return nil
}

// named is the special token that the settings name, or the usual one.
func named(t *namedToken, usual string) addedToken {
	if t != nil {
		return addedToken(*t)
	}
	return addedToken{Content: usual, Special: true}
}

// addedTokens lists the special tokens that the vocabulary has and the tokens that the settings add, by id.
func (s *settings) addedTokens(vocab map[string]uint32, special ...addedToken) []addedToken {
	for _, t := range s.Additional {
		special = append(special, addedToken(t))
	}
	all := map[string]addedToken{}
	for _, t := range special {
		if id, ok := vocab[t.Content]; ok {
			t.ID, t.Special = id, true
			all[t.Content] = t
		}
	}
	for _, t := range s.Added {
		all[t.Content] = t
	}
	return slices.SortedFunc(maps.Values(all), byID)
}

func byID(a, b addedToken) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), strings.Compare(a.Content, b.Content))
}

// checkClass refuses a class of tokenizers that is none of those that a file makes.
func (s *settings) checkClass(path string, made ...string) error {
	if class := s.class(); class != "" && !slices.Contains(made, class) {
		return fmt.Errorf("%s: cannot make a %s from it: save a tokenizer.json with transformers' save_pretrained", path, class)
	}
	return nil
}
