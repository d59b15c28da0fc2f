package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data"
	"autolora/data/datatest"
)

// wordGoldens is what testdata/golden_words.py writes.
type wordGoldens struct {
	Sentences   [][]string
	Small, Real map[string]wordForm
}

type wordForm struct {
	Folder  string
	Files   []string
	Config  json.RawMessage
	Results []struct {
		IDs   []int32
		First []int32
		Lost  int
	}
	Digests map[string]string
}

func readWordGoldens(t *testing.T) wordGoldens {
	t.Helper()
	var g wordGoldens
	datatest.ReadJSON(t, "testdata/golden_words.json.gz", &g)
	if len(g.Sentences) < 20 || len(g.Small) < 5 || len(g.Real) < 4 {
		t.Fatalf("%d sentences, %d and %d forms", len(g.Sentences), len(g.Small), len(g.Real))
	}
	return g
}

// load opens the tokenizer of a form.
func (f wordForm) load(t *testing.T, root string) *Tokenizer {
	t.Helper()
	dir := folder(t, filepath.Join(root, f.Folder), f.Files...)
	write(t, dir, "tokenizer_config.json", string(f.Config))
	return mustLoad(t, dir)
}

// check compares with transformers; lost says that words were there of which the tokenizer makes nothing.
func (f wordForm) check(t *testing.T, tok *Tokenizer, sentences [][]string) (lost int) {
	t.Helper()
	for i, words := range sentences {
		enc, truncated, err := tok.EncodeWords(words, 0)
		want := f.Results[i]
		switch {
		case strings.Contains(strings.Join(words, ""), "\x00"):
			if err == nil || !strings.Contains(err.Error(), "NUL character at byte") {
				t.Errorf("%q: got error %v, want one of its NUL character", words, err)
			}
		case err != nil || truncated:
			t.Errorf("%q: truncated %v, %v", words, truncated, err)
		case !slices.Equal(enc.IDs, want.IDs) || !slices.Equal(enc.First, want.First) || enc.Segments != nil:
			t.Errorf("%q:\n got %v, words at %v\nwant %v, words at %v", words, enc.IDs, enc.First, want.IDs, want.First)
		}
		lost += want.Lost
	}
	return lost
}

func TestGoldenWords(t *testing.T) {
	g := readWordGoldens(t)
	for name, form := range g.Small {
		t.Run(name, func(t *testing.T) {
			if lost := form.check(t, form.load(t, "testdata"), g.Sentences); lost < 10 {
				t.Errorf("%d words without a token, want some", lost)
			}
		})
	}
}

// TestGoldenWordsJNLPBA encodes all sentences of JNLPBA with the real tokenizers.
func TestGoldenWordsJNLPBA(t *testing.T) {
	g := readWordGoldens(t)
	root := filepath.Join(datatest.Unpack(t, "models/tokenizers.tar.xz"), "tokenizers")
	splits, err := data.LoadTask("jnlpba", datatest.Unpack(t, "datasets/jnlpba.tar.xz"), data.Train, data.Dev, data.Test)
	if err != nil {
		t.Fatal(err)
	}
	sets := []*data.Dataset{splits.Train, splits.Dev[0], splits.Test[0]}
	for i, n := range []int{16807, 1739, 3856} {
		if sets[i].Len() != n {
			t.Fatalf("%s: %d sentences, want %d", sets[i].Name, sets[i].Len(), n)
		}
	}
	for name, form := range g.Real {
		t.Run(name, func(t *testing.T) {
			tok := form.load(t, root)
			form.check(t, tok, g.Sentences)
			for _, d := range sets {
				h := sha256.New()
				for _, ex := range d.Examples {
					enc, _, err := tok.EncodeWords(ex.Words, 0)
					if err != nil {
						t.Fatal(err)
					}
					numbers := []int32{int32(len(enc.IDs)), int32(len(enc.First))}
					for _, id := range enc.IDs {
						numbers = append(numbers, int32(id))
					}
					for _, at := range enc.First {
						numbers = append(numbers, int32(at))
					}
					if err := binary.Write(h, binary.LittleEndian, numbers); err != nil {
						t.Fatal(err)
					}
				}
				file := filepath.Base(d.Files[0])
				if got := hex.EncodeToString(h.Sum(nil)); got != form.Digests[file] {
					t.Errorf("%s: the tokens of some sentence differ: digest %s, want %s", file, got, form.Digests[file])
				}
			}
		})
	}
}

func TestSplitWords(t *testing.T) {
	tok := mustLoad(t, folder(t, "testdata/bert", "tokenizer.json")) // [CLS] and [SEP] around
	length := func(word string) int {
		enc, _, err := tok.EncodeWords([]string{word}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(enc.IDs) - 2
	}
	const long = "unbelievablyaffable"
	if length("the") != 1 || length(long) < 4 {
		t.Fatalf("words of %d and %d tokens", length("the"), length(long))
	}
	tests := []struct {
		name, words string
		max         int
		want        []int
	}{
		{"fits", "the man plays", 2 + length("the")*2 + length("plays"), []int{3}},
		{"one word a piece", "the the the", 3, []int{1, 1, 1}},
		{"as many as fit", "the the the the the", 4, []int{2, 2, 1}},
		{"a word that is longer than a piece", "the " + long + " the the", 5, []int{1, 1, 2}},
		{"such words alone", long + " " + long, 5, []int{1, 1}},
		{"no words", "", 5, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			words := strings.Fields(test.words)
			got, err := tok.SplitWords(words, test.max)
			if err != nil || !slices.Equal(got, test.want) {
				t.Fatalf("got %v, %v, want %v", got, err, test.want)
			}
			for _, n := range got {
				enc, truncated, err := tok.EncodeWords(words[:n], test.max)
				if err != nil || len(enc.First) != n || len(enc.IDs) > test.max || truncated != (words[0] == long) {
					t.Errorf("%q: %d tokens, words at %v, truncated %v, %v", words[:n], len(enc.IDs), enc.First, truncated, err)
				}
				if truncated && len(enc.IDs) != test.max {
					t.Errorf("%d tokens of a cut word, want %d", len(enc.IDs), test.max)
				}
				words = words[n:]
			}
		})
	}
	for _, test := range []struct {
		words []string
		max   int
		want  string
	}{
		{[]string{"the", "the"}, 3, "a sentence of 2 words has 2 tokens: want at most 1"},
		{[]string{"the"}, 2, "a sentence of 1 words has 1 tokens: want at most 0"},
		{[]string{"the", "a\xff"}, 9, "word 2: text is not valid UTF-8 at byte 1"},
	} {
		if _, _, err := tok.EncodeWords(test.words, test.max); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	if _, err := tok.SplitWords([]string{"the"}, 2); err == nil || err.Error() != "max length 2: the tokenizer adds 2 special tokens" {
		t.Errorf("got %v", err)
	}
}

// TestPiecesOfSentences goes the whole way: sentences, pieces, tokens, and predictions joined again.
func TestPiecesOfSentences(t *testing.T) {
	tok := mustLoad(t, folder(t, "testdata/roberta", "tokenizer.json"))
	enc, err := NewEncoder(tok, 8, 512, tok.Size())
	if err != nil {
		t.Fatal(err)
	}
	d := &data.Dataset{Name: "test", Kind: data.Tagging, Labels: []string{"O", "B-x"}}
	for i, text := range []string{"the man", "", "one two three four five six seven eight", "internationalisation of words"} {
		words := strings.Fields(text)
		d.Examples = append(d.Examples, data.Example{Sentence: &data.Sentence{Words: words, Tags: make([]int, len(words))}, File: "a.jsonl", Line: i + 1})
	}
	pieces, cut, err := data.Pieces(d, enc)
	if err != nil {
		t.Fatal(err)
	}
	if len(cut) != 2 || pieces.Len() < 5 {
		t.Errorf("sentences %v were cut into pieces, %d pieces in all", cut, pieces.Len())
	}
	corpus := data.NewCorpus(pieces, enc)
	batches, err := corpus.EvalBatches(t.Context(), 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	found := make([][]string, pieces.Len())
	for _, indices := range batches {
		b, err := corpus.Batch(indices)
		if err != nil {
			t.Fatal(err)
		}
		want := b.Want
		for k, i := range b.Index {
			if b.Lengths[k] > 8 {
				t.Errorf("piece %d has %d tokens", i, b.Lengths[k])
			}
			for _, at := range want[:b.WantPer[k]] {
				text, err := tok.Decode(b.IDs[at:at+1], false)
				if err != nil {
					t.Fatal(err)
				}
				found[i] = append(found[i], strings.TrimSpace(text))
			}
			want = want[b.WantPer[k]:]
		}
		if len(want) != 0 || len(b.Labels) != len(b.Want) {
			t.Errorf("%d rows too many, %d labels", len(want), len(b.Labels))
		}
	}
	all, rows := slices.Concat(found...), d.Rows()
	for i, ex := range d.Examples {
		words, tokens := ex.Words, all[rows[i]:rows[i+1]]
		if len(tokens) != len(words) {
			t.Fatalf("sentence %q has the first tokens %q", words, tokens)
		}
		for k, token := range tokens {
			if token == "" || !strings.HasPrefix(words[k], token) {
				t.Errorf("word %q has the first token %q", words[k], token)
			}
		}
	}
	if enc.Truncated() != 1 {
		t.Errorf("%d pieces were cut, want 1", enc.Truncated())
	}
}

func ExampleTokenizer_EncodeWords() {
	tok, err := Load("testdata/bert")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tok.Close()
	enc, _, err := tok.EncodeWords([]string{"unbelievable", "film"}, 0)
	fmt.Println(len(enc.IDs), enc.First, err)
	// Output: 9 [1 7] <nil>
}
