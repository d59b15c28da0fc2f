package torchbind

// #include "shim.h"
import "C"

import "runtime"

// pairs calls f with the handles of a and b, n of each, unless there are none.
func pairs(op string, a, b []*Tensor, f func(a, b *C.tb_tensor, n C.int64_t) *C.tb_error) {
	if n := sameLength(op, a, b); n > 0 {
		pa, pb := list(op, a), list(op, b)
		check(f(first(pa), first(pb), n), op, a...)
		runtime.KeepAlive(b)
	}
}

// ForeachAdd returns a[i] + alpha·b[i] for every i.
func ForeachAdd(s *Scope, a, b []*Tensor, alpha float64) []*Tensor {
	const op = "_foreach_add"
	out := make([]C.tb_tensor, len(a))
	pairs(op, a, b, func(a, b *C.tb_tensor, n C.int64_t) *C.tb_error {
		return C.tb_foreach_add(a, b, C.double(alpha), n, first(out))
	})
	return s.adoptAll(out, op)
}

// ForeachAddInPlace adds alpha·b[i] to a[i], outside of the graph.
func ForeachAddInPlace(a, b []*Tensor, alpha float64) {
	pairs("_foreach_add_", a, b, func(a, b *C.tb_tensor, n C.int64_t) *C.tb_error { return C.tb_foreach_add_(a, b, C.double(alpha), n) })
}

// ForeachMul returns a[i] * b[i] for every i.
func ForeachMul(s *Scope, a, b []*Tensor) []*Tensor {
	const op = "_foreach_mul"
	out := make([]C.tb_tensor, len(a))
	pairs(op, a, b, func(a, b *C.tb_tensor, n C.int64_t) *C.tb_error { return C.tb_foreach_mul(a, b, n, first(out)) })
	return s.adoptAll(out, op)
}

// ForeachMulScalarInPlace multiplies a[i] by v, outside of the graph.
func ForeachMulScalarInPlace(a []*Tensor, v float64) {
	const op = "_foreach_mul_"
	if len(a) > 0 {
		pa := list(op, a)
		check(C.tb_foreach_mul_scalar_(first(pa), C.double(v), C.int64_t(len(a))), op, a...)
	}
}

// ForeachCopyInPlace overwrites dst[i] with src[i], outside of the graph.
func ForeachCopyInPlace(dst, src []*Tensor) {
	pairs("_foreach_copy_", dst, src, func(dst, src *C.tb_tensor, n C.int64_t) *C.tb_error { return C.tb_foreach_copy_(dst, src, n) })
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
