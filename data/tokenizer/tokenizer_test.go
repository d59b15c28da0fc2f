package tokenizer

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"autolora/data"
)

func fixture(t testing.TB, name string, files ...string) *Tokenizer {
	t.Helper()
	return mustLoad(t, folder(t, filepath.Join("testdata", name), files...))
}

func TestSpecialTokens(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		size  int
		unk   int64
		eos   int64
		added [2]int // around one text, around a pair
	}{
		{"bert", []string{"tokenizer.json"}, 1948, 1, -1, [2]int{2, 3}},
		{"bert", []string{"vocab.txt"}, 1948, 1, -1, [2]int{2, 3}},
		{"roberta", []string{"tokenizer.json"}, 768, 3, 2, [2]int{2, 4}},
		{"roberta", []string{"vocab.json", "merges.txt"}, 768, 3, 2, [2]int{2, 4}},
		{"gpt2", []string{"vocab.json", "merges.txt"}, 764, 763, 763, [2]int{0, 0}},
		{"unigram", []string{"tokenizer.json"}, 802, 3, 2, [2]int{2, 4}},
	} {
		t.Run(c.name+" from "+c.files[0], func(t *testing.T) {
			tok := fixture(t, c.name, c.files...)
			if tok.unk != c.unk || tok.eos != c.eos {
				t.Errorf("unknown %d, end %d, want %d and %d", tok.unk, tok.eos, c.unk, c.eos)
			}
			if got := [2]int{tok.template.added(false), tok.template.added(true)}; got != c.added {
				t.Errorf("adds %v tokens, want %v", got, c.added)
			}
			if tok.size != c.size {
				t.Errorf("vocabulary of %d, want %d", tok.size, c.size)
			}
		})
	}
}

// TestNamesInSettings takes special tokens from the config files, the map's only where the config has none.
func TestNamesInSettings(t *testing.T) {
	dir := folder(t, filepath.Join("testdata", "gpt2"), "vocab.json", "merges.txt")
	write(t, dir, "tokenizer_config.json", `{"pad_token": "!", "eos_token": {"content": "in", "lstrip": false}, "mask_token": "not a token", "unk_token": null}`)
	write(t, dir, "special_tokens_map.json", `{"pad_token": "?", "bos_token": "a", "unk_token": {"content": "b"}}`)
	tok := mustLoad(t, dir)
	one := func(text string) int32 {
		enc, _, err := tok.Encode(text, nil, 0)
		if err != nil || len(enc.IDs) != 1 {
			t.Fatalf("%q: got %v, error %v, want one token", text, enc.IDs, err)
		}
		return enc.IDs[0]
	}
	if tok.unk != int64(one("b")) || tok.eos != int64(one("in")) {
		t.Errorf("unknown %d, end %d, want %d and %d", tok.unk, tok.eos, one("b"), one("in"))
	}
}

func TestAddedTokens(t *testing.T) {
	for _, c := range []struct{ name, file, text string }{
		{"added_tokens.json", "added_tokens.json", `{"[E2]": 1949, "[E1]": 1948}`},
		{"added_tokens_decoder", "tokenizer_config.json", `{"added_tokens_decoder": {
			"1948": {"content": "[E1]", "lstrip": false, "rstrip": false, "single_word": false, "normalized": false, "special": true},
			"1949": {"content": "[E2]", "lstrip": false, "rstrip": false, "single_word": false, "normalized": false, "special": true}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, filepath.Join("testdata", "bert"), "vocab.txt")
			write(t, dir, c.file, c.text)
			tok := mustLoad(t, dir)
			enc, _, err := tok.Encode("a[E2]a [E1]", nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			a := enc.IDs[1]
			if want := []int32{2, a, 1949, a, 1948, 3}; !slices.Equal(enc.IDs, want) {
				t.Errorf("got %v, want %v", enc.IDs, want)
			}
			if tok.size != 1950 {
				t.Errorf("vocabulary of %d, want 1950", tok.size)
			}
		})
	}
}

// TestConfigOverrulesTokenizerJSON: what golden.py made from vocabulary files and a tokenizer_config.json is what
// tokenizer.json gives with that config beside it.
func TestConfigOverrulesTokenizerJSON(t *testing.T) {
	g := readGoldens(t, "golden.json.gz")
	for _, name := range []string{"bert cased", "bert accents", "roberta prefix"} {
		t.Run(name, func(t *testing.T) {
			form := g.Forms[name]
			dir := folder(t, filepath.Join("testdata", form.Folder), "tokenizer.json")
			write(t, dir, "tokenizer_config.json", string(form.Config))
			tok := mustLoad(t, dir)
			for i, c := range g.Cases {
				if form.Results[i] != nil {
					c.check(t, tok, *form.Results[i])
				}
			}
		})
	}
}

// TestPaddingAndTruncationOfTheFile: the small BERT's tokenizer.json asks for both, to 128 tokens.
func TestPaddingAndTruncationOfTheFile(t *testing.T) {
	tok := fixture(t, "bert", "tokenizer.json")
	for _, c := range []struct{ words, max, want int }{{1, 0, 3}, {1, 200, 3}, {300, 0, 302}, {300, 200, 200}} {
		enc, truncated, err := tok.Encode(strings.Repeat("the ", c.words), nil, c.max)
		if err != nil || len(enc.IDs) != c.want || truncated != (c.words == 300 && c.max == 200) {
			t.Errorf("%d words, max %d: %d tokens, truncated %v, error %v, want %d", c.words, c.max, len(enc.IDs), truncated, err, c.want)
		}
	}
}

func TestEncodeErrors(t *testing.T) {
	tok := fixture(t, "bert", "tokenizer.json")
	bad, long, empty := "ab\xffc", strings.Repeat("a", maxText+1), ""
	for _, c := range []struct {
		name, text string
		pair       *string
		max        int
		want       string
	}{
		{"not UTF-8", bad, nil, 0, "text is not valid UTF-8 at byte 2"},
		{"second text not UTF-8", "a", &bad, 0, "second text: text is not valid UTF-8 at byte 2"},
		{"NUL", "ab\x00c", nil, 0, "text has a NUL character at byte 2"},
		{"too long", long, nil, 128, "text of 4194305 bytes: want at most 4194304"},
		{"no room for the special tokens", "a", nil, 1, "max length 1: the tokenizer adds 2 special tokens"},
		{"no room in a pair", "a", &empty, 2, "max length 2: the tokenizer adds 3 special tokens"},
		{"negative", "a", nil, -1, "max length -1"},
	} {
		enc, _, err := tok.Encode(c.text, c.pair, c.max)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, error %v, want one with %q", c.name, enc, err, c.want)
		}
	}
}

func TestClose(t *testing.T) {
	tok, err := Load(filepath.Join("testdata", "roberta"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tok.EncodeWords([]string{"a"}, 0); err != nil { // opens the second one too
		t.Fatal(err)
	}
	for range 2 {
		if err := tok.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := tok.Encode("a", nil, 0); !errors.Is(err, errClosed) {
		t.Errorf("encode: got error %v, want %v", err, errClosed)
	}
	if _, err := tok.Decode([]int64{1}, false); !errors.Is(err, errClosed) {
		t.Errorf("decode: got error %v, want %v", err, errClosed)
	}
}

// TestGoroutines encodes texts and words from several goroutines, while one of them closes the tokenizer.
func TestGoroutines(t *testing.T) {
	for _, name := range []string{"bert", "roberta", "unigram"} {
		t.Run(name, func(t *testing.T) {
			tok := fixture(t, name, "tokenizer.json")
			texts := []string{"the film is a deeply moving look at life .", "to be here", "", "don't 2000 ½ " + strings.Repeat("xyz", 40)}
			want := make([][]int32, len(texts))
			for i, text := range texts {
				enc, _, err := tok.Encode(text, nil, 0)
				if err != nil {
					t.Fatal(err)
				}
				want[i] = enc.IDs
			}
			other := fixture(t, name, "tokenizer.json") // nothing opened beforehand
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for round := range 100 {
						if g == 0 && round == 90 {
							other.Close()
						}
						i := (g + round) % len(texts)
						enc, _, err := other.Encode(texts[i], &texts[i], 0)
						if errors.Is(err, errClosed) {
							return
						}
						if n := len(want[i]) - 1; err != nil || !slices.Equal(enc.IDs[:n], want[i][:n]) {
							t.Errorf("%q: got %v, error %v, want %v first", texts[i], enc.IDs, err, want[i][:n])
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, text, want, skipped string
	}{
		{"bert", "The film , and LIFE", "[CLS] the film, and life [SEP]", "the film, and life"},
		{"roberta", "The film,  and é 🙂", "<s>The film,  and é 🙂</s>", "The film,  and é 🙂"},
		{"unigram", "the film is good", "<s> the film is good</s>", "the film is good"},
		{"bert", "", "[CLS] [SEP]", ""},
	} {
		tok := fixture(t, c.name, "tokenizer.json")
		enc, _, err := tok.Encode(c.text, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for skip, want := range map[bool]string{false: c.want, true: c.skipped} {
			if got, err := tok.Decode(wide(enc.IDs), skip); err != nil || got != want {
				t.Errorf("%s, skip %v: got %q, error %v, want %q", c.name, skip, got, err, want)
			}
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	tok := fixture(t, "gpt2", "vocab.json", "merges.txt")
	for _, c := range []struct {
		name string
		ids  []int64
		want string
	}{
		{"negative", []int64{-1}, "token id -1: want 0 to 763"},
		{"too large", []int64{1 << 32}, "token id 4294967296: want 0 to 763"},
		{"past the vocabulary", []int64{764}, "token id 764: want 0 to 763"},
	} {
		if got, err := tok.Decode(c.ids, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %q, error %v, want one with %q", c.name, got, err, c.want)
		}
	}
	if got, err := tok.Decode(nil, false); err != nil || got != "" {
		t.Errorf("no ids: got %q, error %v", got, err)
	}
}

func TestEncoder(t *testing.T) {
	tok := fixture(t, "bert", "tokenizer.json")
	enc, err := NewEncoder(tok, 8, 512, tok.Size())
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("the ", 10)
	for i, c := range []struct {
		ex   data.Example
		want int
	}{
		{data.Example{Text: "the man"}, 4},
		{data.Example{Text: long}, 8},
		{data.Example{Text: "the", Pair: long, HasPair: true}, 8},
		{data.Example{Text: "the", Pair: "", HasPair: true}, 4},
		{data.Example{Text: "the", Pair: "not meant"}, 3},
	} {
		c.ex.Line = i + 1
		for range 2 { // one that is encoded again counts once
			got, err := enc.Encode(c.ex)
			if err != nil || len(got.IDs) != c.want {
				t.Errorf("%+v: %d tokens, error %v, want %d", c.ex, len(got.IDs), err, c.want)
			}
		}
	}
	if enc.Truncated() != 2 {
		t.Errorf("%d truncated, want 2", enc.Truncated())
	}
	if _, err := enc.Encode(data.Example{Text: "\xff"}); err == nil {
		t.Error("no error for a text that is not UTF-8")
	}
	for _, c := range []struct {
		max, positions int
		want           string
	}{
		{513, 512, "got 513 tokens, want at most 512: the model's positions"},
		{3, 512, "got 3 tokens, want at least 4: the tokenizer adds 3 special tokens to a pair of texts"},
		{0, 512, "got 0 tokens"},
		{-4, 512, "got -4 tokens"},
	} {
		if _, err := NewEncoder(tok, c.max, c.positions, tok.Size()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("max %d: got error %v, want one with %q", c.max, err, c.want)
		}
	}
	for _, max := range []int{4, 512} {
		if _, err := NewEncoder(tok, max, 512, tok.Size()); err != nil {
			t.Errorf("max %d: %v", max, err)
		}
	}
}

// TestEncoderInCorpus encodes a data set as a run does, on two goroutines.
func TestEncoderInCorpus(t *testing.T) {
	tok := fixture(t, "roberta", "tokenizer.json")
	enc, err := NewEncoder(tok, 16, 512, tok.Size())
	if err != nil {
		t.Fatal(err)
	}
	d := &data.Dataset{Kind: data.Classification, Labels: []string{"0", "1"}}
	for i := range 50 {
		d.Examples = append(d.Examples, data.Example{Text: strings.Repeat("the film ", i), File: "dev.tsv", Line: i + 2})
	}
	c := data.NewCorpus(d, enc)
	if err := c.EncodeAll(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if n, err := c.Length(i); err != nil || n < 2 || n > 16 {
			t.Errorf("example %d: %d tokens, error %v", i, n, err)
		}
	}
	if enc.Truncated() == 0 {
		t.Error("no example was cut")
	}
}
