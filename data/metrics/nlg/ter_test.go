package nlg

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
)

// terCase is a row of ter.json.
type terCase struct {
	Segment
	pyter, edits, words float64
}

func (c *terCase) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&c.Hypothesis, &c.References, &c.pyter, &c.edits, &c.words})
}

func terCases(tb testing.TB) []terCase {
	tb.Helper()
	b, err := os.ReadFile("testdata/ter.json")
	if err != nil {
		tb.Fatal(err)
	}
	var fixture struct{ Cases []terCase }
	if err := json.Unmarshal(b, &fixture); err != nil {
		tb.Fatal(err)
	}
	return fixture.Cases
}

func TestTER(t *testing.T) {
	for i, c := range terCases(t) {
		if got := PyTER(c.Segment); got != c.pyter {
			t.Errorf("case %d: PyTER(%q) is %v, want %v", i, c.Segment, got, c.pyter)
		}
		edits, words := Tercom(c.Segment)
		if float64(edits) != c.edits || math.Abs(words-c.words) > 1e-12 {
			t.Errorf("case %d: Tercom(%q) is %d edits, %v words, want %v and %v", i, c.Segment, edits, words, c.edits, c.words)
		}
	}
}

// GenerationEval gives a reference without words the rate 1, and tercom has no use for one.
func TestTERWithoutWords(t *testing.T) {
	for _, c := range []struct {
		Segment
		pyter float64
		edits int
		words float64
	}{
		{Segment{"", []string{""}}, 1, 0, 0},
		{Segment{"a b", []string{""}}, 1, 2, 0},
		{Segment{"a b", []string{"", "a b"}}, 0, 0, 1},
		{Segment{" \t", []string{"a\u00a0b c"}}, 1, 2, 2}, // a no-break space is white space to Python, not to Java
	} {
		if got := PyTER(c.Segment); got != c.pyter {
			t.Errorf("PyTER(%q) is %v, want %v", c.Segment, got, c.pyter)
		}
		if edits, words := Tercom(c.Segment); edits != c.edits || words != c.words {
			t.Errorf("Tercom(%q) is %d, %v, want %d, %v", c.Segment, edits, words, c.edits, c.words)
		}
	}
}

// The bits of editDistance give what the textbook's table gives.
func TestEditDistance(t *testing.T) {
	for i, c := range terCases(t) {
		a, b, words := number(strings.Fields(c.Hypothesis), strings.Fields(c.References[0]))
		row := make([]int, len(b)+1)
		for j := range row {
			row[j] = j
		}
		for x := range a {
			diagonal := row[0]
			row[0] = x + 1
			for y := range b {
				d := diagonal
				if a[x] != b[y] {
					d++
				}
				diagonal = row[y+1]
				row[y+1] = min(d, row[y]+1, row[y+1]+1)
			}
		}
		if got := newEditDistance(b, words).to(a); got != row[len(b)] {
			t.Errorf("case %d: got %d, want %d", i, got, row[len(b)])
		}
	}
}

func BenchmarkPyTER(b *testing.B) {
	cases := terCases(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range cases {
			PyTER(c.Segment)
		}
	}
}

func BenchmarkTercom(b *testing.B) {
	cases := terCases(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range cases {
			Tercom(c.Segment)
		}
	}
}
