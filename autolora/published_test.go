package autolora

import (
	"fmt"
	"slices"
	"testing"

	"autolora/torchbind"
)

// Whole iterations of what the presets set: the published code's order, look-ahead,
// factor and rank rule, and scaled softmax. The reference of the first is Betty's
// engine, line by line.
func TestPresetSearchesAgainstPyTorch(t *testing.T) {
	inputs, want := openFixture(t, "search-inputs"), openFixture(t, "search-presets")
	ones := slices.Repeat([]float64{1}, searchLayers*searchK)
	published := func(mode Mode) SearchConfig {
		return SearchConfig{Mode: mode, LookAhead: Adam, Eta: 1e-3, Factor: 1, At: AtLookAhead, Order: AlphaFirst, Rule: RawRule}
	}
	for _, c := range []struct {
		name, start string // a of search-START, or ones
		cfg         SearchConfig
	}{
		{"published.fd", "", published(FiniteDifference)},
		{"published.exact", "", published(Exact)},
		{"published.first-order", "", published(FirstOrder)},
		{"softmax-scaled.sgd-0.05", "softmax", SearchConfig{Scale: searchK, Mode: Exact, LookAhead: SGD, Eta: 0.05}},
		{"softmax.sgd-0.05.alpha-first", "softmax", SearchConfig{Mode: Exact, LookAhead: SGD, Eta: 0.05, Order: AlphaFirst}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				start := ones
				if c.start != "" {
					start = openFixture(t, "search-"+c.start).floats(s, "a")
				}
				x := newReferenceSearch(t, s, torchbind.Float64, Softmax, start, c.cfg)
				defer x.model.Close()
				if c.start == "" {
					x.optim.WeightDecay, x.optimA.Beta1 = 0, 0.5
				}
				var trainLosses, valLosses []float64
				for i := range want.tensor(s, c.name+".train_loss").Size(0) {
					step := x.Iterate(s, inputs.batch(s, x.model, fmt.Sprintf("t.%d", i)), inputs.batch(s, x.model, fmt.Sprintf("v.%d", i)), true)
					trainLosses, valLosses = append(trainLosses, step.TrainLoss), append(valLosses, step.ValLoss)
				}
				const tolerance = 1e-8 // Adam's division magnifies rounding in the first steps
				near(t, "training losses", trainLosses, want.floats(s, c.name+".train_loss"), tolerance)
				near(t, "validation losses", valLosses, want.floats(s, c.name+".val_loss"), tolerance)
				near(t, "a", torchbind.Detach(s, x.a).Float64s(), want.floats(s, c.name+".a"), tolerance)
				for _, p := range x.weights {
					near(t, p.Name, torchbind.Detach(s, p.Value).Float64s(), want.floats(s, c.name+".w."+keyPrefix+p.Name), tolerance)
				}
				for i, rank := range want.tensor(s, c.name+".ranks").Int64s() {
					if got := x.Ranks()[i]; int64(got) != rank {
						t.Errorf("layer %d: rank %d, want %d", i, got, rank)
					}
				}
			})
		})
	}
}

// Scaled by k, the search starts as LoRA of rank k without selection variables;
// without, its update is k times smaller.
func TestScaledStartsAsLoRA(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	run(t, func(s *torchbind.Scope) {
		for _, c := range []struct {
			scale float64
			equal bool
		}{{searchK, true}, {1, false}} {
			x := newReferenceSearch(t, s, torchbind.Float64, Softmax, make([]float64, searchLayers*searchK), SearchConfig{Scale: c.scale})
			b := inputs.batch(s, x.model, "t.0")
			selected, plain := lossOf(s, x, b), x.model.Loss(s, b.Batch, b.Labels, nil).Item()
			if equal := selected == plain; equal != c.equal {
				t.Errorf("scale %v: loss %v, of plain LoRA %v", c.scale, selected, plain)
			}
			x.model.Close()
		}
	})
}

// lossOf returns L at the present W and a.
func lossOf(s *torchbind.Scope, x *Search, b *Batch) float64 {
	loss, _ := x.loss.gradient(s, b, only(x.a))
	return loss.Item()
}
