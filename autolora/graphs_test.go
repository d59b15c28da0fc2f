package autolora

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// graphTest is a search or a training whose steps may be replayed.
type graphTest struct {
	name string
	make func(t *testing.T, m *nn.Model, graphs *Graphs) (step func(s *torchbind.Scope, t, v *Batch) []float64, work func() Work, masks *nn.DropoutRNG)
}

func searchTest(name string, cfg SearchConfig, unroll bool) graphTest {
	return graphTest{name, func(t *testing.T, m *nn.Model, graphs *Graphs) (func(s *torchbind.Scope, t, v *Batch) []float64, func() Work, *nn.DropoutRNG) {
		cfg.K, cfg.LoRADropout, cfg.Form, cfg.Scale, cfg.Eta, cfg.Unroll = searchK, 0.1, Softmax, 1, 0.05, 1
		cfg.LRWeights, cfg.LRAlpha, cfg.AdamW, cfg.AdamWA = 1e-3, 1e-2, AdamW(0.01), AdamW(0)
		x, err := NewSearch(m, nn.LoRAConfig{Targets: []string{"query", "value"}, Alpha: 8}, cfg, Execution{Seed: 1, Graphs: graphs})
		if err != nil {
			t.Fatal(err)
		}
		if !cfg.Replayable() {
			t.Fatal("this search has no graphs")
		}
		n := 0
		var work Work
		return func(s *torchbind.Scope, t, v *Batch) []float64 {
			n++
			step := x.Iterate(s, t, v, !unroll || n%2 == 0)
			work.Add(step.Work)
			return slices.Concat([]float64{step.TrainLoss, step.Direct, step.Implicit}, x.a.Float64s(), values(x.weights))
		}, func() Work { return work }, x.dropout
	}}
}

func trainTest(name string, adalora bool, accumulate int) graphTest {
	return graphTest{name, func(t *testing.T, m *nn.Model, graphs *Graphs) (func(s *torchbind.Scope, t, v *Batch) []float64, func() Work, *nn.DropoutRNG) {
		lora := nn.LoRAConfig{Targets: []string{"query", "value"}, Rank: 3, Alpha: 8, Dropout: 0.1}
		var allocator *RankAllocator
		var err error
		if adalora {
			allocator, err = NewRankAllocator(m, lora, AdaLoRAConfig{InitRank: 4, TargetRank: 2, TInit: 2, TFinal: 4, Total: 24, DeltaT: 2, Beta1: 0.85, Beta2: 0.85, OrthWeight: 0.1})
		} else {
			err = m.AddLoRA(lora)
		}
		if err != nil {
			t.Fatal(err)
		}
		trainer := NewTrainer(m, TrainConfig{Steps: 24, LR: 1e-3, Clip: 0.5, AdamW: AdamW(0.01)}, allocator, Execution{Seed: 1, Graphs: graphs})
		var work Work
		return func(s *torchbind.Scope, t, v *Batch) []float64 {
			step := trainer.Step(s, []*Batch{t, v}[:accumulate])
			work.Add(step.Work)
			return append([]float64{step.Loss, step.GradNorm}, values(m.TrainableParams())...)
		}, func() Work { return work }, trainer.dropout
	}}
}

// Steps that are replayed compute the numbers of steps that are not: what is
// captured depends on nothing but the tensors that are filled before a replay.
// The CPU's graphs, which call what was captured again, show that; dropout and
// every count go on as without.
func TestGraphs(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	for _, tt := range []graphTest{
		searchTest("exact search", SearchConfig{Mode: Exact, LookAhead: SGD}, false),
		searchTest("exact search, unrolled, a first", SearchConfig{Mode: Exact, LookAhead: SGD, Order: AlphaFirst}, true),
		searchTest("first order", SearchConfig{Mode: FirstOrder}, false),
		trainTest("lora", false, 1), trainTest("lora, accumulated", false, 2), trainTest("adalora", true, 1),
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				steps := func(graphs *Graphs) (all []float64, work Work, masks nn.DropoutRNG) {
					m := roundedModel(t, 0.1, true)
					defer m.Close()
					defer graphs.Close()
					step, done, state := tt.make(t, m, graphs)
					for i := range 12 {
						s := torchbind.NewScope() // batches and what is computed of them do not outlive their step
						all = append(all, step(s, inputs.batch(s, m, fmt.Sprintf("t.%d", i%4)), inputs.batch(s, m, fmt.Sprintf("v.%d", (i+1)%4)))...)
						s.Close()
					}
					return all, done(), *state
				}
				graphs := NewGraphs(torchbind.CPU, func(line string) { t.Error(line) })
				got, work, masks := steps(graphs)
				want, wantWork, wantMasks := steps(nil)
				near(t, "numbers", got, want, tolExact)
				if work != wantWork || masks != wantMasks {
					t.Errorf("work %+v and masks %v, want %+v and %v", work, masks, wantWork, wantMasks)
				}
				if len(graphs.graphs) == 0 {
					t.Error("no graph was captured")
				}
			})
		})
	}
}

// What cannot be captured is computed without a graph, and said once.
func TestGraphFallsBack(t *testing.T) {
	inputs := openFixture(t, "search-inputs")
	run(t, func(s *torchbind.Scope) {
		var said []string
		c := NewGraphs(torchbind.CPU, func(line string) { said = append(said, line) })
		defer c.Close()
		m := roundedModel(t, 0, true)
		defer m.Close()
		var work Work
		masks := m.Dropout(7)
		for range GraphAfter + 3 {
			b := inputs.batch(s, m, "t.0")
			out := c.run(s, []*Batch{b}, &work, masks, func(s *torchbind.Scope, batches []*Batch) []*torchbind.Tensor {
				loss := m.Loss(s, batches[0].Batch, batches[0].Labels, nil)
				work.Forward++
				return []*torchbind.Tensor{torchbind.MulScalar(s, loss, loss.Item())} // the host reads
			})
			if loss := m.Loss(s, b.Batch, b.Labels, nil).Item(); out[0].Item() != loss*loss {
				t.Errorf("got %v, want %v", out[0].Item(), loss*loss)
			}
		}
		if len(said) != 1 || !strings.Contains(said[0], "no CUDA graphs") || !c.stopped {
			t.Errorf("said %q", said)
		}
		if work.Forward != GraphAfter+3 || masks.State != 7 {
			t.Errorf("work %+v, masks %v", work, masks)
		}
	})
}
