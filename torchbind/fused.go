package torchbind

// #include "shim.h"
import "C"

// This file has the operations with kernels of their own (fused_*.cc): on the
// CPU one pass over memory for the value, the first and the second derivative;
// elsewhere composed of ATen operators. Dropout masks are a function of a seed,
// so the same seed gives the same mask wherever it is needed again.

// FrozenWeight is a linear layer's weight that is never trained, with the forms
// in which its products are fastest.
type FrozenWeight struct {
	weight             *Tensor // [out, in]
	forward, transpose *Tensor // packed for x Wᵀ and for g W; nil where weight serves
}

// Freeze returns w [out, in] for FrozenLinear. With pack, both directions are
// laid out for oneDNN where this CPU gains from it, in s: twice w's memory more.
func Freeze(s *Scope, w *Tensor, pack bool) *FrozenWeight {
	f := &FrozenWeight{weight: w}
	if pack {
		var packed [2]C.tb_tensor
		check(C.tb_pack_frozen(w.handle("pack_frozen"), &packed[0], &packed[1]), "pack_frozen", w)
		forms := s.adoptAll(packed[:], "pack_frozen")
		f.forward, f.transpose = forms[0], forms[1]
	}
	return f
}

// FrozenLinear returns x Wᵀ + b for x [N, in] and b [out] or nil. Gradients of
// any order flow to x alone.
func FrozenLinear(s *Scope, x *Tensor, w *FrozenWeight, b *Tensor) *Tensor {
	const op = "frozen_linear"
	var out C.tb_tensor
	err := C.tb_frozen_linear(x.handle(op), w.weight.handle(op), w.forward.optionalHandle(op), w.transpose.optionalHandle(op), b.optionalHandle(op), &out)
	return s.adopt(out, err, op, x, w.weight, b)
}

// SelfAttention is multi-head attention within each of B packed sequences. The
// rows of qkv [N, 3C] are queries, keys and values side by side; offsets [B+1]
// (int64, on the CPU) says where each sequence begins. The result is [N, C].
// Attention probabilities are dropped with probability p under the mask of
// seed. Derivatives go up to the second.
func SelfAttention(s *Scope, qkv, offsets *Tensor, heads int64, scale, p float64, seed uint64) *Tensor {
	return attention(s, qkv, nil, offsets, offsets, heads, scale, p, seed)
}

// CrossAttention is SelfAttention for some of the rows: q [M, C] are the
// queries, kv [N, 2C] keys and values side by side; offsetsQ and offsetsKV
// [B+1] say which rows belong to which sequence. The result is [M, C].
func CrossAttention(s *Scope, q, kv, offsetsQ, offsetsKV *Tensor, heads int64, scale, p float64, seed uint64) *Tensor {
	return attention(s, q, kv, offsetsQ, offsetsKV, heads, scale, p, seed)
}

func attention(s *Scope, q, kv, offsetsQ, offsetsKV *Tensor, heads int64, scale, p float64, seed uint64) *Tensor {
	const op = "packed_attention"
	var out C.tb_tensor
	err := C.tb_packed_attention(q.handle(op), kv.optionalHandle(op), offsetsQ.handle(op), offsetsKV.handle(op),
		C.int64_t(heads), C.double(scale), C.double(p), C.uint64_t(seed), &out)
	return s.adopt(out, err, op, q, kv, offsetsQ, offsetsKV)
}

// AddDropoutLayerNorm returns LayerNorm(residual + dropout(x)) over rows
// [N, C], scaled by w and shifted by b [C]. Elements of x are dropped with
// probability p under the mask of seed. While w is frozen, derivatives go up to
// the second.
func AddDropoutLayerNorm(s *Scope, x, residual, w, b *Tensor, eps, p float64, seed uint64) *Tensor {
	const op = "add_dropout_layer_norm"
	var out C.tb_tensor
	err := C.tb_add_dropout_layer_norm(x.handle(op), residual.optionalHandle(op), w.handle(op), b.handle(op), C.double(eps), C.double(p), C.uint64_t(seed), &out)
	return s.adopt(out, err, op, x, residual, w, b)
}

// GELU returns x·Φ(x), or with tanh the approximation that transformers calls
// gelu_new. Derivatives go up to the second.
func GELU(s *Scope, x *Tensor, tanh bool) *Tensor {
	var out C.tb_tensor
	err := C.tb_gelu(x.handle("gelu"), flag(tanh), &out)
	return s.adopt(out, err, "gelu", x)
}

// Dropout sets elements of x to zero with probability p under the mask of seed
// and scales the others by 1/(1-p). With p = 0 it is x itself.
func Dropout(s *Scope, x *Tensor, p float64, seed uint64) *Tensor {
	if p == 0 {
		return x
	}
	var out C.tb_tensor
	err := C.tb_dropout(x.handle("dropout"), C.double(p), C.uint64_t(seed), &out)
	return s.adopt(out, err, "dropout", x)
}
