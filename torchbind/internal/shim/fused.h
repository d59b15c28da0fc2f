// Operators of packed Transformer batches that libtorch composes from many
// element-wise ones: here each is one pass over memory, and so are its first
// and second derivatives. float32, float64 and bfloat16 (computed in float32)
// on the CPU; anything else takes the composed form, of ATen operators that
// neither read from the device nor copy to it. A third derivative is an error,
// except where a function says "any order".
//
// Packed: the N tokens of all sequences in one [N, C]; sequence s owns rows
// cu[s] to cu[s+1].
//
// Dropout with probability p keeps an element with the scale 1/(1-p). The mask
// is a pure function of (seed, position), so the derivatives regenerate it; a
// call site needs a seed of its own at every step. That is so on the CPU; on
// other devices dropout is PyTorch's own, from the device's generator, and the
// seed has no meaning.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace tb {

// x [N, in] times the frozen weight [out, in] transposed, plus bias [out] if
// defined: [N, out]. The derivative is for x alone, of any order. packed is
// what pack_frozen made of the weight, or two undefined tensors.
using PackedWeight = std::pair<at::Tensor, at::Tensor>;
at::Tensor frozen_linear(const at::Tensor &x, const at::Tensor &weight, const PackedWeight &packed, const at::Tensor &bias);

// The forms of a weight [out, in] in which this CPU multiplies fastest: first
// for y = x W^T, second for dx = dy W. Undefined where the weight itself is
// as good. Together they take up to twice the weight's memory (four times for
// bfloat16 on a CPU without bfloat16 products).
PackedWeight pack_frozen(const at::Tensor &weight);

// A frozen matrix [rows, in] in 8 or 4 bits: of the rows of parts, one after the
// other, those from first on. On any device, of ATen operators.
//
// 8 bits, where table is undefined: codes int8 [out, in], scales float32 [out], and
// a number is code times scale / 127. 4 bits: codes uint8, of two numbers in
// row-major order each, the first in the high bits; table float32 [512] has the pair
// of numbers of each byte, and scales float32 one for every block numbers.
struct QuantizedPart {
  at::Tensor codes, scales, table;
  int64_t rows, block;
};
struct QuantizedWeight {
  std::vector<QuantizedPart> parts;
  int64_t first, rows, in;
};

// The codes and the scales of w [out, in], as bitsandbytes quantizes: in 4 bits under
// a table of ascending numbers from -1 to 1, or without one in 8.
std::pair<at::Tensor, at::Tensor> quantize(const at::Tensor &w, const at::Tensor &table, int64_t block);

// The numbers of w [rows, in]: float32's products, rounded to type.
at::Tensor dequantize(const QuantizedWeight &w, at::ScalarType type);

// frozen_linear with w, which is dequantized in the call, and again in every
// derivative: no graph holds more of it than its codes. transposed: x is [N, rows],
// the product x W [N, in].
at::Tensor quantized_linear(const at::Tensor &x, const QuantizedWeight &w, const at::Tensor &bias, bool transposed = false);

// True if this CPU multiplies bfloat16 matrices in hardware. Elsewhere
// frozen_linear computes them in float32.
bool cpu_multiplies_bfloat16();

// Attention of each sequence and head for itself: softmax(scale q k^T) v, with
// dropout on the probabilities: [M, H D]. A cap that is not 0 makes each score
// s of the softmax cap tanh(s / cap). Query head h of H attends to key and
// value head h / (H / KV) of KV. Either q is qkv [N, (H + 2 KV) D] (columns q,
// k, v), kv is undefined and cu_k equals cu_q; or q is [M, H D] and kv [N, 2 KV
// D], and cu_q says which query rows belong to which sequence, perhaps none.
// cu_q and cu_k are int32 or int64 [B+1] on the CPU.
//
// visible [M], of their types, says how many keys of its sequence, from the
// first, each query row sees, at least one; undefined, it is all. window > 0
// leaves the last so many of these.
struct AttentionArgs {
  int64_t heads, kv_heads;
  double scale;
  double cap = 0;
  double dropout = 0;
  uint64_t seed = 0;
  at::Tensor visible = {};
  int64_t window = 0;
};
at::Tensor packed_attention(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k, const AttentionArgs &args);

// Where the rows of a packed batch stand in a padded one of B sequences of Tq
// queries and Tk keys: what attention from ATen operators needs, made once for
// all layers. The batch may have more query and key rows than its sequences:
// these are never read as keys, and the result at such a query row is that of
// some other.
struct AttentionPlan {
  at::Tensor queries;  // [B Tq] int64: the query row at each place; padding has some row
  at::Tensor keys;     // [B Tk]: the same of key rows; undefined in self attention
  at::Tensor places;   // [M]: the place of each query row
  at::Tensor mask;     // [B, 1, 1 or Tq, Tk]: 0 where a key is seen, else -inf; a row of padding sees a key too
};

// The plan of packed_attention's arguments of these names, for M query rows, tq
// and tk at least as long as the longest sequence, and inputs of the type and
// device of like. cu_k is undefined in self attention.
AttentionPlan attention_plan(const at::Tensor &cu_q, const at::Tensor &cu_k, const at::Tensor &visible, int64_t window, int64_t rows, int64_t tq,
                             int64_t tk, const at::TensorOptions &like);

// packed_attention under a plan, for any device; args.visible and args.window
// are the plan's. With twice, derivatives are of any order; without, of the
// first, by scaled_dot_product_attention where that can drop as wanted.
at::Tensor planned_attention(const at::Tensor &q, const at::Tensor &kv, const AttentionPlan &plan, const AttentionArgs &args, bool twice);

// packed_attention by a plan of its own: derivatives of any order.
at::Tensor packed_attention_composed(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k,
                                     const AttentionArgs &args);

// Layer norm over the columns of residual + dropout(x), [N, C]. residual may be
// undefined. A weight or bias that requires a gradient takes the composed form.
at::Tensor add_dropout_layer_norm(const at::Tensor &x, const at::Tensor &residual, const at::Tensor &weight, const at::Tensor &bias, double eps,
                                  double dropout, uint64_t seed);
at::Tensor add_dropout_layer_norm_composed(const at::Tensor &x, const at::Tensor &residual, const at::Tensor &weight, const at::Tensor &bias,
                                           double eps, double dropout, uint64_t seed);

// weight times x over the root mean square (plus eps under the root) of its row,
// [N, C]. A weight that requires a gradient takes the composed form.
at::Tensor rms_norm(const at::Tensor &x, const at::Tensor &weight, double eps);
at::Tensor rms_norm_composed(const at::Tensor &x, const at::Tensor &weight, double eps);

// residual + dropout(x); derivatives of any order.
at::Tensor add_dropout(const at::Tensor &x, const at::Tensor &residual, double p, uint64_t seed);

// x Phi(x), or with tanh_form its approximation by a hyperbolic tangent
// (Hugging Face's gelu_new).
at::Tensor gelu(const at::Tensor &x, bool tanh_form);

// silu(a) b for x = [a, b] [N, 2I], silu(a) = a / (1 + exp(-a)): [N, I].
at::Tensor swiglu(const at::Tensor &x);

// gelu(a) b.
at::Tensor geglu(const at::Tensor &x, bool tanh_form);

// Rotary position embedding: each of the first heads heads (u, v) of x [N, at
// least heads D], u and v its halves, becomes (u cos - v sin, v cos + u sin);
// the other columns stay. cos and sin are float32 [N, D/2]. Derivatives of any
// order.
at::Tensor rotary(const at::Tensor &x, const at::Tensor &cos, const at::Tensor &sin, int64_t heads);
at::Tensor rotary_composed(const at::Tensor &x, const at::Tensor &cos, const at::Tensor &sin, int64_t heads);

// The mean over rows of the cross entropy of logits [M, V] against labels
// (int64, [M]), a share smoothing of which is spread over all V classes; rows
// with label -100 count for nothing. A scalar; float32 for bfloat16 logits.
at::Tensor cross_entropy(const at::Tensor &logits, const at::Tensor &labels, double smoothing);
at::Tensor cross_entropy_composed(const at::Tensor &logits, const at::Tensor &labels, double smoothing);

// x with elements dropped; derivatives of any order. The mask depends on the
// row (all dimensions but the last) and the column of an element.
at::Tensor dropout(const at::Tensor &x, double p, uint64_t seed);
at::Tensor dropout_composed(const at::Tensor &x, double p, uint64_t seed);

// 1 where attention (heads > 1) or dropout (heads == 1) keeps, else 0: [heads,
// rows, columns] in the type and on the device of like.
at::Tensor dropout_mask(int64_t heads, int64_t rows, int64_t columns, double p, uint64_t seed, const at::Tensor &like);

}  // namespace tb
