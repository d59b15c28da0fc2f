package halving

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name          string
		sizes         []int
		budget, final int
		points        int
		rungs         string
	}{
		{"default space, four trainings", []int{1, 4, 3, 6}, 1600, 400, 18, "[{18 38} {6 114} {2 343}]"},
		{"the same, of longer ones", []int{1, 4, 3, 6}, 40000, 10000, 18, "[{18 952} {6 2857} {2 8572}]"},
		{"nothing is thinned out", []int{1, 4, 3, 6}, 9600, 400, 72, "[{72 44} {24 133} {8 400}]"},
		{"rates alone, one training", []int{6}, 400, 400, 6, "[{6 40} {2 120}]"},
		{"more than is needed", []int{2}, 10000, 100, 2, "[{2 100}]"},
		{"one point", []int{1, 1}, 50, 100, 1, "[{1 50}]"},
	} {
		points, rungs, err := Plan(Lattice(c.sizes), c.budget, c.final)
		if err != nil || len(points) != c.points || fmt.Sprint(rungs) != c.rungs {
			t.Errorf("%s: %d points, %v, %v; want %d, %s", c.name, len(points), rungs, err, c.points, c.rungs)
		}
	}
	var short *BudgetError
	if _, _, err := Plan(Lattice([]int{4, 6}), 10, 400); !errors.As(err, &short) {
		t.Fatalf("got %v, want that the budget is too small", err)
	}
	if _, _, err := Plan(Lattice([]int{4, 6}), short.Least, 400); err != nil {
		t.Errorf("with the least budget, %d: %v", short.Least, err)
	}
}

// Whatever the space and the budget: never more steps than it, no trial longer than
// the training, rungs that grow while their trials get fewer, and every value of an
// axis among the points as long as those suffice.
func TestPlanWithinBudget(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		sizes := make([]int, 1+rng.IntN(4))
		for i := range sizes {
			sizes[i] = 1 + rng.IntN(6)
		}
		final, budget := 1+rng.IntN(500), 1+rng.IntN(3000)
		points, rungs, err := Plan(Lattice(sizes), budget, final)
		if err != nil {
			continue
		}
		what := fmt.Sprintf("%v, budget %d, final %d: %v", sizes, budget, final, rungs)
		if Steps(rungs) > budget || rungs[0].Trials != len(points) {
			t.Fatal(what)
		}
		for i, r := range rungs {
			if r.Steps > final || r.Steps < 1 || r.Trials < 1 || i > 0 && (r.Steps <= rungs[i-1].Steps || r.Trials >= rungs[i-1].Trials) {
				t.Fatal(what)
			}
		}
		for i := 1; i < len(points); i++ {
			if slices.Compare(points[i-1], points[i]) >= 0 {
				t.Fatalf("%s: points %v", what, points)
			}
		}
	}
}

// A training that is to go on until it is stopped is planned, too.
func TestPlanOfLongTraining(t *testing.T) {
	const final = 1e12
	if _, rungs, err := Plan(Lattice([]int{6}), 2*final, final); err != nil || Steps(rungs) > 2*final || Steps(rungs) < 1.9*final {
		t.Errorf("rungs %v, %v", rungs, err)
	}
}

// On a chess board each row and each column has every second place.
func TestThinned(t *testing.T) {
	points := thinned(Lattice([]int{4, 3, 6}), 2)
	if len(points) != 36 {
		t.Fatalf("%d points, want 36", len(points))
	}
	rates := map[[2]int]int{}
	for _, p := range points {
		rates[[2]int{p[0], p[1]}]++
	}
	for at, n := range rates {
		if n != 3 {
			t.Errorf("%v has %d of 6 rates, want 3", at, n)
		}
	}
}

// Trials of a rank at its rate, one higher of this for one lower of that, are in every
// layer's share of the default space: thinning goes across such lines, not along them.
func TestThinnedCrossesRidges(t *testing.T) {
	const targets, ranks, rates, n = 4, 3, 6, 4
	tried := [targets][ranks + rates]bool{} // by the sum of the places of rank and rate
	for _, p := range thinned(Lattice([]int{1, targets, ranks, rates}), n) {
		tried[p[1]][p[2]+p[3]] = true
	}
	for at, sums := range tried {
		for sum := 2; sum <= ranks+rates-4; sum += 2 {
			if !sums[sum] && !sums[sum+1] {
				t.Errorf("layers %d: nothing is tried near the line of sum %d: %v", at, sum, sums)
			}
		}
	}
}

func TestSurvivors(t *testing.T) {
	trials := []Trial{
		{Loss: 0.30, Parameters: 100},
		{Loss: 0.31, Parameters: 100},
		{Loss: 0.35, Parameters: 10}, // smaller than the best
		{Loss: 0.32, Parameters: 50}, // and between the two
		{Loss: 0.36, Parameters: 10},
		{Loss: 0.10, Parameters: 1, Failed: true},
		{Loss: 0.33, Parameters: 60}, // worse and larger than another
	}
	if got := fmt.Sprint(Survivors(trials, 4)); got != "[0 3 2 1]" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint(Survivors(trials, 2)); got != "[0 3]" {
		t.Errorf("got %s", got)
	}
	if got := len(Survivors(trials, 100)); got != 6 {
		t.Errorf("%d survive, want all that have not failed", got)
	}
	if got := Survivors([]Trial{{Failed: true}}, 1); len(got) != 0 {
		t.Errorf("%v survive a rung in which all failed", got)
	}
	rates := []Trial{{Loss: 1.97, Parameters: 5, Rate: 8e-3}, {Loss: 1.55, Parameters: 5, Rate: 4e-3}, {Loss: 2.03, Parameters: 5, Rate: 2e-3}, {Loss: 2.26, Parameters: 5, Rate: 1e-3}}
	if got := fmt.Sprint(Survivors(rates, 2)); got != "[1 2]" {
		t.Errorf("rates: got %s, want the best and that of the next lower rate", got)
	}
	same := []Trial{{Loss: 1, Parameters: 5}, {Loss: 1, Parameters: 5}, {Loss: 1, Parameters: 4}}
	if got := fmt.Sprint(Survivors(same, 3)); got != "[2 0 1]" {
		t.Errorf("equal losses: got %s, want the smallest and then in their order", got)
	}
}

// No trial stands before one that is smaller, of a lower rate and better.
func TestSurvivorsInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		trials := make([]Trial, 2+rng.IntN(30))
		for i := range trials {
			trials[i] = Trial{Loss: float64(rng.IntN(9)), Parameters: int64(rng.IntN(9)), Rate: float64(rng.IntN(9))}
		}
		order := Survivors(trials, len(trials))
		n := 1 + rng.IntN(len(trials))
		for _, i := range Dominated(trials[:len(trials)/2], n) { // the others are to come
			if slices.Contains(Survivors(trials, n), i) {
				t.Fatalf("%v: %d survives with %d others and is among the dominated", trials, i, n-1)
			}
		}
		for i, a := range order {
			for _, b := range order[i+1:] {
				if a, b := trials[a], trials[b]; b.Loss <= a.Loss && b.Parameters <= a.Parameters && b.Rate <= a.Rate && a != b {
					t.Fatalf("%v: %v has %v before %v", trials, order, a, b)
				}
			}
		}
	}
}

func TestChoose(t *testing.T) {
	trials := []Trial{
		{Loss: 0.300, Parameters: 100}, {Loss: 0.309, Parameters: 10, Rate: 1}, {Loss: 0.312, Parameters: 1}, {Loss: 0.305, Parameters: 10, Rate: 1},
		{Loss: 0.1, Failed: true}, {Loss: 0.302, Parameters: 10, Rate: 2},
	}
	for _, c := range []struct {
		within float64
		want   int
	}{{0.01, 3}, {0.02, 2}, {0, 0}, {math.NaN(), 0}} {
		best, chosen := Choose(trials, func(best int) float64 {
			if best != 0 {
				t.Errorf("within of %d is asked for", best)
			}
			return c.within
		})
		if best != 0 || chosen != c.want {
			t.Errorf("within %v: %d and %d, want 0 and %d", c.within, best, chosen, c.want)
		}
	}
	if best, chosen := Choose([]Trial{{Failed: true}}, nil); best != -1 || chosen != -1 {
		t.Errorf("all failed: %d, %d", best, chosen)
	}
}

// What may fail yet is chosen only where nothing else is as good.
func TestChooseOffTheEdge(t *testing.T) {
	within := func(int) float64 { return 0.01 }
	trials := []Trial{{Loss: 0.300, Parameters: 100}, {Loss: 0.305, Parameters: 10, Edge: true}, {Loss: 0.306, Parameters: 50}}
	if best, chosen := Choose(trials, within); best != 0 || chosen != 2 {
		t.Errorf("%d and %d, want 0 and 2", best, chosen)
	}
	trials[0].Edge, trials[2].Failed = true, true
	if best, chosen := Choose(trials, within); best != 0 || chosen != 1 {
		t.Errorf("where all are at the edge: %d and %d, want 0 and 1", best, chosen)
	}
}
