package nlg

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data/datatest"
	"autolora/data/metrics/nlg/tok"
)

const tolerance = 1e-9

func readJSON(tb testing.TB, file string, v any) {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
}

func readLines(tb testing.TB, file string) []string {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// near compares with a value that is nil where the official script divides by zero.
func near(t *testing.T, name string, got float64, want *float64) {
	nearTo(t, name, got, want, tolerance)
}

// nearTo is near with a tolerance of its own.
func nearTo(t *testing.T, name string, got float64, want *float64, tolerance float64) {
	t.Helper()
	switch {
	case want == nil:
		if !math.IsNaN(got) {
			t.Errorf("%s: got %v, want NaN", name, got)
		}
	case !(math.Abs(got-*want) <= tolerance):
		t.Errorf("%s: got %.17g, want %.17g", name, got, *want)
	}
}

// TestSample compares with what the official scripts make of a few corpora with odd outputs.
func TestSample(t *testing.T) {
	var file struct {
		Corpora []struct {
			Name           string
			Segments       [][]string
			PyMTEval       []*float64
			MTEval         []*float64
			MultiBLEU      *float64 `json:"multi_bleu"`
			MultiBLEUDetok *float64 `json:"multi_bleu_detok"`
			ROUGEL         *float64 `json:"rouge_l"`
			CIDEr          *float64
			Each           [][]*float64
		}
	}
	readJSON(t, filepath.Join("testdata", "sample.json"), &file)
	if len(file.Corpora) < 5 {
		t.Fatalf("%d corpora", len(file.Corpora))
	}
	for _, c := range file.Corpora {
		t.Run(c.Name, func(t *testing.T) {
			segments := make([]Segment, len(c.Segments))
			for i, texts := range c.Segments {
				segments[i] = Segment{texts[0], texts[1:]}
			}
			bleu, nist := PyMTEval(segments)
			near(t, "pymteval, BLEU", bleu, c.PyMTEval[0])
			near(t, "pymteval, NIST", nist, c.PyMTEval[1])
			bleu, nist = MTEval(segments)
			near(t, "mteval, BLEU", bleu, c.MTEval[0])
			near(t, "mteval, NIST", nist, c.MTEval[1])
			near(t, "multi-bleu", MultiBLEU(padded(segments)), c.MultiBLEU)
			near(t, "multi-bleu-detok", MultiBLEUDetok(padded(segments)), c.MultiBLEUDetok)
			words := PTB(segments)
			rouge, rouges := ROUGEL(words)
			near(t, "ROUGE-L", rouge, c.ROUGEL)
			cider, ciders := CIDEr(words)
			near(t, "CIDEr", cider, c.CIDEr)
			for i, want := range c.Each {
				for k, got := range each(segments[i], rouges[i], ciders[i]) {
					near(t, fmt.Sprintf("segment %d, score %d", i, k), got, want[k])
				}
			}
		})
	}
}

// each is what e2e-metrics writes of one output, but for METEOR: BLEU, sentBLEU, NIST, ROUGE-L and CIDEr.
func each(segment Segment, rouge, cider float64) []float64 {
	bleu, nist := PyMTEval([]Segment{segment})
	return []float64{bleu, PySentenceBLEU(segment), nist, rouge, cider}
}

// padded returns the segments with empty references where there are fewer than elsewhere, as files of references have
// them.
func padded(segments []Segment) []Segment {
	most := 0
	for _, s := range segments {
		most = max(most, len(s.References))
	}
	out := make([]Segment, len(segments))
	for i, s := range segments {
		out[i] = Segment{s.Hypothesis, append(slices.Clone(s.References), make([]string, most-len(s.References))...)}
	}
	return out
}

type e2eCase struct {
	Outputs, Refs string
	BLEUPy        *float64 `json:"BLEU_pymteval"`
	NISTPy        *float64 `json:"NIST_pymteval"`
	BLEUPerl      *float64 `json:"BLEU_perl"`
	NISTPerl      *float64 `json:"NIST_perl"`
	ROUGEL        *float64 `json:"ROUGE_L"`
	CIDEr         *float64
	Columns       []string `json:"segments_columns"`
	Segments      [][]*float64
}

func (c *e2eCase) segments(tb testing.TB, dir string) []Segment {
	blocks := strings.Split(strings.Join(readLines(tb, filepath.Join(dir, c.Refs)), "\n"), "\n\n")
	if len(blocks) == 1 { // a reference a line
		blocks = strings.Split(blocks[0], "\n")
	}
	var out []Segment
	for i, output := range readLines(tb, filepath.Join(dir, c.Outputs)) {
		out = append(out, Segment{output, strings.Split(strings.TrimSpace(blocks[i]), "\n")})
	}
	return out
}

// TestSharedE2E compares with e2e-metrics.
func TestSharedE2E(t *testing.T) {
	dir := datatest.Golden(t, "e2e")
	var cases map[string]*e2eCase
	readJSON(t, filepath.Join(dir, "expected.json"), &cases)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			segments := c.segments(t, dir)
			bleu, nist := PyMTEval(segments)
			near(t, "pymteval, BLEU", bleu, c.BLEUPy)
			near(t, "pymteval, NIST", nist, c.NISTPy)
			bleu, nist = MTEval(segments)
			near(t, "mteval, BLEU", bleu, c.BLEUPerl)
			near(t, "mteval, NIST", nist, c.NISTPerl)
			words := PTB(segments)
			rouge, rouges := ROUGEL(words)
			near(t, "ROUGE-L", rouge, c.ROUGEL)
			cider, ciders := CIDEr(words)
			near(t, "CIDEr", cider, c.CIDEr)
			columns := []string{"BLEU", "sentBLEU_smooth1", "NIST", "ROUGE_L", "CIDEr"}
			for i, segment := range segments {
				for k, got := range each(segment, rouges[i], ciders[i]) {
					want := c.Segments[i][slices.Index(c.Columns, columns[k])]
					cut := 6e-9 // the scores of many outputs have eight digits after the point, those of few ten in all
					if len(segments) < 100 && want != nil {
						cut = tolerance * max(1, math.Abs(*want))
					}
					nearTo(t, fmt.Sprintf("output %d, %s", i, columns[k]), got, want, cut)
				}
			}
		})
	}
}

// TestSharedMultiBLEU compares with what multi-bleu.perl printed for WebNLG 2017 and multi-bleu-detok.perl for LoRA's.
func TestSharedMultiBLEU(t *testing.T) {
	type printed struct{ BLEU float64 }
	dir := datatest.Golden(t, "webnlg2017-official")
	var official map[string]struct {
		Outputs string
		Old     struct {
			BLEU printed `json:"multi_bleu_lc"`
		}
	}
	readJSON(t, filepath.Join(dir, "expected.json"), &official)
	columns := make([][]string, 3)
	for k := range columns {
		columns[k] = readLines(t, filepath.Join(dir, fmt.Sprintf("reference%d.lex", k)))
	}
	for name, c := range official {
		t.Run("2017/"+name, func(t *testing.T) {
			var segments []Segment
			for i, output := range readLines(t, filepath.Join(dir, c.Outputs)) {
				segments = append(segments, Segment{output, []string{columns[0][i], columns[1][i], columns[2][i]}})
			}
			want := c.Old.BLEU.BLEU / 100
			near(t, "BLEU", MultiBLEU(segments), &want)
		})
	}
	dir = datatest.Golden(t, "webnlg-lora-generationeval")
	var lora map[string]struct {
		Seen struct {
			BLEU printed `json:"multi_bleu_detok"`
		}
	}
	readJSON(t, filepath.Join(dir, "expected.json"), &lora)
	for name, c := range lora {
		t.Run("LoRA/"+name, func(t *testing.T) {
			references := readLines(t, filepath.Join(dir, "refs.jsonl"))
			var segments []Segment
			for i, output := range readLines(t, filepath.Join(dir, name+".hyp")) {
				s := Segment{Hypothesis: output}
				if err := json.Unmarshal([]byte(references[i]), &s.References); err != nil {
					t.Fatal(err)
				}
				segments = append(segments, s)
			}
			want := c.Seen.BLEU.BLEU / 100
			near(t, "BLEU", MultiBLEUDetok(segments), &want)
		})
	}
}

// TestSharedWords compares with the words that the official tokenisers give.
func TestSharedWords(t *testing.T) {
	dir := datatest.Golden(t, "tok")
	for _, name := range []string{"e2e", "webnlg", "stress"} {
		t.Run(name, func(t *testing.T) {
			type line struct {
				In     string
				PTB    string `json:"ptb_raw"`
				Words  string `json:"ptb_nopunct"`
				MTEval string `json:"mteval13a"`
				NLTK   string `json:"nltk35_word_tokenize"`
			}
			var lines []line
			var texts []string
			for _, text := range readLines(t, filepath.Join(dir, name+".jsonl")) {
				var l line
				if err := json.Unmarshal([]byte(text), &l); err != nil {
					t.Fatal(err)
				}
				lines = append(lines, l)
				texts = append(texts, l.In)
			}
			for i, words := range tok.PTB(texts) {
				equalWords(t, "PTB", texts[i], words, lines[i].PTB)
				equalWords(t, "PTB without punctuation", texts[i], tok.WithoutPunctuation(words), lines[i].Words)
				equalWords(t, "mteval", texts[i], tok.MTEval13a(texts[i]), lines[i].MTEval)
				equalWords(t, "NLTK", texts[i], tok.NLTK(texts[i]), lines[i].NLTK)
			}
		})
	}
}

func equalWords(t *testing.T, name, text string, got []string, want string) {
	t.Helper()
	if got := strings.Join(got, " "); got != want {
		t.Errorf("%s of %q:\n got %q\nwant %q", name, text, got, want)
	}
}

// Without segments there is nothing to score.
func TestNoSegments(t *testing.T) {
	bleu, nist := PyMTEval(nil)
	perlBLEU, perlNIST := MTEval(nil)
	rouge, _ := ROUGEL(nil)
	cider, _ := CIDEr(PTB(nil))
	for i, score := range []float64{bleu, nist, perlBLEU, perlNIST, rouge, cider, MultiBLEU(nil), MultiBLEUDetok(nil)} {
		if !math.IsNaN(score) {
			t.Errorf("score %d of nothing is %v, want NaN", i, score)
		}
	}
}

func BenchmarkE2E(b *testing.B) {
	dir := datatest.Golden(b, "e2e")
	var cases map[string]*e2eCase
	readJSON(b, filepath.Join(dir, "expected.json"), &cases)
	segments := cases["ukp-seed1"].segments(b, dir)
	words := PTB(segments)
	for _, part := range []struct {
		name string
		run  func()
	}{
		{"pymteval", func() { PyMTEval(segments) }}, {"mteval", func() { MTEval(segments) }}, {"PTB", func() { PTB(segments) }},
		{"ROUGE-L", func() { ROUGEL(words) }}, {"CIDEr", func() { CIDEr(words) }},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				part.run()
			}
		})
	}
}
