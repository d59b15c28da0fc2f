package main

import (
	"fmt"
	"strings"
	"testing"

	"autolora/autolora/runs"
)

// text returns what fn prints to a console of that width.
func text(width int, color bool, fn func(w *writer)) string {
	w := &writer{width: width, color: color}
	fn(w)
	return w.String()
}

// ranksOf returns ranks of query and value in as many blocks as there are.
func ranksOf(k int, query, value []int) runs.Ranks {
	r := runs.Ranks{K: k}
	for i := range query {
		path := fmt.Sprintf("bert.encoder.layer.%d.attention.self.", i)
		r.Layers = append(r.Layers, runs.LayerRank{Name: path + "query", Rank: query[i]}, runs.LayerRank{Name: path + "value", Rank: value[i]})
	}
	return r
}

func TestHeatMap(t *testing.T) {
	twelve := []int{4, 5, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4}
	for _, tc := range []struct {
		name  string
		ranks runs.Ranks
		width int
		want  string
	}{
		{"one band", ranksOf(8, twelve[:6], twelve[6:]), 80, `
block   0  1  2  3  4  5
query   4  5  3  4  4  6
value   8  0  1  2  3  4
`},
		{"two bands", ranksOf(8, twelve, twelve), 40, `
block    0   1   2   3   4   5
query    4   5   3   4   4   6
value    4   5   3   4   4   6
block    6   7   8   9  10  11
query    8   0   1   2   3   4
value    8   0   1   2   3   4
`},
		{"ranks of two digits", ranksOf(16, []int{10, 9}, []int{16, 1}), 80, `
block    0   1
query   10   9
value   16   1
`},
		{"a layer without LoRA in one block, one outside of all", runs.Ranks{Layers: []runs.LayerRank{
			{Name: "roberta.encoder.layer.0.attention.output.dense", Rank: 2},
			{Name: "roberta.encoder.layer.1.attention.output.dense", Rank: 3},
			{Name: "roberta.encoder.layer.1.output.dense", Rank: 4},
			{Name: "classifier.dense", Rank: 5},
		}}, 80, `
block                    0  1
attention.output.dense   2  3
output.dense                4
classifier.dense  5
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := text(tc.width, false, func(w *writer) { newHeatMap(tc.ranks).print(w, "") })
			if want := strings.TrimPrefix(tc.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestHeatMapColor checks that colours add to the text and change none of it.
func TestHeatMapColor(t *testing.T) {
	h := newHeatMap(ranksOf(8, []int{0, 8}, []int{4, 4}))
	colored := text(80, true, func(w *writer) { h.print(w, "") })
	for _, want := range []string{"\x1b[48;5;53m\x1b[38;5;231m 0 \x1b[0m", "\x1b[48;5;220m\x1b[38;5;16m 8 \x1b[0m"} {
		if !strings.Contains(colored, want) {
			t.Errorf("%q lacks %q", colored, want)
		}
	}
	plain := text(80, false, func(w *writer) { h.print(w, "") })
	var uncolored []string
	for line := range strings.Lines(stripColor(colored)) {
		uncolored = append(uncolored, strings.TrimRight(line, " \n")+"\n")
	}
	if got := strings.Join(uncolored, ""); got != plain {
		t.Errorf("without its colours %q, want %q", got, plain)
	}
}

// stripColor removes escape sequences that end in m.
func stripColor(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, s, _ = strings.Cut(rest, "m")
	}
}
