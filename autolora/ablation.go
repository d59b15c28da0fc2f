package autolora

import (
	"math"

	"autolora/nn"
	"autolora/torchbind"
)

// Ablation is the held-out loss of a model as a function of gates c on the rank-1
// parts of its LoRA layers, ΔW = s·Σ_j c_j B[:,j] A[j,:], to the second order around
// c = 1. Leaving out a set S of parts is the step −1_S, so that it costs about
//
//	L(1 − 1_S) − L(1) ≈ −g·1_S + ½ 1_Sᵀ H 1_S,   g = ∂L/∂c,  H = ∂²L/∂c².
//
// Where the model is trained g is small, and what a part is worth stands in H
// (SubLoRA, arXiv:2507.01841; ALoRA, arXiv:2403.16187, ablates each part in turn).
// Column j of H is a vector-Jacobian product ∂(g·e_j)/∂c through the graph of g, as
// the search's, and exact. A batch costs its gradient and a product a part: of n
// parts about n times what a LoRA step on it costs.
type Ablation struct {
	Work Work

	model    *nn.Model
	parts    int         // n
	weight   float64     // of all batches
	loss     float64     // Σ weight · L
	gradient []float64   // Σ weight · g, [n]
	hessian  [][]float64 // Σ weight · H, [n, n]
}

// NewAblation returns the expansion of the loss of a model with LoRA layers, over no
// batch yet.
func NewAblation(model *nn.Model) *Ablation {
	x := &Ablation{model: model}
	for _, l := range model.LoRAs() {
		x.parts += int(l.Rank)
	}
	x.gradient, x.hessian = make([]float64, x.parts), make([][]float64, x.parts)
	for j := range x.hessian {
		x.hessian[j] = make([]float64, x.parts)
	}
	return x
}

// Add takes a batch into the mean loss, without dropout.
func (x *Ablation) Add(s *torchbind.Scope, b *Batch) {
	_ = s.Do(func(s *torchbind.Scope) error {
		like := x.model.LoRAs()[0].A.Value
		c := torchbind.Full(s, []int64{int64(x.parts)}, 1, like.DType(), like.Device()).SetRequiresGrad(true)
		d := wholeGraph{objective: objective{
			model: x.model, weights: []*nn.Param{{Value: c}}, work: &x.Work, a: c, alpha: func(*torchbind.Scope) *torchbind.Tensor { return c },
		}}
		twice := d.gradientTwice(s, b)
		x.weight += b.Weight
		x.loss += b.Weight * twice.loss.Item()
		add(x.gradient, b.Weight, twice.g[0])
		for j := range x.hessian {
			_ = s.Do(func(s *torchbind.Scope) error {
				e := make([]float64, x.parts)
				e[j] = 1
				unit := torchbind.To(s, torchbind.FromSlice(s, e, c.Shape(), torchbind.CPU), c.DType(), c.Device())
				x.Work.Backward++
				add(x.hessian[j], b.Weight, torchbind.Grad(s, twice.g, only(c), only(unit), true)[0])
				return nil
			})
		}
		return nil
	})
}

// add adds weight·t to sum.
func add(sum []float64, weight float64, t *torchbind.Tensor) {
	for i, v := range t.Float64s() {
		sum[i] += weight * v
	}
}

// Loss returns L(1).
func (x *Ablation) Loss() float64 { return x.loss / x.weight }

// Cost returns by how much the loss rises without the parts that are out, to the
// second order.
func (x *Ablation) Cost(out []bool) float64 {
	cost := 0.0
	for i := range out {
		if !out[i] {
			continue
		}
		cost -= x.gradient[i]
		for j := range out {
			if out[j] {
				cost += x.hessian[i][j] / 2
			}
		}
	}
	return cost / x.weight
}

// Worth returns what the parts are worth, a row for every layer, in held-out loss.
// Parts are left out one after the other, each time that which costs the least for
// its parameters beside those that are out already; that cost is its worth. costs
// are the parameters of one part of each layer. A part that costs less than one
// before it is worth for its parameters what that one was: so the worth orders them
// as they went, and autolora.WithinBudget keeps those that were left when the budget
// was met.
func (x *Ablation) Worth(costs []int64) [][]float64 {
	layers := x.model.LoRAs()
	var each []float64 // parameters of every part
	for i, l := range layers {
		for range l.Rank {
			each = append(each, float64(costs[i]))
		}
	}
	marginal, worth := make([]float64, x.parts), make([]float64, x.parts)
	for j := range marginal {
		marginal[j] = -x.gradient[j] + x.hessian[j][j]/2
	}
	out, price := make([]bool, x.parts), math.Inf(-1)
	for range x.parts {
		next := -1
		for j := range out {
			if !out[j] && (next < 0 || marginal[j]/each[j] < marginal[next]/each[next]) {
				next = j
			}
		}
		if now := marginal[next] / each[next] / x.weight; now > price {
			price = now
		} else {
			price += math.Abs(price) * 1e-12 // above what went before, also when it is multiplied and divided again
		}
		out[next], worth[next] = true, price*each[next]
		for j := range marginal {
			marginal[j] += x.hessian[next][j]
		}
	}
	rows := make([][]float64, len(layers))
	for i, l := range layers {
		rows[i], worth = worth[:l.Rank:l.Rank], worth[l.Rank:]
	}
	return rows
}
