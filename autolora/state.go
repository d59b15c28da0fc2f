package autolora

import (
	"autolora/nn"
	"autolora/torchbind"
)

// namedTensor is one tensor of the state that a checkpoint keeps. It is
// restored in place.
type namedTensor struct {
	Name  string
	Value *torchbind.Tensor
}

// counters are the numbers of the state that a checkpoint keeps.
type counters struct {
	Masks uint64   `json:"masks"`          // state of dropout
	Good  int64    `json:"good"`           // step of lastGood
	W     int64    `json:"w"`              // steps of the optimiser of W
	A     int64    `json:"a,omitempty"`    // steps of the optimiser of a
	Keep  [][]bool `json:"keep,omitempty"` // AdaLoRA's mask, a row per layer
}

// weightState lists weights, their optimiser's moments and their last good
// values.
func weightState(weights []*nn.Param, optim *torchbind.AdamW, good *lastGood) []namedTensor {
	var all []namedTensor
	for i, w := range weights {
		all = append(all,
			namedTensor{w.Name, w.Value}, namedTensor{w.Name + ".m", optim.M[i]}, namedTensor{w.Name + ".v", optim.V[i]},
			namedTensor{w.Name + ".good", good.copies[i]},
		)
	}
	return all
}

// tensors lists every tensor that the search changes.
func (x *Search) tensors() []namedTensor {
	return append(weightState(x.weights, x.optimW, x.good),
		namedTensor{"a", x.a}, namedTensor{"a.m", x.optimA.M[0]}, namedTensor{"a.v", x.optimA.V[0]})
}

func (x *Search) counters() counters {
	return counters{Masks: x.dropout.State, Good: x.good.step, W: x.optimW.Step, A: x.optimA.Step}
}

func (x *Search) setCounters(c counters) error {
	x.dropout.State, x.good.step, x.optimW.Step, x.optimA.Step = c.Masks, c.Good, c.W, c.A
	return nil
}

func (x *Search) revert() int64 { return x.good.restore() }

// tensors lists every tensor that the training changes.
func (t *Trainer) tensors() []namedTensor {
	all := weightState(t.model.TrainableParams(), t.optim, t.good)
	if a := t.allocator; a != nil {
		for i, p := range a.Params {
			all = append(all, namedTensor{p.Name + ".sensitivity", a.Sensitivity[i]}, namedTensor{p.Name + ".uncertainty", a.Uncertainty[i]})
		}
	}
	return all
}

func (t *Trainer) counters() counters {
	c := counters{Masks: t.dropout.State, Good: t.good.step, W: t.optim.Step}
	if t.allocator != nil {
		c.Keep = t.allocator.Keep()
	}
	return c
}

func (t *Trainer) setCounters(c counters) error {
	t.dropout.State, t.good.step, t.optim.Step = c.Masks, c.Good, c.W
	if t.allocator != nil {
		return t.allocator.Restore(int(c.W), c.Keep)
	}
	return nil
}

func (t *Trainer) revert() int64 { return t.good.restore() }
