package tokenizer

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestDeberta compares the tokenizer made from spm.model with that of transformers' converter.
func TestDeberta(t *testing.T) {
	readGoldens(t, "golden_deberta.json.gz").check(t, "testdata")

	tok := fixture(t, "deberta", "spm.model")
	if got := tok.ids["[MASK]"]; tok.unk != 3 || got != 600 || tok.Size() != 601 {
		t.Errorf("unknown %d, mask %d, size %d, want 3, 600 and 601", tok.unk, got, tok.Size())
	}
	enc, _, err := tok.EncodeWords([]string{"the", "film", "\u200b"}, 0)
	if err != nil || enc.IDs[0] != 1 || enc.IDs[len(enc.IDs)-1] != 2 || len(enc.First) != 3 {
		t.Errorf("words: %+v, %v", enc, err)
	}
	text, _, _ := tok.Encode("the film", nil, 0)
	if words, _, _ := tok.EncodeWords([]string{"the", "film"}, 0); !slices.Equal(words.IDs, text.IDs) {
		t.Errorf("words %v, text %v", words.IDs, text.IDs)
	}
}

func TestDebertaErrors(t *testing.T) {
	unigram := message(3, 1)
	cls, sep, unk := message(1, "[CLS]", 3, 3), message(1, "[SEP]", 3, 3), message(1, "[UNK]", 3, 2)
	const save = ": save a tokenizer.json with transformers' save_pretrained"
	for _, c := range []struct {
		name   string
		text   []byte
		config string
		want   string
	}{
		{"empty", nil, "", "not a model of sentencepiece: it has no pieces"},
		{"BPE", message(1, cls, 2, message(3, 2)), "", "the model of sentencepiece is no Unigram: only that is read from spm.model" + save},
		{"byte fallback", message(1, cls, 2, message(35, 1)), "", "the model of sentencepiece has a byte fallback: only one without is read from spm.model" + save},
		{"all spaces", message(1, cls, 3, message(4, 0)), "", "the model of sentencepiece writes spaces in another way than DeBERTa's: only that is read from spm.model" + save},
		{"another class", message(1, cls), `{"tokenizer_class": "AlbertTokenizer"}`, "cannot make a AlbertTokenizer from it" + save},
		{"no [SEP]", message(1, cls, 2, unigram), "", `has no token "[SEP]": not the vocabulary of a DeBERTa model`},
		{"an unknown token that is not there", message(1, cls, 1, sep, 1, unk, 2, message(40, 7)), "", "model: unk_id 7: want 0 to 2"},
		{"a broken charsmap", message(1, cls, 1, sep, 1, unk, 2, message(40, 2), 3, message(2, "abcdefgh")), "", "normalizer: precompiled_charsmap: says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "spm.model", string(c.text))
			if c.config != "" {
				write(t, dir, "tokenizer_config.json", c.config)
			}
			want := "tokenizer: " + filepath.Join(dir, "spm.model") + ": " + c.want
			_, err := Load(dir)
			if err == nil || !(err.Error() == want || len(want) < len(err.Error()) && err.Error()[:len(want)] == want) {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}
