package nn

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"autolora/torchbind"
)

const svdRank = 5

// svdModel returns bert-tiny with layers of the SVD form on query and value of
// both blocks, fresh or with made-up singular values.
func svdModel(t *testing.T, dtype torchbind.DType, e func(layer, j int) float64) *Model {
	t.Helper()
	m := tiny(t, dtype)
	if err := m.AddLoRA(LoRAConfig{Targets: []string{"query", "value"}, Rank: svdRank, Alpha: 16, SVD: true, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	for i, l := range m.LoRAs() {
		setE(l, func(j int) float64 { return e(i, j) })
	}
	return m
}

func setE(l *LoRA, e func(j int) float64) {
	s := torchbind.NewScope()
	defer s.Close()
	data := make([]float64, l.Rank)
	for j := range data {
		data[j] = e(j)
	}
	torchbind.NoGrad(func() { l.E.Value.CopyInPlace(torchbind.FromSlice(s, data, []int64{l.Rank}, torchbind.CPU)) })
}

// Fresh layers of the SVD form change nothing, since E is zero; A and B are
// normal with deviation 0.02, as PEFT's.
func TestFreshSVDIsTheBase(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := tiny(t, torchbind.Float32)
		defer m.Close()
		b, _ := tinyBatch(t, s, m)
		before := m.Logits(s, b, nil).Float64s()
		if err := m.AddLoRA(LoRAConfig{Targets: []string{"all-linear"}, Rank: 8, Alpha: 16, SVD: true}); err != nil {
			t.Fatal(err)
		}
		near(t, "logits", m.Logits(s, b, nil).Float64s(), before, 0)
		if got, want := len(m.AdapterParams()), 3*12; got != want {
			t.Errorf("%d parameters of the adapter, want %d", got, want)
		}
		var square float64
		var n int
		for _, l := range m.LoRAs() {
			for _, p := range []*Param{l.A, l.B} {
				for _, v := range p.Value.Float64s() {
					square += v * v
					n++
				}
			}
			if e := l.E; e.Name != l.Module+".lora_E" || !slices.Equal(e.Shape, []int64{8}) || !e.Value.RequiresGrad() {
				t.Errorf("E of %s is %+v", l.Module, e)
			}
		}
		if std := math.Sqrt(square / float64(n)); math.Abs(std-0.02) > 0.001 { // of 8192 numbers: 6 times its own deviation
			t.Errorf("A and B have the standard deviation %.4f, want 0.02", std)
		}
	})
}

// The SVD form is the layer of the selection variables with E for α, but for
// the 1e-5 in its scale.
func TestSVDIsSelectionByE(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		e := func(i, j int) float64 { return float64((3*i+j)%7)*20 - 50 }
		m := svdModel(t, torchbind.Float64, e)
		defer m.Close()
		b, _ := tinyBatch(t, s, m)
		svd, merged := m.Logits(s, b, nil).Float64s(), m.LoRAs()[2].Delta(s).Float64s()
		var alpha []float64
		for i, l := range m.LoRAs() {
			for j := range svdRank {
				alpha = append(alpha, e(i, j)*svdRank/(svdRank+1e-5))
			}
			l.E = nil
		}
		m.Select(s, torchbind.FromSlice(s, alpha, []int64{4, svdRank}, torchbind.CPU))
		near(t, "logits", m.Logits(s, b, nil).Float64s(), svd, 1e-13)
		near(t, "ΔW", m.LoRAs()[2].Delta(s).Float64s(), merged, 1e-13)
	})
}

// E multiplies B instead of x Aᵀ: another order of the same roundings, of 1.1e-16 in
// sums of some hundred terms.
const tolFolded = 1e-13

// A folded model is plain LoRA at the kept ranks, and computes the same, also
// when it was written and read as PEFT's adapter.
func TestFoldSVD(t *testing.T) {
	keep := [][]bool{
		{true, false, true, true, false},
		{false, false, false, false, false},
		{true, true, true, true, true},
		{false, false, false, false, true},
	}
	ranks := []int64{3, 5, 1} // of the layers that stay
	e := func(i, j int) float64 {
		if !keep[i][j] {
			return 0
		}
		return float64((3*i+j)%7)*20 - 50.5
	}
	for _, dtype := range bothTypes {
		t.Run(dtype.String(), func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := svdModel(t, dtype, e)
				defer m.Close()
				b, y := tinyBatch(t, s, m)
				base, svd := baseLogits(t, s, dtype), m.Logits(s, b, nil).Float64s()
				if slices.Equal(base, svd) {
					t.Fatal("E has no effect")
				}
				layers := m.LoRAs()
				m.FoldSVD(keep)
				if dtype == torchbind.Float64 {
					near(t, "logits of the folded model", m.Logits(s, b, nil).Float64s(), svd, tolFolded)
				}
				var got []int64
				for _, l := range m.LoRAs() {
					got = append(got, l.Rank)
					if l.E != nil || l.Alpha != 16 || l.Module == layers[1].Module {
						t.Errorf("%s is no plain layer: %+v", l.Module, l)
					}
				}
				if !slices.Equal(got, ranks) {
					t.Errorf("ranks %v, want %v", got, ranks)
				}
				// It can be trained on.
				params := m.TrainableParams()
				optim := torchbind.NewAdamW(m.Scope(), Values(params), torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8})
				optim.Apply(torchbind.Grad(s, []*torchbind.Tensor{m.Loss(s, b, y, nil)}, Values(params), nil, false), 1e-3)

				dir := filepath.Join(t.TempDir(), "adapter")
				if err := writeAdapter(dir, m); err != nil {
					t.Fatal(err)
				}
				again := loadAdapted(t, "bert-tiny", dir, 3, false, dtype)
				defer again.Close()
				if dtype == torchbind.Float64 {
					near(t, "logits of the adapter", again.Logits(s, b, nil).Float64s(), m.Logits(s, b, nil).Float64s(), tolFactors)
					return
				}
				for i, p := range params { // what is stored is what is computed with
					near(t, p.Name, again.TrainableParams()[i].Value.Float64s(), torchbind.Detach(s, p.Value).Float64s(), 0)
				}
			})
		})
	}
}

func baseLogits(t *testing.T, s *torchbind.Scope, dtype torchbind.DType) []float64 {
	m := tiny(t, dtype)
	defer m.Close()
	b, _ := tinyBatch(t, s, m)
	return m.Logits(s, b, nil).Float64s()
}

// What keep leaves out is gone, whatever its E: as if that were zero. With
// nothing kept the model is the base, to the bit.
func TestFoldSVDLeavesOutWhatIsNotKept(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		e := func(i, j int) float64 { return float64(10 + i - 3*j) }
		for _, kept := range []int{0, 2} {
			t.Run(fmt.Sprint(kept), func(t *testing.T) {
				keep := make([][]bool, 4)
				for i := range keep {
					keep[i] = make([]bool, svdRank)
					for j := range kept {
						keep[i][(i+j)%svdRank] = true
					}
				}
				m := svdModel(t, torchbind.Float64, e)
				defer m.Close()
				b, _ := tinyBatch(t, s, m)
				for i, l := range m.LoRAs() {
					setE(l, func(j int) float64 {
						if keep[i][j] {
							return e(i, j)
						}
						return 0
					})
				}
				want, tolerance := m.Logits(s, b, nil).Float64s(), 1e-13
				if kept == 0 {
					want, tolerance = baseLogits(t, s, torchbind.Float64), 0
				}
				for i, l := range m.LoRAs() {
					setE(l, func(j int) float64 { return e(i, j) })
				}
				m.FoldSVD(keep)
				near(t, "logits", m.Logits(s, b, nil).Float64s(), want, tolerance)
			})
		}
	})
}
