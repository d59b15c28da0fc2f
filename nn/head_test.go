package nn

import (
	"testing"

	"autolora/data"
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
