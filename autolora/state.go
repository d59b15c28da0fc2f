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
	Masks uint64   `json:"masks"`          // state of the dropout masks
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
	return counters{Masks: x.masks.State, Good: x.good.step, W: x.optimW.Step, A: x.optimA.Step}
}

func (x *Search) setCounters(c counters) {
	x.masks.State, x.good.step, x.optimW.Step, x.optimA.Step = c.Masks, c.Good, c.W, c.A
}

// tensors lists every tensor that the training changes.
func (t *Trainer) tensors() []namedTensor {
	return weightState(t.model.TrainableParams(), t.optim, t.good)
}

func (t *Trainer) counters() counters {
	return counters{Masks: t.masks.State, Good: t.good.step, W: t.optim.Step}
}

func (t *Trainer) setCounters(c counters) {
	t.masks.State, t.good.step, t.optim.Step = c.Masks, c.Good, c.W
}
