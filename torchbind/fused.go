package torchbind

// #include "shim.h"
import "C"

import (
	"cmp"
	"runtime"
)

// This file has the operations with kernels of their own (fused_*.cc): on the
// CPU one pass over memory for the value, the first and the second derivative;
// elsewhere composed of ATen operators, which neither wait for the device nor
// copy to it. On the CPU dropout masks are a function of a seed, so the same seed
// gives the same mask wherever it is needed again; on other devices they are
// drawn from the device's generator, and seeds have no meaning.

// FrozenWeight is a linear layer's weight that is never trained, with the forms
// in which its products are fastest.
type FrozenWeight struct {
	weight             *Tensor // [out, in]
	forward, transpose *Tensor // packed for x Wᵀ and for g W; nil where weight serves

	quantized *Quantized // in place of all that; nil: it is not
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
	if w.quantized != nil {
		return w.quantized.linear(s, x, b)
	}
	var out C.tb_tensor
	err := C.tb_frozen_linear(x.handle(op), w.weight.handle(op), w.forward.optionalHandle(op), w.transpose.optionalHandle(op), b.optionalHandle(op), &out)
	return s.adopt(out, err, op, x, w.weight, b)
}

// AttentionConfig holds the settings of SelfAttention and CrossAttention.
type AttentionConfig struct {
	// Heads of the queries. Each group of Heads/KVHeads of them shares one head of
	// keys and values; KVHeads 0 stands for Heads.
	Heads, KVHeads int64
	Scale          float64 // of the scores, mostly 1/√D
	// Cap, if not 0, makes a score s, Scale in it, Cap·tanh(s/Cap).
	Cap float64

	// Dropout is the probability with which a probability is dropped, under the
	// mask of Seed.
	Dropout float64
	Seed    uint64

	// Visible [M] (int64, on the CPU) says how many keys of its sequence, from the
	// first, each query row sees: in causal attention its position plus 1. Nil
	// means all of them.
	Visible *Tensor
	// Window, if not 0, leaves the last so many of the visible keys.
	Window int64

	// Plan, if not nil, is the plan of this batch, which attention then follows in
	// place of offsets, Visible and Window. Without one, a device other than the
	// CPU makes its own in every call, and waits for the host to do so.
	Plan *AttentionPlan
	// Twice asks for second derivatives from attention by a plan; without one there
	// always are. Only first derivatives are faster, and need no matrix of scores.
	Twice bool
}

// AttentionPlan says where the rows of a packed batch stand in a padded one, of B
// sequences of Tq queries and Tk keys: attention of ATen operators on any device,
// made once for all layers.
type AttentionPlan struct {
	Queries *Tensor // [B·Tq] int64: the query row at each place
	Keys    *Tensor // [B·Tk] int64: the key row at each place; nil in self attention
	Places  *Tensor // [M] int64: the place of each query row
	Mask    *Tensor // [B, 1, 1 or Tq, Tk], added to the scores: 0 where a key is seen, else −Inf
}

// PlanConfig holds the settings of NewAttentionPlan.
type PlanConfig struct {
	Visible *Tensor // as in AttentionConfig
	Window  int64   // as in AttentionConfig
	// Rows M of the queries, at least those of the sequences. What more there is,
	// here or among the keys, belongs to no sequence: it is never read as a key, and
	// its result is that of some other row.
	Rows                   int64
	QueryLength, KeyLength int64 // Tq and Tk, at least the longest sequence's
	DType                  DType // of the queries
	Device                 Device
}

// NewAttentionPlan returns the plan for query rows at qOffsets and key rows at
// kvOffsets [B+1] (int64, on the CPU); kvOffsets is nil in self attention.
func NewAttentionPlan(s *Scope, qOffsets, kvOffsets *Tensor, cfg PlanConfig) *AttentionPlan {
	const op = "attention_plan"
	var out [4]C.tb_tensor
	err := C.tb_attention_plan(qOffsets.handle(op), kvOffsets.optionalHandle(op), cfg.Visible.optionalHandle(op), C.int64_t(cfg.Window),
		C.int64_t(cfg.Rows), C.int64_t(cfg.QueryLength), C.int64_t(cfg.KeyLength), C.int(cfg.DType), C.int(cfg.Device), &out[0])
	check(err, op, qOffsets, kvOffsets, cfg.Visible)
	ts := s.adoptAll(out[:], op)
	return &AttentionPlan{Queries: ts[0], Keys: ts[1], Places: ts[2], Mask: ts[3]}
}

// Tensors returns the tensors of the plan, in a fixed order.
func (p *AttentionPlan) Tensors() []*Tensor {
	if p.Keys == nil {
		return []*Tensor{p.Queries, p.Places, p.Mask}
	}
	return []*Tensor{p.Queries, p.Keys, p.Places, p.Mask}
}

// Clone returns a copy of the plan in s.
func (p *AttentionPlan) Clone(s *Scope) *AttentionPlan {
	c := &AttentionPlan{Queries: Clone(s, p.Queries), Places: Clone(s, p.Places), Mask: Clone(s, p.Mask)}
	if p.Keys != nil {
		c.Keys = Clone(s, p.Keys)
	}
	return c
}

// SelfAttention is multi-head attention within each of B packed sequences. The
// rows of qkv [N, (Heads + 2·KVHeads)·D] are queries, keys and values side by
// side; offsets [B+1] (int64, on the CPU) says where each sequence begins. The
// result is [N, Heads·D]. Derivatives go up to the second, unless a plan without
// Twice leaves the first.
func SelfAttention(s *Scope, qkv, offsets *Tensor, cfg AttentionConfig) *Tensor {
	return attention(s, qkv, nil, offsets, offsets, cfg)
}

// CrossAttention is SelfAttention for some of the rows: q [M, Heads·D] are the
// queries, kv [N, 2·KVHeads·D] keys and values side by side; qOffsets and
// kvOffsets [B+1] say which rows belong to which sequence. The result is
// [M, Heads·D].
func CrossAttention(s *Scope, q, kv, qOffsets, kvOffsets *Tensor, cfg AttentionConfig) *Tensor {
	return attention(s, q, kv, qOffsets, kvOffsets, cfg)
}

func attention(s *Scope, q, kv, qOffsets, kvOffsets *Tensor, cfg AttentionConfig) *Tensor {
	const op = "packed_attention"
	var out C.tb_tensor
	if plan := cfg.Plan; plan != nil {
		handles := [4]C.tb_tensor{plan.Queries.handle(op), plan.Keys.optionalHandle(op), plan.Places.handle(op), plan.Mask.handle(op)}
		err := C.tb_planned_attention(q.handle(op), kv.optionalHandle(op), &handles[0], C.int64_t(cfg.Heads), C.int64_t(cmp.Or(cfg.KVHeads, cfg.Heads)),
			C.double(cfg.Scale), C.double(cfg.Cap), C.double(cfg.Dropout), C.uint64_t(cfg.Seed), flag(cfg.Twice), &out)
		runtime.KeepAlive(plan)
		return s.adopt(out, err, op, q, kv, plan.Queries, plan.Keys, plan.Places, plan.Mask)
	}
	err := C.tb_packed_attention(q.handle(op), kv.optionalHandle(op), qOffsets.handle(op), kvOffsets.handle(op), cfg.Visible.optionalHandle(op),
		C.int64_t(cfg.Heads), C.int64_t(cmp.Or(cfg.KVHeads, cfg.Heads)), C.int64_t(cfg.Window), C.double(cfg.Scale), C.double(cfg.Cap), C.double(cfg.Dropout),
		C.uint64_t(cfg.Seed), &out)
	return s.adopt(out, err, op, q, kv, qOffsets, kvOffsets, cfg.Visible)
}

// Rotary is the rotary position embedding of the first heads heads of x
// [N, ≥ heads·D]: with u and v the halves of a head, it becomes
// (u·cos − v·sin, v·cos + u·sin). Other columns stay as they are. cos and sin
// are [N, D/2], float32. This is the form of Hugging Face's rotate_half.
// Derivatives are of any order, and none for cos and sin.
func Rotary(s *Scope, x, cos, sin *Tensor, heads int64) *Tensor {
	const op = "rotary"
	var out C.tb_tensor
	err := C.tb_rotary(x.handle(op), cos.handle(op), sin.handle(op), C.int64_t(heads), &out)
	return s.adopt(out, err, op, x, cos, sin)
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

// LayerNorm normalises the rows of x [N, C], then scales and shifts them by w
// and b [C]. While these are frozen, derivatives go up to the second.
func LayerNorm(s *Scope, x, w, b *Tensor, eps float64) *Tensor {
	var out C.tb_tensor
	err := C.tb_layer_norm(x.handle("layer_norm"), w.handle("layer_norm"), b.handle("layer_norm"), C.double(eps), &out)
	return s.adopt(out, err, "layer_norm", x, w, b)
}

// RMSNorm returns w·x/√(mean(x²) + eps) over the rows of x [N, C], for w [C].
// While w is frozen, derivatives go up to the second.
func RMSNorm(s *Scope, x, w *Tensor, eps float64) *Tensor {
	var out C.tb_tensor
	err := C.tb_rms_norm(x.handle("rms_norm"), w.handle("rms_norm"), C.double(eps), &out)
	return s.adopt(out, err, "rms_norm", x, w)
}

// GELU returns x·Φ(x), or with tanh the approximation that transformers calls
// gelu_new. Derivatives go up to the second.
func GELU(s *Scope, x *Tensor, tanh bool) *Tensor {
	var out C.tb_tensor
	err := C.tb_gelu(x.handle("gelu"), flag(tanh), &out)
	return s.adopt(out, err, "gelu", x)
}

// SwiGLU returns silu(x[:, :I]) · x[:, I:] for x [N, 2I], with
// silu(a) = a/(1 + e⁻ᵃ): [N, I]. Derivatives go up to the second.
func SwiGLU(s *Scope, x *Tensor) *Tensor { return unary(s, "swiglu", C.tb_swiglu, x) }

// GeGLU returns GELU(x[:, :I]) · x[:, I:] for x [N, 2I], with tanh that of
// gelu_new: [N, I]. Derivatives go up to the second.
func GeGLU(s *Scope, x *Tensor, tanh bool) *Tensor {
	var out C.tb_tensor
	err := C.tb_geglu(x.handle("geglu"), flag(tanh), &out)
	return s.adopt(out, err, "geglu", x)
}

// CrossEntropy returns the mean cross entropy of logits [M, V] against labels
// (int64, [M]), a scalar, in float32 where the logits are bfloat16. As in
// PyTorch, label smoothing spreads a share smoothing of every label over all
// classes, and a row with label -100 counts for nothing. Derivatives go up to
// the second.
func CrossEntropy(s *Scope, logits, labels *Tensor, smoothing float64) *Tensor {
	const op = "cross_entropy"
	var out C.tb_tensor
	err := C.tb_cross_entropy(logits.handle(op), labels.handle(op), C.double(smoothing), &out)
	return s.adopt(out, err, op, logits, labels)
}

// AddDropout returns residual + dropout(x), where elements of x are dropped
// with probability p under the mask of seed.
func AddDropout(s *Scope, x, residual *Tensor, p float64, seed uint64) *Tensor {
	const op = "add_dropout"
	var out C.tb_tensor
	err := C.tb_add_dropout(x.handle(op), residual.handle(op), C.double(p), C.uint64_t(seed), &out)
	return s.adopt(out, err, op, x, residual)
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
