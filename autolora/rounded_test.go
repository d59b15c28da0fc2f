package autolora

import (
	"fmt"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// roundedModel loads the fixtures' model, whose batches are rounded or not.
func roundedModel(t *testing.T, dropout float64, round bool) *nn.Model {
	t.Helper()
	m, err := nn.Load(fixturePath("bert-tiny"), nn.LoadConfig{
		Labels: 3, Head: nn.HeadStored, Dropout: &dropout, DType: torchbind.Float64, Device: torchbind.CPU, Round: round,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// values returns every number of the weights.
func values(params []*nn.Param) (all []float64) {
	for _, p := range params {
		all = append(all, p.Value.Float64s()...)
	}
	return all
}

// The exact search and the training of LoRA on rounded batches go the way that
// they go on the batches themselves.
func TestRoundedBatches(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	lora := nn.LoRAConfig{Targets: []string{"query", "value"}, Rank: 3, Alpha: 8, Dropout: 0.1}
	for _, dropout := range []float64{0, 0.1} {
		t.Run(fmt.Sprintf("search/dropout %v", dropout), func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				searched := func(round bool) (all []float64) {
					m := roundedModel(t, dropout, round)
					defer m.Close()
					x, err := NewSearch(m, lora, SearchConfig{
						K: searchK, LoRADropout: 0.1, Form: Softmax, Scale: 1, Mode: Exact, LookAhead: SGD, Eta: 0.05, Unroll: 1,
						LRWeights: 1e-3, LRAlpha: 1e-2, AdamW: AdamW(0.01), AdamWA: AdamW(0),
					}, Execution{Seed: 1})
					if err != nil {
						t.Fatal(err)
					}
					for i := range 4 {
						step := x.Iterate(s, inputs.batch(s, m, fmt.Sprintf("t.%d", i)), inputs.batch(s, m, fmt.Sprintf("v.%d", i)), true)
						all = append(all, step.TrainLoss, step.ValLoss, step.Direct, step.Implicit)
					}
					if step := all[len(all)-1]; step == 0 {
						t.Fatal("the implicit part is 0")
					}
					return append(append(all, x.a.Float64s()...), values(x.weights)...)
				}
				near(t, "search", searched(true), searched(false), tolExact)
			})
		})
		t.Run(fmt.Sprintf("train/dropout %v", dropout), func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				trained := func(round bool) (all []float64) {
					m := roundedModel(t, dropout, round)
					defer m.Close()
					if err := m.AddLoRA(lora); err != nil {
						t.Fatal(err)
					}
					trainer := NewTrainer(m, TrainConfig{Steps: 4, LR: 1e-3, AdamW: AdamW(0.01)}, nil, Execution{Seed: 1})
					for i := range 4 {
						step := trainer.Step(s, []*Batch{inputs.batch(s, m, fmt.Sprintf("t.%d", i))})
						all = append(all, step.Loss, step.GradNorm)
					}
					return append(all, values(m.TrainableParams())...)
				}
				near(t, "training", trained(true), trained(false), tolExact)
			})
		})
	}
}
