package autolora

import (
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// ablations is the measurement of the rule ablation: LoRA of rank k on all targets is
// trained on one half of the data, and a part is worth what leaving it out costs in
// loss on the other (see Ablation). It costs the training, and of n parts about n
// steps for each batch that is observed.
type ablations struct {
	*Ablation
	gradient, hessian, sums *torchbind.Tensor // what Observe changes, for a checkpoint; sums are weight and loss
}

func newAblations(model *nn.Model, cfg MeasureConfig) (Measurement, error) {
	cfg.LoRA.Rank, cfg.LoRA.Ranks = int64(cfg.K), nil
	if err := model.AddLoRA(cfg.LoRA); err != nil {
		return nil, err
	}
	x := NewAblation(model)
	n := int64(x.parts)
	return &ablations{x, numbers(model, n), numbers(model, n, n), numbers(model, 2)}, nil
}

// Halves implements Measurement.
func (m *ablations) Halves() (first, other bool) { return false, true }

// Observe implements Measurement.
func (m *ablations) Observe(s *torchbind.Scope, b *Batch, _ bool) Work {
	m.load()
	m.Work = Work{}
	m.Add(s, b)
	set(m.gradient, m.Ablation.gradient)
	set(m.hessian, slices.Concat(m.Ablation.hessian...))
	set(m.sums, []float64{m.weight, m.loss})
	return m.Work
}

// load takes what the tensors hold.
func (m *ablations) load() {
	m.Ablation.gradient = m.gradient.Float64s()
	m.Ablation.hessian = slices.Collect(slices.Chunk(m.hessian.Float64s(), m.parts))
	sums := m.sums.Float64s()
	m.weight, m.loss = sums[0], sums[1]
}

// Worth implements Measurement.
func (m *ablations) Worth(costs []int64) ([][]float64, error) {
	m.load()
	return m.Ablation.Worth(costs), nil
}

// Layers implements Measurement.
func (m *ablations) Layers() []string { return layerNames(m.model.LoRAs()) }

// Tensors implements Measurement.
func (m *ablations) Tensors() []NamedTensor {
	return []NamedTensor{{"ablation.gradient", m.gradient}, {"ablation.hessian", m.hessian}, {"ablation.sums", m.sums}}
}
