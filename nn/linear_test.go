package nn

import (
	"testing"

	"autolora/torchbind"
)

// halved is LoRA whose module returns half of what it would.
type halved struct{ *LoRA }

func (h halved) Forward(s *torchbind.Scope, x, y *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	return torchbind.MulScalar(s, h.LoRA.Forward(s, x, y, rng), 0.5)
}

func (h halved) Merge(s *torchbind.Scope, w *torchbind.Tensor) *torchbind.Tensor {
	return torchbind.MulScalar(s, h.LoRA.Merge(s, w), 0.5)
}

// An adapter of another kind beside a LoRA layer on one matrix computes what the
// model does with both merged into its weights.
func TestAdapterOfAnotherKind(t *testing.T) {
	values := openFixture(t, "expected-llama-tiny")
	run(t, func(s *torchbind.Scope) {
		m := mustLoad(t, testdata("llama-tiny"), LoadConfig{Output: CausalLM, DType: torchbind.Float64, Device: torchbind.CPU})
		defer m.Close()
		if err := m.AddLoRA(LoRAConfig{Targets: []string{"query", "value"}, Rank: 3, Alpha: 6}); err != nil {
			t.Fatal(err)
		}
		fillAdapter(m, 5)
		for _, l := range m.Body.linears() {
			for i := range l.Modules {
				if lora := l.lora(i); lora != nil && i == 2 {
					l.Adapters[i] = halved{lora}
				}
			}
		}
		seqs, labels := values.sequences("batch")
		b, _ := batchOf(t, s, m, seqs, labels)
		got := m.Logits(s, b, nil).Float64s()
		merged := mustLoad(t, testdata("llama-tiny"), LoadConfig{Output: CausalLM, DType: torchbind.Float64, Device: torchbind.CPU})
		defer merged.Close()
		torchbind.NoGrad(func() {
			for i, p := range m.params {
				merged.params[i].Value.CopyInPlace(m.withAdapters(s, p))
			}
		})
		near(t, "logits", got, merged.Logits(s, b, nil).Float64s(), tolerance64)
	})
}
