package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data"
	"autolora/data/datatest"
)

// generationGoldens is what testdata/golden_generation.py writes.
type generationGoldens struct {
	Forms map[string][]struct {
		Source, Target string
		IDs            []int32
		Prompt         int
		Text           string // of the target's tokens
	}
	Whole map[string]struct {
		Rows, Tokens, Longest int
		SHA256                string
	}
	Llama struct { // the sources and targets of WebNLG's test set
		Rows   int
		SHA256 string
	}
}

func readGenerationGoldens(t *testing.T) (g generationGoldens) {
	t.Helper()
	datatest.ReadJSON(t, "testdata/golden_generation.json.gz", &g)
	return g
}

// promptOf is the number of tokens before those that are to be written.
func promptOf(enc data.Encoded) int {
	if len(enc.Trained) == 0 {
		return len(enc.IDs)
	}
	return int(enc.Trained[0].From)
}

func (g generationGoldens) check(t *testing.T, form string, tok *Tokenizer) {
	t.Helper()
	if len(g.Forms[form]) == 0 {
		t.Fatalf("no cases of %s", form)
	}
	for _, c := range g.Forms[form] {
		enc, truncated, err := tok.EncodeGeneration(c.Source, c.Target, 0)
		if err != nil || truncated || !slices.Equal(enc.IDs, c.IDs) || promptOf(enc) != c.Prompt || enc.Segments != nil {
			t.Errorf("%s: %q, %q: got %v, prompt %d, %v\nwant %v, prompt %d", form, c.Source, c.Target, enc.IDs, promptOf(enc), err, c.IDs, c.Prompt)
		}
		prompt, _, err := tok.EncodeGeneration(c.Source, "", 0)
		if err != nil || !slices.Equal(prompt.IDs, c.IDs[:c.Prompt]) || promptOf(prompt) != c.Prompt {
			t.Errorf("%s: %q: prompt %v, %d, %v\nwant %v", form, c.Source, prompt.IDs, promptOf(prompt), err, c.IDs[:c.Prompt])
		}
		if text, err := tok.Decode(wide(c.IDs[c.Prompt:]), true); err != nil || strings.TrimSpace(text) != c.Text {
			t.Errorf("%s: got text %q, %v, want %q", form, text, err, c.Text)
		}
	}
}

func llama(t testing.TB, form string) *Tokenizer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "llama", form+".json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "tokenizer.json", string(text))
	return mustLoad(t, dir)
}

// TestGenerationGolden compares with transformers, for GPT-2 also with LoRA's own encoder and decoder, and for
// LLaMA in both of its forms: neither puts two spaces before a target.
func TestGenerationGolden(t *testing.T) {
	g := readGenerationGoldens(t)
	g.check(t, "gpt2", fixture(t, "gpt2", "vocab.json", "merges.txt"))
	for _, form := range []string{"metaspace", "prepend"} {
		g.check(t, "llama "+form, llama(t, form))
	}
}

// TestGenerationGoldenReal takes the real tokenizer of GPT-2, all rows of E2E and WebNLG included.
func TestGenerationGoldenReal(t *testing.T) {
	tok := mustLoad(t, filepath.Join(datatest.Unpack(t, "models/tokenizers.tar.xz"), "tokenizers", "gpt2"))
	g := readGenerationGoldens(t)
	g.check(t, "gpt2 real", tok)
	if end, err := tok.EndTokens("\n\n"); err != nil || !slices.Equal(end, []int64{50256, 628}) {
		t.Errorf("tokens at the end: %v, %v, want those of LoRA's gpt2_beam.py", end, err)
	}
	if testing.Short() {
		t.Skip("all rows take half a minute")
	}
	folders := map[string]string{"e2e": datatest.Unpack(t, "datasets/e2e.tar.xz"), "webnlg": datatest.Unpack(t, "datasets/webnlg2017.tar.xz")}
	for _, name := range []string{"e2e", "webnlg"} {
		s, err := data.LoadTask(name, folders[name], data.Train, data.Dev, data.Test)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []*data.Dataset{s.Train, s.Dev[0], s.Test[0]} {
			want, ok := g.Whole[d.Name]
			if !ok {
				t.Fatalf("no rows of %s", d.Name)
			}
			h := sha256.New()
			rows, tokens, longest, other := 0, 0, 0, 0
			for _, ex := range d.Examples {
				targets := ex.References
				if ex.Target != "" {
					targets = []string{ex.Target}
				}
				for _, target := range targets {
					enc, _, err := tok.EncodeGeneration(ex.Source, target, 0)
					if err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(h, "%d %s\n", promptOf(enc), strings.Trim(fmt.Sprint(enc.IDs), "[]"))
					text, err := tok.DecodeTarget(wide(enc.IDs[promptOf(enc):]), "")
					if err != nil || text != target {
						other++
					}
					rows++
					tokens += len(enc.IDs)
					longest = max(longest, len(enc.IDs))
				}
			}
			if got := hex.EncodeToString(h.Sum(nil)); rows != want.Rows || tokens != want.Tokens || longest != want.Longest || got != want.SHA256 || other > 0 {
				t.Errorf("%s: %d rows, %d tokens, longest %d, %s, %d texts not decoded to themselves, want %+v", d.Name, rows, tokens, longest, got, other, want)
			}
		}
	}
}

func TestGenerationTruncation(t *testing.T) {
	gpt2 := fixture(t, "gpt2", "vocab.json", "merges.txt")
	ids := func(text string) []int32 {
		enc, _, err := gpt2.Encode(text, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return enc.IDs
	}
	const end = 763
	source, target := ids("abcdefgh"), ids(" ijklm")
	for _, c := range []struct {
		max       int
		target    string
		from, to  int // tokens of source and target that stay
		end       bool
		truncated bool
	}{
		{0, "ijklm", len(source), len(target), true, false},
		{len(source) + len(target) + 2, "ijklm", len(source), len(target), true, false},
		{len(source) + len(target) + 1, "ijklm", len(source), len(target), false, true}, // the end of text makes it the longer one
		{8, "ijklm", 3, 4, false, true},
		{3, "ijklm", 1, 1, false, true},
		{len(source) + 1, "", len(source), 0, false, false},
		{6, "", 5, 0, false, true},
	} {
		enc, truncated, err := gpt2.EncodeGeneration("abcdefgh", c.target, c.max)
		want := append(slices.Clone(source[:c.from]), end)
		want = append(want, target[:c.to]...)
		if c.end {
			want = append(want, end)
		}
		if err != nil || !slices.Equal(enc.IDs, want) || promptOf(enc) != c.from+1 || truncated != c.truncated {
			t.Errorf("max %d, target %q: got %v, prompt %d, truncated %v, %v\nwant %v", c.max, c.target, enc.IDs, promptOf(enc), truncated, err, want)
		}
	}
	for _, c := range []struct {
		name           string
		tok            *Tokenizer
		source, target string
		max            int
		want           string
	}{
		{"too short", gpt2, "a", "b", 2, "max length 2: want at least 3"},
		{"too short with a token before", llama(t, "metaspace"), "a", "b", 3, "max length 3: want at least 4"},
		{"no end of text", fixture(t, "bert", "tokenizer.json"), "a", "b", 0, "the tokenizer has no token for the end of a text, without which none can be generated"},
		{"source", gpt2, "\xff", "b", 0, "text is not valid UTF-8 at byte 0"},
		{"target", gpt2, "a", "\xff", 0, "target: text is not valid UTF-8 at byte 1"},
	} {
		if _, _, err := c.tok.EncodeGeneration(c.source, c.target, c.max); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestGenerationEncoder(t *testing.T) {
	tok := fixture(t, "gpt2", "vocab.json", "merges.txt")
	enc, err := NewEncoder(tok, 8, 16, tok.Size())
	if err != nil {
		t.Fatal(err)
	}
	c := data.NewCorpus(&data.Dataset{Kind: data.Generation, Examples: []data.Example{
		{Writing: &data.Writing{Source: "ab", Target: "c"}}, {Writing: &data.Writing{Source: "ab"}}, {Writing: &data.Writing{Source: strings.Repeat("a", 20), Target: "c"}, Line: 3},
	}}, enc)
	b, err := c.Batch([]int{0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := data.NewCorpus(c.Data.Prompts(), enc).Batch([]int{2}); err != nil {
		t.Fatal(err)
	}
	if enc.Truncated() != 1 { // source and target are one example
		t.Errorf("%d truncated, want 1", enc.Truncated())
	}
	const end = 763
	if !slices.Equal(b.WantPer, []int{2, 1, 2}) || b.Labels[1] != end || b.Labels[2] != data.NoLabel || b.Labels[4] != end || b.Lengths[2] != 7 {
		t.Errorf("batch %+v", b)
	}
}

func TestDecodeTarget(t *testing.T) {
	tok := fixture(t, "gpt2", "vocab.json", "merges.txt")
	const end = 763
	ids := func(texts ...string) (ids []int64) {
		for i, text := range texts {
			enc, _, err := tok.Encode(text, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				ids = append(ids, end)
			}
			ids = append(ids, wide(enc.IDs)...)
		}
		return ids
	}
	for _, c := range []struct {
		ids        []int64
		stop, want string
	}{
		{ids(" the film ", " more"), "", "the film"},
		{ids(" the\n\nfilm"), "", "the\n\nfilm"},
		{ids(" the\n\nfilm"), "\n\n", "the"},
		{ids("", "more"), "", ""},
		{nil, "\n\n", ""},
		{slices.Concat(ids(" the"), slices.Collect(maps.Keys(tok.nul)), ids(" film")), "", "the film"},
		{append([]int64{764, 5000}, ids(" the film")...), "", "the film"}, // rows of an embedding without tokens
	} {
		if got, err := tok.DecodeTarget(c.ids, c.stop); err != nil || got != c.want {
			t.Errorf("%v: got %q, %v, want %q", c.ids, got, err, c.want)
		}
	}
	if got, err := tok.DecodeTarget([]int64{-1}, ""); err == nil {
		t.Errorf("a negative id: got %q", got)
	}
}

func TestEndTokens(t *testing.T) {
	gpt2 := fixture(t, "gpt2", "vocab.json", "merges.txt")
	letter, _, err := gpt2.Encode("a", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tok  *Tokenizer
		stop string
		want []int64
	}{
		{gpt2, "", []int64{763}}, {gpt2, "a", []int64{763, int64(letter.IDs[0])}}, {gpt2, "no such token", []int64{763}}, {llama(t, "prepend"), "\n\n", []int64{2}},
	} {
		if got, err := c.tok.EndTokens(c.stop); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("stop %q: got %v, %v, want %v", c.stop, got, err, c.want)
		}
	}
}

// TestDecodeNUL leaves out tokens that have a NUL character, in both kinds of tokenizer that have them.
func TestDecodeNUL(t *testing.T) {
	for name, tok := range map[string]*Tokenizer{
		"gpt2": fixture(t, "gpt2", "vocab.json", "merges.txt"), "metaspace": llama(t, "metaspace"), "prepend": llama(t, "prepend"),
	} {
		enc, _, err := tok.Encode("a b", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(tok.nul) != 1 {
			t.Fatalf("%s: tokens with NUL: %v, want one", name, tok.nul)
		}
		for nul := range tok.nul {
			if got, err := tok.Decode(slices.Insert(wide(enc.IDs), len(enc.IDs)-1, nul, nul), true); err != nil || got != "a b" {
				t.Errorf("%s: got %q, %v, want %q", name, got, err, "a b")
			}
		}
	}
}
