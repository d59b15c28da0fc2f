#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "fused.h"
#include "kernel.h"

namespace tb {
namespace {

// oneDNN's product with a weight that is packed beforehand. No header declares
// the mkldnn operators, so they are looked up by name.
at::Tensor packed_product(const at::Tensor &x, const at::Tensor &packed, const at::Tensor &bias) {
  using Signature = at::Tensor(const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &, std::string_view,
                               c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Signature>();
  return op.call(x, packed, bias.defined() ? std::optional(bias) : std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
}

at::Tensor reorder(const at::Tensor &weight) {
  using Signature = at::Tensor(const at::Tensor &, std::optional<int64_t>);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_linear_weight", "").typed<Signature>();
  return op.call(weight, std::nullopt);
}

// x times weight transposed plus bias, from packed where that is defined.
at::Tensor product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &packed, const at::Tensor &bias) {
  if (x.device().is_cpu() && x.scalar_type() == at::kBFloat16 && !cpu_multiplies_bfloat16()) {
    // The same numbers as a bfloat16 product that accumulates in float32.
    const auto wide = product(x.to(at::kFloat), packed.defined() ? weight : weight.to(at::kFloat), packed,
                              bias.defined() ? bias.to(at::kFloat) : bias);
    return wide.to(at::kBFloat16);
  }
  if (packed.defined() && packed.is_mkldnn()) return packed_product(x.contiguous(), packed, bias);
  return at::linear(x, packed.defined() ? packed : weight, bias);
}

}  // namespace

bool cpu_multiplies_bfloat16() {
  static const bool has = [] {
    const auto features = at::cpu::get_cpu_capabilities();
    for (const char *name : {"avx512_bf16", "amx_bf16", "bf16", "arm_bf16"}) {
      const auto it = features.find(name);
      if (it != features.end() && it->second.isBool() && it->second.toBool()) return true;
    }
    return false;
  }();
  return has;
}

PackedWeight pack_frozen(const at::Tensor &weight) {
  TORCH_CHECK(weight.dim() == 2, "pack_frozen: weight has shape ", weight.sizes(), ", want [out, in]");
  const auto type = weight.scalar_type();
  if (!weight.device().is_cpu() || (type != at::kFloat && type != at::kBFloat16)) return {};
  c10::NoGradGuard no_grad;
  const auto w = type == at::kBFloat16 && !cpu_multiplies_bfloat16() ? weight.to(at::kFloat) : weight.detach();
  return {reorder(w.contiguous()), reorder(w.t().contiguous())};
}

at::Tensor frozen_linear(const at::Tensor &x, const at::Tensor &weight, const PackedWeight &packed, const at::Tensor &bias) {
  TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1), "frozen_linear: x has shape ", x.sizes(), ", weight ",
              weight.sizes(), "; want [N, in] and [out, in]");
  TORCH_CHECK(x.scalar_type() == weight.scalar_type(), "frozen_linear: x is ", x.scalar_type(), ", weight is ", weight.scalar_type());
  at::Tensor y;
  {
    c10::NoGradGuard no_grad;
    y = product(x, weight, packed.first, bias);
  }
  if (recording({x})) {
    record("frozen_linear", {x}, {y}, {weight.detach(), packed.first, packed.second}, [](const Backward &b) -> Tensors {
      if (!b.grads[0].defined()) return {at::Tensor()};
      return {frozen_linear(b.grads[0], b.saved[0].t(), {b.saved[2], b.saved[1]}, {})};
    });
  }
  return y;
}

}  // namespace tb
