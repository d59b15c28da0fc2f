package torchbind

// #include "shim.h"
import "C"

// AdamWConfig holds the settings of AdamW, named and with the meaning of
// torch.optim.AdamW.
type AdamWConfig struct {
	Beta1, Beta2 float64
	Eps          float64
	WeightDecay  float64
}

// AdamW is torch.optim.AdamW over a fixed list of parameters, one fused call
// per step. With WeightDecay 0 it is Adam.
type AdamW struct {
	AdamWConfig
	Params []*Tensor
	M, V   []*Tensor // first and second moments, like Params
	steps  []*Tensor // float32 scalars, as the fused kernel wants them
	Step   int64     // steps taken
}

// NewAdamW returns an optimiser whose state lives in s.
func NewAdamW(s *Scope, params []*Tensor, cfg AdamWConfig) *AdamW {
	o := &AdamW{AdamWConfig: cfg, Params: params}
	for _, p := range params {
		o.M = append(o.M, zerosLike(s, p))
		o.V = append(o.V, zerosLike(s, p))
		o.steps = append(o.steps, FromSlice(s, []float32{0}, nil, p.Device()))
	}
	return o
}

func zerosLike(s *Scope, p *Tensor) *Tensor {
	return s.Tidy(func(s *Scope) *Tensor { return MulScalar(s, Detach(s, p), 0) })
}

// Apply takes one step with grads at learning rate lr.
func (o *AdamW) Apply(grads []*Tensor, lr float64) {
	const op = "_fused_adamw_"
	n := sameLength(op, o.Params, grads)
	if n > 0 {
		p, g, m, v, t := list(op, o.Params), list(op, grads), list(op, o.M), list(op, o.V), list(op, o.steps)
		err := C.tb_fused_adamw_(first(p), first(g), first(m), first(v), first(t), n,
			C.double(lr), C.double(o.Beta1), C.double(o.Beta2), C.double(o.WeightDecay), C.double(o.Eps))
		check(err, op)
	}
	o.Step++
}

// LookAhead returns where Adam's step (without weight decay) with grads and
// step size eta would lead, without taking it: moved = W − η·m̂/(√v̂+ε), with
// the moments after grads. scale is ∂(m̂/(√v̂+ε))/∂g with the preconditioner
// held constant, (1−β₁)/(1−β₁ᵗ)/(√v̂+ε).
func (o *AdamW) LookAhead(s *Scope, grads []*Tensor, eta float64) (moved, scale []*Tensor) {
	const op = "adam_lookahead"
	n := sameLength(op, o.Params, grads)
	p, g, m, v := list(op, o.Params), list(op, grads), list(op, o.M), list(op, o.V)
	out, outScale := make([]C.tb_tensor, n), make([]C.tb_tensor, n)
	err := C.tb_adam_lookahead(first(p), first(g), first(m), first(v), n, C.int64_t(o.Step+1),
		C.double(eta), C.double(o.Beta1), C.double(o.Beta2), C.double(o.Eps), first(out), first(outScale))
	check(err, op)
	return s.adoptAll(out, op), s.adoptAll(outScale, op)
}
