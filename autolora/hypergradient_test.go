package autolora

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// The exact hypergradient is the derivative of L_val(W − η ∂L_tr(W, a)/∂W, a)
// by a, dropout included: whatever is differentiated twice sees one mask. Here
// against central differences of that very number, in float64.
func TestExactAgainstCentralDifferences(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	for _, form := range referenceForms {
		t.Run(form.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				start := openFixture(t, "search-"+form.name).floats(s, "a")
				x := newReferenceSearch(t, s, torchbind.Float64, form.form, start, SearchConfig{Scale: form.scale, Mode: Exact, LookAhead: SGD, Eta: 0.05})
				defer x.model.Close()
				x.model.HiddenDropout, x.model.AttentionDropout, x.model.Head.Dropout = 0.2, 0.2, 0.2
				for _, l := range x.model.LoRAs() {
					l.Dropout = 0.1
				}
				checkCentralDifferences(t, s, x, inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0"))
			})
		})
	}
}

// checkCentralDifferences compares one iteration's hypergradient with central
// differences of L_val by a.
func checkCentralDifferences(t *testing.T, s *torchbind.Scope, x *Search, bt, bv *Batch) {
	t.Helper()
	start, masks := torchbind.Detach(s, x.a).Float64s(), x.dropout.State
	_, _, _, _, _, d, implicit := x.hypergradient(s, bt, bv)
	h := torchbind.ForeachAdd(s, d, implicit, -x.Eta)[0].Float64s()

	value := func(a []float64) float64 {
		x.dropout.State = masks
		torchbind.NoGrad(func() {
			x.a.CopyInPlace(torchbind.FromSlice(s, a, x.a.Shape(), torchbind.CPU))
		})
		_, lossV, _, _, _, _, _ := x.hypergradient(s, bt, bv)
		return lossV
	}
	const step = 3e-6    // error of the difference: step² times the third derivative, up to 2e3 here, and 1e-15/step from rounding
	const directions = 4 // random ones: an error in h is in none of them by chance
	rng := rand.New(rand.NewPCG(8, 0))
	exact, numeric := make([]float64, directions), make([]float64, directions)
	for k := range directions {
		up, down := slices.Clone(start), slices.Clone(start)
		for i := range start {
			v := rng.NormFloat64() / math.Sqrt(float64(len(start)))
			exact[k] += h[i] * v
			up[i] += step * v
			down[i] -= step * v
		}
		numeric[k] = (value(up) - value(down)) / (2 * step)
	}
	near(t, "h along random directions", exact, numeric, 1e-7)
}

// With independent masks finite differences would be noise; with saved ones
// they agree with the exact mode as well as without dropout.
func TestFiniteDifferenceSharesMasks(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	run(t, func(s *torchbind.Scope) {
		start := openFixture(t, "search-softmax").floats(s, "a")
		implicits := make(map[Mode][]float64)
		for _, mode := range []Mode{Exact, FiniteDifference} {
			x := newReferenceSearch(t, s, torchbind.Float64, Softmax, start, SearchConfig{Mode: mode, LookAhead: SGD, Eta: 0.05})
			x.model.HiddenDropout, x.model.AttentionDropout = 0.2, 0.2
			x.dropout.State = 99
			_, _, _, _, _, _, implicit := x.hypergradient(s, inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0"))
			implicits[mode] = implicit[0].Float64s()
			x.model.Close()
		}
		near(t, "fd against exact", implicits[FiniteDifference], implicits[Exact], 1e-3)
	})
}

// variant returns ∂(g·u)/∂a of one iteration on t.0 and v.0, with every part
// of it that the search may change.
func variant(t *testing.T, s *torchbind.Scope, cfg SearchConfig, change func(x *Search)) []float64 {
	t.Helper()
	inputs := openFixture(t, "search-inputs")
	x := newReferenceSearch(t, s, torchbind.Float64, Softmax, openFixture(t, "search-softmax").floats(s, "a"), cfg)
	defer x.model.Close()
	x.giveMoments(s, inputs)
	if change != nil {
		change(x)
	}
	_, _, _, _, _, _, implicit := x.hypergradient(s, inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0"))
	return implicit[0].Float64s()
}

// The implicit part at W' and at W, with the factor of the published code and
// with η and the preconditioner.
func TestImplicitVariantsAgainstPyTorch(t *testing.T) {
	want := openFixture(t, "search-variants")
	for _, ahead := range LookAheads {
		for _, at := range Points {
			for _, factor := range []float64{0, 1} {
				for _, mode := range []Mode{Exact, FiniteDifference} {
					if at == AtWeights && factor == 0 {
						continue // TestHypergradientAgainstPyTorch
					}
					cfg := SearchConfig{Mode: mode, LookAhead: ahead, Eta: 0.05, At: at, Factor: factor}
					name := string(ahead) + "-0.05"
					if at == AtLookAhead {
						name += ".at-look-ahead"
					}
					if factor == 1 {
						name += ".factor-1"
					}
					if mode == FiniteDifference {
						name += ".fd"
					}
					t.Run(name, func(t *testing.T) {
						run(t, func(s *torchbind.Scope) {
							got := variant(t, s, cfg, nil)
							for i := range got {
								got[i] *= -(&Search{SearchConfig: cfg}).factor()
							}
							near(t, "implicit part", got, want.floats(s, name+".implicit"), tolExact)
						})
					})
				}
			}
		}
	}
}

// A central difference is off by about ε²: at half of ε, a quarter of the difference
// to the exact mode, around W and around W'.
func TestFiniteDifferenceOrder(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	for _, at := range Points {
		t.Run(string(at), func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				cfg := SearchConfig{Mode: Exact, LookAhead: Adam, Eta: 0.05, At: at}
				x := newReferenceSearch(t, s, torchbind.Float64, Softmax, openFixture(t, "search-softmax").floats(s, "a"), cfg)
				defer x.model.Close()
				x.giveMoments(s, inputs)
				masks := x.dropout.State
				bt, bv := inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0")
				train := x.loss.gradientTwice(s, bt)
				ahead, scale := x.lookAhead(s, train.g)
				_, u, _ := x.validation(s, ahead, bv)
				exact := x.implicit(s, train, u, ahead, scale, bt, masks)
				point := nn.Values(x.weights)
				if at == AtLookAhead {
					point = ahead
				}
				u = torchbind.ForeachMul(s, u, scale)
				off := func(size float64) float64 {
					fd := x.centralDifference(s, point, u, size/torchbind.ForeachNorm(u), bt, masks)
					return torchbind.ForeachNorm(torchbind.ForeachAdd(s, fd, exact, -1)) / torchbind.ForeachNorm(exact)
				}
				coarse, fine := off(0.02), off(0.01)
				if ratio := coarse / fine; !(ratio > 3.9 && ratio < 4.1) || fine > 1e-4 {
					t.Errorf("off by %.3g at 2ε and by %.3g at ε: a ratio of %.3f, want 4", coarse, fine, ratio)
				}
			})
		})
	}
}

// Independent masks make the finite difference another number with dropout,
// and the same without.
func TestIndependentMasks(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		for _, at := range Points {
			for _, p := range []float64{0, 0.2} {
				implicits := make(map[FDMasks][]float64)
				for _, masks := range FDMaskChoices {
					cfg := SearchConfig{Mode: FiniteDifference, LookAhead: SGD, Eta: 0.05, At: at, FDMasks: masks}
					implicits[masks] = variant(t, s, cfg, func(x *Search) { x.model.HiddenDropout, x.model.AttentionDropout = p, p })
				}
				shared, independent := implicits[SharedMasks], implicits[IndependentMasks]
				if p == 0 {
					near(t, "without dropout", independent, shared, 0)
					continue
				}
				signal, noise := 0.0, 0.0
				for i := range shared {
					signal += shared[i] * shared[i]
					noise += (independent[i] - shared[i]) * (independent[i] - shared[i])
				}
				if ratio := math.Sqrt(noise / signal); !(ratio > 1) {
					t.Errorf("at %s independent masks change the finite difference by %.3g of its size, want noise above the signal", at, ratio)
				}
			}
		}
	})
}

// With shared masks the losses at W' see the dropout of L_tr(W, a; t), in both
// modes.
func TestLookAheadSharesMasks(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		implicits := make(map[Mode][]float64)
		for _, mode := range []Mode{Exact, FiniteDifference} {
			cfg := SearchConfig{Mode: mode, LookAhead: SGD, Eta: 1e-9, At: AtLookAhead} // W' is W
			implicits[mode] = variant(t, s, cfg, func(x *Search) { x.model.HiddenDropout, x.model.AttentionDropout = 0.2, 0.2 })
		}
		atWeights := variant(t, s, SearchConfig{Mode: Exact, LookAhead: SGD, Eta: 1e-9}, func(x *Search) { x.model.HiddenDropout, x.model.AttentionDropout = 0.2, 0.2 })
		near(t, "exact at W' against exact at W", implicits[Exact], atWeights, 1e-6)
		near(t, "fd at W' against exact at W", implicits[FiniteDifference], atWeights, 1e-3)
	})
}
