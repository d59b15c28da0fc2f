package torchbind

// #include "shim.h"
import "C"

// ForeachAdd returns a[i] + alpha·b[i] for every i.
func ForeachAdd(s *Scope, a, b []*Tensor, alpha float64) []*Tensor {
	n := sameLength("_foreach_add", a, b)
	out := make([]C.tb_tensor, n)
	pa, pb := list("_foreach_add", a), list("_foreach_add", b)
	check(C.tb_foreach_add(first(pa), first(pb), C.double(alpha), n, first(out)), "_foreach_add")
	return s.adoptAll(out, "_foreach_add")
}

// ForeachAddInPlace adds alpha·b[i] to a[i], outside of the graph.
func ForeachAddInPlace(a, b []*Tensor, alpha float64) {
	n := sameLength("_foreach_add_", a, b)
	pa, pb := list("_foreach_add_", a), list("_foreach_add_", b)
	check(C.tb_foreach_add_(first(pa), first(pb), C.double(alpha), n), "_foreach_add_")
}

// ForeachMul returns a[i] * b[i] for every i.
func ForeachMul(s *Scope, a, b []*Tensor) []*Tensor {
	n := sameLength("_foreach_mul", a, b)
	out := make([]C.tb_tensor, n)
	pa, pb := list("_foreach_mul", a), list("_foreach_mul", b)
	check(C.tb_foreach_mul(first(pa), first(pb), n, first(out)), "_foreach_mul")
	return s.adoptAll(out, "_foreach_mul")
}

// ForeachMulScalarInPlace multiplies a[i] by v, outside of the graph.
func ForeachMulScalarInPlace(a []*Tensor, v float64) {
	pa := list("_foreach_mul_", a)
	check(C.tb_foreach_mul_scalar_(first(pa), C.double(v), C.int64_t(len(a))), "_foreach_mul_")
}

// ForeachNorm returns the Euclidean norm of all elements of all tensors.
func ForeachNorm(ts []*Tensor) float64 {
	if len(ts) == 0 {
		return 0
	}
	s := NewScope()
	defer s.Close()
	var out C.tb_tensor
	ptrs := list("_foreach_norm", ts)
	err := C.tb_foreach_norm(first(ptrs), C.int64_t(len(ts)), &out)
	return s.adopt(out, err, "_foreach_norm").Item()
}

// DetachAll returns Detach of every tensor.
func DetachAll(s *Scope, ts []*Tensor) []*Tensor {
	out := make([]*Tensor, len(ts))
	for i, t := range ts {
		out[i] = Detach(s, t)
	}
	return out
}
