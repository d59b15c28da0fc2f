package autolora

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"autolora/nn"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// A search through matrices in 8 and 4 bits is the search of the model that has
// their numbers in full, in every part of an iteration: the products are of the same
// numbers in the same order. So everything that is proved of the one holds for the
// other.
func TestSearchOfQuantizedBases(t *testing.T) {
	for _, c := range []struct {
		model    string
		quantize nn.Quantization
		output   nn.Output
	}{
		{"bert-tiny", nn.NF4, nn.SequenceClassification}, {"bert-int8", nn.AsStored, nn.SequenceClassification},
		{"llama-tiny", nn.Int8, nn.CausalLM}, {"llama-nf4", nn.AsStored, nn.CausalLM}, {"gpt2-tiny", nn.NF4, nn.CausalLM}, {"deberta-tiny", nn.Int8, nn.SequenceClassification},
	} {
		t.Run(c.model+"/"+string(c.quantize), func(t *testing.T) {
			cfg := nn.LoadConfig{Output: c.output, Labels: 3, Head: nn.HeadStored, Quantize: c.quantize, DType: torchbind.Float64, Device: torchbind.CPU}
			full := filepath.Join(t.TempDir(), "full")
			// iterate returns the numbers of one iteration, and of the weights after it.
			iterate := func(dir string, cfg nn.LoadConfig, checkpointing bool) (all []float64) {
				run(t, func(s *torchbind.Scope) {
					m, err := nn.Load(dir, cfg)
					if err != nil {
						t.Fatal(err)
					}
					defer m.Close()
					if cfg.Quantize == c.quantize && !checkpointing {
						// Products of float32, which is what is written, are exact.
						if err := m.Write(full, []string{"a", "b", "c"}, safetensors.F32); err != nil {
							t.Fatal(err)
						}
					}
					x, err := NewSearch(m, nn.LoRAConfig{Targets: []string{"all-linear"}, Alpha: 8, Seed: 5}, SearchConfig{
						K: 3, Form: Softmax, Scale: 1, Mode: Exact, LookAhead: SGD, Eta: 0.05, AdamW: AdamW(0.01), AdamWA: AdamW(0), LRWeights: 1e-3, LRAlpha: 1e-2, Unroll: 1,
					}, Execution{Seed: 1, GradientCheckpointing: checkpointing})
					if err != nil {
						t.Fatal(err)
					}
					scatter(s, rand.New(rand.NewPCG(9, 0)), 0.2, append(nn.Values(m.AdapterParams()), x.a)...)
					train, val := madeUpBatch(t, s, m, 1), madeUpBatch(t, s, m, 2)
					lossT, lossV, g, _, u, d, implicit := x.hypergradient(s, train, val)
					all = append(all, lossT, lossV)
					for _, ts := range [][]*torchbind.Tensor{g, u, d, implicit} {
						for _, v := range ts {
							all = append(all, torchbind.Detach(s, v).Float64s()...)
						}
					}
				})
				return all
			}
			got := iterate(fixturePath(c.model), cfg, false)
			inFull := cfg
			inFull.Quantize = ""
			near(t, "iteration", got, iterate(full, inFull, false), 0)
			near(t, "with gradient checkpointing", iterate(fixturePath(c.model), cfg, true), got, tolRecomputed)
		})
	}
}
