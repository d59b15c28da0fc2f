// The checks of the attention operators, and attention from ATen operators on
// padded batches.
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/masked_fill.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/softmax.h>

#include "fused.h"
#include "fused_attention.h"
#include "kernel.h"

namespace tb {
namespace {

std::vector<int64_t> offsets(const at::Tensor &cu, const char *name, int64_t rows) {
  TORCH_CHECK(cu.defined() && cu.dim() == 1 && cu.numel() >= 1 && cu.device().is_cpu() && (cu.scalar_type() == at::kInt || cu.scalar_type() == at::kLong),
              "packed_attention: ", name, " must be int32 or int64 [B+1] on the CPU");
  const auto wide = cu.to(at::kLong).contiguous();
  const int64_t *p = wide.const_data_ptr<int64_t>();
  const std::vector<int64_t> v(p, p + wide.numel());
  TORCH_CHECK(v.front() == 0 && v.back() == rows, "packed_attention: ", name, " runs from ", v.front(), " to ", v.back(), ", want 0 to ", rows);
  for (size_t i = 1; i < v.size(); i++) {
    TORCH_CHECK(v[i] >= v[i - 1], "packed_attention: ", name, " falls from ", v[i - 1], " to ", v[i], " at ", i);
  }
  return v;
}

int64_t longest(const std::vector<int64_t> &cu) {
  int64_t most = 1;
  for (size_t i = 1; i < cu.size(); i++) most = std::max(most, cu[i] - cu[i - 1]);
  return most;
}

// [B * length]: for each place of a padded batch the packed row, 0 for padding.
at::Tensor rows_of_places(const std::vector<int64_t> &cu, int64_t length, at::Device device) {
  const int64_t sequences = static_cast<int64_t>(cu.size()) - 1;
  const auto index = at::empty({sequences * length}, at::kLong);
  int64_t *p = index.mutable_data_ptr<int64_t>();
  for (int64_t b = 0; b < sequences; b++) {
    for (int64_t t = 0; t < length; t++) *p++ = t < cu[b + 1] - cu[b] ? cu[b] + t : 0;
  }
  return index.to(device);
}

// [N]: the place of each packed row.
at::Tensor places_of_rows(const std::vector<int64_t> &cu, int64_t length, at::Device device) {
  const auto index = at::empty({cu.back()}, at::kLong);
  int64_t *p = index.mutable_data_ptr<int64_t>();
  for (size_t b = 0; b + 1 < cu.size(); b++) {
    for (int64_t t = 0; t < cu[b + 1] - cu[b]; t++) *p++ = static_cast<int64_t>(b) * length + t;
  }
  return index.to(device);
}

// [B, 1, 1, length]: true for padding. An empty sequence keeps one place, so
// that no row of a softmax is empty.
at::Tensor padding(const std::vector<int64_t> &cu, int64_t length, at::Device device) {
  const int64_t sequences = static_cast<int64_t>(cu.size()) - 1;
  const auto mask = at::empty({sequences, 1, 1, length}, at::kBool);
  bool *p = mask.mutable_data_ptr<bool>();
  for (int64_t b = 0; b < sequences; b++) {
    for (int64_t t = 0; t < length; t++) *p++ = t >= std::max<int64_t>(1, cu[b + 1] - cu[b]);
  }
  return mask.to(device);
}

}  // namespace

AttentionShape attention_shape(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k,
                               const AttentionArgs &args) {
  const int64_t parts = kv.defined() ? 1 : 3;
  TORCH_CHECK(args.heads > 0 && q.dim() == 2 && q.size(1) > 0 && q.size(1) % (parts * args.heads) == 0, "packed_attention: ",
              kv.defined() ? "q" : "qkv", " has shape ", q.sizes(), ", which ", args.heads, " heads do not divide");
  const int64_t c = q.size(1) / parts;
  if (kv.defined()) {
    TORCH_CHECK(kv.dim() == 2 && kv.size(1) == 2 * c, "packed_attention: kv has shape ", kv.sizes(), ", want [N, ", 2 * c, "]");
    TORCH_CHECK(kv.scalar_type() == q.scalar_type() && kv.device() == q.device(), "packed_attention: q and kv differ in type or device");
  }
  auto q_offsets = offsets(cu_q, "cu_q", q.size(0)), k_offsets = offsets(cu_k, "cu_k", kv.defined() ? kv.size(0) : q.size(0));
  TORCH_CHECK(q_offsets.size() == k_offsets.size(), "packed_attention: cu_q has ", q_offsets.size() - 1, " sequences, cu_k ", k_offsets.size() - 1);
  TORCH_CHECK(kv.defined() || q_offsets == k_offsets, "packed_attention: cu_q and cu_k differ, want them equal for qkv");
  for (size_t i = 1; i < q_offsets.size(); i++) {
    TORCH_CHECK(q_offsets[i] == q_offsets[i - 1] || k_offsets[i] > k_offsets[i - 1], "packed_attention: sequence ", i - 1,
                " has queries but no keys");
  }
  return {std::move(q_offsets), std::move(k_offsets), args.heads, c / args.heads, args.scale, Dropout(args.dropout, args.seed)};
}

at::Tensor packed_attention_composed(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k,
                                     const AttentionArgs &args) {
  const auto s = attention_shape(q, kv, cu_q, cu_k, args);
  const int64_t batch = s.sequences(), heads = s.heads, d = s.head_size, c = heads * d;
  if (q.size(0) == 0) return q.narrow(1, 0, c).clone();
  const int64_t tq = longest(s.cu_q), tk = longest(s.cu_k);
  const auto device = q.device();
  const auto query_rows = rows_of_places(s.cu_q, tq, device), key_rows = rows_of_places(s.cu_k, tk, device);
  const auto pad = [&](const at::Tensor &source, int64_t column, const at::Tensor &index, int64_t length) {
    return at::index_select(source.narrow(1, column, c), 0, index).view({batch, length, heads, d}).transpose(1, 2);  // [B, H, T, D]
  };
  const auto &keys = kv.defined() ? kv : q;
  const int64_t first = kv.defined() ? 0 : c;
  const auto query = pad(q, 0, query_rows, tq), key = pad(keys, first, key_rows, tk), value = pad(keys, first + c, key_rows, tk);
  const auto scores = at::mul(at::matmul(query, key.transpose(2, 3)), s.scale);  // [B, H, Tq, Tk]
  auto p = at::softmax(at::masked_fill(scores, padding(s.cu_k, tk, device), -INFINITY), -1);
  if (s.drop.active) {
    const auto mask = dropout_mask(heads, q.size(0), tk, args.dropout, args.seed, q);  // [H, M, Tk]
    p = at::mul(at::mul(p, at::index_select(mask, 1, query_rows).view({heads, batch, tq, tk}).transpose(0, 1)), s.drop.scale);
  }
  const auto out = at::matmul(p, value).transpose(1, 2).reshape({batch * tq, c});
  return at::index_select(out, 0, places_of_rows(s.cu_q, tq, device));
}

}  // namespace tb
