package autolora

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// expand returns x with batches in it.
func expand(t *testing.T, s *torchbind.Scope, x *expansion, batches ...*Batch) *expansion {
	t.Helper()
	for _, b := range batches {
		if err := x.add(s, b); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// twoBatches returns the fixtures' two, of different sizes.
func twoBatches(t *testing.T, s *torchbind.Scope, m *nn.Model) []*Batch {
	t.Helper()
	inputs := openFixture(t, "search-inputs")
	batches := []*Batch{inputs.batch(s, m, "v.0"), inputs.batch(s, m, "t.0")}
	batches[1].Weight *= 2 // as a larger one
	return batches
}

// twoLabelled returns the texts of twoBatches with the labels that label gives them.
func twoLabelled(t *testing.T, s *torchbind.Scope, m *nn.Model, label func(b *Batch, seqs *data.Batch)) (batches []*Batch) {
	t.Helper()
	inputs := openFixture(t, "search-inputs")
	for i, name := range []string{"v.0", "t.0"} {
		var b *Batch
		var err error
		for range 2 { // without labels, and with them
			seqs := inputs.texts(s, name)
			if b != nil {
				label(b, seqs)
			}
			if b, err = NewBatch(s, m, seqs); err != nil {
				t.Fatal(err)
			}
		}
		b.Weight *= float64(i + 1)
		batches = append(batches, b)
	}
	return batches
}

// withRandomAdapter returns a tiny model of that kind with LoRA layers that change it.
func withRandomAdapter(t *testing.T, s *torchbind.Scope, targets string, cfg nn.LoadConfig) *nn.Model {
	t.Helper()
	cfg.Head, cfg.Seed, cfg.DType, cfg.Device = nn.HeadFresh, 1, torchbind.Float64, torchbind.CPU
	m, err := nn.Load(fixturePath("bert-tiny"), cfg)
	if err == nil {
		err = m.AddLoRA(nn.LoRAConfig{Targets: strings.Fields(targets), Rank: 2, Alpha: 4, Seed: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	scatter(s, rand.New(rand.NewPCG(1, 1)), 0.1, nn.Values(m.AdapterParams())...)
	return m
}

// lowTargets are those of LoRA layers whose parts are tried.
var lowTargets = []string{"all-linear", "query output.dense"}

// withoutError returns a regression model with LoRA, and two batches of which it knows
// every value: the Gauss–Newton matrix of their loss is all of H.
func withoutError(t *testing.T, s *torchbind.Scope, targets string) (*nn.Model, []*Batch) {
	t.Helper()
	m := withRandomAdapter(t, s, targets, nn.LoadConfig{Output: nn.Regression, Labels: 1, Units: nn.Units{Mean: 2, Scale: 1.5}})
	return m, twoLabelled(t, s, m, func(b *Batch, seqs *data.Batch) { seqs.Values = m.Logits(s, b.Batch, nil).Float64s() })
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

// g against central differences of L(c), of three classes.
func TestAblationGradient(t *testing.T) {
	for _, adapter := range tinyAdapters {
		t.Run(adapter, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := withTinyAdapter(t, adapter)
				defer m.Close()
				n := partsOf(m)
				batches := twoBatches(t, s, m)
				x := expand(t, s, newExpansion(m, make([]bool, n), 1), batches...)
				var g, want []float64
				const step = 1e-5 // errors: step² from higher derivatives, 1e-16/step from rounding
				for i := range n {
					g = append(g, x.gradient[i]/x.weight)
					want = append(want, (lossAt(m, batches, gates(n, -step, i))-lossAt(m, batches, gates(n, step, i)))/(2*step))
				}
				near(t, "g", g, want, 1e-7)
			})
		})
	}
}

// Where no text has an error G is H: of every part the diagonal, and of each third its
// cross terms within a layer and between layers, against central differences of L(c).
func TestCurvatureAgainstCentralDifferences(t *testing.T) {
	for _, targets := range lowTargets {
		t.Run(targets, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m, batches := withoutError(t, s, targets)
				defer m.Close()
				n := partsOf(m)
				x := expand(t, s, newExpansion(m, make([]bool, n), 1), batches...)
				var h, want []float64
				const step = 1e-3 // errors: step² from higher derivatives, 1e-16/step² from rounding
				for i := range n {
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
						h = append(h, x.cross(i, j))
						want = append(want, (at(step, step)-at(step, -step)-at(-step, step)+at(-step, -step))/(4*step*step))
					}
				}
				near(t, "H", h, want, 1e-5)
			})
		})
	}
}

// All of G against Σ Jᵀ (∂²ℓ/∂x²) J with J by central differences of the outputs, where
// parts are out: of two classes, which count alike or do not; and of words, of which a
// text has one or two, the mean of many draws.
func TestCurvatureAgainstJacobians(t *testing.T) {
	for name, c := range map[string]struct {
		nn.LoadConfig
		draws int
	}{
		"alike":    {nn.LoadConfig{Labels: 2}, 2},
		"weighted": {nn.LoadConfig{Labels: 2, ClassWeights: []float64{0.5, 3}}, 2},
		"words":    {nn.LoadConfig{Labels: 2, Output: nn.TokenClassification}, 60},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := withRandomAdapter(t, s, "query output.dense", c.LoadConfig)
				defer m.Close()
				batches := twoLabelled(t, s, m, func(b *Batch, seqs *data.Batch) {
					at := int64(0)
					for i, length := range seqs.Lengths {
						words := 1
						if c.Output == nn.TokenClassification {
							words += i % 2
							seqs.Want, seqs.WantPer = append(seqs.Want, []int64{at, at + 1}[:words]...), append(seqs.WantPer, words)
						}
						at += int64(length)
						seqs.Labels = append(seqs.Labels, []int64{int64(i % 2), 0}[:words]...)
					}
				})
				n := partsOf(m)
				out := make([]bool, n)
				out[2], out[n-1] = true, true
				want, weight := make([]float64, n*n), 0.0
				for _, b := range batches {
					logits := func(moved int, by float64) []float64 { // [rows, 2]
						c := gates(n, 1, 2, n-1)
						c[moved] += by
						m.Select(s, torchbind.FromSlice(s, c, []int64{int64(n)}, torchbind.CPU))
						defer m.Select(s, nil)
						return m.Logits(s, b.Batch, nil).Float64s()
					}
					const step = 1e-5
					at := logits(0, 0)
					jacobian := make([][]float64, n) // of the second output less the first, [rows]
					for j := range n {
						up, down := logits(j, step), logits(j, -step)
						for i := 0; i < len(up); i += 2 {
							jacobian[j] = append(jacobian[j], (up[i+1]-up[i]-down[i+1]+down[i])/(2*step))
						}
					}
					weight += b.Weight
					for i, class := range b.packed.Labels {
						p := 1 / (1 + math.Exp(at[2*i]-at[2*i+1]))
						counts := b.Weight / float64(b.Size)
						if c.ClassWeights != nil {
							counts *= c.ClassWeights[class]
						}
						for j := range n {
							for k := range n {
								if !out[j] && !out[k] {
									want[j*n+k] += counts * p * (1 - p) * jacobian[j][i] * jacobian[k][i]
								}
							}
						}
					}
				}
				sum, squares := make([]float64, n*n), make([]float64, n*n)
				for seed := range c.draws {
					x := expand(t, s, newExpansion(m, out, uint64(seed)), batches...)
					for i := range sum {
						v := x.cross(i/n, i%n)
						sum[i], squares[i] = sum[i]+v, squares[i]+v*v
					}
				}
				largest := slices.Max(want) / weight
				for i := range sum {
					mean, draws := sum[i]/float64(c.draws), float64(c.draws)
					bound := 4*math.Sqrt(max(0, squares[i]/draws-mean*mean)/(draws-1)) + 1e-7*largest
					if off := math.Abs(mean - want[i]/weight); off > bound || c.draws == 2 && bound > 2e-7*largest {
						t.Errorf("element %d is %.6g, want %.6g within %.2g", i, mean, want[i]/weight, bound)
					}
				}
			})
		})
	}
}

// What leaving out costs where no text has an error, for every single part and for pairs with each third,
// against the loss of the model with these gates closed by a share t: the difference is of the third order. A
// gate that is closed is the model without the part.
func TestAblationAgainstAblations(t *testing.T) {
	for _, targets := range lowTargets {
		t.Run(targets, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m, batches := withoutError(t, s, targets)
				defer m.Close()
				if _, err := Trained(m); err != nil {
					t.Fatal(err)
				}
				n := partsOf(m)
				x := expand(t, s, newExpansion(m, make([]bool, n), 1), batches...)
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
				worth, work, err := Ablate(m, AblationConfig{Rounds: rounds, Seed: 1}, func(add func(*torchbind.Scope, *Batch) error) error {
					passes++
					for _, b := range batches {
						if err := add(s, b); err != nil {
							return err
						}
					}
					return nil
				})
				tokens := int64(2 * rounds * (batches[0].Tokens + batches[1].Tokens))
				if want := (Work{tokens, int64(4 * rounds), int64(4 * rounds)}); err != nil || passes != rounds || work != want {
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
					x := expand(t, s, newExpansion(m, out, 1+uint64(round)), batches...)
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
		batches := twoBatches(t, s, m)
		both := expand(t, s, newExpansion(m, make([]bool, n), 1), batches...)
		var want []float64
		each := make([]*expansion, len(batches))
		for i, b := range batches {
			each[i] = expand(t, s, newExpansion(m, make([]bool, n), 1), b)
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
		x := expand(t, s, newExpansion(m, make([]bool, n), 1), batches...)
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
