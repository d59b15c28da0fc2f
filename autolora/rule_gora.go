package autolora

import (
	"math"

	"autolora/nn"
	"autolora/torchbind"
)

// importances is the measurement of the rule gora (GoRA, He et al. 2025,
// arXiv:2502.12171): the importance of a layer is
//
//	I = mean |W ∘ G|
//
// over the entries of its weight W, with the mean gradient G over some batches, at
// the pretrained weights. Layers share a budget in proportion to it (goraRanks). A
// worth of I/j of a layer's j-th part makes a choice by worth for cost do the same
// within a budget that is never passed: d'Hondt's divisors.
//
// It costs a forward and a backward pass a batch. The authors' gradients are those of
// language models; here the head is trained for some steps first, without which a
// fresh one makes all of them noise.
type importances struct {
	probed
	mean   []*torchbind.Tensor // Σ weight·G of each layer [out, in]
	weight *torchbind.Tensor   // [1], sum of the batches' weights
}

func newImportances(model *nn.Model, cfg MeasureConfig) (Measurement, error) {
	p, err := newProbed(model, cfg)
	if err != nil {
		return nil, err
	}
	return &importances{p, meanGradients(p), numbers(model, 1)}, nil
}

// Halves implements Measurement.
func (m *importances) Halves() (first, other bool) { return true, false }

// Observe implements Measurement.
func (m *importances) Observe(s *torchbind.Scope, b *Batch, _ bool) Work {
	x, dy, work := m.factors(s, b)
	accumulateGradients(m.mean, x, dy, b.Weight)
	increase(m.weight, 0, b.Weight)
	return work
}

// Worth implements Measurement.
func (m *importances) Worth([]int64) ([][]float64, error) {
	worth := make([][]float64, len(m.probes))
	for i, probe := range m.probes {
		s := torchbind.NewScope()
		torchbind.NoGrad(func() {
			w := torchbind.To(s, m.model.ModuleWeight(s, probe.Module), m.mean[i].DType(), m.model.Device())
			product := abs(s, []*torchbind.Tensor{torchbind.Mul(s, w, m.mean[i])})[0]
			importance := torchbind.Mean(s, product).Item() / m.weight.Float64s()[0]
			for j := range m.K {
				worth[i] = append(worth[i], importance/float64(j+1))
			}
		})
		s.Close()
	}
	return worth, nil
}

// Tensors implements Measurement.
func (m *importances) Tensors() []NamedTensor {
	return append(m.named(m.mean, "gradient"), NamedTensor{"weight", m.weight})
}

// gora returns GoRA's ranks of the evidence, whose first parts have the importances.
func gora(e Evidence) []int {
	importances := make([]float64, len(e.Worth))
	for i, row := range e.Worth {
		importances[i] = row[0]
	}
	return goraRanks(importances, e.Costs, e.K)
}

// goraRanks returns GoRA's ranks for importances I, as the authors' code has them
// (its strategy "moderate"):
//
//	r = ⌊round(B · I/ΣI) / (m + n)⌋, at least min and at most max,
//
// with the budget B = r₀·Σ(m + n) of a reference rank r₀, whose half is min and whose
// fourfold is max; max is k here. (The rounding is Python's, of halves to even.)
func goraRanks(importances []float64, costs []int64, k int) []int {
	reference := max(1, k/4)
	least, budget, total := max(1, reference/2), 0.0, 0.0
	for i, importance := range importances {
		budget += float64(costs[i]) * float64(reference)
		total += importance
	}
	ranks := make([]int, len(importances))
	for i, importance := range importances {
		rank := 0.0
		if total > 0 {
			rank = math.Floor(math.RoundToEven(budget*(importance/total)) / float64(costs[i]))
		}
		ranks[i] = min(max(int(rank), least), k)
	}
	return ranks
}
