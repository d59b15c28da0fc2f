#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include <memory>
#include <utility>

#define TB_KERNEL_FILE "fused_attention_kernel.h"
#include "fused.h"
#include "fused_attention.h"
#include "fused_targets.h"

namespace tb {
namespace {

using Shape = std::shared_ptr<const AttentionShape>;

// The tensor itself if its rows are dense, else a dense copy.
at::Tensor dense_rows(const at::Tensor &t) { return !t.defined() || t.stride(1) == 1 ? t : t.contiguous(); }

template <class T>
T *data(const at::Tensor &t) {
  if constexpr (std::is_const_v<T>) {
    return in<std::remove_const_t<T>>(t);
  } else {
    return out<T>(t);
  }
}

template <class T>
Rows<T> rows(const at::Tensor &t) {
  return t.defined() ? Rows<T>{data<T>(t), t.stride(0)} : Rows<T>{nullptr, 0};
}

// q, k and v within qkv, or within q and kv.
template <class T>
Qkv<T> split(const AttentionShape &s, bool self, const at::Tensor &q, const at::Tensor &kv) {
  const int64_t queries = s.heads * s.head_size, keys = s.kv_heads * s.head_size;
  const Rows<T> first = rows<T>(q), second = self ? first : rows<T>(kv);
  const auto at = [](Rows<T> r, int64_t column) { return Rows<T>{r.data == nullptr ? nullptr : r.data + column, r.stride}; };
  return self ? Qkv<T>{first, at(first, queries), at(first, queries + keys)} : Qkv<T>{first, second, at(second, keys)};
}

// Calls run(begin, end, memory) on ranges of (sequence, key head) pairs that
// cost about the same, one for each thread.
template <class T, class F>
void parallel_pairs(const AttentionShape &s, F &&run) {
  using A = Acc<T>;
  const int64_t pairs = s.sequences() * s.kv_heads;
  std::vector<int64_t> cost(pairs + 1, 0);
  int64_t longest = 1;
  for (int64_t b = 0; b < s.sequences(); b++) {
    const int64_t queries = s.cu_q[b + 1] - s.cu_q[b], keys = s.cu_k[b + 1] - s.cu_k[b];
    int64_t scores = s.narrows() ? 0 : queries * keys;
    for (int64_t i = s.cu_q[b]; s.narrows() && i < s.cu_q[b + 1]; i++) scores += s.seen(i, keys).to - s.seen(i, keys).from;
    // Copying a row in and out costs about four of its products.
    const int64_t pair = ((scores + 4 * queries) * s.group() + 4 * keys) * s.head_size;
    for (int64_t i = b * s.kv_heads; i < (b + 1) * s.kv_heads; i++) cost[i + 1] = cost[i] + pair;
    longest = std::max(longest, keys);
  }
  const int64_t threads = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), cost[pairs] / kElementsPerThread));
  const auto bound = [&](int64_t t) { return std::lower_bound(cost.begin(), cost.end(), cost[pairs] * t / threads) - cost.begin(); };
  const int64_t size = TB_KERNEL(attention_scratch<A>)(s.head_size, longest, s.cap != 0);
  const auto memory = at::empty({threads, size}, acc_type(c10::CppTypeToScalarType<T>::value));
  A *scratch = out<A>(memory);
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++) run(bound(t), t + 1 == threads ? pairs : bound(t + 1), scratch + t * size);
  });
}

Tensors double_backward(const at::Tensor &gq, const at::Tensor &gkv, const at::Tensor &dout, const at::Tensor &q, const at::Tensor &kv,
                        const at::Tensor &lse, const Shape &s, const std::vector<bool> &needs) {
  if (!gq.defined() && !gkv.defined()) return Tensors(3);
  const bool self = !kv.defined();
  at::Tensor to_out, to_q, to_kv;
  {
    c10::NoGradGuard no_grad;
    const auto g = dense_rows(gq.defined() ? gq : at::zeros_like(q));
    const auto g2 = self ? kv : dense_rows(gkv.defined() ? gkv : at::zeros_like(kv));
    const auto d = dense_rows(dout), q1 = dense_rows(q), kv1 = dense_rows(kv);
    if (needs[0]) to_out = at::empty_like(dout, at::MemoryFormat::Contiguous);
    if (needs[1]) to_q = at::empty_like(q, at::MemoryFormat::Contiguous);
    if (!self && needs[2]) to_kv = at::empty_like(kv, at::MemoryFormat::Contiguous);
    with_type(q.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(attention_double_backward<T>);
      const auto inputs = split<const T>(*s, self, q1, kv1), cotangents = split<const T>(*s, self, g, g2);
      const auto results = split<T>(*s, self, to_q, to_kv);
      const auto grad_out = rows<const T>(d);
      const auto result_out = rows<T>(to_out);
      parallel_pairs<T>(*s, [&](int64_t begin, int64_t end, Acc<T> *memory) {
        kernel(*s, begin, end, inputs, grad_out, in<Acc<T>>(lse), cotangents, results, result_out, memory);
      });
    });
  }
  record_last("attention", {gq, gkv, dout, q, kv}, {to_out, to_q, to_kv});
  return {to_out, to_q, to_kv};
}

Tensors backward(const at::Tensor &dout, const at::Tensor &q, const at::Tensor &kv, const at::Tensor &lse, const Shape &s,
                 const std::vector<bool> &needs) {
  if (!dout.defined()) return Tensors(2);
  const bool self = !kv.defined();
  at::Tensor dq, dkv;
  {
    c10::NoGradGuard no_grad;
    const auto d = dense_rows(dout), q1 = dense_rows(q), kv1 = dense_rows(kv);
    if (needs[0]) dq = at::empty_like(q, at::MemoryFormat::Contiguous);
    if (!self && needs[1]) dkv = at::empty_like(kv, at::MemoryFormat::Contiguous);
    with_type(q.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(attention_backward<T>);
      const auto inputs = split<const T>(*s, self, q1, kv1);
      const auto results = split<T>(*s, self, dq, dkv);
      const auto grad_out = rows<const T>(d);
      parallel_pairs<T>(*s, [&](int64_t begin, int64_t end, Acc<T> *memory) {
        kernel(*s, begin, end, inputs, grad_out, in<Acc<T>>(lse), results, memory);
      });
    });
  }
  if (recording({dout, q, kv})) {
    record("attention_backward", {dout, q, kv}, {dq, dkv}, {dout, q, kv, lse}, [s](const Backward &b) {
      return double_backward(b.grads[0], b.grads[1], b.saved[0], b.saved[1], b.saved[2], b.saved[3], s, b.needs);
    });
  }
  return {dq, dkv};
}

}  // namespace

at::Tensor packed_attention(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k, const AttentionArgs &args) {
  const Shape s = std::make_shared<AttentionShape>(attention_shape(q, kv, cu_q, cu_k, args));
  if (!has_kernel(q)) return packed_attention_composed(q, kv, cu_q, cu_k, args);
  const bool graph = recording({q, kv}), self = !kv.defined();
  at::Tensor y, lse;
  {
    c10::NoGradGuard no_grad;
    const auto q1 = dense_rows(q), kv1 = dense_rows(kv);
    y = at::empty({q.size(0), s->heads * s->head_size}, q.options());
    if (graph) lse = at::empty({s->heads, q.size(0)}, q.options().dtype(acc_type(q.scalar_type())));
    with_type(q.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(attention_forward<T>);
      const auto inputs = split<const T>(*s, self, q1, kv1);
      const auto result = rows<T>(y);
      parallel_pairs<T>(
          *s, [&](int64_t begin, int64_t end, Acc<T> *memory) { kernel(*s, begin, end, inputs, result, out<Acc<T>>(lse), memory); });
    });
  }
  if (graph) {
    record("attention", {q, kv}, {y}, {q, kv, lse},
           [s](const Backward &b) { return backward(b.grads[0], b.saved[0], b.saved[1], b.saved[2], s, b.needs); });
  }
  return y;
}

}  // namespace tb
