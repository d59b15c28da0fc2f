package torchbind

// #include "shim.h"
import "C"

import "runtime"

// AdamWConfig holds the settings of AdamW, named and with the meaning of
// torch.optim.AdamW.
type AdamWConfig struct {
	Beta1, Beta2 float64
	Eps          float64
	WeightDecay  float64
}

// AdamW is torch.optim.AdamW over a fixed list of parameters, one fused call
// per step. With WeightDecay 0 it is Adam. Params, M, V and Step are all of its
// state.
type AdamW struct {
	AdamWConfig
	Params []*Tensor
	M, V   []*Tensor // first and second moments, like Params
	Step   int64     // steps taken
}

// NewAdamW returns an optimiser whose moments live in s. The parameters must be
// contiguous and on one device.
func NewAdamW(s *Scope, params []*Tensor, cfg AdamWConfig) *AdamW {
	o := &AdamW{AdamWConfig: cfg, Params: params}
	for _, p := range params {
		o.M = append(o.M, ZerosLike(s, p))
		o.V = append(o.V, ZerosLike(s, p))
	}
	return o
}

// Apply takes one step with grads at learning rate lr. If it panics, nothing
// has changed.
func (o *AdamW) Apply(grads []*Tensor, lr float64) {
	const op = "_fused_adamw_"
	if n := sameLength(op, o.Params, grads); n > 0 {
		p, g, m, v := list(op, o.Params), list(op, grads), list(op, o.M), list(op, o.V)
		err := C.tb_fused_adamw_(first(p), first(g), first(m), first(v), n, C.int64_t(o.Step+1),
			C.double(lr), C.double(o.Beta1), C.double(o.Beta2), C.double(o.WeightDecay), C.double(o.Eps))
		check(err, op)
		runtime.KeepAlive(o)
		runtime.KeepAlive(grads)
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
	if n == 0 {
		return nil, nil
	}
	p, g, m, v := list(op, o.Params), list(op, grads), list(op, o.M), list(op, o.V)
	out := make([]C.tb_tensor, 2*n)
	err := C.tb_adam_lookahead(first(p), first(g), first(m), first(v), n, C.int64_t(o.Step+1),
		C.double(eta), C.double(o.Beta1), C.double(o.Beta2), C.double(o.Eps), first(out[:n]), first(out[n:]))
	check(err, op)
	runtime.KeepAlive(o)
	runtime.KeepAlive(grads)
	both := s.adoptAll(out, op)
	return both[:n], both[n:]
}
