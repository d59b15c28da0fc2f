package nn

import (
	"slices"

	"autolora/torchbind"
)

// Snapshot is what a model without adapters was, to make it that again: one model
// serves many trainings.
type Snapshot struct {
	model   *Model
	params  []*Param // that training, or an adapter's head, changes
	values  []*torchbind.Tensor
	trained bool // whether the pooler was
}

// Snapshot returns the model as it is, which has no adapters. It copies the head,
// and every weight where all are trained, and lives as long as the model.
func (m *Model) Snapshot() *Snapshot {
	n := &Snapshot{model: m, params: m.TrainableParams()}
	if m.Head != nil {
		n.trained = m.Head.trained
		if m.Head.pooler && !slices.Contains(n.params, m.Head.Dense.Weight) {
			n.params = append(n.params, m.Head.beneath()...)
		}
	}
	for _, p := range n.params {
		n.values = append(n.values, m.scope.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
			return torchbind.Clone(s, torchbind.Detach(s, p.Value))
		}))
	}
	return n
}

// Restore takes every adapter off, frees what Scope holds, and puts the weights
// back. What was made for a training of the model, a trainer or graphs, is not to be
// used any more.
func (n *Snapshot) Restore() {
	m := n.model
	for _, l := range m.linears() {
		clear(l.Adapters)
	}
	for _, r := range m.Body.residuals() {
		r.Adapter = nil
	}
	m.added.Close()
	m.added = torchbind.NewScope()
	torchbind.NoGrad(func() { torchbind.ForeachCopyInPlace(Values(n.params), n.values) })
	if m.Head != nil && m.Head.trained != n.trained {
		m.Head.train(n.trained)
	}
}
