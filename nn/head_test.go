package nn

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"autolora/data"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// Search computes a segment again in a scope of its own, to have less in memory.
func TestWeightedLossAgain(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := mustLoad(t, testdata("bert-tiny"), LoadConfig{
			Labels: 3, Head: HeadStored, ClassWeights: []float64{1, 2, 0.5}, DType: torchbind.Float32, Device: torchbind.CPU,
		})
		defer m.Close()
		b, err := m.NewBatch(s, &data.Batch{IDs: []int64{2, 11, 3}, Segments: make([]int64, 3), Lengths: []int{3}})
		if err != nil {
			t.Fatal(err)
		}
		segments := m.Segments(s, b, m.Targets(s, b, []int64{1}))
		loss := func() (loss float64) {
			_ = s.Do(func(s *torchbind.Scope) error {
				loss = forward(s, segments, nil).Item()
				return nil
			})
			return loss
		}
		if first, again := loss(), loss(); first != again {
			t.Errorf("loss %v, and then %v", first, again)
		}
	})
}

// Weights of several labels are the weight and pos_weight of PyTorch's loss.
func TestWeightsOfSeveralLabels(t *testing.T) {
	weights := []float64{0.75, 1.5, 2, 2.0 / 3, 1, 0.5} // of each label, absent and present
	// import torch.nn.functional as F
	// from safetensors.torch import load_file  # of expected-bert-several.safetensors
	// x = load_file(…)["logits.f64"].requires_grad_(); y = load_file(…)["batch.labels"].double(); w = torch.tensor(weights).double().view(3, 2)
	// loss = F.binary_cross_entropy_with_logits(x, y, weight=w[:, 0], pos_weight=w[:, 1] / w[:, 0]); loss.backward(); x.grad.sum(0)
	const loss = 0.6692415029100539
	gradient := []float64{0.022125158467621017, -0.015962195293268457, 0.09803009852480814}
	run(t, func(s *torchbind.Scope) {
		values := openFixture(t, "expected-bert-several")
		seqs, _ := values.sequences("batch")
		classes := make([]int64, 0, 15)
		for _, v := range values.floats("batch.labels") {
			classes = append(classes, int64(v))
		}
		losses := func(weights []float64, round bool) (loss, gradient []float64) {
			m := mustLoad(t, testdata("bert-several"), LoadConfig{
				Output: MultiLabel, Labels: 3, Head: HeadStored, ClassWeights: weights, Round: round, DType: torchbind.Float64, Device: torchbind.CPU,
			})
			defer m.Close()
			b, err := m.NewBatch(s, &seqs)
			if err != nil {
				t.Fatal(err)
			}
			l := m.Loss(s, b, m.Targets(s, b, classes), nil)
			return l.Float64s(), torchbind.Grad(s, []*torchbind.Tensor{l}, []*torchbind.Tensor{m.Head.OutB.Value}, nil, false)[0].Float64s()
		}
		for _, round := range []bool{false, true} {
			l, g := losses(weights, round)
			near(t, "loss", l, []float64{loss}, tolerance64)
			near(t, "gradient of the bias", g, gradient, tolerance64)
		}
		l, _ := losses([]float64{1, 1, 1, 1, 1, 1}, false)
		near(t, "loss with weights of 1", l, values.floats("loss.f64"), tolerance64)
	})
}

// A regression that is learnt in other units has the same scores, and is stored as one
// that is not: with a bias, which takes the mean, and without.
func TestUnits(t *testing.T) {
	for _, name := range []string{"bert-tiny-regression", "gemma3-regression"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				load := func(dir string, head HeadSource, units Units) *Model {
					return mustLoad(t, dir, LoadConfig{
						Output: Regression, Labels: 1, Head: head, Units: units, DType: torchbind.Float64, Device: torchbind.CPU,
					})
				}
				values := openFixture(t, "expected-"+name+"-lora")
				seqs, labels := values.sequences("batch")
				m := load(testdata(name), HeadFresh, Units{Mean: 300, Scale: 20})
				defer m.Close()
				logits := func(m *Model) []float64 {
					b, _ := batchOf(t, s, m, seqs, labels)
					return m.Logits(s, b, nil).Float64s()
				}
				if m.Head.OutB != nil { // a fresh head begins near the mean
					near(t, "fresh scores", logits(m), slices.Repeat([]float64{300}, len(labels)), 0.1)
				}
				if err := m.LoadAdapter(testdata(name + "-lora")); err != nil {
					t.Fatal(err)
				}
				scores := values.floats("logits.f64")
				near(t, "scores", logits(m), scores, tolerance64)
				b, y := batchOf(t, s, m, seqs, labels)
				loss := m.Loss(s, b, y, nil)
				near(t, "loss", []float64{loss.Item() * m.LossScale()}, values.floats("loss.f64"), tolerance64)

				gradient := torchbind.Grad(s, []*torchbind.Tensor{loss}, []*torchbind.Tensor{m.Head.Out.Value}, nil, false)[0]
				plain := load(testdata(name), HeadFresh, Units{})
				defer plain.Close()
				if err := plain.LoadAdapter(testdata(name + "-lora")); err != nil {
					t.Fatal(err)
				}
				want := torchbind.Grad(s, []*torchbind.Tensor{plain.Loss(s, b, y, nil)}, []*torchbind.Tensor{plain.Head.Out.Value}, nil, false)[0]
				scale := math.Sqrt(m.LossScale())
				near(t, "gradient", torchbind.MulScalar(s, gradient, scale).Float64s(), want.Float64s(), tolerance64)
				torchbind.NoGrad(func() { m.Head.Out.Value.CopyInPlace(torchbind.AddScalar(s, m.Head.Out.Value, 0.5)) })

				dir := filepath.Join(t.TempDir(), "adapter")
				if err := writeAdapter(dir, m); err != nil {
					t.Fatal(err)
				}
				if err := plain.LoadAdapter(dir); err != nil {
					t.Fatal(err)
				}
				near(t, "scores of the adapter", logits(plain), logits(m), tolMerged)
				merged := filepath.Join(t.TempDir(), "merged")
				if err := m.Write(merged, []string{"a"}, safetensors.F32); err != nil {
					t.Fatal(err)
				}
				for _, units := range []Units{{}, {Mean: 3, Scale: 2}} {
					whole := load(merged, HeadStored, units)
					near(t, "scores of the merged model", logits(whole), logits(m), tolMerged)
					whole.Close()
				}
			})
		})
	}
}
