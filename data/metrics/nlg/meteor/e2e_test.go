package meteor

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data/metrics/nlg/tok"
)

func TestSharedE2E(t *testing.T) {
	dir, m := golden(t, "e2e"), load(t, "", "")
	var cases map[string]struct {
		Outputs, Refs string
		Score         float64  `json:"METEOR_noparaphrase"`
		Columns       []string `json:"segments_columns"`
		Segments      [][]*float64
	}
	readJSON(t, filepath.Join(dir, "expected.json"), &cases)
	if len(cases) != 6 {
		t.Errorf("%d cases, want 6", len(cases))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			outputs, lines := pycoco(textLines(t, filepath.Join(dir, c.Outputs))), pycoco(textLines(t, filepath.Join(dir, c.Refs)))
			references := blocks(lines)
			if len(references) == 1 { // there are no empty lines: one reference each
				references = slices.Collect(slices.Chunk(lines, 1))
			}
			got, err := m.Score(outputs, references)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "corpus", got.Score, c.Score, tolerance)
			var want expected
			column := slices.Index(c.Columns, "METEOR_noparaphrase")
			for _, row := range c.Segments {
				want.Segments = append(want.Segments, *row[column])
			}
			want.compareSegments(t, got, rounding)
		})
	}
}

// blocks cuts lines at empty ones.
func blocks(lines []string) [][]string {
	out := [][]string{nil}
	for _, line := range lines {
		if line == "" {
			out = append(out, nil)
			continue
		}
		last := &out[len(out)-1]
		*last = append(*last, line)
	}
	return out
}

// pycoco returns lines as E2E's scripts give them to METEOR.
func pycoco(lines []string) []string {
	out := make([]string, len(lines))
	for i, words := range tok.PTB(lines) {
		out[i] = strings.Join(tok.WithoutPunctuation(words), " ")
	}
	return out
}
