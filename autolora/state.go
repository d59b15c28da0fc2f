package autolora

import (
	"autolora/nn"
	"autolora/torchbind"
)

// learner is what a search and a training have in common: the weights W that
// AdamW moves under dropout, with their values when the loss was last finite.
type learner struct {
	model   *nn.Model
	weights []*nn.Param // W: all trainable weights
	optim   *torchbind.AdamW
	dropout *nn.DropoutRNG

	good     []*torchbind.Tensor // last values of W with which the loss was finite
	goodStep int64               // of the optimiser then

	best []*torchbind.Tensor // the weights that Remember kept; nil where none are to be
}

func newLearner(model *nn.Model, cfg torchbind.AdamWConfig, seed uint64) learner {
	l := learner{model: model, weights: model.TrainableParams(), dropout: model.Dropout(seed)}
	l.optim = torchbind.NewAdamW(model.Scope(), nn.Values(l.weights), cfg)
	l.good = l.copies()
	return l
}

// copies returns copies of the weights that live as long as the model.
func (l *learner) copies() (all []*torchbind.Tensor) {
	for _, p := range l.weights {
		all = append(all, l.model.Scope().Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
			return torchbind.Clone(s, torchbind.Detach(s, p.Value))
		}))
	}
	return all
}

// keep remembers the present weights, whose loss is finite.
func (l *learner) keep() {
	torchbind.ForeachCopyInPlace(l.good, nn.Values(l.weights))
	l.goodStep = l.optim.Step
}

// Revert puts the last good weights back and returns their step.
func (l *learner) Revert() int64 {
	torchbind.ForeachCopyInPlace(nn.Values(l.weights), l.good)
	return l.goodStep
}

// KeepBest makes room for the best weights. It is called before the first step,
// and before a state is restored.
func (l *learner) KeepBest() { l.best = l.copies() }

// Remember takes the present weights for the best.
func (l *learner) Remember() { torchbind.ForeachCopyInPlace(l.best, nn.Values(l.weights)) }

// Recall puts the weights back that Remember took last.
func (l *learner) Recall() { torchbind.ForeachCopyInPlace(nn.Values(l.weights), l.best) }

// NamedTensor is one tensor of the state that a checkpoint keeps. It is
// restored in place.
type NamedTensor struct {
	Name  string
	Value *torchbind.Tensor
}

// Counters are the numbers of the state that a checkpoint keeps.
type Counters struct {
	Masks uint64   `json:"masks"`          // state of dropout
	Good  int64    `json:"good"`           // step of the last good weights
	W     int64    `json:"w"`              // steps of the optimiser of W
	A     int64    `json:"a,omitempty"`    // steps of the optimiser of a
	Keep  [][]bool `json:"keep,omitempty"` // AdaLoRA's mask, a row per layer
}

// Tensors lists every tensor that the training changes.
func (l *learner) Tensors() []NamedTensor {
	var all []NamedTensor
	for i, w := range l.weights {
		all = append(all,
			NamedTensor{w.Name, w.Value}, NamedTensor{w.Name + ".m", l.optim.M[i]}, NamedTensor{w.Name + ".v", l.optim.V[i]},
			NamedTensor{w.Name + ".good", l.good[i]},
		)
		if l.best != nil {
			all = append(all, NamedTensor{w.Name + ".best", l.best[i]})
		}
	}
	return all
}

// Counters returns the numbers that go with Tensors.
func (l *learner) Counters() Counters {
	return Counters{Masks: l.dropout.State, Good: l.goodStep, W: l.optim.Step}
}

// SetCounters goes on from the numbers of an earlier session.
func (l *learner) SetCounters(c Counters) error {
	l.dropout.State, l.goodStep, l.optim.Step = c.Masks, c.Good, c.W
	return nil
}

// Tensors lists every tensor that the search changes.
func (x *Search) Tensors() []NamedTensor {
	return append(x.learner.Tensors(), NamedTensor{"a", x.a}, NamedTensor{"a.m", x.optimA.M[0]}, NamedTensor{"a.v", x.optimA.V[0]})
}

// Counters returns the numbers that go with Tensors.
func (x *Search) Counters() Counters {
	c := x.learner.Counters()
	c.A = x.optimA.Step
	return c
}

// SetCounters goes on from the numbers of an earlier session.
func (x *Search) SetCounters(c Counters) error {
	x.optimA.Step = c.A
	return x.learner.SetCounters(c)
}

// Tensors lists every tensor that the training changes.
func (t *Trainer) Tensors() []NamedTensor {
	all := t.learner.Tensors()
	if a := t.allocator; a != nil {
		for i, p := range a.Params {
			all = append(all, NamedTensor{p.Name + ".sensitivity", a.Sensitivity[i]}, NamedTensor{p.Name + ".uncertainty", a.Uncertainty[i]})
		}
	}
	return all
}

// Counters returns the numbers that go with Tensors.
func (t *Trainer) Counters() Counters {
	c := t.learner.Counters()
	if t.allocator != nil {
		c.Keep = t.allocator.Keep()
	}
	return c
}

// SetCounters goes on from the numbers of an earlier session.
func (t *Trainer) SetCounters(c Counters) error {
	if t.allocator != nil {
		if err := t.allocator.Restore(int(c.W), c.Keep); err != nil {
			return err
		}
	}
	return t.learner.SetCounters(c)
}
