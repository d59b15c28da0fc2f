#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sub.h>

#include "fused.h"
#include "kernel.h"

namespace tb {

at::Tensor rotary(const at::Tensor &x, const at::Tensor &cos, const at::Tensor &sin, int64_t heads) {
  for (const auto *t : {&cos, &sin}) {
    TORCH_CHECK(t->dim() == 2 && t->size(0) == x.size(0) && t->size(1) > 0 && t->sizes() == cos.sizes() && t->scalar_type() == at::kFloat &&
                    t->device() == x.device(),
                "rotary: cos and sin want one shape [", x.size(0), ", D/2], float32, on the device of x");
  }
  TORCH_CHECK(x.dim() == 2 && heads >= 0 && x.size(1) >= 2 * heads * cos.size(1), "rotary: x has shape ", x.sizes(), ", want [N, at least ", heads,
              " heads of ", 2 * cos.size(1), "]");
  return rotary_composed(x, cos, sin, heads);
}

at::Tensor rotary_composed(const at::Tensor &x, const at::Tensor &cos, const at::Tensor &sin, int64_t heads) {
  const int64_t n = x.size(0), half = cos.size(1), turned = 2 * heads * half;
  const auto pairs = x.narrow(1, 0, turned).reshape({n, heads, 2, half});
  const auto u = pairs.select(2, 0), v = pairs.select(2, 1);  // [N, heads, D/2]
  const auto c = cos.unsqueeze(1), s = sin.unsqueeze(1);      // float32: a bfloat16 x is turned in float32
  const auto both = at::stack({at::sub(at::mul(u, c), at::mul(v, s)), at::add(at::mul(v, c), at::mul(u, s))}, 2);
  return at::cat({both.reshape({n, turned}).to(x.scalar_type()), x.narrow(1, turned, x.size(1) - turned)}, 1);
}

}  // namespace tb
