package autolora

import (
	"autolora/autolora/runs"
	"autolora/nn"
	"autolora/torchbind"
)

// implicit returns ∂(g·u)/∂a, the part of the hypergradient that comes through
// W', by the mode of the search; nil in first-order mode. scale is the
// preconditioner of the look-ahead step, nil for 1. masks is the state from
// which the dropout of L_tr(W, a; t) was drawn: what is differentiated twice
// sees one mask.
func (x *Search) implicit(s *torchbind.Scope, g, u, scale []*torchbind.Tensor, t *Batch, masks nn.Masks) []*torchbind.Tensor {
	if scale != nil {
		u = torchbind.ForeachMul(s, u, scale)
	}
	switch x.Mode {
	case Exact:
		// One vector-Jacobian product through the graph of g: Σ u·∂g/∂a.
		return torchbind.Grad(s, g, []*torchbind.Tensor{x.a}, u, false)
	case FiniteDifference:
		return x.centralDifference(s, u, t, masks)
	}
	return nil
}

// centralDifference returns [∂L_tr/∂a(W+εu) − ∂L_tr/∂a(W−εu)] / 2ε with
// ε = 0.01/‖u‖ (DARTS, Betty), both under the same dropout masks.
func (x *Search) centralDifference(s *torchbind.Scope, u []*torchbind.Tensor, t *Batch, masks nn.Masks) []*torchbind.Tensor {
	norm := torchbind.ForeachNorm(u)
	if norm == 0 {
		return []*torchbind.Tensor{torchbind.MulScalar(s, torchbind.Detach(s, x.a), 0)}
	}
	epsilon := 0.01 / norm
	gradientAt := func(step float64) []*torchbind.Tensor {
		var moved []*torchbind.Tensor
		torchbind.NoGrad(func() { moved = torchbind.ForeachAdd(s, nn.Values(x.weights), u, step) })
		after := *x.masks
		*x.masks = masks
		defer func() { *x.masks = after }()
		var loss *torchbind.Tensor
		nn.At(x.weights, moved, func() { loss = x.loss(s, t) })
		return torchbind.Grad(s, []*torchbind.Tensor{loss}, []*torchbind.Tensor{x.a}, nil, false)
	}
	difference := torchbind.ForeachAdd(s, gradientAt(epsilon), gradientAt(-epsilon), -1)
	torchbind.ForeachMulScalarInPlace(difference, 1/(2*epsilon))
	return difference
}

// Alphas returns α, one row of k numbers per layer.
func (x *Search) Alphas() [][]float64 {
	s := torchbind.NewScope()
	defer s.Close()
	var flat []float64
	torchbind.NoGrad(func() { flat = x.alpha(s).Float64s() })
	rows := make([][]float64, len(x.model.LoRAs()))
	for i := range rows {
		rows[i] = flat[int64(i)*x.K : int64(i+1)*x.K]
	}
	return rows
}

// Ranks returns the ranks that the present α give.
func (x *Search) Ranks() runs.Ranks {
	r := runs.Ranks{Rule: rules[x.Form], K: int(x.K), Mode: string(x.Mode), LookAhead: string(x.LookAhead), Eta: &x.Eta}
	for i, alpha := range x.Alphas() {
		r.Layers = append(r.Layers, runs.LayerRank{Name: x.model.LoRAs()[i].Module, Rank: x.Form.Rank(alpha), Alpha: alpha})
	}
	return r
}
