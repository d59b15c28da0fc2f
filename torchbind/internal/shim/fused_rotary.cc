#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/neg.h>
#include <ATen/ops/stack.h>

#define TB_KERNEL_FILE "fused_rotary_kernel.h"
#include "fused.h"
#include "fused_targets.h"

namespace tb {
namespace {

// The derivative of a rotation is the rotation back.
at::Tensor rotate(const at::Tensor &x, const at::Tensor &cos, const at::Tensor &sin, int64_t heads, int direction) {
  at::Tensor y;
  {
    c10::NoGradGuard no_grad;
    const auto xc = x.contiguous();
    y = at::empty_like(xc);
    with_type(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(rotate_rows<T>);
      const auto type = acc_type(x.scalar_type());
      const auto c = cos.to(type).contiguous(), s = sin.to(type).contiguous();
      parallel_rows(x.size(0), x.size(1), [&](int64_t begin, int64_t end) {
        kernel(in<T>(xc), in<Acc<T>>(c), in<Acc<T>>(s), out<T>(y), begin, end, xc.size(1), heads, c.size(1), static_cast<Acc<T>>(direction));
      });
    });
  }
  if (recording({x})) {
    record("rotary", {x}, {y}, {cos.detach(), sin.detach()}, [heads, direction](const Backward &b) -> Tensors {
      if (!b.grads[0].defined()) return {at::Tensor()};
      return {rotate(b.grads[0], b.saved[0], b.saved[1], heads, -direction)};
    });
  }
  return y;
}

}  // namespace

at::Tensor rotary(const at::Tensor &x, const at::Tensor &cos, const at::Tensor &sin, int64_t heads) {
  TORCH_CHECK(x.dim() == 2, "rotary: x has shape ", x.sizes(), ", want [N, columns]");
  for (const auto *t : {&cos, &sin}) {
    TORCH_CHECK(t->dim() == 2 && t->size(0) == x.size(0) && t->size(1) > 0 && t->sizes() == cos.sizes(), "rotary: cos and sin have shapes ",
                cos.sizes(), " and ", sin.sizes(), ", want [", x.size(0), ", D/2]");
    TORCH_CHECK(t->scalar_type() == at::kFloat && t->device() == x.device(), "rotary: cos and sin must be float32 on the device of x");
  }
  TORCH_CHECK(heads >= 0 && x.size(1) >= 2 * heads * cos.size(1), "rotary: x has ", x.size(1), " columns, want at least ", heads, " heads of ",
              2 * cos.size(1));
  return has_kernel(x) ? rotate(x, cos, sin, heads, 1) : rotary_composed(x, cos, sin, heads);
}

at::Tensor rotary_composed(const at::Tensor &x, const at::Tensor &cos, const at::Tensor &sin, int64_t heads) {
  const int64_t n = x.size(0), half = cos.size(1), turned = 2 * heads * half;
  const auto parts = x.split_with_sizes({turned, x.size(1) - turned}, 1);
  const auto pairs = parts[0].reshape({n, heads, 2, half});
  const auto c = cos.detach().view({n, 1, 1, half});  // float32: a bfloat16 x is turned in float32
  const auto s = at::stack({at::neg(sin.detach()), sin.detach()}, 1).unsqueeze(1);  // [N, 1, 2, D/2]
  const auto both = at::add(at::mul(pairs, c), at::mul(pairs.flip(2), s));  // (u, v) cos + (v, u) (-sin, sin)
  return at::cat({both.view({n, turned}).to(x.scalar_type()), parts[1]}, 1);
}

}  // namespace tb
