package autolora

import (
	"fmt"

	"autolora/nn"
	"autolora/torchbind"
)

// gradients is the measurement of the rule gradient, at the pretrained weights with
// a head that was trained for some steps. Of the mean gradient of a layer's weight
// over batches of one half of the data,
//
//	G = U Σ Vᵀ,
//
// the parts are the singular directions: LoRA's first steps move along them (LoRA-One,
// Zhang et al. 2025, arXiv:2502.01235). A part that is trained to its optimum at
// curvature h lowers the loss by (uᵀGv)²/2h, so at one curvature everywhere parts
// compete by that square. Its estimate σ² counts noise as gain. The worth is
//
//	σ_i · u_iᵀ G' v_i
//
// with the mean gradient G' of the other half: without bias, for the noise of the
// halves is independent, and about 0, or below, for a direction of noise.
//
// It costs a forward and a backward pass a batch, and no more memory than a gradient
// of each layer; of G' only the products are computed.
type gradients struct {
	probed
	mean    []*torchbind.Tensor // Σ weight·G of each layer [out, in]
	weights *torchbind.Tensor   // [2], sums of the halves' weights
	again   *torchbind.Tensor   // [layers, K], Σ weight·uᵀG'v

	u, v   []*torchbind.Tensor // of each layer, when the other half begins; nil before
	sigmas [][]float64
}

func newGradients(model *nn.Model, cfg MeasureConfig) (Measurement, error) {
	p, err := newProbed(model, cfg)
	if err != nil {
		return nil, err
	}
	g := &gradients{probed: p, weights: numbers(model, 2), again: numbers(model, int64(len(p.probes)), int64(cfg.K))}
	g.mean = meanGradients(p)
	return g, nil
}

// meanGradients returns a tensor of zeros for the gradient of each layer.
func meanGradients(p probed) []*torchbind.Tensor {
	var all []*torchbind.Tensor
	for _, probe := range p.probes {
		all = append(all, torchbind.Full(p.model.Scope(), p.shape(probe), 0, p.model.FactorType(), p.model.Device()))
	}
	return all
}

// accumulateGradients adds weight·dyᵀx to the sums.
func accumulateGradients(sums, x, dy []*torchbind.Tensor, weight float64) {
	torchbind.NoGrad(func() {
		for i, sum := range sums {
			s := torchbind.NewScope()
			dyT := torchbind.Transpose(s, torchbind.MulScalar(s, dy[i], weight), 0, 1)
			sum.AddMMInPlace(dyT, x[i])
			s.Close()
		}
	})
}

// Halves implements Measurement.
func (g *gradients) Halves() (first, other bool) { return true, true }

// Observe implements Measurement.
func (g *gradients) Observe(s *torchbind.Scope, b *Batch, other bool) Work {
	x, dy, work := g.factors(s, b)
	if !other {
		accumulateGradients(g.mean, x, dy, b.Weight)
		increase(g.weights, 0, b.Weight)
		return work
	}
	g.split()
	again := g.again.Float64s()
	torchbind.NoGrad(func() {
		for i := range g.probes {
			of := func(rows, vectors *torchbind.Tensor) *torchbind.Tensor { // [N, k]
				return torchbind.MatMul(s, rows, torchbind.To(s, vectors, rows.DType(), rows.Device()))
			}
			// uᵀG'v = Σ over rows of (dy·u)(x·v)
			products := torchbind.Mul(s, of(dy[i], g.u[i]), of(x[i], g.v[i]))
			ones := torchbind.Full(s, []int64{1, products.Size(0)}, 1, products.DType(), products.Device())
			for j, sum := range torchbind.MatMul(s, ones, products).Float64s() {
				again[i*g.K+j] += b.Weight * sum
			}
		}
	})
	set(g.again, again)
	increase(g.weights, 1, b.Weight)
	return work
}

// split computes the singular directions of the first half's gradients, once.
func (g *gradients) split() {
	if g.u != nil {
		return
	}
	scale := 1 / g.weights.Float64s()[0]
	for _, sum := range g.mean {
		u, sigma, v := topSVD(g.model.Scope(), sum, g.K)
		for i := range sigma {
			sigma[i] *= scale
		}
		g.u, g.v, g.sigmas = append(g.u, u), append(g.v, v), append(g.sigmas, sigma)
	}
}

// Worth implements Measurement.
func (g *gradients) Worth([]int64) ([][]float64, error) {
	g.split()
	again, weight := g.again.Float64s(), g.weights.Float64s()[1]
	worth := make([][]float64, len(g.probes))
	for i, sigmas := range g.sigmas {
		for j, sigma := range sigmas {
			worth[i] = append(worth[i], sigma*again[i*g.K+j]/weight)
		}
	}
	return worth, nil
}

// Tensors implements Measurement.
func (g *gradients) Tensors() []NamedTensor {
	return append(g.named(g.mean, "gradient"), NamedTensor{"weights", g.weights}, NamedTensor{"again", g.again})
}

// named names the tensors of the layers.
func (p probed) named(tensors []*torchbind.Tensor, what string) []NamedTensor {
	var all []NamedTensor
	for i, t := range tensors {
		all = append(all, NamedTensor{fmt.Sprint(p.probes[i].Module, ".", what), t})
	}
	return all
}
