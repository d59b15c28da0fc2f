package meteor

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"autolora/data/datatest"
)

// tolerance is that of the golden set. The scores of E2E's segments are rounded there, to ten decimals and then to eight.
const (
	tolerance = 1e-9
	rounding  = 0.5e-8 + 0.5e-10
)

// golden returns a folder of the golden set.
func golden(tb testing.TB, folder string) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("the developers' data take a minute under the race detector")
	}
	return datatest.Golden(tb, folder)
}

func load(tb testing.TB, dir, table string) *Meteor {
	tb.Helper()
	m, err := Load(dir, table)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

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

func textLines(tb testing.TB, file string) []string {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// expected is what METEOR's Java program gave.
type expected struct {
	Score    float64     `json:"final_score"`
	Segments []float64   `json:"segment_scores"`
	Stats    [][]float64 `json:"segment_stats"`
}

func (want expected) compare(t *testing.T, got Scores) {
	t.Helper()
	near(t, "corpus", got.Score, want.Score, tolerance)
	if want.Segments != nil {
		want.compareSegments(t, got, tolerance)
	}
}

func (want expected) compareSegments(t *testing.T, got Scores, tolerance float64) {
	t.Helper()
	if len(got.Segments) != len(want.Segments) {
		t.Fatalf("%d segments, want %d", len(got.Segments), len(want.Segments))
	}
	for i, score := range want.Segments {
		near(t, "segment "+strconv.Itoa(i), got.Segments[i].Score, score, tolerance)
	}
	for i, stats := range want.Stats {
		var s []string
		for _, n := range stats {
			s = append(s, strconv.Itoa(int(n)))
		}
		if got, want := got.Segments[i].Stats.String(), strings.Join(s, " "); got != want {
			t.Errorf("segment %d: statistics\n%s, want\n%s", i, got, want)
		}
	}
}

func near(t *testing.T, name string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: got %.17g, want %.17g", name, got, want)
	}
}

func TestSharedMeteor(t *testing.T) {
	dir := golden(t, "meteor")
	for _, name := range []string{"e2e-ukp-seed2", "webnlg-melbourne-first250"} {
		outputs, lines := textLines(t, filepath.Join(dir, name+".hyp")), textLines(t, filepath.Join(dir, name+".ref3"))
		references := slices.Collect(slices.Chunk(lines, 3))
		var want struct {
			Plain  expected `json:"no_paraphrase"`
			Tabled expected `json:"synthetic_paraphrase"`
			Exact  expected `json:"modules_exact"`
			Stem   expected `json:"modules_exact_stem"`
		}
		readJSON(t, filepath.Join(dir, name+".expected.json"), &want)
		plain := load(t, "", "")
		upTo := func(matcher int) *Meteor {
			m := *plain
			m.matchers = matcher + 1
			return &m
		}
		for _, c := range []struct {
			name string
			m    *Meteor
			want expected
		}{
			{"no table", plain, want.Plain},
			{"table", load(t, "", filepath.Join(dir, name+".synthetic-paraphrase.gz")), want.Tabled},
			{"exact", upTo(exact), want.Exact},
			{"exact and stem", upTo(stem), want.Stem},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				got, err := c.m.Score(outputs, references)
				if err != nil {
					t.Fatal(err)
				}
				c.want.compare(t, got)
			})
		}
	}
}

func TestSharedWords(t *testing.T) {
	dir, m := golden(t, "meteor"), load(t, "", "")
	lines := textLines(t, filepath.Join(dir, "stem_synsets.tsv"))
	for _, line := range lines {
		cells := strings.Split(line, "\t")
		if strings.Contains(cells[0], "’") {
			continue // -norm makes it ', and then both stemmers agree
		}
		if w := m.newWord(cells[0]); w.stem != javaHash(cells[1]) || joined(w.synsets) != cells[2] {
			t.Errorf("%q: got synsets %s, want stem %q, %s", cells[0], joined(w.synsets), cells[1], cells[2])
		}
	}
}

func joined(ids []int32) string {
	var s []string
	for _, id := range ids {
		s = append(s, strconv.Itoa(int(id)))
	}
	return strings.Join(s, " ")
}

func TestSharedNormalize(t *testing.T) {
	dir, m := golden(t, "tok"), load(t, "", "")
	n := 0
	for _, name := range []string{"e2e", "webnlg", "stress"} {
		for i, line := range textLines(t, filepath.Join(dir, name+".jsonl")) {
			var c struct {
				In   string
				Want string `json:"meteor_norm"`
			}
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				t.Fatal(err)
			}
			if got := m.prefixes.normalize(c.In); got != c.Want {
				t.Errorf("%s.jsonl, line %d: %q\ngot  %q\nwant %q", name, i+1, c.In, got, c.Want)
			}
			n++
		}
	}
	if n != 720 {
		t.Errorf("%d texts, want 720", n)
	}
}

// webnlg is what a set of WebNLG's expected.json says of METEOR.
type webnlg struct {
	Challenge float64   `json:"METEOR_noparaphrase"`
	LoRA      float64   `json:"METEOR_noparaphrase_r6_on_tok"`
	Segments  []float64 `json:"meteor_segments"`
}

func TestSharedWebNLG2017(t *testing.T) {
	dir, m := golden(t, "webnlg2017-official"), load(t, "", "")
	references := make([][]string, 971)
	for _, file := range []string{"reference0.lex", "reference1.lex", "reference2.lex"} {
		for i, line := range textLines(t, filepath.Join(dir, file)) {
			references[i] = append(references[i], line)
		}
	}
	var systems map[string]struct{ Old webnlg }
	readJSON(t, filepath.Join(dir, "expected.json"), &systems)
	if len(systems) != 2 {
		t.Errorf("%d systems, want 2", len(systems))
	}
	for name, system := range systems {
		t.Run(name, func(t *testing.T) {
			got, err := m.Score(textLines(t, filepath.Join(dir, name+".txt")), references)
			if err != nil {
				t.Fatal(err)
			}
			expected{Score: system.Old.Challenge, Segments: system.Old.Segments}.compare(t, got)
		})
	}
}

func TestSharedWebNLGLoRA(t *testing.T) {
	dir, m := golden(t, "webnlg-lora-generationeval"), load(t, "", "")
	var references [][]string
	for _, line := range textLines(t, filepath.Join(dir, "refs.tok.jsonl")) {
		var texts []string
		if err := json.Unmarshal([]byte(line), &texts); err != nil {
			t.Fatal(err)
		}
		references = append(references, texts)
	}
	var systems map[string]struct{ Seen webnlg }
	readJSON(t, filepath.Join(dir, "expected.json"), &systems)
	if len(systems) != 2 {
		t.Errorf("%d systems, want 2", len(systems))
	}
	for name, system := range systems {
		t.Run(name, func(t *testing.T) {
			got, err := m.Score(textLines(t, filepath.Join(dir, name+".hyp.tok")), references)
			if err != nil {
				t.Fatal(err)
			}
			expected{Score: system.Seen.LoRA, Segments: system.Seen.Segments}.compare(t, got)
		})
	}
}

// String returns the 23 numbers in METEOR's order: words, function words; by matcher content and function words
// matched; chunks; words matched, always the hypothesis before the reference.
func (s Stats) String() string {
	h, r := &s.Hypothesis, &s.Reference
	numbers := []int{h.Words, r.Words, h.FunctionWords, r.FunctionWords}
	for i := range matchers {
		numbers = append(numbers, h.Content[i], r.Content[i], h.Function[i], r.Function[i])
	}
	numbers = append(numbers, s.Chunks, h.matched(), r.matched())
	return strings.Trim(fmt.Sprint(numbers), "[]")
}
