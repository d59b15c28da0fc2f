package autolora

import (
	"math/rand/v2"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// The exact hypergradient against central differences with LoRA on every matrix of
// the families whose blocks have more to them than BERT's and LLaMA's, with every
// dropout.
func TestTodaysModelsAgainstCentralDifferences(t *testing.T) {
	for _, c := range []struct {
		name   string
		output nn.Output
		labels int64
	}{
		{"qwen3-tiny", nn.CausalLM, 0},
		{"gemma3-tiny", nn.CausalLM, 0},
		{"phi3-tiny", nn.CausalLM, 0},
		{"smollm3-tiny", nn.CausalLM, 0},
		{"olmo2-tiny", nn.CausalLM, 0},
		{"gemma2-tiny", nn.CausalLM, 0},
		{"distilbert-tiny", nn.SequenceClassification, 3},
		{"electra-tiny", nn.SequenceClassification, 3},
		{"modernbert-mean", nn.Regression, 1},
		{"modernbert-tiny-tokens", nn.TokenClassification, 5},
		{"deberta-tiny", nn.SequenceClassification, 3},
		{"deberta-tiny-tokens", nn.TokenClassification, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				model := loadRecomputed(t, c.name, c.output, c.labels, false)
				defer model.Close()
				cfg := SearchConfig{
					Mode: Exact, LookAhead: SGD, Form: Softmax, Scale: 1, K: 2, LoRADropout: 0.1, Eta: 0.05, LRWeights: 1e-2, LRAlpha: 1e-2, Unroll: 1,
				}
				x, err := NewSearch(model, nn.LoRAConfig{Targets: []string{"all-linear"}, Alpha: 8}, cfg, Execution{Seed: 1})
				if err != nil {
					t.Fatal(err)
				}
				rng := rand.New(rand.NewPCG(1, 1))
				scatter(s, rng, 0.3, nn.Values(x.weights)...)
				scatter(s, rng, 0.5, x.a)
				checkCentralDifferences(t, s, x, madeUpBatch(t, s, model, 1), madeUpBatch(t, s, model, 2))
			})
		})
	}
}
