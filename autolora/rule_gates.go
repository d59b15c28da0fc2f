package autolora

import "autolora/torchbind"

// The rule gates learns which layers get LoRA at all, which the paper leaves as future
// work, by a bilevel problem of its own: one gate g ≥ 0 a layer on its whole update,
// ΔW = s·g·BA, started at 1, and a price on the parameters that gates let through,
//
//	min_g L_val(W'(g), g) + P · Σ_i c_i g_i / Σ_i c_i,  g ≥ 0,
//
// with c the parameters of a layer and P what all gates at 1 cost in loss. The search is
// that of the paper with α = g for all k parts of a layer, exact hypergradient and all;
// it costs what a search costs. (One softmax over all layers in place of the price runs
// away: the layers that are ahead early get all of it.) Layers whose gate ends at 0.5 or
// more get rank k; within a budget ranks are in proportion to the gates, by d'Hondt's
// divisors.

// prices returns the derivative of the price by the gates [layers, 1]; nil of another
// form than Gates.
func (x *Search) prices(scope *torchbind.Scope) *torchbind.Tensor {
	if x.Form != Gates {
		return nil
	}
	costs, total := x.costs(), 0.0
	for _, c := range costs {
		total += float64(c)
	}
	prices := make([]float64, len(costs))
	for i, c := range costs {
		prices[i] = x.Price * float64(c) / total
	}
	return scope.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		return torchbind.To(s, torchbind.FromSlice(s, prices, x.a.Shape(), x.model.Device()), x.a.DType(), x.model.Device())
	})
}

// project makes gates that a step took below 0 zero.
func (x *Search) project(s *torchbind.Scope) {
	if x.Form == Gates {
		torchbind.NoGrad(func() { x.a.CopyInPlace(torchbind.ReLU(s, x.a)) })
	}
}

// shares returns what the parts of gated layers are worth within a budget: of layer i
// the j-th has c_i g_i / j.
func shares(gates [][]float64, costs []int64) [][]float64 {
	worth := make([][]float64, len(gates))
	for i, row := range gates {
		for j, g := range row {
			worth[i] = append(worth[i], float64(costs[i])*g/float64(j+1))
		}
	}
	return worth
}
