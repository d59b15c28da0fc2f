package autolora

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// Every small world: the parts that stay are the subset of the budget's size with
// the largest sum, and of those the one that comes first.
func TestLargestAgainstBruteForce(t *testing.T) {
	const values = 3 // scores are 0, 1 or 2: most worlds have ties
	for n := 1; n <= 7; n++ {
		worlds := 1
		for range n {
			worlds *= values
		}
		for world := range worlds {
			scores := make([]float64, n)
			for i, w := 0, world; i < n; i, w = i+1, w/values {
				scores[i] = float64(w % values)
			}
			for budget := range n + 1 {
				best, bestSum := []bool(nil), -1.0
				// The first part is the highest bit, so that larger sets come first.
				for set := 1<<n - 1; set >= 0; set-- {
					if bits.OnesCount(uint(set)) != budget {
						continue
					}
					keep, total := make([]bool, n), 0.0
					for i := range keep {
						if keep[i] = set>>(n-1-i)&1 == 1; keep[i] {
							total += scores[i]
						}
					}
					if total > bestSum {
						best, bestSum = keep, total
					}
				}
				if got := largest(scores, slices.Repeat([]int64{3}, n), int64(3*budget+2)); !slices.Equal(got, best) {
					t.Fatalf("largest(%v, %d) = %v, want %v", scores, budget, got, best)
				}
			}
		}
	}
}

// Where no scores tie, what stays is what PEFT's rule keeps: above the k-th
// smallest score, k = number − budget.
func TestLargestIsAboveTheThreshold(t *testing.T) {
	scores := []float64{0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.8}
	for budget := range scores { // PEFT has no budget of all
		threshold := slices.Sorted(slices.Values(scores))[len(scores)-budget-1]
		for i, stays := range largest(scores, slices.Repeat([]int64{1}, len(scores)), int64(budget)) {
			if stays != (scores[i] > threshold) {
				t.Errorf("budget %d, threshold %v: score %v stays: %v", budget, threshold, scores[i], stays)
			}
		}
	}
}

// Ranks of a budget cost no more than it, leave no room for another part, and none
// of a part that is left out is worth more for its cost than one that is in.
func TestWithinBudget(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		layers, k := 1+rng.IntN(4), 1+rng.IntN(4)
		worth, costs := make([][]float64, layers), make([]int64, layers)
		total := int64(0)
		for i := range worth {
			costs[i] = 1 + rng.Int64N(5)
			total += costs[i] * int64(k)
			for range k {
				worth[i] = append(worth[i], float64(rng.IntN(6)))
			}
		}
		budget := 1 + rng.Int64N(total+2)
		ranks := WithinBudget(worth, costs, budget)
		for _, row := range worth { // best first
			slices.Sort(row)
			slices.Reverse(row)
		}
		left := budget
		for i, rank := range ranks {
			left -= int64(rank) * costs[i]
		}
		if left < 0 {
			t.Fatalf("ranks %v of costs %v are above the budget of %d", ranks, costs, budget)
		}
		for i, rank := range ranks {
			if rank < k && costs[i] <= left {
				t.Errorf("ranks %v of costs %v: layer %d has room in the %d that are left of %d", ranks, costs, i, left, budget)
			}
			for j, other := range ranks {
				if rank < k && other > 0 && costs[i] <= costs[j] && worth[i][rank]/float64(costs[i]) > worth[j][other-1]/float64(costs[j]) {
					t.Errorf("ranks %v of costs %v, worth %v: layer %d goes before layer %d", ranks, costs, worth, i, j)
				}
			}
		}
	}
}

// With a budget a search chooses over all layers, by the numbers of its rule.
func TestRanksOfABudget(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		a := make([]float64, searchLayers*searchK)
		for i := range a {
			a[i] = float64(i % 7)
		}
		x := newReferenceSearch(t, s, torchbind.Float64, Sigmoid, a, SearchConfig{Rule: RawRule})
		defer x.model.Close()
		for _, parts := range []int64{1, 3, searchLayers * searchK, 1000} {
			cost := nn.NumEl(x.model.LoRAs()[0].Params()) / searchK // every layer's
			x.Budget = parts*cost + cost - 1
			if got, want := sum(x.Ranks()), int(min(parts, searchLayers*searchK)); got != want {
				t.Errorf("a budget of %d parts gives ranks %v", parts, x.Ranks())
			}
		}
		best := slices.Index(a, slices.Max(a)) / searchK
		x.Budget = nn.NumEl(x.model.LoRAs()[0].Params()) / searchK
		if got := x.Ranks(); got[best] != 1 {
			t.Errorf("one part: ranks %v, want layer %d", got, best)
		}
	})
}
