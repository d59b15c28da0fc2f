package autolora

import (
	"math"
	"slices"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// ablate expands the loss on the fixtures' two batches of different sizes.
func ablate(t *testing.T, s *torchbind.Scope, m *nn.Model) (*Ablation, []*Batch) {
	t.Helper()
	inputs := openFixture(t, "search-inputs")
	batches := []*Batch{inputs.batch(s, m, "v.0"), inputs.batch(s, m, "t.0")}
	batches[1].Weight *= 2 // as a larger one
	x := NewAblation(m)
	for _, b := range batches {
		x.Add(s, b)
	}
	return x, batches
}

// lossAt returns the mean loss at gates c.
func lossAt(m *nn.Model, batches []*Batch, c []float64) (loss float64) {
	s := torchbind.NewScope()
	defer s.Close()
	m.Select(s, torchbind.FromSlice(s, c, []int64{int64(len(c))}, torchbind.CPU))
	defer m.Select(s, nil)
	weight := 0.0
	for _, b := range batches {
		loss += b.Weight * m.Loss(s, b.Batch, b.Labels, nil).Item()
		weight += b.Weight
	}
	return loss / weight
}

// gates are all open but for those of some parts, which are closed by a share.
func gates(n int, share float64, parts ...int) []float64 {
	c := slices.Repeat([]float64{1}, n)
	for _, j := range parts {
		c[j] -= share
	}
	return c
}

func outOf(n int, parts ...int) []bool {
	out := make([]bool, n)
	for _, j := range parts {
		out[j] = true
	}
	return out
}

// g and H, its diagonal and cross terms within a layer and between layers, against central differences of L(c), of every part.
func TestAblationAgainstCentralDifferences(t *testing.T) {
	for _, adapter := range tinyAdapters {
		t.Run(adapter, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := withTinyAdapter(t, adapter)
				defer m.Close()
				x, batches := ablate(t, s, m)
				n := x.parts
				near(t, "loss", []float64{x.Loss()}, []float64{lossAt(m, batches, gates(n, 0))}, tolExact)
				var g, wantG, h, wantH []float64
				const first, second = 1e-5, 1e-3 // errors: first², second² from higher derivatives; 1e-16/first, 1e-16/second² from rounding
				for i := range n {
					g = append(g, x.gradient[i]/x.weight)
					wantG = append(wantG, (lossAt(m, batches, gates(n, -first, i))-lossAt(m, batches, gates(n, first, i)))/(2*first))
					for _, j := range []int{i, (i + 1) % n, (i + 2) % n, (i + n/2) % n} {
						at := func(di, dj float64) float64 {
							c := gates(n, -di, i)
							c[j] += dj
							return lossAt(m, batches, c)
						}
						h = append(h, x.hessian[i][j]/x.weight)
						wantH = append(wantH, (at(second, second)-at(second, -second)-at(-second, second)+at(-second, -second))/(4*second*second))
					}
				}
				near(t, "g", g, wantG, 1e-7)
				near(t, "H", h, wantH, 1e-5)
			})
		})
	}
}

// What leaving out costs, for every single part and for pairs, against the loss of the
// model with these gates closed by a share t: the difference is of the third order. A
// gate that is closed is the model without the part.
func TestAblationAgainstAblations(t *testing.T) {
	for _, adapter := range tinyAdapters {
		t.Run(adapter, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := withTinyAdapter(t, adapter)
				defer m.Close()
				if _, err := Trained(m); err != nil {
					t.Fatal(err)
				}
				x, batches := ablate(t, s, m)
				n, full := x.parts, lossAt(m, batches, gates(x.parts, 0))
				worst := 0.0
				var third, half []float64 // what is left, over the cube of the share
				for i := range n {
					for _, set := range [][]int{{i}, {i, (i + 1) % n}, {i, (i + n/2) % n}} {
						// −t g + ½ t² H, of what Cost says at t = 1
						linear := 0.0
						for _, j := range set {
							linear -= x.gradient[j] / x.weight
						}
						quadratic := x.Cost(outOf(n, set...)) - linear
						off := func(t float64) float64 {
							return lossAt(m, batches, gates(n, t, set...)) - full - t*linear - t*t*quadratic
						}
						const share = 1. / 128 // the fourth order is about as small a part of the third
						third, half = append(third, off(share)/(share*share*share)), append(half, 8*off(share/2)/(share*share*share))
						worst = max(worst, math.Abs(off(1)))
					}
				}
				near(t, "what is of the third order", half, third, 0.05)
				t.Logf("of a whole ablation at most %.2g of %.3g is of higher order", worst, full)
				closed := lossAt(m, batches, gates(n, 1, 0, 3))
				var keep [][]bool
				for _, l := range m.LoRAs() {
					keep = append(keep, slices.Repeat([]bool{true}, int(l.Rank)))
				}
				parts := slices.Concat(keep...)
				parts[0], parts[3] = false, false
				for i := range keep {
					keep[i], parts = parts[:len(keep[i])], parts[len(keep[i]):]
				}
				m.Keep(keep)
				near(t, "loss of the cut model", []float64{lossAt(m, batches, gates(n-2, 0))}, []float64{closed}, tolExact)
			})
		})
	}
}

// The worth of parts is the order in which they go: that of a search through all
// orders of a small world, one step at a time.
func TestAblationWorth(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := withTinyAdapter(t, "bert-tiny-lora-ranks")
		defer m.Close()
		x, _ := ablate(t, s, m)
		var costs, each []int64
		for _, l := range m.LoRAs() {
			costs = append(costs, nn.NumEl(l.Params())/l.Rank)
			each = append(each, slices.Repeat(costs[len(costs)-1:], int(l.Rank))...)
		}
		worth := x.Worth(costs)
		out, price := make([]bool, x.parts), math.Inf(-1)
		for range x.parts {
			best, least := -1, math.Inf(1)
			before := x.Cost(out)
			for j := range out {
				if out[j] {
					continue
				}
				out[j] = true
				if per := (x.Cost(out) - before) / float64(each[j]); per < least {
					best, least = j, per
				}
				out[j] = false
			}
			out[best] = true
			price = max(price, least)
			near(t, "worth for its parameters", []float64{slices.Concat(worth...)[best] / float64(each[best])}, []float64{price}, 1e-6)
			var left int64
			var ranks []int
			at := 0
			for i, row := range worth {
				ranks = append(ranks, 0)
				for range row {
					if !out[at] {
						ranks[i]++
						left += each[at]
					}
					at++
				}
			}
			if got := WithinBudget(worth, costs, left); !slices.Equal(got, ranks) {
				t.Errorf("within %d parameters: ranks %v, want %v", left, got, ranks)
			}
		}
	})
}
