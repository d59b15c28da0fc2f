package autolora

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func cost(ranks []int, sizes []int64) (sum int64) {
	for i, rank := range ranks {
		sum += int64(rank) * sizes[i]
	}
	return sum
}

func TestUniformRanks(t *testing.T) {
	for _, c := range []struct {
		name  string
		ranks []int
		sizes []int64 // nil: all equal
		want  []int
	}{
		{"divides", []int{1, 7, 4, 4}, nil, []int{4, 4, 4, 4}},
		{"fraction is spread", []int{8, 0, 1, 1}, nil, []int{3, 2, 3, 2}},
		{"one over", []int{4, 0, 1, 0}, nil, []int{1, 2, 1, 1}},
		{"all zero", []int{0, 0}, nil, []int{0, 0}},
		{"one layer", []int{5}, nil, []int{5}},
		{"sizes", []int{8, 0}, []int64{10, 30}, []int{2, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sizes := c.sizes
			if sizes == nil {
				sizes = slices.Repeat([]int64{768}, len(c.ranks))
			}
			if got := UniformRanks(c.ranks, sizes); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// Every assignment of ranks to four layers: the budget is met exactly where all
// layers have one size, and ranks differ by one at most.
func TestUniformRanksExhaustive(t *testing.T) {
	equal, mixed := []int64{10, 10, 10, 10}, []int64{10, 30, 10, 20}
	for code := range 5 * 5 * 5 * 5 {
		layers := []int{code % 5, code / 5 % 5, code / 25 % 5, code / 125}
		got := UniformRanks(layers, equal)
		if cost(got, equal) != cost(layers, equal) {
			t.Errorf("%v: %v has another sum", layers, got)
		}
		for _, ranks := range [][]int{got, UniformRanks(layers, mixed)} {
			if slices.Max(ranks)-slices.Min(ranks) > 1 {
				t.Errorf("%v: %v is not uniform", layers, ranks)
			}
		}
		if d := cost(UniformRanks(layers, mixed), mixed) - cost(layers, mixed); d > 15 || d < -15 {
			t.Errorf("%v: the parameters differ by %d, more than half a rank of the largest layer", layers, d)
		}
	}
}

func TestShuffledRanks(t *testing.T) {
	layers, sizes := []int{1, 2, 3, 4, 5, 6, 7, 8}, []int64{10, 10, 10, 10, 30, 30, 30, 30}
	seen := map[string]bool{}
	for seed := range uint64(50) {
		got := ShuffledRanks(layers, sizes, seed)
		seen[fmt.Sprint(got)] = true
		if !slices.Equal(got, ShuffledRanks(layers, sizes, seed)) {
			t.Errorf("seed %d gives two results", seed)
		}
		for _, part := range [][]int{got[:4], got[4:]} {
			slices.Sort(part)
		}
		if !slices.Equal(got, layers) {
			t.Errorf("seed %d: %v does not keep the ranks of layers of one size", seed, got)
		}
	}
	if len(seen) < 30 {
		t.Errorf("50 seeds give only %d results", len(seen))
	}
}

// What the ranks cost is spent, but for less than one rank of a layer that has room, no
// rank is above the highest allowed, a seed decides, and layers are not all alike.
func TestRandomRanks(t *testing.T) {
	seen, empty := map[string]bool{}, 0
	for _, c := range []struct {
		ranks []int
		sizes []int64
	}{
		{[]int{1, 2, 1, 2, 1, 2, 1, 2}, []int64{10, 10, 10, 10, 30, 30, 30, 30}},
		{[]int{8, 8, 8, 8}, []int64{10, 10, 10, 10}},
		{[]int{0, 0, 2, 0}, []int64{10, 30, 10, 20}},
		{[]int{0, 0}, []int64{10, 30}},
	} {
		for seed := range uint64(50) {
			got := RandomRanks(c.ranks, c.sizes, 8, seed)
			if !slices.Equal(got, RandomRanks(c.ranks, c.sizes, 8, seed)) {
				t.Errorf("seed %d gives two results", seed)
			}
			left := cost(c.ranks, c.sizes) - cost(got, c.sizes)
			for i, rank := range got {
				if rank < 0 || rank > 8 || left < 0 || rank < 8 && left >= c.sizes[i] {
					t.Errorf("%v, seed %d: %v leaves %d", c.ranks, seed, got, left)
				}
			}
			seen[fmt.Sprint(got)] = true
			if len(got) == 8 && slices.Min(got) == 0 {
				empty++
			}
		}
	}
	if len(seen) < 50 || empty == 0 {
		t.Errorf("%d placements, %d of them without some layer", len(seen), empty)
	}
}

// A budget spread evenly is never passed, leaves less than one rank of the largest
// layer, and gives ranks that differ by one at most.
func TestEvenRanks(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		sizes := make([]int64, 1+rng.IntN(6))
		for i := range sizes {
			sizes[i] = 1 + rng.Int64N(40)
		}
		budget := rng.Int64N(400)
		ranks := EvenRanks(budget, sizes)
		if left := budget - cost(ranks, sizes); left < 0 || left >= slices.Max(sizes) {
			t.Fatalf("%d over sizes %v: ranks %v leave %d", budget, sizes, ranks, left)
		}
		if slices.Max(ranks)-slices.Min(ranks) > 1 {
			t.Fatalf("%d over sizes %v: ranks %v are not even", budget, sizes, ranks)
		}
	}
}
