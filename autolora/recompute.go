package autolora

import (
	"autolora/nn"
	"autolora/torchbind"
)

// recomputation differentiates a model's loss L(W, α) on a batch, once or twice,
// with the graph of one block in memory at a time: gradient checkpointing (Chen
// et al. 2016, "Training deep nets with sublinear memory cost"), and the same for
// the second derivative of a search.
//
// The model is a chain of segments f_0 … f_n with x_{l+1} = f_l(x_l; W_l, α_l),
// and L = x_{n+1}. The x_l are kept. f_l is computed again, with its graph,
// wherever one of its derivatives is taken. Reverse accumulation gives g = ∂L/∂W:
//
//	up    x_{l+1} = f_l(x_l; W_l, α_l)
//	down  δ_l = (∂f_l/∂x)ᵀ δ_{l+1},  g_l = (∂f_l/∂W)ᵀ δ_{l+1},  from δ_{n+1} = 1
//
// These two lines compute the number g·u = Σ u_l·g_l from the α_l. With v̄ for its
// derivative by v, reverse accumulation through them gives ᾱ = ∂(g·u)/∂α. What was
// computed last comes first, so the way is up again: there, f_l has turned
// δ_{l+1}, x_l and α_l into δ_l and g_l, whose derivatives are δ̄_l and u_l. Then
// down, where it has turned x_l and α_l into x_{l+1}:
//
//	s_l(δ_{l+1}, x_l, α_l) = δ̄_l·δ_l + u_l·g_l
//	up    δ̄_{l+1} = ∂s_l/∂δ_{l+1},  from δ̄_0 = 0
//	down  x̄_l = ∂s_l/∂x_l + (∂f_l/∂x)ᵀ x̄_{l+1},  ᾱ_l = ∂s_l/∂α_l + (∂f_l/∂α)ᵀ x̄_{l+1},  from x̄_{n+1} = 0
//
// (s_l is linear in δ_{l+1}: δ̄_{l+1} = (∂f_l/∂x) δ̄_l + (∂f_l/∂W) u_l is the tangent
// of x_{l+1} along u.)
type recomputation struct {
	objective
	alpha  []*torchbind.Tensor // α of every LoRA layer, a leaf each; nil without selection variables
	batch  *Batch
	values []*torchbind.Tensor // of W, leaves

	segments []nn.Segment        // f_l
	states   []uint64            // of dropout where f_l begins; the last is that after f_n
	x        []*torchbind.Tensor // x_l, leaves above the lowest segment
	delta    []*torchbind.Tensor // δ_l, with twice
	lowest   int                 // first segment with something to differentiate by
	twice    bool                // second derivatives are to come
}

// gradient returns L and its gradients by leaves among W and α.
func (r *recomputation) gradient(s *torchbind.Scope, by []*torchbind.Tensor) (loss *torchbind.Tensor, grads []*torchbind.Tensor) {
	_ = s.Do(func(kept *torchbind.Scope) error {
		r.at(func() {
			r.upward(kept)
			loss, grads = r.downward(s, by)
		})
		return nil
	})
	return loss, grads
}

// gradientTwice returns L and g = ∂L/∂W, and keeps in s what implicit needs.
func (r *recomputation) gradientTwice(s *torchbind.Scope) (loss *torchbind.Tensor, g []*torchbind.Tensor) {
	r.twice = true
	r.at(func() {
		r.upward(s)
		loss, g = r.downward(s, r.values)
	})
	return loss, g
}

// implicit returns ∂(g·u)/∂α after gradientTwice, once: it frees what that kept.
func (r *recomputation) implicit(s *torchbind.Scope, u []*torchbind.Tensor) (alpha []*torchbind.Tensor) {
	r.at(func() {
		xBar, alphaBar := r.tangents(s, u)
		r.adjoints(s, xBar, alphaBar)
		alpha = alphaBar
	})
	return alpha
}

// at runs fn with the model at W and α.
func (r *recomputation) at(fn func()) {
	layers := r.model.LoRAs()
	for i, row := range r.alpha {
		layers[i].Select = row
	}
	defer func() {
		for i := range r.alpha {
			layers[i].Select = nil
		}
	}()
	nn.At(r.weights, r.values, fn)
}

// segment computes f_l, with the same masks whenever it does.
func (r *recomputation) segment(s *torchbind.Scope, l int) *torchbind.Tensor {
	dropout := r.model.Dropout(r.states[l])
	y := r.segments[l](s, r.x[l], dropout)
	r.states[l+1] = dropout.State
	return y
}

// input returns x_l, or nil where nothing is to be differentiated below f_l.
func (r *recomputation) input(l int) *torchbind.Tensor {
	if l <= r.lowest {
		return nil
	}
	return r.x[l]
}

// upward computes all x_l. L is left to downward, which needs its graph.
func (r *recomputation) upward(s *torchbind.Scope) {
	packed := r.batch.Batch
	if r.twice {
		packed = packed.Twice()
	}
	r.segments = r.model.Segments(s, packed, r.batch.Labels)
	top := len(r.segments) - 1
	r.states = make([]uint64, top+2)
	r.states[0] = r.dropout.State
	r.x, r.delta, r.lowest = make([]*torchbind.Tensor, top+1), make([]*torchbind.Tensor, top+2), top
	mode := torchbind.EnableGrad // until a graph shows the lowest segment
	for l := range top {
		mode(func() {
			r.x[l+1] = s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
				y := r.segment(s, l)
				if y.RequiresGrad() {
					r.lowest, mode = l, torchbind.NoGrad
				}
				return torchbind.Detach(s, y)
			})
		})
		if l >= r.lowest {
			r.x[l+1].SetRequiresGrad(true)
		}
	}
	r.count(1, 0)
}

// downward computes L, all δ_l and the gradients by leaves.
func (r *recomputation) downward(s *torchbind.Scope, by []*torchbind.Tensor) (loss *torchbind.Tensor, grads []*torchbind.Tensor) {
	top := len(r.segments) - 1
	grads = make([]*torchbind.Tensor, len(by))
	var delta *torchbind.Tensor // of L: 1
	for l := top; l >= r.lowest; l-- {
		delta = s.Tidy(func(block *torchbind.Scope) *torchbind.Tensor {
			y := r.segment(block, l)
			if l == top {
				loss = s.Keep(torchbind.Detach(block, y))
			}
			switch {
			case r.twice:
				r.delta[l+1] = delta
			case delta != nil:
				block.Keep(delta) // to be freed with it
			}
			parts := vjp(block, only(y), only(delta), join(r.input(l), by), false)
			accumulate(s, block, grads, parts[1:])
			return parts[0]
		})
	}
	r.dropout.State = r.states[top+1]
	r.count(1, 1)
	return loss, grads
}

// tangents computes all δ̄_l, and returns ∂s_l/∂x_l and ∂s_l/∂α_l.
func (r *recomputation) tangents(s *torchbind.Scope, u []*torchbind.Tensor) (xBar, alphaBar []*torchbind.Tensor) {
	xBar, alphaBar = make([]*torchbind.Tensor, len(r.segments)), make([]*torchbind.Tensor, len(r.alpha))
	var tangent *torchbind.Tensor // δ̄_lowest: 0
	for l := r.lowest; l < len(r.segments); l++ {
		tangent = s.Tidy(func(block *torchbind.Scope) *torchbind.Tensor {
			y, delta := r.segment(block, l), r.delta[l+1]
			if delta != nil {
				block.Keep(delta).SetRequiresGrad(true)
			}
			if tangent != nil {
				block.Keep(tangent)
			}
			first := vjp(block, only(y), only(delta), join(r.input(l), r.values), true) // δ_l, g_l
			second := vjp(block, first, join(tangent, u), join(delta, join(r.input(l), r.alpha)), false)
			accumulate(s, block, xBar[l:l+1], second[1:2])
			accumulate(s, block, alphaBar, second[2:])
			return second[0]
		})
	}
	r.count(1, 2)
	return xBar, alphaBar
}

// adjoints adds to xBar and alphaBar, which tangents returned, what comes through
// the x_l above.
func (r *recomputation) adjoints(s *torchbind.Scope, xBar, alphaBar []*torchbind.Tensor) {
	for l := len(r.segments) - 2; l >= r.lowest; l-- {
		_ = s.Do(func(block *torchbind.Scope) error {
			y := r.segment(block, l)
			parts := vjp(block, only(y), only(block.Keep(xBar[l+1])), join(r.input(l), r.alpha), false)
			accumulate(s, block, xBar[l:l+1], parts[:1])
			accumulate(s, block, alphaBar, parts[1:])
			block.Keep(r.x[l+1])
			return nil
		})
	}
	r.count(1, 1)
}

// count counts passes of the batch through the model.
func (r *recomputation) count(forward, backward int64) {
	r.work.Add(Work{Tokens: forward * int64(r.batch.Tokens), Forward: forward, Backward: backward})
}

// vjp returns Σ (∂output/∂input)ᵀ cotangent for every input, as
// torchbind.GradAllowUnused. Here a nil output counts for nothing, and a nil input
// gets nil.
func vjp(s *torchbind.Scope, outputs, cotangents, inputs []*torchbind.Tensor, graph bool) []*torchbind.Tensor {
	var of, weights, by []*torchbind.Tensor
	for i, output := range outputs {
		if output != nil {
			of, weights = append(of, output), append(weights, cotangents[i])
		}
	}
	for _, input := range inputs {
		if input != nil {
			by = append(by, input)
		}
	}
	found := torchbind.GradAllowUnused(s, of, by, weights, graph)
	grads := make([]*torchbind.Tensor, len(inputs))
	for i, input := range inputs {
		if input != nil {
			grads[i], found = found[0], found[1:]
		}
	}
	return grads
}

// accumulate adds parts to sums, which belong to s; nil is 0.
func accumulate(s, block *torchbind.Scope, sums, parts []*torchbind.Tensor) {
	for i, part := range parts {
		switch {
		case part == nil:
		case sums[i] == nil:
			sums[i] = s.Keep(part)
		default:
			sums[i] = s.Keep(torchbind.Add(block, block.Keep(sums[i]), part))
		}
	}
}
