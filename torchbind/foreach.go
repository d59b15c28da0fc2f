package torchbind

// #include "shim.h"
import "C"

import "runtime"

// ForeachAdd returns a[i] + alpha·b[i] for every i.
func ForeachAdd(s *Scope, a, b []*Tensor, alpha float64) []*Tensor {
	const op = "_foreach_add"
	n := sameLength(op, a, b)
	if n == 0 {
		return nil
	}
	out := make([]C.tb_tensor, n)
	pa, pb := list(op, a), list(op, b)
	check(C.tb_foreach_add(first(pa), first(pb), C.double(alpha), n, first(out)), op, a...)
	runtime.KeepAlive(b)
	return s.adoptAll(out, op)
}

// ForeachAddInPlace adds alpha·b[i] to a[i], outside of the graph.
func ForeachAddInPlace(a, b []*Tensor, alpha float64) {
	const op = "_foreach_add_"
	n := sameLength(op, a, b)
	if n == 0 {
		return
	}
	pa, pb := list(op, a), list(op, b)
	check(C.tb_foreach_add_(first(pa), first(pb), C.double(alpha), n), op, a...)
	runtime.KeepAlive(b)
}

// ForeachMul returns a[i] * b[i] for every i.
func ForeachMul(s *Scope, a, b []*Tensor) []*Tensor {
	const op = "_foreach_mul"
	n := sameLength(op, a, b)
	if n == 0 {
		return nil
	}
	out := make([]C.tb_tensor, n)
	pa, pb := list(op, a), list(op, b)
	check(C.tb_foreach_mul(first(pa), first(pb), n, first(out)), op, a...)
	runtime.KeepAlive(b)
	return s.adoptAll(out, op)
}

// ForeachMulScalarInPlace multiplies a[i] by v, outside of the graph.
func ForeachMulScalarInPlace(a []*Tensor, v float64) {
	const op = "_foreach_mul_"
	if len(a) == 0 {
		return
	}
	pa := list(op, a)
	check(C.tb_foreach_mul_scalar_(first(pa), C.double(v), C.int64_t(len(a))), op, a...)
}

// ForeachCopyInPlace overwrites dst[i] with src[i], outside of the graph.
func ForeachCopyInPlace(dst, src []*Tensor) {
	const op = "_foreach_copy_"
	n := sameLength(op, dst, src)
	if n == 0 {
		return
	}
	pd, ps := list(op, dst), list(op, src)
	check(C.tb_foreach_copy_(first(pd), first(ps), n), op, dst...)
	runtime.KeepAlive(src)
}

// TotalNorm returns the Euclidean norm of all elements of all tensors, of which
// there must be one: a scalar on their device, outside of the graph.
func TotalNorm(s *Scope, ts []*Tensor) *Tensor {
	const op = "_foreach_norm"
	var out C.tb_tensor
	ptrs := list(op, ts)
	err := C.tb_foreach_norm(first(ptrs), C.int64_t(len(ts)), &out)
	return s.adopt(out, err, op, ts...)
}

// ForeachNorm returns TotalNorm as a number, for which the host waits; 0 of no
// tensors.
func ForeachNorm(ts []*Tensor) float64 {
	outsideCapture("_foreach_norm")
	if len(ts) == 0 {
		return 0
	}
	s := newScope()
	defer s.Close()
	return TotalNorm(s, ts).Item()
}

// DetachAll returns Detach of every tensor.
func DetachAll(s *Scope, ts []*Tensor) []*Tensor {
	out := make([]*Tensor, len(ts))
	for i, t := range ts {
		out[i] = Detach(s, t)
	}
	return out
}
