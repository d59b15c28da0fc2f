package autolora

import (
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// Execution says how the steps of a search or of a training are computed. What
// they come to is the same but for rounding.
type Execution struct {
	Parallel *DataParallel // that share the batches; nil: this one has them whole
	Graphs   *Graphs       // that replay steps; nil: none do
	// GradientCheckpointing keeps only the inputs of the blocks, and computes the
	// rest again where it is needed.
	GradientCheckpointing bool
	Seed                  uint64 // of dropout
}

// objective is the loss L(W, α; b) of a model on a batch.
type objective struct {
	model   *nn.Model
	weights []*nn.Param // W
	dropout *nn.DropoutRNG
	work    *Work // counts what is computed
	// Of a search: the free variables a, and α [layers, k] of them.
	a     *torchbind.Tensor
	alpha func(s *torchbind.Scope) *torchbind.Tensor
}

// differentiator takes derivatives of an objective at the present W and a. They
// are those of the whole batch, however many processes share it.
type differentiator interface {
	// gradient returns L and its derivatives by, which are all of W or none of it,
	// and a or not.
	gradient(s *torchbind.Scope, b *Batch, by []*torchbind.Tensor) (loss *torchbind.Tensor, grads []*torchbind.Tensor)
	// gradientTwice returns L and its gradient by W, to be differentiated by a.
	gradientTwice(s *torchbind.Scope, b *Batch) gradient
}

// gradient is ∂L/∂W of a loss L, and the way to differentiate it once more.
type gradient struct {
	loss *torchbind.Tensor   // L, a scalar
	g    []*torchbind.Tensor // ∂L/∂W
	// byA returns ∂(g·u)/∂a, a vector-Jacobian product; nil unless it was asked for.
	byA func(s *torchbind.Scope, u []*torchbind.Tensor) []*torchbind.Tensor
}

// differentiator returns what differentiates the objective.
func (e Execution) differentiator(o objective) differentiator {
	if e.GradientCheckpointing {
		return blockwise{o, e.Parallel}
	}
	return wholeGraph{o, e.Parallel}
}

// wholeGraph differentiates with the graph of the whole model in memory.
type wholeGraph struct {
	objective
	processes *DataParallel
}

func (d wholeGraph) gradient(s *torchbind.Scope, b *Batch, by []*torchbind.Tensor) (loss *torchbind.Tensor, grads []*torchbind.Tensor) {
	loss = d.loss(s, b, b.Batch)
	d.work.Backward++
	_, grads = d.processes.grad(s, loss, by, false, b.Weight)
	return d.processes.mean(s, only(loss), b.Weight)[0], grads
}

func (d wholeGraph) gradientTwice(s *torchbind.Scope, b *Batch) gradient {
	loss := d.loss(s, b, b.Twice())
	d.work.Backward++
	own, g := d.processes.grad(s, loss, nn.Values(d.weights), true, b.Weight)
	return gradient{
		loss: d.processes.mean(s, only(loss), b.Weight)[0], g: g,
		byA: func(s *torchbind.Scope, u []*torchbind.Tensor) []*torchbind.Tensor {
			d.work.Backward++
			return d.processes.mean(s, torchbind.Grad(s, own, only(d.a), u, false), b.Weight)
		},
	}
}

// loss returns L of this process's part of the batch, with its graph.
func (d wholeGraph) loss(s *torchbind.Scope, b *Batch, packed *nn.Batch) *torchbind.Tensor {
	b.passes++
	d.work.Forward++
	d.work.Tokens += int64(b.Tokens)
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		if d.a != nil {
			d.model.Select(s, d.alpha(s))
			defer d.model.Select(s, nil)
		}
		return d.model.Loss(s, packed, b.Labels, d.dropout)
	})
}

// blockwise differentiates with the graph of one block in memory at a time:
// gradient checkpointing, see recomputation.
type blockwise struct {
	objective
	processes *DataParallel
}

func (d blockwise) gradient(s *torchbind.Scope, b *Batch, by []*torchbind.Tensor) (loss *torchbind.Tensor, grads []*torchbind.Tensor) {
	r := d.recomputation(s, b)
	last := len(by) - 1
	if last < 0 || by[last] != d.a {
		loss, grads = r.gradient(s, by)
	} else {
		loss, grads = r.gradient(s, slices.Concat(by[:last], r.alpha))
		grads = append(grads[:last:last], d.byA(s, grads[last:])...)
	}
	all := d.processes.mean(s, join(loss, grads), b.Weight)
	return all[0], all[1:]
}

func (d blockwise) gradientTwice(s *torchbind.Scope, b *Batch) gradient {
	r := d.recomputation(s, b)
	loss, g := r.gradientTwice(s)
	all := d.processes.mean(s, join(loss, g), b.Weight)
	return gradient{
		loss: all[0], g: all[1:],
		byA: func(s *torchbind.Scope, u []*torchbind.Tensor) []*torchbind.Tensor {
			return d.processes.mean(s, d.byA(s, r.implicit(s, u)), b.Weight)
		},
	}
}

// recomputation is of this process's part of the batch, with a leaf for the α of
// every LoRA layer.
func (d blockwise) recomputation(s *torchbind.Scope, b *Batch) *recomputation {
	r := &recomputation{objective: d.objective, batch: b, values: nn.Values(d.weights)}
	if d.a == nil {
		return r
	}
	d.model.Select(s, torchbind.Detach(s, d.alpha(s)))
	defer d.model.Select(s, nil)
	for _, l := range d.model.LoRAs() {
		r.alpha = append(r.alpha, torchbind.Detach(s, l.Select).SetRequiresGrad(true))
	}
	return r
}

// byA makes a derivative by α, a row for every LoRA layer, one by a.
func (d blockwise) byA(s *torchbind.Scope, rows []*torchbind.Tensor) []*torchbind.Tensor {
	alpha := d.alpha(s)
	byAlpha := torchbind.Reshape(s, torchbind.Cat(s, rows, 0), alpha.Shape()...)
	return torchbind.Grad(s, only(alpha), only(d.a), only(byAlpha), false)
}

func only(t *torchbind.Tensor) []*torchbind.Tensor { return []*torchbind.Tensor{t} }

func join(t *torchbind.Tensor, more []*torchbind.Tensor) []*torchbind.Tensor {
	return slices.Insert(slices.Clone(more), 0, t)
}
