package autolora

import (
	"fmt"
	"slices"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// TestSnapshot trains one model in every way, puts it back each time, and holds it
// bit for bit to a model that is loaded anew: as it is, and after a training.
func TestSnapshot(t *testing.T) {
	lora := nn.LoRAConfig{Targets: []string{"all-linear"}, Rank: 2, Alpha: 8, Dropout: 0.1, Seed: 3}
	add := map[string]func(m *nn.Model) (*RankAllocator, error){
		"lora": func(m *nn.Model) (*RankAllocator, error) { return nil, m.AddLoRA(lora) },
		"adalora": func(m *nn.Model) (*RankAllocator, error) {
			return NewRankAllocator(m, lora, AdaLoRAConfig{InitRank: 2, TargetRank: 1, TInit: 1, TFinal: 1, Total: 6, DeltaT: 1, Beta1: 0.85, Beta2: 0.85, OrthWeight: 0.1})
		},
		"bottlenecks": func(m *nn.Model) (*RankAllocator, error) {
			return nil, m.AddBottlenecks(nn.BottleneckConfig{Style: nn.Houlsby, Size: 4, Seed: 3})
		},
		"nothing": func(m *nn.Model) (*RankAllocator, error) { return nil, nil },
		"an adapter with a pooler": func(m *nn.Model) (*RankAllocator, error) {
			return nil, m.LoadAdapter(fixturePath("bert-tiny-saved-pooler"))
		},
	}
	for _, c := range []struct {
		name, model, inputs string
		cfg                 nn.LoadConfig
		ways                []string
	}{
		{"head", "bert-tiny", "search-inputs", nn.LoadConfig{Labels: 3, Head: nn.HeadStored, DType: torchbind.Float32, Pack: true}, []string{"lora", "adalora", "bottlenecks", "nothing", "an adapter with a pooler"}},
		{"fresh head", "bert-tiny", "search-inputs", nn.LoadConfig{Labels: 3, Head: nn.HeadFresh, Seed: 5, DType: torchbind.Float64}, []string{"lora"}},
		{"every weight", "bert-tiny", "search-inputs", nn.LoadConfig{Labels: 3, Head: nn.HeadStored, DType: torchbind.Float32, Full: true}, []string{"nothing"}},
		{"language model", "gpt2-tiny", "search-gpt2", nn.LoadConfig{Output: nn.CausalLM, DType: torchbind.Float32, Pack: true}, []string{"lora", "adalora", "bottlenecks"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				load := func() *nn.Model {
					c.cfg.Device = torchbind.CPU
					m, err := nn.Load(fixturePath(c.model), c.cfg)
					if err != nil {
						t.Fatal(err)
					}
					return m
				}
				inputs := openFixture(t, c.inputs)
				// train returns the logits before, and all that four steps come to.
				train := func(m *nn.Model, way string) (before, after []float64) {
					_ = s.Do(func(s *torchbind.Scope) error {
						batches := []*Batch{inputs.batch(s, m, "t.0"), inputs.batch(s, m, "t.1")}
						before = m.Logits(s, batches[0].Batch, nil).Float64s()
						allocator, err := add[way](m)
						if err != nil {
							t.Fatal(err)
						}
						trainer := NewTrainer(m, TrainConfig{Steps: 4, LR: 1e-2, AdamW: AdamW(0.01)}, allocator, Execution{Seed: 7})
						for i := range 4 {
							after = append(after, trainer.Step(s, batches[i%2:i%2+1]).Loss)
						}
						for _, w := range trainer.Tensors() {
							after = append(after, w.Value.Float64s()...)
						}
						after = append(after, m.Logits(s, batches[1].Batch, nil).Float64s()...)
						return nil
					})
					return before, after
				}
				one := load()
				defer one.Close()
				snapshot, trained, live := one.Snapshot(), len(one.TrainableParams()), torchbind.Live()
				for round, way := range append(slices.Clone(c.ways), c.ways...) {
					before, after := train(one, way)
					snapshot.Restore()
					what := fmt.Sprintf("round %d, %s", round, way)
					if got := torchbind.Live(); got != live {
						t.Errorf("%s: %d tensors are left", what, got-live)
					}
					if got := len(one.TrainableParams()); got != trained {
						t.Errorf("%s: %d tensors are trained, want %d", what, got, trained)
					}
					fresh := load()
					beforeFresh, afterFresh := train(fresh, way)
					fresh.Close()
					near(t, what+": before", before, beforeFresh, 0)
					near(t, what+": after", after, afterFresh, 0)
				}
			})
		})
	}
}
