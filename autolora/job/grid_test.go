package job

import (
	"fmt"
	"testing"

	"autolora/autolora/runs"
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
