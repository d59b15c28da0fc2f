#include <ATen/Version.h>
#include <ATen/ops/add.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>

#define TB_KERNEL_FILE "fused_dropout_kernel.h"
#include "fused.h"
#include "fused_targets.h"

namespace tb {

Isa isa() {
  static const Isa detected = [] {
    const std::string name = at::get_cpu_capability();
    if (name.rfind("AVX512", 0) == 0) return Isa::kAvx512;
    return name.rfind("AVX2", 0) == 0 ? Isa::kAvx2 : Isa::kBase;
  }();
  return detected;
}

namespace {

// residual, which may be undefined, + dropout(x), outside of the graph.
at::Tensor run(const at::Tensor &x, const at::Tensor &residual, const Dropout &drop) {
  c10::NoGradGuard no_grad;
  const auto source = x.contiguous(), rest = residual.defined() ? residual.contiguous() : residual;
  const auto y = at::empty(x.sizes(), source.options());
  const int64_t columns = x.dim() > 0 ? x.size(-1) : 1, rows = columns > 0 ? x.numel() / columns : 0;
  with_type(x.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    const auto kernel = TB_KERNEL(dropout_rows<T>);
    parallel_rows(rows, columns, [&](int64_t begin, int64_t end) { kernel(in<T>(source), in<T>(rest), out<T>(y), 0, begin, end, columns, drop); });
  });
  return y;
}

}  // namespace

at::Tensor dropout(const at::Tensor &x, double p, uint64_t seed) {
  const Dropout drop(p, seed);
  if (!drop.active) return x;
  if (!x.device().is_cpu()) return at::dropout(x, p, /*train=*/true);  // fused on CUDA, with a derivative of any order
  if (!has_kernel(x)) return dropout_composed(x, p, seed);
  const auto y = run(x, {}, drop);
  if (recording({x})) {
    record("dropout", {x}, {y}, {}, [p, seed](const Backward &b) -> Tensors {
      if (!b.grads[0].defined()) return {at::Tensor()};
      return {dropout(b.grads[0], p, seed)};
    });
  }
  return y;
}

at::Tensor add_dropout(const at::Tensor &x, const at::Tensor &residual, double p, uint64_t seed) {
  TORCH_CHECK(x.sizes() == residual.sizes() && x.scalar_type() == residual.scalar_type() && x.device() == residual.device(),
              "add_dropout: x ", x.sizes(), " and residual ", residual.sizes(), " differ in shape, type or device");
  const Dropout drop(p, seed);
  if (!drop.active || !has_kernel(x)) return at::add(dropout(x, p, seed), residual);
  const auto y = run(x, residual, drop);
  if (recording({x, residual})) record_add_dropout(x, residual, y, p, seed);
  return y;
}

void record_add_dropout(const at::Tensor &x, const at::Tensor &residual, const at::Tensor &sum, double p, uint64_t seed) {
  record("add_dropout", {x, residual}, {sum}, {}, [p, seed](const Backward &b) -> Tensors {
    const auto &g = b.grads[0];
    if (!g.defined()) return {at::Tensor(), at::Tensor()};
    return {b.needs[0] ? dropout(g, p, seed) : at::Tensor(), b.needs[1] ? g : at::Tensor()};
  });
}

at::Tensor dropout_mask(int64_t heads, int64_t rows, int64_t columns, double p, uint64_t seed, const at::Tensor &like) {
  c10::NoGradGuard no_grad;
  Dropout drop(p, seed);
  drop.scale = p < 1 ? 1 : 0;
  const auto mask = at::empty({heads, rows, columns}, at::kFloat);
  const auto kernel = TB_KERNEL(dropout_rows<float>);
  for (int64_t head = 0; head < heads; head++) {
    float *to = mask.mutable_data_ptr<float>() + head * rows * columns;
    parallel_rows(rows, columns, [&](int64_t begin, int64_t end) { kernel(nullptr, nullptr, to, head, begin, end, columns, drop); });
  }
  return mask.to(like.options());
}

// The mask holds 0 and 1, exact in every type; the scale follows as a number.
at::Tensor dropout_composed(const at::Tensor &x, double p, uint64_t seed) {
  const Dropout drop(p, seed);
  if (!drop.active) return x;
  const int64_t columns = x.dim() > 0 ? x.size(-1) : 1, rows = columns > 0 ? x.numel() / columns : 0;
  return at::mul(at::mul(x, dropout_mask(1, rows, columns, p, seed, x).view(x.sizes())), drop.scale);
}

}  // namespace tb
