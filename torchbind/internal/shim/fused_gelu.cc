#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>

#define TB_KERNEL_FILE "fused_gelu_kernel.h"
#include "fused.h"
#include "fused_targets.h"

namespace tb {
namespace {

// Runs body(begin, end) over the elements, several threads, no graph.
template <class F>
void elementwise(const at::Tensor &like, F &&body) {
  at::parallel_for(0, like.numel(), kElementsPerThread, body);
}

Tensors double_backward(const at::Tensor &h, const at::Tensor &grad, const at::Tensor &x, bool tanh_form, const std::vector<bool> &needs) {
  if (!h.defined()) return {at::Tensor(), at::Tensor()};
  at::Tensor d_grad, d_x;
  {
    c10::NoGradGuard no_grad;
    const auto hc = h.contiguous(), gc = grad.contiguous(), xc = x.contiguous();
    if (needs[0]) d_grad = at::empty_like(xc);
    if (needs[1]) d_x = at::empty_like(xc);
    with_type(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(gelu_double_backward<T>);
      T *to_grad = out<T>(d_grad), *to_x = out<T>(d_x);
      elementwise(xc, [&](int64_t i, int64_t end) {
        kernel(in<T>(hc) + i, in<T>(gc) + i, in<T>(xc) + i, to_grad ? to_grad + i : nullptr, to_x ? to_x + i : nullptr, end - i, tanh_form);
      });
    });
  }
  record_last("gelu", {h, grad, x}, {d_grad, d_x});
  return {d_grad, d_x};
}

at::Tensor backward(const at::Tensor &grad, const at::Tensor &x, bool tanh_form) {
  if (!grad.defined()) return {};
  at::Tensor dx;
  {
    c10::NoGradGuard no_grad;
    const auto gc = grad.contiguous(), xc = x.contiguous();
    dx = at::empty_like(xc);
    with_type(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(gelu_backward<T>);
      elementwise(xc, [&](int64_t i, int64_t end) { kernel(in<T>(gc) + i, in<T>(xc) + i, out<T>(dx) + i, end - i, tanh_form); });
    });
  }
  if (recording({grad, x})) {
    record("gelu_backward", {grad, x}, {dx}, {grad, x}, [tanh_form](const Backward &b) {
      return double_backward(b.grads[0], b.saved[0], b.saved[1], tanh_form, b.needs);
    });
  }
  return dx;
}

}  // namespace

at::Tensor gelu(const at::Tensor &x, bool tanh_form) {
  if (!has_kernel(x)) return at::gelu(x, tanh_form ? "tanh" : "none");
  at::Tensor y;
  {
    c10::NoGradGuard no_grad;
    const auto xc = x.contiguous();
    y = at::empty_like(xc);
    with_type(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(gelu_forward<T>);
      elementwise(xc, [&](int64_t i, int64_t end) { kernel(in<T>(xc) + i, out<T>(y) + i, end - i, tanh_form); });
    });
  }
  if (recording({x})) {
    record("gelu", {x}, {y}, {x}, [tanh_form](const Backward &b) -> Tensors { return {backward(b.grads[0], b.saved[0], tanh_form)}; });
  }
  return y;
}

}  // namespace tb
