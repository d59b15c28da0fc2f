// Loops over all parameters, one call each.
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_addcmul.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_foreach_reciprocal.h>
#include <ATen/ops/_foreach_sqrt.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "guard.h"

using namespace tb;

namespace {

// The fused kernels walk all buffers of a parameter with one index: they check
// neither shapes nor strides.
void check_like(const at::Tensor &p, const at::Tensor &t, const char *what, int64_t i) {
  TORCH_CHECK(t.defined(), what, " ", i, " is missing");
  TORCH_CHECK(t.sizes() == p.sizes() && t.scalar_type() == p.scalar_type(), what, " ", i, " is ", t.scalar_type(), t.sizes(), ", want ",
              p.scalar_type(), p.sizes());
}

}  // namespace

extern "C" {

tb_error *tb_foreach_add(const tb_tensor *a, const tb_tensor *b, double alpha, int64_t n, tb_tensor *out) noexcept {
  return guard([&] { emit(out, at::_foreach_add(list(a, n), list(b, n), alpha)); });
}

tb_error *tb_foreach_add_(const tb_tensor *a, const tb_tensor *b, double alpha, int64_t n) noexcept {
  return guard([&] {
    at::NoGradGuard no_grad;
    at::_foreach_add_(list(a, n), list(b, n), alpha);
  });
}

tb_error *tb_foreach_mul(const tb_tensor *a, const tb_tensor *b, int64_t n, tb_tensor *out) noexcept {
  return guard([&] { emit(out, at::_foreach_mul(list(a, n), list(b, n))); });
}

tb_error *tb_foreach_mul_scalar_(const tb_tensor *a, double v, int64_t n) noexcept {
  return guard([&] {
    at::NoGradGuard no_grad;
    at::_foreach_mul_(list(a, n), v);
  });
}

tb_error *tb_foreach_copy_(const tb_tensor *dst, const tb_tensor *src, int64_t n) noexcept {
  return guard([&] {
    at::NoGradGuard no_grad;
    at::_foreach_copy_(list(dst, n), list(src, n));
  });
}

tb_error *tb_foreach_norm(const tb_tensor *a, int64_t n, tb_tensor *out) noexcept {
  return guard([&] {
    at::NoGradGuard no_grad;
    emit(out, at::linalg_vector_norm(at::stack(at::_foreach_norm(list(a, n), 2)), 2));
  });
}

tb_error *tb_fused_adamw_(const tb_tensor *params, const tb_tensor *grads, const tb_tensor *m, const tb_tensor *v, int64_t n,
                          int64_t step, double lr, double beta1, double beta2, double weight_decay, double eps) noexcept {
  return guard([&] {
    at::NoGradGuard no_grad;
    auto ps = list(params, n), gs = list(grads, n), ms = list(m, n), vs = list(v, n);
    for (int64_t i = 0; i < n; i++) {
      check_like(ps[i], gs[i], "gradient", i);
      check_like(ps[i], ms[i], "first moment", i);
      check_like(ps[i], vs[i], "second moment", i);
      TORCH_CHECK(ps[i].is_contiguous() && ms[i].is_contiguous() && vs[i].is_contiguous(), "parameter ", i, " or its state is not contiguous");
      gs[i] = gs[i].contiguous();
    }
    std::vector<at::Tensor> steps(n, at::full({}, step, ps[0].options().dtype(at::kFloat)));
    at::_fused_adamw_(ps, gs, ms, vs, {}, steps, lr, beta1, beta2, weight_decay, eps,
                      /*amsgrad=*/false, /*maximize=*/false, std::nullopt, std::nullopt);
  });
}

// The step that Adam would take from (m, v) with these gradients, and its
// diagonal derivative with the preconditioner held constant:
//   m' = b1 m + (1-b1) g,  v' = b2 v + (1-b2) g^2,  c = 1 / (sqrt(v'/(1-b2^t)) + eps)
//   params_out = params - eta * c * m'/(1-b1^t),  scale_out = c * (1-b1)/(1-b1^t)
tb_error *tb_adam_lookahead(const tb_tensor *params, const tb_tensor *grads, const tb_tensor *m, const tb_tensor *v, int64_t n, int64_t step,
                            double eta, double beta1, double beta2, double eps, tb_tensor *params_out, tb_tensor *scale_out) noexcept {
  return guard([&] {
    at::NoGradGuard no_grad;
    const double c1 = 1 - std::pow(beta1, step), c2 = 1 - std::pow(beta2, step);
    const auto w = list(params, n), g = list(grads, n);
    for (int64_t i = 0; i < n; i++) check_like(w[i], g[i], "gradient", i);
    auto m_hat = at::_foreach_mul(list(m, n), beta1 / c1);
    at::_foreach_add_(m_hat, g, (1 - beta1) / c1);
    auto scale = at::_foreach_mul(list(v, n), beta2 / c2);
    at::_foreach_addcmul_(scale, g, g, (1 - beta2) / c2);
    at::_foreach_sqrt_(scale);
    at::_foreach_add_(scale, eps);
    at::_foreach_reciprocal_(scale);
    const auto moved = at::_foreach_addcmul(w, m_hat, scale, -eta);
    at::_foreach_mul_(scale, (1 - beta1) / c1);
    std::vector<at::Tensor> all(moved);
    all.insert(all.end(), scale.begin(), scale.end());
    std::vector<tb_tensor> handles(2 * n);
    emit(handles.data(), std::move(all));
    for (int64_t i = 0; i < n; i++) {
      params_out[i] = handles[i];
      scale_out[i] = handles[n + i];
    }
  });
}
}
