package autolora

import (
	"math"
	"slices"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// newGates returns a search of gates on all linear layers of bert-tiny, with W that is
// not at its start.
func newGates(t *testing.T, s *torchbind.Scope, cfg SearchConfig, how Execution) *Search {
	t.Helper()
	model, err := nn.Load(fixturePath("bert-tiny"), nn.LoadConfig{Labels: 3, Head: nn.HeadStored, DType: torchbind.Float64, Device: torchbind.CPU})
	if err != nil {
		t.Fatal(err)
	}
	cfg.K, cfg.Form, cfg.Rule, cfg.Init, cfg.Eta, cfg.LRWeights, cfg.LRAlpha, cfg.Unroll = 3, Gates, GatesRule, 1, 0.05, 1e-3, 1e-2, 1
	cfg.AdamW, cfg.AdamWA = AdamW(0.01), AdamW(0)
	x, err := NewSearch(model, nn.LoRAConfig{Targets: []string{"all-linear"}, Alpha: 8}, cfg, how)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range model.LoRAs() {
		b := make([]float64, l.B.Value.NumEl())
		for j := range b {
			b[j] = 0.1 * math.Sin(float64(7*i+j))
		}
		torchbind.NoGrad(func() { l.B.Value.CopyInPlace(torchbind.FromSlice(s, b, l.B.Shape, torchbind.CPU)) })
	}
	return x
}

// The exact hypergradient by the gates is the derivative of L_val at the looked-ahead
// weights, with one block in memory at a time too.
func TestGatesAgainstCentralDifferences(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	for _, blockwise := range []bool{false, true} {
		run(t, func(s *torchbind.Scope) {
			x := newGates(t, s, SearchConfig{Mode: Exact, LookAhead: SGD}, Execution{Seed: 1, GradientCheckpointing: blockwise})
			defer x.model.Close()
			checkCentralDifferences(t, s, x, inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0"))
		})
	}
}

// The price is part of what moves the gates: at one that nothing is worth all close, and
// stay at 0; their layers then get no rank.
func TestGatePrice(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	run(t, func(s *torchbind.Scope) {
		x := newGates(t, s, SearchConfig{Mode: Exact, LookAhead: SGD, Price: 1e4}, Execution{Seed: 1})
		defer x.model.Close()
		x.LRAlpha = 0.3
		bt, bv := inputs.batch(s, x.model, "t.0"), inputs.batch(s, x.model, "v.0")
		costs, price := x.costs(), x.price.Float64s()
		total := 0.0
		for i, p := range price {
			total += p
			near(t, "price", []float64{p / price[0]}, []float64{float64(costs[i]) / float64(costs[0])}, 1e-12)
		}
		near(t, "price of all", []float64{total}, []float64{1e4}, 1e-12)
		for range 8 {
			if step := x.Iterate(s, bt, bv, true); !step.Finite() {
				t.Fatal(step.Trouble())
			}
		}
		for i, row := range x.Alphas() {
			if !slices.Equal(row, []float64{0, 0, 0}) {
				t.Errorf("gate %d is %v", i, row)
			}
		}
		if ranks := x.Ranks(); slices.Max(ranks) != 0 {
			t.Errorf("ranks %v", ranks)
		}
	})
}

// Within a budget ranks are in proportion to the gates, whatever a layer costs.
func TestGatesWithinBudget(t *testing.T) {
	row := func(g float64) []float64 { return slices.Repeat([]float64{g}, 8) }
	costs := []int64{10, 40, 10}
	worth := shares([][]float64{row(2), row(1), row(0.5)}, costs)
	if got, want := GatesRule.Ranks(Evidence{K: 8, Form: Gates, Worth: worth, Costs: costs, Budget: 4*10 + 2*40 + 10}), []int{4, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("ranks %v, want %v", got, want)
	}
	if got, want := GatesRule.Ranks(Evidence{K: 8, Form: Gates, Worth: [][]float64{row(2), row(0.5), row(0.4)}, Costs: costs}), []int{8, 8, 0}; !slices.Equal(got, want) {
		t.Errorf("ranks %v without a budget, want %v", got, want)
	}
}
