#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/silu.h>

#define TB_KERNEL_FILE "fused_swiglu_kernel.h"
#include "fused.h"
#include "fused_targets.h"

namespace tb {
namespace {

Tensors double_backward(const at::Tensor &h, const at::Tensor &dy, const at::Tensor &x, const std::vector<bool> &needs) {
  if (!h.defined()) return {at::Tensor(), at::Tensor()};
  at::Tensor d_dy, d_x;
  {
    c10::NoGradGuard no_grad;
    const auto hc = h.contiguous(), dc = dy.contiguous(), xc = x.contiguous();
    if (needs[0]) d_dy = at::empty_like(dc);
    if (needs[1]) d_x = at::empty_like(xc);
    with_type(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(swiglu_double_backward<T>);
      parallel_rows(x.size(0), x.size(1), [&](int64_t begin, int64_t end) {
        kernel(in<T>(hc), in<T>(dc), in<T>(xc), out<T>(d_dy), out<T>(d_x), begin, end, dc.size(1));
      });
    });
  }
  record_last("swiglu", {h, dy, x}, {d_dy, d_x});
  return {d_dy, d_x};
}

at::Tensor backward(const at::Tensor &dy, const at::Tensor &x) {
  if (!dy.defined()) return {};
  at::Tensor dx;
  {
    c10::NoGradGuard no_grad;
    const auto dc = dy.contiguous(), xc = x.contiguous();
    dx = at::empty_like(xc);
    with_type(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(swiglu_backward<T>);
      parallel_rows(x.size(0), x.size(1), [&](int64_t begin, int64_t end) { kernel(in<T>(dc), in<T>(xc), out<T>(dx), begin, end, dc.size(1)); });
    });
  }
  if (recording({dy, x})) {
    record("swiglu_backward", {dy, x}, {dx}, {dy, x}, [](const Backward &b) { return double_backward(b.grads[0], b.saved[0], b.saved[1], b.needs); });
  }
  return dx;
}

}  // namespace

at::Tensor swiglu(const at::Tensor &x) {
  TORCH_CHECK(x.dim() == 2 && x.size(1) % 2 == 0, "swiglu: x has shape ", x.sizes(), ", want [N, 2I]");
  if (!has_kernel(x)) return swiglu_composed(x);
  at::Tensor y;
  {
    c10::NoGradGuard no_grad;
    const auto xc = x.contiguous();
    y = at::empty({x.size(0), x.size(1) / 2}, x.options());
    with_type(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(swiglu_forward<T>);
      parallel_rows(x.size(0), x.size(1), [&](int64_t begin, int64_t end) { kernel(in<T>(xc), out<T>(y), begin, end, y.size(1)); });
    });
  }
  if (recording({x})) {
    record("swiglu", {x}, {y}, {x}, [](const Backward &b) -> Tensors { return {backward(b.grads[0], b.saved[0])}; });
  }
  return y;
}

at::Tensor swiglu_composed(const at::Tensor &x) {
  const auto halves = x.split(x.size(1) / 2, 1);
  return at::mul(at::silu(halves[0]), halves[1]);
}

}  // namespace tb
