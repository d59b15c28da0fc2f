// The checks of the attention operators, and attention from ATen operators on
// padded batches.
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
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

std::vector<int64_t> integers(const at::Tensor &t, const char *name, const char *shape) {
  TORCH_CHECK(t.defined() && t.dim() == 1 && t.device().is_cpu() && (t.scalar_type() == at::kInt || t.scalar_type() == at::kLong),
              "packed_attention: ", name, " must be int32 or int64 ", shape, " on the CPU");
  const auto wide = t.to(at::kLong).contiguous();
  const int64_t *p = wide.const_data_ptr<int64_t>();
  return {p, p + wide.numel()};
}

std::vector<int64_t> offsets(const at::Tensor &cu, const char *name, int64_t rows) {
  auto v = integers(cu, name, "[B+1]");
  TORCH_CHECK(!v.empty(), "packed_attention: ", name, " is empty, want [B+1]");
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

// [B, 1, 1, 1, tk], or tq in place of the last 1 where query rows differ: true
// for keys that are not seen. Padding sees one key, so that no row of a softmax
// is empty.
at::Tensor unseen(const AttentionShape &s, int64_t tq, int64_t tk, at::Device device) {
  const int64_t rows = s.narrows() ? tq : 1;
  const auto mask = at::full({s.sequences(), 1, 1, rows, tk}, true, at::kBool);
  bool *p = mask.mutable_data_ptr<bool>();
  for (int64_t b = 0; b < s.sequences(); b++) {
    const int64_t queries = s.cu_q[b + 1] - s.cu_q[b], keys = s.cu_k[b + 1] - s.cu_k[b];
    for (int64_t t = 0; t < rows; t++, p += tk) {
      const KeyRange seen = t < queries ? s.seen(s.cu_q[b] + t, keys) : KeyRange{0, 1};
      std::fill(p + seen.from, p + seen.to, false);
    }
  }
  return mask.to(device);
}

}  // namespace

AttentionShape attention_shape(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k,
                               const AttentionArgs &args) {
  const int64_t heads = args.heads, kv_heads = args.kv_heads;
  TORCH_CHECK(heads > 0 && kv_heads > 0 && heads % kv_heads == 0, "packed_attention: ", heads, " heads are no multiple of ", kv_heads,
              " key and value heads");
  const int64_t parts = kv.defined() ? heads : heads + 2 * kv_heads;
  TORCH_CHECK(q.dim() == 2 && q.size(1) > 0 && q.size(1) % parts == 0, "packed_attention: ", kv.defined() ? "q" : "qkv", " has shape ", q.sizes(),
              ", which ", heads, " heads and ", kv_heads, " key and value heads do not divide");
  const int64_t d = q.size(1) / parts;
  if (kv.defined()) {
    TORCH_CHECK(kv.dim() == 2 && kv.size(1) == 2 * kv_heads * d, "packed_attention: kv has shape ", kv.sizes(), ", want [N, ", 2 * kv_heads * d,
                "]");
    TORCH_CHECK(kv.scalar_type() == q.scalar_type() && kv.device() == q.device(), "packed_attention: q and kv differ in type or device");
  }
  auto q_offsets = offsets(cu_q, "cu_q", q.size(0)), k_offsets = offsets(cu_k, "cu_k", kv.defined() ? kv.size(0) : q.size(0));
  TORCH_CHECK(q_offsets.size() == k_offsets.size(), "packed_attention: cu_q has ", q_offsets.size() - 1, " sequences, cu_k ", k_offsets.size() - 1);
  TORCH_CHECK(kv.defined() || q_offsets == k_offsets, "packed_attention: cu_q and cu_k differ, want them equal for qkv");
  TORCH_CHECK(args.window >= 0, "packed_attention: a window of ", args.window, " keys");
  std::vector<int64_t> visible;
  if (args.visible.defined()) {
    visible = integers(args.visible, "visible", "[M]");
    TORCH_CHECK(static_cast<int64_t>(visible.size()) == q.size(0), "packed_attention: visible has ", visible.size(), " rows, want ", q.size(0));
  }
  for (size_t b = 0; b + 1 < q_offsets.size(); b++) {
    const int64_t keys = k_offsets[b + 1] - k_offsets[b];
    TORCH_CHECK(q_offsets[b] == q_offsets[b + 1] || keys > 0, "packed_attention: sequence ", b, " has queries but no keys");
    for (int64_t i = q_offsets[b]; i < q_offsets[b + 1] && !visible.empty(); i++) {
      TORCH_CHECK(visible[i] >= 1 && visible[i] <= keys, "packed_attention: query row ", i, " sees ", visible[i], " keys, want 1 to ", keys);
    }
  }
  return {std::move(q_offsets), std::move(k_offsets), std::move(visible), heads, kv_heads, d, args.window, args.scale,
          Dropout(args.dropout, args.seed)};
}

at::Tensor packed_attention_composed(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k,
                                     const AttentionArgs &args) {
  const auto s = attention_shape(q, kv, cu_q, cu_k, args);
  const int64_t batch = s.sequences(), group = s.group(), d = s.head_size, c = s.heads * d;
  if (q.size(0) == 0) return q.narrow(1, 0, c).clone();
  const int64_t tq = longest(s.cu_q), tk = longest(s.cu_k);
  const auto device = q.device();
  const auto query_rows = rows_of_places(s.cu_q, tq, device), key_rows = rows_of_places(s.cu_k, tk, device);
  const auto pad = [&](const at::Tensor &source, int64_t column, int64_t heads, const at::Tensor &index, int64_t length) {
    const auto rows = at::index_select(source.narrow(1, column, heads * d), 0, index);
    return rows.view({batch, length, s.kv_heads, heads / s.kv_heads, d}).permute({0, 2, 3, 1, 4});  // [B, KV, group or 1, T, D]
  };
  const auto &keys = kv.defined() ? kv : q;
  const int64_t first = kv.defined() ? 0 : c;
  const auto query = pad(q, 0, s.heads, query_rows, tq);
  const auto key = pad(keys, first, s.kv_heads, key_rows, tk), value = pad(keys, first + s.kv_heads * d, s.kv_heads, key_rows, tk);
  const auto scores = at::mul(at::matmul(query, key.transpose(3, 4)), s.scale);  // [B, KV, group, Tq, Tk]
  auto p = at::softmax(at::masked_fill(scores, unseen(s, tq, tk, device), -INFINITY), -1);
  if (s.drop.active) {
    const auto mask = dropout_mask(s.heads, q.size(0), tk, args.dropout, args.seed, q);  // [H, M, Tk]
    const auto places = at::index_select(mask, 1, query_rows).view({s.kv_heads, group, batch, tq, tk});
    p = at::mul(at::mul(p, places.permute({2, 0, 1, 3, 4})), s.drop.scale);
  }
  const auto out = at::matmul(p, value).permute({0, 3, 1, 2, 4}).reshape({batch * tq, c});
  return at::index_select(out, 0, places_of_rows(s.cu_q, tq, device));
}

}  // namespace tb
