package tokenizer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data/datatest"
)

// goldens is what testdata/golden.py writes: the same texts encoded by transformers with several tokenizers.
type goldens struct {
	Cases []goldenCase
	Rows  []struct {
		File    string
		Line    int
		Columns []int
		Max     int
	}
	Forms map[string]struct {
		Folder  string
		Files   []string
		Config  json.RawMessage
		SameAs  string          `json:"same_as"`
		Results []*goldenResult // nil where max does not hold the special tokens
	}
}

type goldenCase struct {
	Text   string
	Pair   *string
	Repeat int
	Max    int
}

type goldenResult struct {
	IDs       []int32
	Segments  []int64
	Truncated bool
}

// wide gives numbers the width in which a model has them.
func wide[T int32 | uint8](numbers []T) []int64 {
	var all []int64
	for _, v := range numbers {
		all = append(all, int64(v))
	}
	return all
}

func readGoldens(t *testing.T, name string) goldens {
	t.Helper()
	var g goldens
	datatest.ReadJSON(t, "testdata/"+name, &g)
	if len(g.Cases) == 0 || len(g.Forms) == 0 {
		t.Fatalf("%s: no cases or no forms", name)
	}
	return g
}

func TestGolden(t *testing.T) {
	readGoldens(t, "golden.json.gz").check(t, "testdata")
}

func TestGoldenRealTokenizers(t *testing.T) {
	models := datatest.Unpack(t, "models/tokenizers.tar.xz")
	glue := datatest.Unpack(t, "datasets/glue.tar.xz")
	g := readGoldens(t, "golden_real.json.gz")
	for _, r := range g.Rows {
		text, err := os.ReadFile(filepath.Join(glue, "glue", r.File))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Split(strings.TrimSuffix(strings.Split(string(text), "\n")[r.Line], "\r"), "\t")
		c := goldenCase{Text: fields[r.Columns[0]], Max: r.Max}
		if len(r.Columns) > 1 {
			c.Pair = &fields[r.Columns[1]]
		}
		g.Cases = append(g.Cases, c)
	}
	g.check(t, filepath.Join(models, "tokenizers"))
}

func (g goldens) check(t *testing.T, root string) {
	for name, form := range g.Forms {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, filepath.Join(root, form.Folder), form.Files...)
			write(t, dir, "tokenizer_config.json", string(form.Config))
			tok := mustLoad(t, dir)
			results := form.Results
			if form.SameAs != "" {
				results = g.Forms[form.SameAs].Results
			}
			if len(results) != len(g.Cases) {
				t.Fatalf("%d results for %d cases", len(results), len(g.Cases))
			}
			for i, c := range g.Cases {
				if results[i] != nil {
					c.check(t, tok, *results[i])
				}
			}
		})
	}
}

func (c goldenCase) check(t *testing.T, tok *Tokenizer, want goldenResult) {
	t.Helper()
	text := strings.Repeat(c.Text, max(c.Repeat, 1))
	enc, truncated, err := tok.Encode(text, c.Pair, c.Max)
	where := fmt.Sprintf("%.60q × %d, max %d", c.Text, max(c.Repeat, 1), c.Max)
	if c.Pair != nil {
		where += fmt.Sprintf(", pair %.60q", *c.Pair)
	}
	switch {
	case strings.Contains(where, `\x00`):
		if err == nil || !strings.Contains(err.Error(), "NUL character at byte") {
			t.Errorf("%s: got error %v, want one of its NUL character", where, err)
		}
	case err != nil:
		t.Errorf("%s: %v", where, err)
	case !slices.Equal(enc.IDs, want.IDs):
		t.Errorf("%s: ids\n got %v\nwant %v", where, enc.IDs, want.IDs)
	case !slices.Equal(wide(enc.Segments), want.Segments):
		t.Errorf("%s: segments\n got %v\nwant %v", where, enc.Segments, want.Segments)
	case truncated != want.Truncated:
		t.Errorf("%s: truncated %v, want %v", where, truncated, want.Truncated)
	}
}

// folder copies files of a folder to a new one.
func folder(t testing.TB, from string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, file, string(text))
	}
	return dir
}

func write(t testing.TB, dir, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustLoad(t testing.TB, dir string) *Tokenizer {
	t.Helper()
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tok.Close(); err != nil {
			t.Error(err)
		}
	})
	return tok
}
