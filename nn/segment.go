package nn

import "autolora/torchbind"

// Segment is a part of a model's computation on a batch: it maps x, which the
// segment before it returned; x of the first is nil. With the same weights, x and
// state of dropout it computes the same again.
type Segment func(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor

// forward applies segments one after the other, each in a scope of its own.
func forward(s *torchbind.Scope, segments []Segment, rng *DropoutRNG) *torchbind.Tensor {
	var x *torchbind.Tensor
	for _, f := range segments {
		x = s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor { return f(s, x, rng) })
	}
	return x
}
