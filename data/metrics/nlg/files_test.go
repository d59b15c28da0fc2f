package nlg

import (
	"fmt"
	"testing"

	"autolora/data/metrics"
)

// References come in several forms; what is not as wanted is an error with file and line.
func TestReadSegments(t *testing.T) {
	const good = "[{a [r1 r2]} {b [r3]}]"
	for _, c := range []struct {
		name, outputs string
		references    []metrics.File
		want          string
	}{
		{"blocks", "a\nb\n", []metrics.File{{Name: "f", Text: []byte("r1\nr2\n\n r3 \n\n")}}, good},
		{"lines", "a\nb", []metrics.File{{Name: "f", Text: []byte("r1\nr3\n")}}, "[{a [r1]} {b [r3]}]"},
		{"JSON", "a\nb", []metrics.File{{Name: "f", Text: []byte(`["r1", "r2"]` + "\n" + `["", "r3"]`)}}, good},
		{"CSV", "a\nb", []metrics.File{{Name: "f.CSV", Text: []byte("mr,ref\nx,r1\ny,r3\nx,r2\n")}}, good},
		{"CSV with quotes inside cells", "a", []metrics.File{{Name: "f.csv", Text: []byte("mr,ref\r\nx,a 6\" pipe\r\n")}}, "[{a [a 6\" pipe]}]"},
		{"columns", "a\nb", []metrics.File{{Name: "f", Text: []byte("r1\nr3")}, {Name: "g", Text: []byte("r2\n\n")}}, good},
		{"one output", "a", []metrics.File{{Name: "f", Text: []byte("r1\nr2")}}, "[{a [r1 r2]}]"},
		{"too few", "a\nb", []metrics.File{{Name: "f", Text: []byte("r1\n")}}, "o has 2 outputs, f has references for 1: want as many"},
		{"gap", "a\nb", []metrics.File{{Name: "f", Text: []byte("r1\n\n\nr2")}}, "f: line 3 is empty as if it ended references, but output 2 has none"},
		{"none in any", "a\nb", []metrics.File{{Name: "f", Text: []byte("r1\n\n")}, {Name: "g", Text: []byte("r2\n\n")}}, "line 2 is empty in all files of references: want a reference in one of them"},
		{"not UTF-8", "a\n\xff", []metrics.File{{Name: "f", Text: []byte("r1\n")}}, "o: line 2 is not UTF-8"},
		{"CSV of other columns", "a", []metrics.File{{Name: "f.csv", Text: []byte("a,b\n1,2\n")}}, `f.csv: the first line is "a,b": want the columns mr and ref`},
	} {
		t.Run(c.name, func(t *testing.T) {
			segments, err := ReadSegments(metrics.File{Name: "o", Text: []byte(c.outputs)}, c.references...)
			got := fmt.Sprint(segments)
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
