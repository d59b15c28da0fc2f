package autolora

import (
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// ablations is the measurement of the rule ablation: LoRA of rank k on all targets is
// trained on one half of the data, and a part is worth what leaving it out costs in
// loss on the other, to the second order (see Ablate; here with one expansion, around
// all parts). It costs the training, and two steps for each batch that is observed.
type ablations struct {
	*expansion
	state  *torchbind.Tensor // the expansion's sums, for a checkpoint
	broken error             // of what was trained, or of a batch
}

func newAblations(model *nn.Model, cfg MeasureConfig) (Measurement, error) {
	cfg.LoRA.Rank, cfg.LoRA.Ranks = int64(cfg.K), nil
	if err := model.AddLoRA(cfg.LoRA); err != nil {
		return nil, err
	}
	m := &ablations{expansion: newExpansion(model, make([]bool, len(model.LoRAs())*cfg.K), cfg.LoRA.Seed)}
	m.state = numbers(model, int64(len(slices.Concat(m.fields()...))))
	return m, nil
}

// fields are what the state holds.
func (m *ablations) fields() [][]float64 {
	return [][]float64{{m.batches, m.weight}, m.gradient, m.squares[0], m.squares[1], m.squares[2], m.curvature}
}

// load takes what the state holds.
func (m *ablations) load() {
	state := m.state.Float64s()
	m.batches, m.weight = state[0], state[1]
	for _, field := range m.fields() {
		copy(field, state)
		state = state[len(field):]
	}
}

// Halves implements Measurement.
func (m *ablations) Halves() (first, other bool) { return false, true }

// Observe implements Measurement.
func (m *ablations) Observe(s *torchbind.Scope, b *Batch, _ bool) Work {
	m.load()
	m.work = Work{}
	if m.batches == 0 { // what is trained is trained
		_, m.broken = Trained(m.model)
	}
	if m.broken != nil {
		return m.work
	}
	m.broken = m.add(s, b)
	set(m.state, slices.Concat(m.fields()...))
	return m.work
}

// Worth implements Measurement.
func (m *ablations) Worth(costs []int64) ([][]float64, error) {
	if m.broken != nil {
		return nil, m.broken
	}
	m.load()
	var each []float64
	rows := make([][]float64, len(costs))
	for i, cost := range costs {
		rows[i] = make([]float64, m.model.LoRAs()[i].Rank)
		each = append(each, slices.Repeat([]float64{float64(cost)}, len(rows[i]))...)
	}
	l := newLeaving(each)
	l.leave(m.expansion, 0)
	return l.rows(rows), nil
}

// Layers implements Measurement.
func (m *ablations) Layers() []string { return layerNames(m.model.LoRAs()) }

// Tensors implements Measurement.
func (m *ablations) Tensors() []NamedTensor { return []NamedTensor{{"ablation", m.state}} }
