// What fused_attention.cc and its kernels agree on.
#pragma once

#include <cstdint>
#include <vector>

#include "fused.h"
#include "fused_dropout.h"

namespace tb {

// Row i starts at data + i * stride.
template <class T>
struct Rows {
  T *data;
  int64_t stride;
};

// Queries [M, H D], keys and values [N, KV D], or their gradients.
template <class T>
struct Qkv {
  Rows<T> q, k, v;
};

// The keys from "from" to before "to" of a sequence.
struct KeyRange {
  int64_t from, to;
};

struct AttentionShape {
  std::vector<int64_t> cu_q, cu_k, visible;  // visible may be empty
  int64_t heads, kv_heads, head_size, window;
  double scale, cap;
  Dropout drop;

  // What the query row sees of a sequence of so many keys.
  KeyRange seen(int64_t row, int64_t keys) const {
    const int64_t to = visible.empty() ? keys : visible[row];
    return {window > 0 && to > window ? to - window : 0, to};
  }
  bool narrows() const { return !visible.empty() || window > 0; }  // or every row sees all keys
  int64_t group() const { return heads / kv_heads; }  // query heads to a key head
  int64_t sequences() const { return static_cast<int64_t>(cu_q.size()) - 1; }
  int64_t queries() const { return cu_q.back(); }
  int64_t keys() const { return cu_k.back(); }
};

// The checked arguments of packed_attention.
AttentionShape attention_shape(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k, const AttentionArgs &args);

// Query rows that are worked on at a time: bounds the scratch memory to
// kQueryBlock rows of scores, whatever the length.
constexpr int64_t kQueryBlock = 32;

}  // namespace tb
