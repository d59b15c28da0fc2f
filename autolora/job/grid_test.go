package job

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
)

func TestGridOf(t *testing.T) {
	points := gridOf([]string{"query", "value"}, []int64{1, 2, 4, 8})
	if len(points) != 16 {
		t.Fatalf("%d configurations, want the paper's 16", len(points))
	}
	seen := map[string]bool{}
	for _, p := range points {
		seen[fmt.Sprint(p)] = true
	}
	if len(seen) != 16 || fmt.Sprint(points[1]) != "map[query:1 value:2]" {
		t.Errorf("%d different ones, the second is %v", len(seen), points[1])
	}
}

// TestGridChanged goes on with grids whose file is not what was written.
func TestGridChanged(t *testing.T) {
	for _, c := range []struct{ name, file, phase, want string }{
		{"missing", "", "grid-3", "grid.json: 0 configurations, want 2: it was changed"},
		{"short", `{"configurations": [{}]}`, "grid-3", "grid.json: 1 configurations, want 2: it was changed"},
		{"short, at its end", `{"configurations": [{}]}`, "train", "grid.json: 1 configurations, want 4: it was changed"},
		{"the best one", `{"configurations": [{}, {"score": 1}, {}, {}], "best": 9}`, "train", ""},
		{"damaged", "[", "grid-3", "grid.json: not what a run writes: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.file != "" {
				writeTest(t, filepath.Join(dir, runs.GridFile), c.file)
			}
			j := &job{
				cfg: settings.Config{Split: 0.5, Targets: []string{"query"}, GridRanks: []int64{1, 2, 4, 8}}, session: &session{}, out: runs.ReadOnly(dir),
				corpus: data.NewCorpus(&data.Dataset{Examples: make([]data.Example, 4)}, nil), resumed: &checkpoint{progress: progress{Phase: c.phase}},
			}
			switch err := j.gridSearch(); {
			case c.want == "" && (err != nil || j.grid.Best != 1):
				t.Errorf("the best one is %d, want 1: %v", j.grid.Best, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestGridRank(t *testing.T) {
	for _, c := range []struct {
		name   string
		scores []float64
		sizes  []int64
		want   int
	}{
		{"highest", []float64{0.1, 0.3, 0.2}, []int64{1, 2, 3}, 1},
		{"equal: fewer parameters", []float64{0.3, 0.3, 0.3}, []int64{3, 1, 2}, 1},
		{"all equal: the first", []float64{0, 0}, []int64{5, 5}, 0},
		{"failed ones count as the worst", []float64{-1, 0}, []int64{1, 9}, 1},
	} {
		var g runs.Grid
		for i, s := range c.scores {
			g.Configurations = append(g.Configurations, runs.Configuration{Score: s, Adapter: c.sizes[i]})
		}
		if g.Rank(); g.Best != c.want {
			t.Errorf("%s: best is %d, want %d", c.name, g.Best, c.want)
		}
	}
}
