package autolora

import (
	"autolora/nn"
	"autolora/torchbind"
)

// NamedTensor is one tensor of the state that a checkpoint keeps. It is
// restored in place.
type NamedTensor struct {
	Name  string
	Value *torchbind.Tensor
}

// Counters are the numbers of the state that a checkpoint keeps.
type Counters struct {
	Masks uint64   `json:"masks"`          // state of dropout
	Good  int64    `json:"good"`           // step of lastGood
	W     int64    `json:"w"`              // steps of the optimiser of W
	A     int64    `json:"a,omitempty"`    // steps of the optimiser of a
	Keep  [][]bool `json:"keep,omitempty"` // AdaLoRA's mask, a row per layer
}

// weightState lists weights, their optimiser's moments and their last good
// values.
func weightState(weights []*nn.Param, optim *torchbind.AdamW, good *lastGood) []NamedTensor {
	var all []NamedTensor
	for i, w := range weights {
		all = append(all,
			NamedTensor{w.Name, w.Value}, NamedTensor{w.Name + ".m", optim.M[i]}, NamedTensor{w.Name + ".v", optim.V[i]},
			NamedTensor{w.Name + ".good", good.copies[i]},
		)
	}
	return all
}

// Tensors lists every tensor that the search changes.
func (x *Search) Tensors() []NamedTensor {
	return append(weightState(x.weights, x.optimW, x.good),
		NamedTensor{"a", x.a}, NamedTensor{"a.m", x.optimA.M[0]}, NamedTensor{"a.v", x.optimA.V[0]})
}

func (x *Search) Counters() Counters {
	return Counters{Masks: x.dropout.State, Good: x.good.step, W: x.optimW.Step, A: x.optimA.Step}
}

func (x *Search) SetCounters(c Counters) error {
	x.dropout.State, x.good.step, x.optimW.Step, x.optimA.Step = c.Masks, c.Good, c.W, c.A
	return nil
}

func (x *Search) Revert() int64 { return x.good.restore() }

// Tensors lists every tensor that the training changes.
func (t *Trainer) Tensors() []NamedTensor {
	all := weightState(t.model.TrainableParams(), t.optim, t.good)
	if a := t.allocator; a != nil {
		for i, p := range a.Params {
			all = append(all, NamedTensor{p.Name + ".sensitivity", a.Sensitivity[i]}, NamedTensor{p.Name + ".uncertainty", a.Uncertainty[i]})
		}
	}
	return all
}

func (t *Trainer) Counters() Counters {
	c := Counters{Masks: t.dropout.State, Good: t.good.step, W: t.optim.Step}
	if t.allocator != nil {
		c.Keep = t.allocator.Keep()
	}
	return c
}

func (t *Trainer) SetCounters(c Counters) error {
	t.dropout.State, t.good.step, t.optim.Step = c.Masks, c.Good, c.W
	if t.allocator != nil {
		return t.allocator.Restore(int(c.W), c.Keep)
	}
	return nil
}

func (t *Trainer) Revert() int64 { return t.good.restore() }
