package torchbind

// #include "shim.h"
//
// static tb_error *unary(void *f, tb_tensor a, tb_tensor *out) { return ((tb_error *(*)(tb_tensor, tb_tensor *))f)(a, out); }
// static tb_error *binary(void *f, tb_tensor a, tb_tensor b, tb_tensor *out) {
//   return ((tb_error *(*)(tb_tensor, tb_tensor, tb_tensor *))f)(a, b, out);
// }
import "C"

import "unsafe"

// unary returns what f, of the shim, makes of a.
func unary(s *Scope, op string, f unsafe.Pointer, a *Tensor) *Tensor {
	var out C.tb_tensor
	err := C.unary(f, a.handle(op), &out)
	return s.adopt(out, err, op, a)
}

// binary is unary for two operands.
func binary(s *Scope, op string, f unsafe.Pointer, a, b *Tensor) *Tensor {
	var out C.tb_tensor
	err := C.binary(f, a.handle(op), b.handle(op), &out)
	return s.adopt(out, err, op, a, b)
}

// Add returns a + b, with broadcasting.
func Add(s *Scope, a, b *Tensor) *Tensor {
	var out C.tb_tensor
	err := C.tb_add(a.handle("add"), b.handle("add"), 1, &out)
	return s.adopt(out, err, "add", a, b)
}

// Sub returns a - b, with broadcasting.
func Sub(s *Scope, a, b *Tensor) *Tensor {
	var out C.tb_tensor
	err := C.tb_add(a.handle("sub"), b.handle("sub"), -1, &out)
	return s.adopt(out, err, "sub", a, b)
}

// Mul returns a * b, with broadcasting.
func Mul(s *Scope, a, b *Tensor) *Tensor { return binary(s, "mul", C.tb_mul, a, b) }

// AddScalar returns a + v.
func AddScalar(s *Scope, a *Tensor, v float64) *Tensor {
	var out C.tb_tensor
	err := C.tb_add_scalar(a.handle("add"), C.double(v), &out)
	return s.adopt(out, err, "add", a)
}

// MulScalar returns a * v.
func MulScalar(s *Scope, a *Tensor, v float64) *Tensor {
	var out C.tb_tensor
	err := C.tb_mul_scalar(a.handle("mul"), C.double(v), &out)
	return s.adopt(out, err, "mul", a)
}

// Sqrt returns the square root of every element.
func Sqrt(s *Scope, a *Tensor) *Tensor { return unary(s, "sqrt", C.tb_sqrt, a) }

// Tanh returns the hyperbolic tangent of every element.
func Tanh(s *Scope, a *Tensor) *Tensor { return unary(s, "tanh", C.tb_tanh, a) }

// Sigmoid returns the logistic function of every element.
func Sigmoid(s *Scope, a *Tensor) *Tensor { return unary(s, "sigmoid", C.tb_sigmoid, a) }

// Cos returns the cosine of every element.
func Cos(s *Scope, a *Tensor) *Tensor { return unary(s, "cos", C.tb_cos, a) }

// Sin returns the sine of every element.
func Sin(s *Scope, a *Tensor) *Tensor { return unary(s, "sin", C.tb_sin, a) }

// Contiguous returns a with its elements in the order of its shape: itself where
// they are, else a copy.
func Contiguous(s *Scope, a *Tensor) *Tensor { return unary(s, "contiguous", C.tb_contiguous, a) }

// Softmax returns a's softmax along dim.
func Softmax(s *Scope, a *Tensor, dim int) *Tensor {
	var out C.tb_tensor
	err := C.tb_softmax(a.handle("softmax"), C.int64_t(dim), &out)
	return s.adopt(out, err, "softmax", a)
}

// LogSoftmax returns the logarithm of a's softmax along dim.
func LogSoftmax(s *Scope, a *Tensor, dim int) *Tensor {
	var out C.tb_tensor
	err := C.tb_log_softmax(a.handle("log_softmax"), C.int64_t(dim), &out)
	return s.adopt(out, err, "log_softmax", a)
}

// TopK returns the k largest entries of a along dim, the largest first, and
// where they stand (int64).
func TopK(s *Scope, a *Tensor, k int64, dim int) (values, indices *Tensor) {
	var v, i C.tb_tensor
	err := C.tb_topk(a.handle("topk"), C.int64_t(k), C.int64_t(dim), &v, &i)
	check(err, "topk", a)
	both := s.adoptAll([]C.tb_tensor{v, i}, "topk")
	return both[0], both[1]
}

// Sum returns the sum of all elements, a scalar.
func Sum(s *Scope, a *Tensor) *Tensor { return unary(s, "sum", C.tb_sum, a) }

// Mean returns the mean of all elements, a scalar.
func Mean(s *Scope, a *Tensor) *Tensor { return unary(s, "mean", C.tb_mean, a) }

// MatMul returns the matrix product of a and b, as torch.matmul.
func MatMul(s *Scope, a, b *Tensor) *Tensor { return binary(s, "matmul", C.tb_matmul, a, b) }

// AddMMInPlace adds the product of a [N, K] and b [K, M] to t [N, M].
func (t *Tensor) AddMMInPlace(a, b *Tensor) {
	err := C.tb_addmm_(t.handle("addmm_"), a.handle("addmm_"), b.handle("addmm_"))
	check(err, "addmm_", t, a, b)
}

// Transpose returns a view of a with two dimensions exchanged.
func Transpose(s *Scope, a *Tensor, dim0, dim1 int) *Tensor {
	var out C.tb_tensor
	err := C.tb_transpose(a.handle("transpose"), C.int64_t(dim0), C.int64_t(dim1), &out)
	return s.adopt(out, err, "transpose", a)
}

// Reshape returns a with another shape; one size may be -1.
func Reshape(s *Scope, a *Tensor, shape ...int64) *Tensor {
	var out C.tb_tensor
	err := C.tb_reshape(a.handle("reshape"), dims(shape), C.int64_t(len(shape)), &out)
	return s.adopt(out, err, "reshape", a)
}

// Narrow returns a view of length entries of dimension dim from start on.
func Narrow(s *Scope, a *Tensor, dim int, start, length int64) *Tensor {
	var out C.tb_tensor
	err := C.tb_narrow(a.handle("narrow"), C.int64_t(dim), C.int64_t(start), C.int64_t(length), &out)
	return s.adopt(out, err, "narrow", a)
}

// IndexSelect returns the entries of dimension dim that index (int64, 1-D)
// names.
func IndexSelect(s *Scope, a *Tensor, dim int, index *Tensor) *Tensor {
	var out C.tb_tensor
	err := C.tb_index_select(a.handle("index_select"), C.int64_t(dim), index.handle("index_select"), &out)
	return s.adopt(out, err, "index_select", a, index)
}

// IndexCopyInPlace overwrites the entry of t's dimension dim that index[i]
// (int64, 1-D) names with entry i of source.
func (t *Tensor) IndexCopyInPlace(dim int, index, source *Tensor) {
	const op = "index_copy_"
	err := C.tb_index_copy_(t.handle(op), C.int64_t(dim), index.handle(op), source.handle(op))
	check(err, op, t, index, source)
}

// Cat joins ts along dim.
func Cat(s *Scope, ts []*Tensor, dim int) *Tensor {
	ptrs := list("cat", ts)
	var out C.tb_tensor
	err := C.tb_cat(first(ptrs), C.int64_t(len(ptrs)), C.int64_t(dim), &out)
	return s.adopt(out, err, "cat", ts...)
}

// BlockDiag returns the matrix with the matrices ts along its diagonal and
// zeros elsewhere. A matrix with no columns, [n, 0], leaves n rows of zeros.
func BlockDiag(s *Scope, ts []*Tensor) *Tensor {
	ptrs := list("block_diag", ts)
	var out C.tb_tensor
	err := C.tb_block_diag(first(ptrs), C.int64_t(len(ptrs)), &out)
	return s.adopt(out, err, "block_diag", ts...)
}
