package tokenizer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data"
	"autolora/data/datatest"
)

// TestSentencePiece compares the tokenizer made from tokenizer.model with the one that transformers made of it.
func TestSentencePiece(t *testing.T) {
	tok := fixture(t, "llama", "tokenizer.model")
	readGenerationGoldens(t).check(t, "llama metaspace", tok)
	if tok.unk != 0 || tok.eos != 2 {
		t.Errorf("unknown %d, end %d, want 0 and 2", tok.unk, tok.eos)
	}
	dir := folder(t, filepath.Join("testdata", "llama"), "tokenizer.model")
	write(t, dir, "tokenizer_config.json", `{"add_bos_token": false, "tokenizer_class": "LlamaTokenizer"}`)
	with, _, err := tok.Encode("name : A", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	without, _, err := mustLoad(t, dir).Encode("name : A", nil, 0)
	if err != nil || !slices.Equal(with.IDs, append([]int32{1}, without.IDs...)) {
		t.Errorf("with <s> %v, without %v, %v", with.IDs, without.IDs, err)
	}
}

// TestSentencePieceReal compares the real tokenizer of LLaMA with sentencepiece itself.
func TestSentencePieceReal(t *testing.T) {
	tok := mustLoad(t, filepath.Join(datatest.Unpack(t, "models/tokenizers.tar.xz"), "tokenizers", "llama"))
	s, err := data.LoadTask("webnlg", datatest.Unpack(t, "datasets/webnlg2017.tar.xz"), data.Test)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	rows := 0
	for _, ex := range s.Test[0].Examples {
		for _, target := range ex.References {
			for _, text := range []string{ex.Source, target} {
				enc, _, err := tok.Encode(text, nil, 0)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(h, strings.Trim(fmt.Sprint(enc.IDs), "[]"))
			}
			rows++
		}
	}
	if got, want := hex.EncodeToString(h.Sum(nil)), readGenerationGoldens(t).Llama; rows != want.Rows || got != want.SHA256 {
		t.Errorf("%d rows, %s, want %+v", rows, got, want)
	}
}

// message writes protobuf fields: numbers, texts, and messages as texts.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		field := uint64(fields[i].(int))
		switch v := fields[i+1].(type) {
		case int:
			b = binary.AppendUvarint(binary.AppendUvarint(b, field<<3), uint64(v))
		case float32:
			b, _ = binary.Append(binary.AppendUvarint(b, field<<3|5), binary.LittleEndian, v)
		case string:
			b = append(binary.AppendUvarint(binary.AppendUvarint(b, field<<3|2), uint64(len(v))), v...)
		case []byte:
			b = append(binary.AppendUvarint(binary.AppendUvarint(b, field<<3|2), uint64(len(v))), v...)
		}
	}
	return b
}

func TestSentencePieceErrors(t *testing.T) {
	trainer := message(3, 2, 35, 1)
	normalizer := message(4, 0)
	piece := message(1, "<s>", 2, float32(0), 3, 3)
	const save = ": save a tokenizer.json with transformers' save_pretrained"
	for _, c := range []struct {
		name   string
		text   []byte
		config string
		want   string
	}{
		{"empty", nil, "", "not a model of sentencepiece: it has no pieces"},
		{"a text", []byte("hello"), "", "not a model of sentencepiece: field 13 is cut off or of an unknown type"},
		{"cut off", message(1, piece)[:4], "", "not a model of sentencepiece: field 1 is cut off or of an unknown type"},
		{"an unknown type", []byte{0x0b}, "", "not a model of sentencepiece: field 1 is cut off or of an unknown type"},
		{"no field", []byte{0x00, 0x00}, "", "not a model of sentencepiece: a field has no valid key"},
		{"a piece twice", message(1, piece, 1, piece), "", `not a model of sentencepiece: piece 1: "<s>" is empty, too long, not UTF-8, or there twice`},
		{"a long piece", message(1, message(1, strings.Repeat("a", 1025))), "", `not a model of sentencepiece: piece 0: "` + strings.Repeat("a", 40) + `" is empty, too long, not UTF-8, or there twice`},
		{"a score of 8 bytes", message(1, []byte{0x0a, 1, 'a', 0x11, 0, 0, 0, 0, 0, 0, 0, 0}), "", "not a model of sentencepiece: piece 0: its score is no number of 4 bytes"},
		{"Unigram", message(1, piece, 3, normalizer), "", "the model of sentencepiece is no BPE: only that is read" + save},
		{"no byte fallback", message(1, piece, 2, message(3, 2), 3, normalizer), "", "the model of sentencepiece has no byte fallback: only one with it is read" + save},
		{"one space", message(1, piece, 2, trainer), "", "the model of sentencepiece normalises texts: only one that does not is read" + save},
		{"a charsmap", message(1, piece, 2, trainer, 3, message(4, 0, 2, "x")), "", "the model of sentencepiece normalises texts: only one that does not is read" + save},
		{"no space before", message(1, piece, 2, trainer, 3, message(4, 0, 3, 0)), "", "the model of sentencepiece writes spaces in another way than LLaMA's: only that is read" + save},
		{"user's pieces", message(1, message(1, "x", 3, 4), 2, trainer, 3, normalizer), "", "the model of sentencepiece has pieces that its user defined: only one without is read" + save},
		{"another class", message(1, piece, 2, trainer, 3, normalizer), `{"tokenizer_class": "T5Tokenizer"}`, "cannot make a T5Tokenizer from it" + save},
		{"no <s>", message(1, message(1, "a"), 2, trainer, 3, normalizer), "", `has no token "<s>" to put before texts`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "tokenizer.model", string(c.text))
			if c.config != "" {
				write(t, dir, "tokenizer_config.json", c.config)
			}
			want := "tokenizer: " + filepath.Join(dir, "tokenizer.model") + ": " + c.want
			if _, err := Load(dir); err == nil || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}

func FuzzSentencePiece(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "llama", "tokenizer.model"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(message(1, message(1, "<s>", 3, 3), 1, message(1, "a"), 1, message(1, "▁"), 1, message(1, "▁a", 2, float32(-1)), 2, message(3, 2, 35, 1), 3, message(4, 0)))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parsePieces(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		for _, p := range m.pieces {
			if !bytes.Contains(text, []byte(p.text)) {
				t.Errorf("piece %q is not in the file", p.text)
			}
		}
		file, err := sentencePiece("tokenizer.model", text, &settings{})
		if err != nil {
			return
		}
		tok, err := build("tokenizer.model", file, &settings{})
		if err != nil {
			return
		}
		defer tok.Close()
		if _, _, err := tok.Encode("a b", nil, 0); err != nil {
			t.Error(err)
		}
	})
}
