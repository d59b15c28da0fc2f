package autolora

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"autolora/nn"
	"autolora/torchbind"
)

// The reference of these tests is testdata/nn/make_adalora.py: PEFT's
// AdaLoraModel.

// peftAdaLoRA is the configuration of the fixtures.
var peftAdaLoRA = AdaLoRAConfig{InitRank: 6, TargetRank: 3, TInit: 4, TFinal: 8, Total: 30, DeltaT: 3, Beta1: 0.85, Beta2: 0.8, OrthWeight: 0.1}

const (
	adaLoRALayers  = 4
	adaLoRAWatched = 12 // the step of which the fixtures have everything
	tolAdaLoRA     = 1e-9
	// PyTorch's own float32 run is up to 9e-7 away from its float64 one (E,
	// logits and scores after 30 steps), whatever computes the latter.
	tolAdaLoRA32 = 5e-6
	// A forward pass in float32: 84 roundings of 6.0e-8, as if all were on one side.
	tolAdaLoRAPass = 5e-6
)

// adaLoRARun is AdaLoRA's training as the lines of make_adalora.py have it.
type adaLoRARun struct {
	model     *nn.Model
	allocator *RankAllocator
	optim     *torchbind.AdamW
	batches   []*Batch
}

func newAdaLoRARun(t *testing.T, s *torchbind.Scope, dtype torchbind.DType, cfg AdaLoRAConfig) *adaLoRARun {
	t.Helper()
	model, err := nn.Load(fixturePath("bert-tiny"), nn.LoadConfig{Labels: 3, Head: nn.HeadStored, DType: dtype, Device: torchbind.CPU})
	if err != nil {
		t.Fatal(err)
	}
	r := &adaLoRARun{model: model}
	if r.allocator, err = NewRankAllocator(model, nn.LoRAConfig{Targets: []string{"query", "value"}, Alpha: 8}, cfg); err != nil {
		t.Fatal(err)
	}
	inputs := openFixture(t, "adalora-inputs")
	for _, p := range r.allocator.Params {
		if start, ok := inputs.Tensor(p.Name); ok && slices.Equal(start.Shape, p.Shape) {
			torchbind.NoGrad(func() { p.Value.CopyInPlace(inputs.tensor(s, p.Name)) })
		}
	}
	r.optim = torchbind.NewAdamW(model.Scope(), nn.Values(model.TrainableParams()), AdamW(0.01))
	for i := range 3 {
		r.batches = append(r.batches, inputs.batch(s, model, fmt.Sprintf("b.%d", i)))
	}
	return r
}

// loss returns the loss of a step, counted from 1, without and with the penalty.
func (r *adaLoRARun) loss(s *torchbind.Scope, step int) (loss, total *torchbind.Tensor) {
	b := r.batches[step%len(r.batches)]
	loss = r.model.Loss(s, b.Batch, b.Labels, nil)
	return loss, torchbind.Add(s, loss, r.allocator.Penalty(s))
}

// step takes the next step.
func (r *adaLoRARun) step(s *torchbind.Scope) (loss, total float64, grads []*torchbind.Tensor, budget int, scores []float64) {
	l, both := r.loss(s, r.allocator.Step+1)
	grads = torchbind.Grad(s, []*torchbind.Tensor{both}, r.optim.Params, nil, false)
	r.optim.Apply(grads, 2e-2)
	budget, scores = r.allocator.Allocate(s, grads)
	return l.Item(), both.Item(), grads, budget, scores
}

func (r *adaLoRARun) logits(s *torchbind.Scope) []float64 {
	return r.model.Logits(s, r.batches[0].Batch, nil).Float64s()
}

// e returns E of all layers.
func (r *adaLoRARun) e() []float64 {
	var all []float64
	for _, l := range r.model.LoRAs() {
		all = append(all, l.E.Value.Float64s()...)
	}
	return all
}

func sum(values []int) int {
	total := 0
	for _, v := range values {
		total += v
	}
	return total
}

// flags returns 1 for true.
func flags(keep [][]bool) []float64 {
	var all []float64
	for _, row := range keep {
		for _, stays := range row {
			all = append(all, map[bool]float64{true: 1}[stays])
		}
	}
	return all
}

// Thirty steps through all phases: losses, budgets, scores, masks and E of every
// step as PEFT has them, and the trained model, folded or not.
func TestAdaLoRAAgainstPEFT(t *testing.T) {
	want, watched := openFixture(t, "adalora-steps"), openFixture(t, fmt.Sprintf("adalora-step-%d", adaLoRAWatched))
	run(t, func(s *torchbind.Scope) {
		r := newAdaLoRARun(t, s, torchbind.Float64, peftAdaLoRA)
		defer r.model.Close()
		start := r.logits(s)
		var losses, totals, budgets, es, allocated, scores, kept []float64
		for step := 1; step <= peftAdaLoRA.Total; step++ {
			loss, total, grads, budget, allocation := r.step(s)
			losses, totals, budgets, es = append(losses, loss), append(totals, total), append(budgets, float64(budget)), append(es, r.e()...)
			if allocation != nil {
				if ranks := r.allocator.Ranks(); sum(ranks) != budget {
					t.Errorf("step %d: ranks %v, the budget is %d", step, ranks, budget)
				}
				allocated, kept = append(allocated, float64(step)), append(kept, flags(r.allocator.Keep())...)
				scores = append(scores, allocation...)
			}
			if step == adaLoRAWatched {
				checkWatched(t, s, r, grads, watched)
			}
		}
		logits := r.logits(s)
		near(t, "budgets", budgets, want.floats(s, "budget"), 0)
		near(t, "steps that allocate", allocated, want.floats(s, "allocated"), 0)
		near(t, "masks", kept, want.floats(s, "kept"), 0)
		for suffix, tolerance := range map[string]float64{"": tolAdaLoRA, ".f32": tolAdaLoRA32} {
			near(t, "logits at the start"+suffix, start, want.floats(s, "base_logits"+suffix), tolerance)
			near(t, "losses"+suffix, losses, want.floats(s, "loss"+suffix), tolerance)
			near(t, "losses with the penalty"+suffix, totals, want.floats(s, "total_loss"+suffix), tolerance)
			near(t, "scores"+suffix, scores, want.floats(s, "scores"+suffix), tolerance)
			near(t, "E"+suffix, es, want.floats(s, "E"+suffix), tolerance)
			near(t, "logits at the end"+suffix, logits, want.floats(s, "logits"+suffix), tolerance)
		}

		r.model.FoldSVD(r.allocator.Keep())
		near(t, "logits of the folded model", r.logits(s), logits, tolAdaLoRA)
		for i, l := range r.model.LoRAs() {
			if int(l.Rank) != r.allocator.Ranks()[i] {
				t.Errorf("layer %d: rank %d, want %d", i, l.Rank, r.allocator.Ranks()[i])
			}
		}
	})
}

// In float32 a step's losses are PEFT's; what Adam then makes of small gradients
// is not to be compared.
func TestAdaLoRAInFloat32(t *testing.T) {
	want := openFixture(t, "adalora-steps")
	run(t, func(s *torchbind.Scope) {
		r := newAdaLoRARun(t, s, torchbind.Float32, peftAdaLoRA)
		defer r.model.Close()
		near(t, "logits", r.logits(s), want.floats(s, "base_logits"), tolAdaLoRAPass)
		loss, total := r.loss(s, 1)
		near(t, "loss", loss.Float64s(), want.floats(s, "loss")[:1], tolAdaLoRAPass)
		near(t, "loss with the penalty", total.Float64s(), want.floats(s, "total_loss")[:1], tolAdaLoRAPass)
	})
}

// checkWatched compares what the allocation saw, and what it knows after.
func checkWatched(t *testing.T, s *torchbind.Scope, r *adaLoRARun, grads []*torchbind.Tensor, want fixture) {
	t.Helper()
	seen := 0
	for i, p := range r.model.TrainableParams() {
		if !strings.Contains(p.Name, ".lora_") {
			continue
		}
		at := slices.Index(r.allocator.Params, p)
		near(t, "gradient of "+p.Name, grads[i].Float64s(), want.floats(s, "grad."+p.Name), tolAdaLoRA)
		near(t, "sensitivity of "+p.Name, r.allocator.Sensitivity[at].Float64s(), want.floats(s, "ipt."+p.Name), tolAdaLoRA)
		near(t, "uncertainty of "+p.Name, r.allocator.Uncertainty[at].Float64s(), want.floats(s, "unc."+p.Name), tolAdaLoRA)
		near(t, "weights of "+p.Name, p.Value.Float64s(), want.floats(s, "weight."+p.Name), tolAdaLoRA)
		seen += 4
	}
	if seen != len(want.Names()) {
		t.Errorf("compared %d tensors, the fixture has %d", seen, len(want.Names()))
	}
}

// The schedule, also where truncation hangs on the last bit.
func TestAdaLoRAScheduleAgainstPEFT(t *testing.T) {
	inputs := openFixture(t, "adalora-inputs")
	run(t, func(s *torchbind.Scope) {
		cases := 0
		for _, name := range inputs.Names() {
			text, ok := strings.CutPrefix(name, "schedule.")
			if !ok {
				continue
			}
			cases++
			var layers int
			var c AdaLoRAConfig
			if _, err := fmt.Sscanf(text, "%d-%d-%d-%d-%d-%d-%d", &layers, &c.InitRank, &c.TargetRank, &c.TInit, &c.TFinal, &c.Total, &c.DeltaT); err != nil {
				t.Fatal(err)
			}
			want := inputs.tensor(s, name).Int64s()
			for step := 1; step <= c.Total; step++ {
				budget, allocates := c.budget(step, layers)
				wantBudget, wantMask := int(want[2*step-2]), want[2*step-1] == 1
				// Its caller adds the last allocation, and has none after it.
				wantMask = step == c.Total-c.TFinal || wantMask && step < c.Total-c.TFinal
				if budget != wantBudget || allocates != wantMask {
					t.Errorf("%s, step %d: budget %d, allocates %v; want %d, %v", text, step, budget, allocates, wantBudget, wantMask)
				}
			}
		}
		if cases < 6 {
			t.Errorf("%d schedules in the fixture", cases)
		}
	})
}

// ∂(loss + penalty) by central differences, for A, B and E.
func TestAdaLoRAGradients(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		r := newAdaLoRARun(t, s, torchbind.Float64, peftAdaLoRA)
		defer r.model.Close()
		for range 8 { // E is not zero any more, but where the step before masked it
			r.step(s)
		}
		objective := func() *torchbind.Tensor { _, total := r.loss(s, 9); return total }
		grads := torchbind.Grad(s, []*torchbind.Tensor{objective()}, nn.Values(r.allocator.Params), nil, false)
		for i, p := range r.allocator.Params {
			got, values := grads[i].Float64s(), p.Value.Float64s()
			var picked, want []float64
			for j := range values {
				if len(values) > 10 && j%23 != 0 {
					continue
				}
				const h = 1e-5
				at := func(v float64) (out float64) {
					moved := slices.Clone(values)
					moved[j] = v
					value := torchbind.FromSlice(s, moved, p.Shape, torchbind.CPU)
					torchbind.NoGrad(func() {
						nn.At([]*nn.Param{p}, []*torchbind.Tensor{value}, func() { out = objective().Item() })
					})
					return out
				}
				picked, want = append(picked, got[j]), append(want, (at(values[j]+h)-at(values[j]-h))/(2*h))
			}
			near(t, p.Name, picked, want, 1e-7) // h² and rounding/h are both 1e-10, of gradients of 1e-2
		}
	})
}

// Where the norm of the orthogonality term is 0 its root has no derivative; the
// gradient is 0 then, not NaN.
func TestPenaltyOfOrthonormalFactors(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		cfg := peftAdaLoRA
		cfg.InitRank, cfg.TargetRank = 1, 1
		r := newAdaLoRARun(t, s, torchbind.Float32, cfg)
		defer r.model.Close()
		torchbind.NoGrad(func() {
			for _, p := range r.allocator.Params {
				unit := make([]float64, p.Value.NumEl())
				unit[0] = 1
				p.Value.CopyInPlace(torchbind.FromSlice(s, unit, p.Shape, torchbind.CPU))
			}
		})
		penalty := r.allocator.Penalty(s)
		if v := penalty.Item(); v > 1e-14 {
			t.Errorf("penalty %v, want 0", v)
		}
		l := r.model.LoRAs()[1]
		for i, g := range torchbind.Grad(s, []*torchbind.Tensor{penalty}, []*torchbind.Tensor{l.A.Value, l.B.Value}, nil, false) {
			if n := torchbind.ForeachNorm([]*torchbind.Tensor{g}); n != 0 {
				t.Errorf("gradient %d has norm %v, want 0", i, n)
			}
		}
	})
}

// With every score the same, ranks sum to the budget all the same: the first
// triplets stay. PEFT masks all of them then.
func TestAllocationOfEqualScores(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		r := newAdaLoRARun(t, s, torchbind.Float32, peftAdaLoRA)
		defer r.model.Close()
		var zeros []*torchbind.Tensor
		for _, p := range r.model.TrainableParams() {
			zeros = append(zeros, torchbind.ZerosLike(s, p.Value))
		}
		for range peftAdaLoRA.Total {
			if budget, scores := r.allocator.Allocate(s, zeros); scores != nil && sum(r.allocator.Ranks()) != budget {
				t.Errorf("step %d: ranks %v, want a sum of %d", r.allocator.Step, r.allocator.Ranks(), budget)
			}
		}
		if got, want := r.allocator.Ranks(), []int{6, 6, 0, 0}; !slices.Equal(got, want) {
			t.Errorf("ranks %v, want %v", got, want)
		}
	})
}

// With the target at the start nothing is ever masked; PEFT fails there.
func TestAllocationOfTheWholeBudget(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		cfg := peftAdaLoRA
		cfg.TargetRank = cfg.InitRank
		r := newAdaLoRARun(t, s, torchbind.Float32, cfg)
		defer r.model.Close()
		allocations := 0
		for range cfg.Total {
			if _, _, _, _, scores := r.step(s); scores != nil {
				allocations++
			}
		}
		if slices.Contains(flags(r.allocator.Keep()), 0) || slices.Contains(r.e(), 0) || allocations == 0 {
			t.Errorf("after %d allocations: %v is kept, E is %v", allocations, r.allocator.Keep(), r.e())
		}
	})
}

// A run that goes on from what it knew after a step ends in the same bytes,
// before the last allocation and after it.
func TestAdaLoRAResumes(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		whole := newAdaLoRARun(t, s, torchbind.Float32, peftAdaLoRA)
		defer whole.model.Close()
		var resumed []*adaLoRARun
		for step := 1; step <= peftAdaLoRA.Total; step++ {
			whole.step(s)
			for _, r := range resumed {
				r.step(s)
			}
			if step == 11 || step == 25 {
				r := newAdaLoRARun(t, s, torchbind.Float32, peftAdaLoRA)
				defer r.model.Close()
				torchbind.ForeachCopyInPlace(r.state(), whole.state())
				r.optim.Step = whole.optim.Step
				if err := r.allocator.Restore(whole.allocator.Step, whole.allocator.Keep()); err != nil {
					t.Fatal(err)
				}
				resumed = append(resumed, r)
			}
		}
		for _, r := range resumed {
			for i, got := range r.state() {
				if !slices.Equal(got.Bytes(), whole.state()[i].Bytes()) {
					t.Errorf("tensor %d differs", i)
				}
			}
			near(t, "masks", flags(r.allocator.Keep()), flags(whole.allocator.Keep()), 0)
		}

		for _, c := range []struct {
			step int
			keep [][]bool
			want string
		}{
			{31, whole.allocator.Keep(), "want 0 to 30"},
			{1, whole.allocator.Keep()[:3], "3 layers, want 4"},
			{1, [][]bool{{true}, {true}, {true}, {true}}, "got 1 triplets, want 6"},
		} {
			if err := whole.allocator.Restore(c.step, c.keep); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("restoring step %d: %v, want one with %q", c.step, err, c.want)
			}
		}
	})
}

// state returns the tensors that a checkpoint has.
func (r *adaLoRARun) state() []*torchbind.Tensor {
	return slices.Concat(r.optim.Params, r.optim.M, r.optim.V, r.allocator.Sensitivity, r.allocator.Uncertainty)
}

// A training too short for its phases is refused.
func TestAdaLoRAOfTooFewSteps(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		cfg := peftAdaLoRA
		cfg.TInit = 22
		if _, err := NewRankAllocator(nil, nn.LoRAConfig{}, cfg); err == nil || !strings.Contains(err.Error(), "22 steps before ranks fall and 8 after, of 30 in all, leave none") {
			t.Errorf("got %v", err)
		}
	})
}
