#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/silu.h>

#include "fused.h"

namespace tb {

// The function of the half that gates.
enum class Gate { kSilu, kGelu, kGeluTanh };

}  // namespace tb

#define TB_KERNEL_FILE "fused_glu_kernel.h"
#include "fused_targets.h"

namespace tb {
namespace {

const char *name_of(Gate gate) { return gate == Gate::kSilu ? "swiglu" : "geglu"; }

// Calls f with a value of the element type t, and the gate as a type.
template <class F>
void with_kernel(at::ScalarType t, Gate gate, F &&f) {
  with_type(t, [&](auto zero) {
    switch (gate) {
      case Gate::kSilu:
        return f(zero, std::integral_constant<Gate, Gate::kSilu>());
      case Gate::kGelu:
        return f(zero, std::integral_constant<Gate, Gate::kGelu>());
      case Gate::kGeluTanh:
        return f(zero, std::integral_constant<Gate, Gate::kGeluTanh>());
    }
  });
}

Tensors double_backward(const at::Tensor &h, const at::Tensor &dy, const at::Tensor &x, Gate gate, const std::vector<bool> &needs) {
  if (!h.defined()) return {at::Tensor(), at::Tensor()};
  at::Tensor d_dy, d_x;
  {
    c10::NoGradGuard no_grad;
    const auto hc = h.contiguous(), dc = dy.contiguous(), xc = x.contiguous();
    if (needs[0]) d_dy = at::empty_like(dc);
    if (needs[1]) d_x = at::empty_like(xc);
    with_kernel(x.scalar_type(), gate, [&](auto zero, auto by) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(glu_double_backward<T, by()>);
      parallel_rows(x.size(0), x.size(1), [&](int64_t begin, int64_t end) {
        kernel(in<T>(hc), in<T>(dc), in<T>(xc), out<T>(d_dy), out<T>(d_x), begin, end, dc.size(1));
      });
    });
  }
  record_last(name_of(gate), {h, dy, x}, {d_dy, d_x});
  return {d_dy, d_x};
}

at::Tensor backward(const at::Tensor &dy, const at::Tensor &x, Gate gate) {
  if (!dy.defined()) return {};
  at::Tensor dx;
  {
    c10::NoGradGuard no_grad;
    const auto dc = dy.contiguous(), xc = x.contiguous();
    dx = at::empty_like(xc);
    with_kernel(x.scalar_type(), gate, [&](auto zero, auto by) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(glu_backward<T, by()>);
      parallel_rows(x.size(0), x.size(1), [&](int64_t begin, int64_t end) { kernel(in<T>(dc), in<T>(xc), out<T>(dx), begin, end, dc.size(1)); });
    });
  }
  if (recording({dy, x})) {
    record(gate == Gate::kSilu ? "swiglu_backward" : "geglu_backward", {dy, x}, {dx}, {dy, x},
           [gate](const Backward &b) { return double_backward(b.grads[0], b.saved[0], b.saved[1], gate, b.needs); });
  }
  return dx;
}

at::Tensor composed(const at::Tensor &x, Gate gate) {
  const auto halves = x.split(x.size(1) / 2, 1);
  const auto f = gate == Gate::kSilu ? at::silu(halves[0]) : at::gelu(halves[0], gate == Gate::kGelu ? "none" : "tanh");
  return at::mul(f, halves[1]);
}

at::Tensor gated(const at::Tensor &x, Gate gate) {
  TORCH_CHECK(x.dim() == 2 && x.size(1) % 2 == 0, name_of(gate), ": x has shape ", x.sizes(), ", want [N, 2I]");
  if (!has_kernel(x)) return composed(x, gate);
  at::Tensor y;
  {
    c10::NoGradGuard no_grad;
    const auto xc = x.contiguous();
    y = at::empty({x.size(0), x.size(1) / 2}, x.options());
    with_kernel(x.scalar_type(), gate, [&](auto zero, auto by) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(glu_forward<T, by()>);
      parallel_rows(x.size(0), x.size(1), [&](int64_t begin, int64_t end) { kernel(in<T>(xc), out<T>(y), begin, end, y.size(1)); });
    });
  }
  if (recording({x})) {
    record(name_of(gate), {x}, {y}, {x}, [gate](const Backward &b) -> Tensors { return {backward(b.grads[0], b.saved[0], gate)}; });
  }
  return y;
}

}  // namespace

at::Tensor swiglu(const at::Tensor &x) { return gated(x, Gate::kSilu); }

at::Tensor geglu(const at::Tensor &x, bool tanh_form) { return gated(x, tanh_form ? Gate::kGeluTanh : Gate::kGelu); }

}  // namespace tb
