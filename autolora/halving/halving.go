// Package halving is successive halving (Jamieson and Talwalkar 2016,
// arXiv:1502.07943) over a lattice of settings, without what a trial is: how many
// trials train for how long, which of them go on, and which is chosen in the end.
// It knows nothing but numbers, and comes to the same from the same.
package halving

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Rung is a stage that so many trials reach: each has taken Steps steps at its end,
// those of the rungs before among them.
type Rung struct {
	Trials int `json:"trials"`
	Steps  int `json:"steps"`
}

const (
	// keep is the share of a rung's trials that go on, and of its steps that the rung
	// before had: 1/3 and 1/3, so that all rungs cost about the same.
	keep = 3
	// first is the least share of the final training that a trial of the first rung
	// takes: with less the points of the lattice are thinned out.
	first = 1. / 12
)

// Plan thins out the points of a lattice, of which there is one at least, until they
// fit the budget, and returns those that stay, with the rungs that they go through.
// budget is the steps of all trials together, final those of the training that is to
// come, which no trial exceeds.
func Plan(all [][]int, budget, final int) (points [][]int, rungs []Rung, err error) {
	if points, rungs = fitting(all, budget, final); rungs != nil {
		return points, rungs, nil
	}
	more := budget
	for rungs == nil {
		more += max(1, final/100)
		_, rungs = fitting(all, more, final)
	}
	return nil, nil, &BudgetError{Budget: budget, Least: more}
}

// fitting returns as many of the points as the budget allows, at least two if there
// are, and their rungs; nil if it is too small.
func fitting(all [][]int, budget, final int) ([][]int, []Rung) {
	for thin := 1; thin <= len(all); thin++ {
		points := thinned(all, thin)
		if len(points) < 2 && len(all) > 1 {
			break
		}
		most := 1 + int(math.Log(float64(len(points))/2)/math.Log(keep)+1e-9) // two or more come to the last
		for stages := max(1, most); stages > 0; stages-- {
			rungs := fit(len(points), stages, budget, final)
			if rungs == nil {
				continue
			}
			if float64(rungs[0].Steps) >= first*float64(final) {
				return points, rungs
			}
			if rungs[stages-1].Steps < final { // the budget is spent; else fewer rungs may spend more of it
				break
			}
		}
	}
	return nil, nil
}

// BudgetError says that a budget of steps is too small.
type BudgetError struct{ Budget, Least int }

func (e *BudgetError) Error() string {
	return fmt.Sprintf("%d steps for all trials are too few: want at least %d", e.Budget, e.Least)
}

// Lattice returns all points with an index for each axis of these sizes, the last one
// changing fastest.
func Lattice(sizes []int) [][]int {
	points := [][]int{{}}
	for _, size := range sizes {
		var longer [][]int
		for _, p := range points {
			for i := range size {
				longer = append(longer, append(slices.Clone(p), i))
			}
		}
		points = longer
	}
	return points
}

// thinned returns every n-th point, in diagonals: those with an index sum that n
// divides, so that of neighbours on each axis it is every n-th, too, and each axis
// has points of all its places. With n = 2 they are the black squares of a
// chess board. Every other axis counts from its end: the higher the rank, the lower
// the rate that suits it, so lines along which both rise cross those of equally good
// points.
func thinned(points [][]int, n int) (some [][]int) {
	last := slices.Clone(points[0])
	for _, p := range points {
		for axis, i := range p {
			last[axis] = max(last[axis], i)
		}
	}
	for _, p := range points {
		sum := 0
		for axis, i := range p {
			if axis%2 == 1 {
				i = last[axis] - i
			}
			sum += i
		}
		if sum%n == 0 {
			some = append(some, p)
		}
	}
	return some
}

// fit returns the longest rungs for so many trials within the budget; nil if there
// are none.
func fit(trials, stages, budget, final int) []Rung {
	rungs := make([]Rung, stages)
	for i := range rungs {
		rungs[i].Trials = trials
		trials = (trials + keep - 1) / keep
	}
	steps := func(longest int) int { // of all trials, which grow with it
		share := 1.
		for i := range slices.Backward(rungs) {
			rungs[i].Steps = int(math.Round(float64(longest) / share))
			share *= keep
		}
		return Steps(rungs)
	}
	steps(sort.Search(min(final, budget), func(n int) bool { return steps(n+1) > budget }))
	if rungs[0].Steps == 0 {
		return nil
	}
	return rungs
}

// Steps returns those of all trials: a trial goes on from where it was.
func Steps(rungs []Rung) (sum int) {
	before := 0
	for _, r := range rungs {
		sum += r.Trials * (r.Steps - before)
		before = r.Steps
	}
	return sum
}

// Trial is what came of one, at its latest rung.
type Trial struct {
	Loss       float64 // held-out; of no meaning where it failed
	Parameters int64
	Rate       float64 // of learning
	Failed     bool    // diverged, or learnt nothing
	Edge       bool    // may fail yet: at a somewhat higher rate another that is no larger did
}

// dominates reports whether o has nothing before t: t is as small, of as low a rate and
// as good, and not the same in all three.
func (t Trial) dominates(o Trial) bool {
	return t.Loss <= o.Loss && t.Parameters <= o.Parameters && t.Rate <= o.Rate && (t.Loss < o.Loss || t.Parameters < o.Parameters || t.Rate < o.Rate)
}

// Survivors returns the places of the n trials that go on, best first: those that
// the choice may fall on in the end. Trials that none dominates make a front; all of
// the first front come before the second, which is the front of the rest, and so on
// (non-dominated sorting, Deb et al. 2002); within one, lower loss comes first. So the
// best goes on, and the best of those smaller than it or of a lower rate, which a rank by
// loss alone would drop for being slower: what is ahead early at a high rate often is not
// in the end.
func Survivors(trials []Trial, n int) []int {
	var order, rest []int
	for i, t := range trials {
		if !t.Failed {
			rest = append(rest, i)
		}
	}
	slices.SortStableFunc(rest, func(a, b int) int {
		return cmp.Or(cmp.Compare(trials[a].Loss, trials[b].Loss), cmp.Compare(trials[a].Parameters, trials[b].Parameters), cmp.Compare(trials[a].Rate, trials[b].Rate))
	})
	for len(rest) > 0 && len(order) < n {
		var front, others []int
		for _, i := range rest { // only those before i may dominate it
			if slices.ContainsFunc(front, func(f int) bool { return trials[f].dominates(trials[i]) }) {
				others = append(others, i)
			} else {
				front = append(front, i)
			}
		}
		order, rest = append(order, front...), others
	}
	return order[:min(n, len(order))]
}

// Dominated returns the places of the trials that are not among n survivors, whatever
// comes of others: those that failed, and those that so many dominate.
func Dominated(trials []Trial, n int) (places []int) {
	for i, t := range trials {
		by := 0
		for _, o := range trials {
			if !o.Failed && o.dominates(t) {
				by++
			}
		}
		if t.Failed || by >= n {
			places = append(places, i)
		}
	}
	return places
}

// Choose returns the places of the trial with the lowest loss, and of the smallest
// one whose loss is at most within more, and which is not at the edge, if there is one.
// Of equally small ones it is that of the lowest rate: a rate at the limit of what a
// short trial bears is beyond that of a long training; then that with the lowest loss.
// They are -1 if all have failed.
func Choose(trials []Trial, within func(best int) float64) (best, chosen int) {
	best, chosen = -1, -1
	for i, t := range trials {
		if !t.Failed && (best < 0 || t.Loss < trials[best].Loss) {
			best = i
		}
	}
	if best < 0 {
		return best, chosen
	}
	limit := trials[best].Loss
	if w := within(best); w > 0 { // not NaN, of a single example
		limit += w
	}
	for i, t := range trials {
		if t.Failed || t.Loss > limit {
			continue
		}
		if chosen < 0 {
			chosen = i
		}
		if c := trials[chosen]; c.Edge && !t.Edge || c.Edge == t.Edge && cmp.Or(cmp.Compare(t.Parameters, c.Parameters), cmp.Compare(t.Rate, c.Rate), cmp.Compare(t.Loss, c.Loss)) < 0 {
			chosen = i
		}
	}
	return best, chosen
}
