package autolora

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// expand expands the loss on the fixtures' two batches of different sizes.
func expand(t *testing.T, s *torchbind.Scope, m *nn.Model, out []bool) (*expansion, []*Batch) {
	t.Helper()
	batches := twoBatches(t, s, m)
	x := newExpansion(m, out)
	for _, b := range batches {
		x.add(s, b)
	}
	return x, batches
}

func twoBatches(t *testing.T, s *torchbind.Scope, m *nn.Model) []*Batch {
	t.Helper()
	inputs := openFixture(t, "search-inputs")
	batches := []*Batch{inputs.batch(s, m, "v.0"), inputs.batch(s, m, "t.0")}
	batches[1].Weight *= 2 // as a larger one
	return batches
}

func partsOf(m *nn.Model) (n int) {
	for _, joined := range m.JoinedLoRAs() {
		n += int(joined[0].Rank)
	}
	return n
}

// cost returns what it costs to leave out the parts of set together.
func (x *expansion) cost(set ...int) float64 {
	cost := 0.0
	marginal := x.marginal()
	for k, i := range set {
		cost += marginal[i]
		for _, j := range set[:k] {
			cost += x.cross(i, j)
		}
	}
	return cost
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

// g and the diagonal of H of every part, and of each third its cross terms within a layer
// and between layers, against central differences of L(c).
func TestAblationAgainstCentralDifferences(t *testing.T) {
	for _, adapter := range tinyAdapters {
		t.Run(adapter, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := withTinyAdapter(t, adapter)
				defer m.Close()
				n := partsOf(m)
				x, batches := expand(t, s, m, make([]bool, n))
				var g, wantG, h, wantH []float64
				const first, second = 1e-5, 1e-3 // errors: first², second² from higher derivatives; 1e-16/first, 1e-16/second² from rounding
				for i := range n {
					g = append(g, x.gradient[i]/x.weight)
					wantG = append(wantG, (lossAt(m, batches, gates(n, -first, i))-lossAt(m, batches, gates(n, first, i)))/(2*first))
					beside := []int{i, (i + 1) % n, (i + 2) % n, (i + n/2) % n}
					if i%3 != 0 {
						beside = beside[:1]
					}
					for _, j := range beside {
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

// What leaving out costs, for every single part and for pairs with each third, against the loss of the
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
				n := partsOf(m)
				x, batches := expand(t, s, m, make([]bool, n))
				full := lossAt(m, batches, gates(n, 0))
				worst := 0.0
				var third, half []float64 // what is left, over the cube of the share
				for i := range n {
					sets := [][]int{{i}, {i, (i + 1) % n}, {i, (i + n/2) % n}}
					if i%3 != 0 {
						sets = sets[:1]
					}
					for _, set := range sets {
						// −t g + ½ t² H, of what cost says at t = 1
						linear := 0.0
						for _, j := range set {
							linear -= x.gradient[j] / x.weight
						}
						quadratic := x.cost(set...) - linear
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
// orders of a small world, one step at a time, with what is known of H in each round.
func TestAblate(t *testing.T) {
	for _, rounds := range []int{1, 3} {
		t.Run(fmt.Sprint(rounds, " rounds"), func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := withTinyAdapter(t, "bert-tiny-lora-ranks")
				defer m.Close()
				batches := twoBatches(t, s, m)
				passes := 0
				worth, work, err := Ablate(m, AblationConfig{Rounds: rounds}, func(add func(*torchbind.Scope, *Batch)) error {
					for _, b := range batches {
						add(s, b)
					}
					passes++
					return nil
				})
				if err != nil || passes != rounds || work.Forward != int64(2*rounds) || work.Backward <= work.Forward {
					t.Fatalf("%v, %d passes over the data, work %+v", err, passes, work)
				}
				costs, each, ranks := PartCosts(m), []int64(nil), []int(nil)
				var left, all int64
				for i, row := range worth {
					each, ranks = append(each, slices.Repeat(costs[i:i+1], len(row))...), append(ranks, len(row))
					all += costs[i] * int64(len(row))
				}
				left = all
				out, price := make([]bool, len(each)), math.Inf(-1)
				for round := range rounds {
					x, _ := expand(t, s, m, out)
					var set []int
					for until := left / 2; left > until || round == rounds-1 && left > 0; {
						best, least := -1, math.Inf(1)
						for j := range out {
							if out[j] {
								continue
							}
							if per := (x.cost(append(set[:len(set):len(set)], j)...) - x.cost(set...) + x.doubt()[j]) / float64(each[j]); per < least {
								best, least = j, per
							}
						}
						out[best], set, left = true, append(set, best), left-each[best]
						price = max(price, least)
						near(t, "worth for its parameters", []float64{slices.Concat(worth...)[best] / float64(each[best])}, []float64{price}, 1e-6)
						at := 0
						for i, row := range worth {
							ranks[i] = 0
							for range row {
								if !out[at] {
									ranks[i]++
								}
								at++
							}
						}
						if got := WithinBudget(worth, costs, left); !slices.Equal(got, ranks) {
							t.Errorf("within %d parameters: ranks %v, want %v", left, got, ranks)
						}
					}
				}
			})
		})
	}
}

// The doubt about g is the standard error of a mean over batches of different weight.
func TestDoubt(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := withTinyAdapter(t, "bert-tiny-lora-ranks")
		defer m.Close()
		n := partsOf(m)
		both, batches := expand(t, s, m, make([]bool, n))
		var want []float64
		each := make([]*expansion, len(batches))
		for i, b := range batches {
			each[i] = newExpansion(m, make([]bool, n))
			each[i].add(s, b)
			near(t, "of one batch", each[i].doubt(), make([]float64, n), 0)
		}
		for j := range n {
			square := 0.0
			for i, b := range batches {
				off := each[i].gradient[j]/b.Weight - both.gradient[j]/both.weight
				square += b.Weight * b.Weight * off * off
			}
			want = append(want, math.Sqrt(2*square)/both.weight) // 2 = n/(n-1)
		}
		near(t, "of two", both.doubt(), want, 1e-6)
	})
}

// Probes estimate the diagonal of H without bias: their mean comes as near to it as
// their number says, for large parts and for small ones. A part of size 0 costs
// nothing, and what is out is not looked at.
func TestProbes(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := withTinyAdapter(t, "bert-tiny-lora-ranks")
		defer m.Close()
		sizes, err := Trained(m)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]bool, partsOf(m))
		out[2] = true
		exact, batches := expand(t, s, m, out)
		x := newExpansion(m, out)
		const probes = 100
		x.probes, x.seed, x.sizes = probes, 1, slices.Concat(sizes...)
		for _, b := range batches {
			x.add(s, b)
		}
		near(t, "g", x.gradient, exact.gradient, tolExact)
		for j := range out {
			// Their variance: the squares of the other entries of the row, in units of the sizes.
			variance := 0.0
			for i := range out {
				if i != j && !out[i] {
					off := exact.hessian[i][j] / exact.weight * math.Sqrt(x.sizes[j]/x.sizes[i])
					variance += off * off / probes
				}
			}
			got, want := x.diagonal[j]/x.weight, exact.diagonal[j]/exact.weight
			if off := math.Abs(got - want); off > 4*math.Sqrt(variance) || out[j] && got != 0 {
				t.Errorf("part %d: %.4g, want %.4g within %.2g", j, got, want, 4*math.Sqrt(variance))
			}
		}
	})
}

// Layers that share their A, as PEFT's on GPT-2's c_attn, have joint parts: each is
// one singular part of the update of all, and one gate.
func TestJoinedParts(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := withAdapter(t, "gpt2-tiny", "gpt2-tiny-lora-whole", nn.LoadConfig{Output: nn.CausalLM})
		defer m.Close()
		inputs := openFixture(t, "search-gpt2")
		batches := []*Batch{inputs.batch(s, m, "v.0")}
		var before [][]float64
		for _, l := range m.LoRAs() {
			before = append(before, l.Delta(s).Float64s())
		}
		n := partsOf(m)
		if joined, layers := len(m.JoinedLoRAs()), len(m.LoRAs()); joined >= layers {
			t.Fatalf("%d joined layers of %d", joined, layers)
		}
		if _, err := Trained(m); err != nil {
			t.Fatal(err)
		}
		for i, l := range m.LoRAs() {
			near(t, l.Module, l.Delta(s).Float64s(), before[i], tolRotated)
		}
		x := newExpansion(m, make([]bool, n))
		x.add(s, batches[0])
		const step = 1e-5
		var want []float64
		for j := range n {
			at := func(h float64) float64 {
				var c []float64
				for _, part := range x.gates {
					c = append(c, gates(n, -h, j)[part])
				}
				return lossAt(m, batches, c)
			}
			want = append(want, (at(step)-at(-step))/(2*step))
		}
		for j := range want {
			want[j] *= x.weight
		}
		near(t, "g", x.gradient, want, 1e-6)
		size := nn.NumEl(m.AdapterParams())
		var total int64
		keep := make([][]bool, len(m.JoinedLoRAs()))
		for i, joined := range m.JoinedLoRAs() {
			keep[i] = slices.Repeat([]bool{true}, int(joined[0].Rank))
			keep[i][0] = false
			total += PartCosts(m)[i] * (joined[0].Rank - 1)
		}
		m.Keep(keep)
		if got := nn.NumEl(m.AdapterParams()); got != total || got >= size {
			t.Errorf("%d parameters are left of %d, want %d", got, size, total)
		}
		stored, _ := m.Adapter("gpt2-tiny", nil).Parameters()
		if stored != total {
			t.Errorf("%d parameters in PEFT's form, want %d", stored, total)
		}
	})
}
