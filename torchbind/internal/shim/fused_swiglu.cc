#include <ATen/ops/mul.h>
#include <ATen/ops/silu.h>

#include "fused.h"
#include "kernel.h"

namespace tb {

at::Tensor swiglu(const at::Tensor &x) {
  TORCH_CHECK(x.dim() == 2 && x.size(1) % 2 == 0, "swiglu: x has shape ", x.sizes(), ", want [N, 2I]");
  return swiglu_composed(x);
}

at::Tensor swiglu_composed(const at::Tensor &x) {
  const int64_t inner = x.size(1) / 2;
  return at::mul(at::silu(x.narrow(1, 0, inner)), x.narrow(1, inner, inner));
}

}  // namespace tb
