// The checks of the attention operators, and attention from ATen operators on
// padded batches.
#include <ATen/ops/add.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ge.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/lt.h>
#include <ATen/ops/masked_fill.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

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

std::vector<int64_t> offsets(const at::Tensor &cu, const char *name) {
  auto v = integers(cu, name, "[B+1]");
  TORCH_CHECK(!v.empty() && v.front() == 0, "packed_attention: ", name, " is empty or begins after 0, want [B+1] from 0 on");
  for (size_t i = 1; i < v.size(); i++) {
    TORCH_CHECK(v[i] >= v[i - 1], "packed_attention: ", name, " falls from ", v[i - 1], " to ", v[i], " at ", i);
  }
  return v;
}

// The checked offsets, and how many keys each row sees, in a shape without heads.
AttentionShape ranges(const at::Tensor &cu_q, const at::Tensor &cu_k, const at::Tensor &visible, int64_t window) {
  AttentionShape s{offsets(cu_q, "cu_q"), offsets(cu_k, "cu_k"), {}, 0, 0, 0, window, 1, 0, Dropout(0, 0)};
  TORCH_CHECK(s.cu_q.size() == s.cu_k.size(), "packed_attention: cu_q has ", s.sequences(), " sequences, cu_k ", s.cu_k.size() - 1);
  TORCH_CHECK(window >= 0, "packed_attention: a window of ", window, " keys");
  if (visible.defined()) {
    s.visible = integers(visible, "visible", "[M]");
    TORCH_CHECK(static_cast<int64_t>(s.visible.size()) == s.queries(), "packed_attention: visible has ", s.visible.size(), " rows, want ", s.queries());
  }
  for (int64_t b = 0; b < s.sequences(); b++) {
    const int64_t keys = s.cu_k[b + 1] - s.cu_k[b];
    TORCH_CHECK(s.cu_q[b] == s.cu_q[b + 1] || keys > 0, "packed_attention: sequence ", b, " has queries but no keys");
    for (int64_t i = s.cu_q[b]; i < s.cu_q[b + 1] && !s.visible.empty(); i++) {
      TORCH_CHECK(s.visible[i] >= 1 && s.visible[i] <= keys, "packed_attention: query row ", i, " sees ", s.visible[i], " keys, want 1 to ", keys);
    }
  }
  return s;
}

// The checked size of a head. kv is undefined where q has keys and values too.
int64_t head_size(const at::Tensor &q, const at::Tensor &kv, int64_t heads, int64_t kv_heads) {
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
  return d;
}

int64_t longest(const std::vector<int64_t> &cu) {
  int64_t most = 1;
  for (size_t i = 1; i < cu.size(); i++) most = std::max(most, cu[i] - cu[i - 1]);
  return most;
}

// [B * length]: the packed row at each place of a padded batch. Padding has the
// rows in turn: all of one row would add its gradients, zeros, to that one.
at::Tensor rows_of_places(const std::vector<int64_t> &cu, int64_t length, at::Device device) {
  const int64_t sequences = static_cast<int64_t>(cu.size()) - 1;
  const auto index = at::empty({sequences * length}, at::kLong);
  int64_t *p = index.mutable_data_ptr<int64_t>();
  for (int64_t b = 0; b < sequences; b++) {
    for (int64_t t = 0; t < length; t++, p++) *p = t < cu[b + 1] - cu[b] ? cu[b] + t : (b * length + t) % std::max<int64_t>(1, cu.back());
  }
  return index.to(device);
}

// [rows]: the place of each packed row, and some place for each row after these.
at::Tensor places_of_rows(const std::vector<int64_t> &cu, int64_t length, int64_t rows, at::Device device) {
  const auto index = at::empty({rows}, at::kLong);
  int64_t *p = index.mutable_data_ptr<int64_t>();
  const int64_t sequences = static_cast<int64_t>(cu.size()) - 1;
  for (int64_t b = 0; b < sequences; b++) {
    for (int64_t t = 0; t < cu[b + 1] - cu[b]; t++) *p++ = b * length + t;
  }
  for (int64_t i = cu.back(); i < rows; i++) *p++ = i % (sequences * length);
  return index.to(device);
}

// [B, 1, 1, tk], or tq in place of the second 1 where query rows differ: -inf for
// keys that are not seen. Padding sees one key, so that no row of a softmax is
// empty. What crosses to the device is the two ends of each range alone.
at::Tensor attention_mask(const AttentionShape &s, int64_t tq, int64_t tk, const at::TensorOptions &like) {
  const int64_t rows = s.narrows() ? tq : 1, sequences = s.sequences();
  const auto ends = at::empty({2, sequences, 1, rows, 1}, at::kLong);
  int64_t *from = ends.mutable_data_ptr<int64_t>(), *to = from + sequences * rows;
  for (int64_t b = 0; b < sequences; b++) {
    const int64_t queries = s.cu_q[b + 1] - s.cu_q[b], keys = s.cu_k[b + 1] - s.cu_k[b];
    for (int64_t t = 0; t < rows; t++) {
      const KeyRange seen = t < queries ? s.seen(s.cu_q[b] + t, keys) : KeyRange{0, s.narrows() ? 1 : std::max<int64_t>(1, keys)};
      *from++ = seen.from;
      *to++ = seen.to;
    }
  }
  const auto range = ends.to(like.device());
  const auto key = at::arange(tk, range.options());
  const auto hidden = at::logical_or(at::lt(key, range.select(0, 0)), at::ge(key, range.select(0, 1)));  // [B, 1, rows, Tk]
  return at::masked_fill(at::zeros(hidden.sizes(), like), hidden, -INFINITY);
}

}  // namespace

AttentionShape attention_shape(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k,
                               const AttentionArgs &args) {
  const int64_t d = head_size(q, kv, args.heads, args.kv_heads);
  auto s = ranges(cu_q, cu_k, args.visible, args.window);
  const auto check_rows = [](const char *name, int64_t last, int64_t rows) {
    TORCH_CHECK(last == rows, "packed_attention: ", name, " runs from 0 to ", last, ", want 0 to ", rows);
  };
  check_rows("cu_q", s.queries(), q.size(0));
  check_rows("cu_k", s.keys(), kv.defined() ? kv.size(0) : q.size(0));
  TORCH_CHECK(kv.defined() || s.cu_q == s.cu_k, "packed_attention: cu_q and cu_k differ, want them equal for qkv");
  s.heads = args.heads;
  s.kv_heads = args.kv_heads;
  s.head_size = d;
  s.scale = args.scale;
  s.cap = args.cap;
  s.drop = Dropout(args.dropout, args.seed);
  return s;
}

AttentionPlan attention_plan(const at::Tensor &cu_q, const at::Tensor &cu_k, const at::Tensor &visible, int64_t window, int64_t rows, int64_t tq,
                             int64_t tk, const at::TensorOptions &like) {
  c10::NoGradGuard no_grad;
  const bool self = !cu_k.defined();
  const auto s = ranges(cu_q, self ? cu_q : cu_k, visible, window);
  TORCH_CHECK(s.sequences() > 0, "attention_plan: no sequence");
  TORCH_CHECK(tq >= longest(s.cu_q) && tk >= longest(s.cu_k) && (!self || tq == tk), "attention_plan: padded to ", tq, " queries and ", tk,
              " keys, want at least ", longest(s.cu_q), " and ", longest(s.cu_k));
  TORCH_CHECK(rows >= s.queries(), "attention_plan: ", rows, " query rows, want at least ", s.queries());
  const auto device = like.device();
  return {rows_of_places(s.cu_q, tq, device), self ? at::Tensor() : rows_of_places(s.cu_k, tk, device), places_of_rows(s.cu_q, tq, rows, device),
          attention_mask(s, tq, tk, like)};
}

at::Tensor planned_attention(const at::Tensor &q, const at::Tensor &kv, const AttentionPlan &plan, const AttentionArgs &args, bool twice) {
  const bool self = !kv.defined();
  const int64_t heads = args.heads, kv_heads = args.kv_heads, group = heads / std::max<int64_t>(1, kv_heads);
  const int64_t d = head_size(q, kv, heads, kv_heads), c = heads * d;
  TORCH_CHECK(self == !plan.keys.defined(), "planned_attention: the plan is for ", self ? "keys of their own" : "self attention");
  TORCH_CHECK(plan.places.size(0) == q.size(0), "planned_attention: q has ", q.size(0), " rows, the plan ", plan.places.size(0));
  const Dropout drop(args.dropout, args.seed);
  const int64_t batch = plan.mask.size(0), tk = plan.mask.size(3), tq = plan.queries.size(0) / batch;
  const auto part = [batch, d](const at::Tensor &rows, int64_t heads) {
    return rows.view({batch, rows.size(0) / batch, heads, d}).transpose(1, 2);  // [B, heads, T, D]
  };
  // The derivative of a split is one cat, those of its parts would each be as large as the whole.
  const auto queries = at::index_select(q, 0, plan.queries);
  const auto keys = self ? queries : at::index_select(kv, 0, plan.keys);
  const auto parts = self ? keys.split_with_sizes({c, kv_heads * d, kv_heads * d}, 1) : keys.split_with_sizes({kv_heads * d, kv_heads * d}, 1);
  const auto query = part(self ? parts[0] : queries, heads), key = part(parts[parts.size() - 2], kv_heads), value = part(parts.back(), kv_heads);
  at::Tensor out;
  if (!twice && args.cap == 0 && (!drop.active || !q.device().is_cpu())) {
    // The fused kernels that take a mask know nothing of groups, and of caps.
    const auto each = [&](const at::Tensor &t) {
      return group == 1 ? t : t.unsqueeze(2).expand({batch, kv_heads, group, tk, d}).reshape({batch, heads, tk, d});
    };
    out = at::scaled_dot_product_attention(query, each(key), each(value), plan.mask, args.dropout, /*is_causal=*/false, args.scale);
  } else {
    const auto grouped = at::mul(query, args.cap == 0 ? args.scale : args.scale / args.cap).reshape({batch, kv_heads, group * tq, d});
    auto scores = at::matmul(grouped, key.transpose(2, 3)).view({batch, heads, tq, tk});
    if (args.cap != 0) scores = at::mul(at::tanh(scores), args.cap);
    auto p = at::softmax(at::add(scores, plan.mask), -1);
    if (drop.active && q.device().is_cpu()) {
      const auto kept = dropout_mask(heads, q.size(0), tk, args.dropout, args.seed, q);  // [H, M, Tk]
      const auto places = at::index_select(kept, 1, plan.queries).view({heads, batch, tq, tk}).transpose(0, 1);
      p = at::mul(at::mul(p, places), drop.scale);
    } else if (drop.active) {
      p = at::dropout(p, args.dropout, /*train=*/true);
    }
    out = at::matmul(p.reshape({batch, kv_heads, group * tq, tk}), value).view({batch, heads, tq, d});
  }
  return at::index_select(out.transpose(1, 2).reshape({batch * tq, c}), 0, plan.places);
}

at::Tensor packed_attention_composed(const at::Tensor &q, const at::Tensor &kv, const at::Tensor &cu_q, const at::Tensor &cu_k,
                                     const AttentionArgs &args) {
  const auto s = attention_shape(q, kv, cu_q, cu_k, args);
  if (q.size(0) == 0) return q.narrow(1, 0, s.heads * s.head_size).clone();
  const auto plan = attention_plan(cu_q, kv.defined() ? cu_k : at::Tensor(), args.visible, args.window, q.size(0), longest(s.cu_q), longest(s.cu_k),
                                   q.options());
  return planned_attention(q, kv, plan, args, /*twice=*/true);
}

}  // namespace tb
