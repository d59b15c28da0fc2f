package nn

import (
	"slices"
	"testing"

	"autolora/nn/safetensors"
	"autolora/torchbind"
)

func tiny(t *testing.T, dtype torchbind.DType) *Model {
	t.Helper()
	m, err := Load(testdata("bert-tiny"), LoadConfig{Labels: 3, Head: HeadStored, DType: dtype, Device: torchbind.CPU})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tinyBatch(t *testing.T, s *torchbind.Scope, m *Model) (*Batch, *torchbind.Tensor) {
	t.Helper()
	seqs, labels := openFixture(t, "expected-bert-tiny").sequences("batch")
	return batchOf(t, s, m, seqs, labels)
}

// Fresh LoRA layers change nothing: B is zero. Rank 0 adds no layer at all.
func TestFreshLoRAIsTheBase(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := tiny(t, torchbind.Float32)
		defer m.Close()
		b, _ := tinyBatch(t, s, m)
		before := m.Logits(s, b, nil).Float64s()
		ranks := map[string]int64{}
		paths, err := m.Modules([]string{"all-linear"})
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range paths {
			ranks[p] = int64(i % 4)
		}
		if err := m.AddLoRA(LoRAConfig{Ranks: ranks, Alpha: 16}); err != nil {
			t.Fatal(err)
		}
		near(t, "logits", m.Logits(s, b, nil).Float64s(), before, 0)
		want := 0
		for _, r := range ranks {
			if r > 0 {
				want++
			}
		}
		if got := len(m.LoRAs()); got != want {
			t.Errorf("%d LoRA layers, want %d", got, want)
		}
	})
}

// α = 1 is LoRA, α = 0 the base, and a general α is Eq. 2 with W + ΔW merged.
func TestSelectionVariables(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := loadAdapted(t, "bert-tiny", testdata("bert-tiny-lora"), 3, false, torchbind.Float64)
		defer m.Close()
		b, _ := tinyBatch(t, s, m)
		plain := m.Logits(s, b, nil).Float64s()
		n, k := int64(len(m.LoRAs())), m.LoRAs()[0].Rank
		alpha := func(fn func(i int) float64) *torchbind.Tensor {
			data := make([]float64, n*k)
			for i := range data {
				data[i] = fn(i)
			}
			return torchbind.FromSlice(s, data, []int64{n, k}, torchbind.CPU)
		}
		m.Select(s, alpha(func(int) float64 { return 1 }))
		near(t, "logits with α = 1", m.Logits(s, b, nil).Float64s(), plain, 1e-13)

		m.Select(s, alpha(func(i int) float64 { return float64(i%5) / 3 }))
		selected := m.Logits(s, b, nil).Float64s()
		merged, err := m.merged(safetensors.F32)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(selected, plain) {
			t.Error("α has no effect")
		}
		m.Select(s, nil)
		near(t, "logits without α again", m.Logits(s, b, nil).Float64s(), plain, 0)
		checkMerged(t, s, m, merged, b, selected)
	})
}

// checkMerged puts merged weights, in float32, in place of the base's and compares logits.
func checkMerged(t *testing.T, s *torchbind.Scope, m *Model, merged []safetensors.Tensor, b *Batch, want []float64) {
	t.Helper()
	for _, l := range m.Body.linears() {
		clear(l.Adapters)
	}
	values := make(map[string]*torchbind.Tensor)
	for _, x := range merged {
		values[x.Name] = torchbind.FromBytes(s, x.Data, torchbind.Float32, x.Shape, torchbind.CPU)
	}
	torchbind.NoGrad(func() {
		for _, p := range m.Params() {
			for i, key := range p.Keys() {
				p.Stored(s, p.Value, i).CopyInPlace(values[key])
			}
		}
	})
	near(t, "logits of merged weights", m.Logits(s, b, nil).Float64s(), want, tolMerged)
}

func TestTargets(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := tiny(t, torchbind.Float32)
		defer m.Close()
		for _, c := range []struct {
			targets []string
			count   int
		}{
			{[]string{"query", "value"}, 4},
			{[]string{"attention.output.dense"}, 2},
			{[]string{"output.dense"}, 4}, // of attention and of the feed-forward layer, as PEFT matches
			{[]string{"all-linear"}, 12},
			{[]string{"attention"}, 8},
			{[]string{"feed-forward"}, 4},
			{[]string{"query+value"}, 4},
			{[]string{"feed-forward+output.dense+pooler.dense"}, 7},
			{[]string{"query+proj"}, 0},
			{[]string{"bert.encoder.layer.1.attention.self.key"}, 1},
			{[]string{"dense"}, 7}, // and the pooler
			{[]string{"pooler.dense"}, 1},
			{[]string{"q_proj", "v_proj"}, 4}, // of other architectures
			{[]string{"self_attn.o_proj", "mlp.c_proj"}, 4},
			{[]string{"c_attn", "query"}, 6},
			{[]string{"model.layers.1.self_attn.q_proj"}, 0}, // another model's block
		} {
			paths, err := m.Modules(c.targets)
			if (err != nil) != (c.count == 0) || len(paths) != c.count {
				t.Errorf("targets %v: %d modules, %v; want %d", c.targets, len(paths), err, c.count)
			}
		}
		_, err := m.Modules([]string{"query", "proj"})
		oneLine(t, err, `"proj" names no linear layer`)
		oneLine(t, m.AddLoRA(LoRAConfig{Targets: []string{"query"}, Rank: 33, Alpha: 1}), "want 0 to 32")
	})
}

// Dropout has one mask per seed: repeated with the same state, the loss is the
// same; without, it is not; and in evaluation there is none.
func TestDropoutMasks(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		p := 0.3
		m, err := Load(testdata("roberta-tiny"), LoadConfig{Labels: 2, Head: HeadStored, Dropout: &p, DType: torchbind.Float32, Device: torchbind.CPU})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.AddLoRA(LoRAConfig{Targets: []string{"query", "value"}, Rank: 2, Alpha: 4, Dropout: 0.2}); err != nil {
			t.Fatal(err)
		}
		seqs, labels := openFixture(t, "expected-roberta-tiny").sequences("batch")
		b, y := batchOf(t, s, m, seqs, labels)
		rng := &DropoutRNG{State: 7}
		saved := *rng
		first := m.Loss(s, b, y, rng).Item()
		second := m.Loss(s, b, y, rng).Item()
		*rng = saved
		again := m.Loss(s, b, y, rng).Item()
		if first != again {
			t.Errorf("loss %v with the same masks, want %v", again, first)
		}
		if first == second {
			t.Errorf("two steps have the same masks")
		}
		near(t, "logits in evaluation", m.Logits(s, b, nil).Float64s(), openFixture(t, "expected-roberta-tiny").floats("logits"), tolLogits32)
	})
}
