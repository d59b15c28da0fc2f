package autolora

import (
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
				x := newReferenceSearch(t, s, torchbind.Float64, form.form, start, SearchConfig{Mode: Exact, LookAhead: SGD, Eta: 0.05})
				defer x.model.Close()
				x.model.HiddenDropout, x.model.AttentionDropout, x.model.Head.Dropout = 0.2, 0.2, 0.2
				for _, l := range x.model.LoRAs() {
					l.Dropout = 0.1
				}
				bt, bv := inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0")
				masks := *x.masks
				_, _, _, _, _, d, implicit := x.hypergradient(s, bt, bv)
				h := torchbind.ForeachAdd(s, d, implicit, -x.Eta)[0].Float64s()

				value := func(a []float64) float64 {
					*x.masks = masks
					torchbind.NoGrad(func() {
						x.a.CopyInPlace(torchbind.FromSlice(s, a, []int64{searchLayers, searchK}, torchbind.CPU))
					})
					_, lossV, _, _, _, _, _ := x.hypergradient(s, bt, bv)
					return lossV
				}
				const step = 1e-5 // error of the difference: step² from the third derivative, 1e-16/step from rounding
				numeric := make([]float64, len(start))
				for i := range start {
					moved := append([]float64(nil), start...)
					moved[i] += step
					up := value(moved)
					moved[i] -= 2 * step
					numeric[i] = (up - value(moved)) / (2 * step)
				}
				near(t, "h", h, numeric, 1e-7)
			})
		})
	}
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
			*x.masks = nn.Masks{State: 99}
			_, _, _, _, _, _, implicit := x.hypergradient(s, inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0"))
			implicits[mode] = implicit[0].Float64s()
			x.model.Close()
		}
		near(t, "fd against exact", implicits[FiniteDifference], implicits[Exact], 1e-3)
	})
}
