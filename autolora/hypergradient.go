package autolora

import (
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// FDMasks says which dropout masks the two losses of a finite difference see.
type FDMasks string

// The two choices.
const (
	SharedMasks      FDMasks = "shared"      // both those of L_tr(W, a; t)
	IndependentMasks FDMasks = "independent" // fresh ones each, as in the published code: noise
)

// FDMaskChoices lists the choices.
var FDMaskChoices = []FDMasks{SharedMasks, IndependentMasks}

// factor returns what ∂(g·u)/∂a is multiplied by: η, or what was given in its
// place.
func (x *Search) factor() float64 {
	if x.Factor != 0 {
		return x.Factor
	}
	return x.Eta
}

// implicit returns ∂(g·u)/∂a, the part of the hypergradient that comes through
// W', by the mode of the search; nil in first-order mode. train is L_tr(W, a; t)
// with its gradient, ahead is W' and scale the preconditioner of the step that
// led there, nil for 1. dropout is the state from which that of L_tr(W, a; t) was
// drawn: what is differentiated twice sees one mask.
func (x *Search) implicit(s *torchbind.Scope, train gradient, u, ahead, scale []*torchbind.Tensor, t *Batch, dropout uint64) []*torchbind.Tensor {
	if scale != nil && x.Factor == 0 {
		u = torchbind.ForeachMul(s, u, scale)
	}
	point := nn.Values(x.weights)
	if x.At == AtLookAhead {
		point = ahead
	}
	switch x.Mode {
	case Exact:
		if x.At == AtLookAhead {
			x.under(dropout, func() {
				nn.At(x.weights, point, func() { train = x.loss.gradientTwice(s, t) }) // ∂L_tr(W', a; t)/∂W'
			})
		}
		return train.byA(s, u) // Σ u·∂g/∂a
	case FiniteDifference:
		norm := torchbind.ForeachNorm(u)
		if norm == 0 {
			return []*torchbind.Tensor{torchbind.MulScalar(s, torchbind.Detach(s, x.a), 0)}
		}
		return x.centralDifference(s, point, u, 0.01/norm, t, dropout) // ε = 0.01/‖u‖ (DARTS, Betty)
	}
	return nil
}

// centralDifference returns [∂L_tr/∂a(W+εu) − ∂L_tr/∂a(W−εu)] / 2ε around the
// weights W.
func (x *Search) centralDifference(s *torchbind.Scope, W, u []*torchbind.Tensor, epsilon float64, t *Batch, dropout uint64) []*torchbind.Tensor {
	gradientAt := func(step float64) (byA []*torchbind.Tensor) {
		var moved []*torchbind.Tensor
		torchbind.NoGrad(func() { moved = torchbind.ForeachAdd(s, W, u, step) })
		nn.At(x.weights, moved, func() { _, byA = x.loss.gradient(s, t, only(x.a)) })
		return byA
	}
	var plus, minus []*torchbind.Tensor
	if x.FDMasks == IndependentMasks {
		plus, minus = gradientAt(epsilon), gradientAt(-epsilon)
	} else {
		x.under(dropout, func() { plus = gradientAt(epsilon) })
		x.under(dropout, func() { minus = gradientAt(-epsilon) })
	}
	difference := torchbind.ForeachAdd(s, plus, minus, -1)
	torchbind.ForeachMulScalarInPlace(difference, 1/(2*epsilon))
	return difference
}

// under runs fn with the dropout that the state gives, and goes on after it as if
// fn had drawn none.
func (x *Search) under(state uint64, fn func()) {
	after := x.dropout.State
	defer func() { x.dropout.State = after }()
	x.dropout.Begin(state)
	fn()
}

// Layers returns the module paths of the layers, in the order of Alphas and Ranks.
func (x *Search) Layers() []string { return layerNames(x.model.LoRAs()) }

func layerNames(layers []*nn.LoRA) []string {
	names := make([]string, len(layers))
	for i, l := range layers {
		names[i] = l.Module
	}
	return names
}

// Alphas returns α, one row of k numbers per layer.
func (x *Search) Alphas() [][]float64 {
	s := torchbind.NewScope()
	defer s.Close()
	var alpha *torchbind.Tensor
	torchbind.NoGrad(func() { alpha = x.alpha(s) })
	return x.rows(alpha)
}

// rows returns t [layers, k] as plain numbers.
func (x *Search) rows(t *torchbind.Tensor) [][]float64 {
	return slices.Collect(slices.Chunk(t.Float64s(), int(x.K)))
}

// Ranks returns the rank of every layer by the rule, at the present a.
func (x *Search) Ranks() []int {
	e := Evidence{K: int(x.K), Form: x.Form, Worth: x.Alphas(), Costs: x.costs(), Budget: x.Budget}
	switch {
	case x.Rule == RawRule:
		e.Worth = x.rows(x.a)
	case x.Form == Gates && x.Budget > 0:
		e.Worth = shares(e.Worth, e.Costs)
	}
	return x.Rule.Ranks(e)
}

// costs returns the parameters of one rank of every layer.
func (x *Search) costs() []int64 {
	var costs []int64
	for _, l := range x.model.LoRAs() {
		costs = append(costs, nn.NumEl(l.Params())/l.Rank)
	}
	return costs
}
