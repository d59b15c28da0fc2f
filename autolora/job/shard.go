package job

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
)

// Shard is one machine's share of a comparison: the Index-th, from 1, of Of.
type Shard struct{ Index, Of int }

// ParseShard reads "2/4": the second of four.
func ParseShard(text string) (Shard, error) {
	index, of, _ := strings.Cut(text, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(of)
	if err != nil || err2 != nil || i < 1 || i > n {
		return Shard{}, fmt.Errorf("got %q, want I/N with I from 1 to N, as 1/4", text)
	}
	return Shard{i, n}, nil
}

// String returns the shard as ParseShard reads it.
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Of) }

// Share returns the runs of the plan that are the shard's, in the plan's order.
// Every run is of exactly one of the Of shards, the same on every machine. Runs
// that need what another leaves, as the controls need AutoLoRA's ranks, are of
// its shard. There may be none, if there are more shards than runs to spread.
func (s Shard) Share(plan []settings.Config) []settings.Config {
	groups := dependent(plan)
	costs := make([]int64, len(groups))
	for g, members := range groups {
		for _, i := range members {
			costs[g] += nominalCost(counted(plan, plan[i]))
		}
	}
	order := everyIndex(len(groups))
	// The longest first, each to the shard with the least to do (Graham 1969):
	// at most 4/3 of the shortest time possible.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(costs[b], costs[a]) })
	loads := make([]int64, s.Of)
	var mine []int
	for _, g := range order {
		least := slices.Index(loads, slices.Min(loads))
		loads[least] += costs[g]
		if least == s.Index-1 {
			mine = append(mine, groups[g]...)
		}
	}
	slices.Sort(mine)
	var share []settings.Config
	for _, i := range mine {
		share = append(share, plan[i])
	}
	return share
}

// dependent groups the runs of a plan, by their places in it: a run that reads
// the ranks of another is in its group, and so are runs of a method that chooses its
// learning rate once.
func dependent(plan []settings.Config) [][]int {
	var groups [][]int
	groupOf := map[string]int{} // by the ranks.json that a run leaves, and by the method that chooses
	for i, c := range plan {
		g, ok := groupOf[c.RanksFile]
		if !ok && c.LR == settings.Auto {
			g, ok = groupOf[c.Method]
		}
		if !ok {
			g = len(groups)
			groups = append(groups, nil)
		}
		groupOf[filepath.Join(c.Out, runs.RanksFile)], groupOf[c.Method] = g, g
		groups[g] = append(groups[g], i)
	}
	return groups
}

// nominalCost is about how long a run takes in comparison with others of its
// plan. It rests on the settings alone, and is a whole number: no machine may
// come to another share than the others, whatever its speed and files.
func nominalCost(c settings.Config) int64 {
	shape, ok := shapes[path.Base(c.Model)]
	if !ok {
		shape = shapes["roberta-base"]
	}
	size, ok := sizes[c.Task]
	if !ok {
		size = sizes["mrpc"]
	}
	const speed = 1e12 // multiplications and additions a second
	return int64(math.Round(1000 * estimate(c, shape, limited(size, c), speed).Seconds))
}
