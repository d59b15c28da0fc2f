#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/rms_norm.h>

#define TB_KERNEL_FILE "fused_norm_kernel.h"
#include "fused.h"
#include "fused_targets.h"

namespace tb {
namespace {

// s, the statistics of its rows, and the weight. RMS norm has no mean.
struct Saved {
  at::Tensor s, mean, rstd, weight;
  const char *name() const { return mean.defined() ? "layer_norm" : "rms_norm"; }
};

Tensors double_backward(const at::Tensor &h, const at::Tensor &dy, const Saved &saved, const std::vector<bool> &needs) {
  if (!h.defined()) return {at::Tensor(), at::Tensor()};
  at::Tensor d_dy, d_s;
  {
    c10::NoGradGuard no_grad;
    const auto hc = h.contiguous(), dc = dy.contiguous();
    if (needs[0]) d_dy = at::empty_like(dc);
    if (needs[1]) d_s = at::empty_like(dc);
    with_type(dy.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(norm_double_backward<T>);
      parallel_rows(dy.size(0), dy.size(1), [&](int64_t begin, int64_t end) {
        kernel(in<T>(hc), in<T>(dc), in<T>(saved.s), in<Acc<T>>(saved.mean), in<Acc<T>>(saved.rstd), in<T>(saved.weight), out<T>(d_dy),
               out<T>(d_s), begin, end, dc.size(1));
      });
    });
  }
  record_last(saved.name(), {h, dy, saved.s}, {d_dy, d_s});
  return {d_dy, d_s};
}

at::Tensor backward(const at::Tensor &dy, const Saved &saved) {
  if (!dy.defined()) return {};
  at::Tensor ds;
  {
    c10::NoGradGuard no_grad;
    const auto dc = dy.contiguous();
    ds = at::empty_like(dc);
    with_type(dy.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(norm_backward<T>);
      parallel_rows(dy.size(0), dy.size(1), [&](int64_t begin, int64_t end) {
        kernel(in<T>(dc), in<T>(saved.s), in<Acc<T>>(saved.mean), in<Acc<T>>(saved.rstd), in<T>(saved.weight), out<T>(ds), begin, end,
               dc.size(1));
      });
    });
  }
  if (recording({dy, saved.s})) {
    record(saved.mean.defined() ? "layer_norm_backward" : "rms_norm_backward", {dy, saved.s}, {ds}, {dy, saved.s, saved.mean, saved.rstd, saved.weight}, [](const Backward &b) {
      return double_backward(b.grads[0], b.saved[0], {b.saved[1], b.saved[2], b.saved[3], b.saved[4]}, b.needs);
    });
  }
  return ds;
}

void record_norm(const at::Tensor &y, const Saved &saved) {
  record(saved.name(), {saved.s}, {y}, {saved.s, saved.mean, saved.rstd, saved.weight}, [](const Backward &b) -> Tensors {
    return {backward(b.grads[0], {b.saved[0], b.saved[1], b.saved[2], b.saved[3]})};
  });
}

void check(const char *op, const at::Tensor &x, const at::Tensor &residual, const at::Tensor &weight, const at::Tensor &bias) {
  TORCH_CHECK(x.dim() == 2 && x.size(1) > 0, op, ": x has shape ", x.sizes(), ", want [N, C]");
  TORCH_CHECK(!residual.defined() || residual.sizes() == x.sizes(), op, ": residual has shape ", residual.sizes(), ", x has ",
              x.sizes());
  for (const auto *t : {&weight, &bias}) {
    TORCH_CHECK(t->defined() && t->dim() == 1 && t->size(0) == x.size(1), op, ": weight and bias want shape [", x.size(1), "]");
  }
  for (const auto *t : {&residual, &weight, &bias}) {
    TORCH_CHECK(!t->defined() || (t->scalar_type() == x.scalar_type() && t->device() == x.device()),
                op, ": x, residual, weight and bias differ in type or device");
  }
}

}  // namespace

at::Tensor add_dropout_layer_norm(const at::Tensor &x, const at::Tensor &residual, const at::Tensor &weight, const at::Tensor &bias, double eps,
                                  double p, uint64_t seed) {
  check(residual.defined() || p > 0 ? "add_dropout_layer_norm" : "layer_norm", x, residual, weight, bias);
  if (!has_kernel(x) || recording({weight, bias})) return add_dropout_layer_norm_composed(x, residual, weight, bias, eps, p, seed);
  const Dropout drop(p, seed);
  const bool graph = recording({x, residual}), sums = residual.defined() || drop.active;
  at::Tensor y, s;
  Saved saved;
  {
    c10::NoGradGuard no_grad;
    const auto xc = x.contiguous(), rc = residual.defined() ? residual.contiguous() : residual;
    const auto bc = bias.contiguous();
    saved.weight = weight.contiguous();
    y = at::empty_like(xc);
    if (graph) {
      saved.mean = at::empty({x.size(0)}, xc.options().dtype(acc_type(x.scalar_type())));
      saved.rstd = at::empty_like(saved.mean);
      if (sums) s = at::empty_like(xc);
    }
    with_type(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(norm_forward<T>);
      parallel_rows(x.size(0), x.size(1), [&](int64_t begin, int64_t end) {
        kernel(in<T>(xc), in<T>(rc), in<T>(saved.weight), in<T>(bc), eps, drop, out<T>(y), out<T>(s), out<Acc<T>>(saved.mean),
               out<Acc<T>>(saved.rstd), begin, end, xc.size(1));
      });
    });
  }
  if (!graph) return y;
  // Two nodes for one pass: the sum is the only large tensor kept.
  if (sums) record_add_dropout(x, residual, s, p, seed);
  saved.s = sums ? s : x.contiguous();
  record_norm(y, saved);
  return y;
}

at::Tensor add_dropout_layer_norm_composed(const at::Tensor &x, const at::Tensor &residual, const at::Tensor &weight, const at::Tensor &bias,
                                           double eps, double p, uint64_t seed) {
  const auto dropped = dropout(x, p, seed);
  return at::layer_norm(residual.defined() ? at::add(dropped, residual) : dropped, {x.size(1)}, weight, bias, eps);
}

at::Tensor rms_norm(const at::Tensor &x, const at::Tensor &weight, double eps) {
  check("rms_norm", x, {}, weight, weight);
  if (!has_kernel(x) || recording({weight})) return rms_norm_composed(x, weight, eps);
  const bool graph = recording({x});
  at::Tensor y;
  Saved saved{x.contiguous(), {}, {}, weight.detach().contiguous()};
  {
    c10::NoGradGuard no_grad;
    y = at::empty_like(saved.s);
    if (graph) saved.rstd = at::empty({x.size(0)}, x.options().dtype(acc_type(x.scalar_type())));
    with_type(x.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const auto kernel = TB_KERNEL(rms_norm_forward<T>);
      parallel_rows(x.size(0), x.size(1), [&](int64_t begin, int64_t end) {
        kernel(in<T>(saved.s), in<T>(saved.weight), eps, out<T>(y), out<Acc<T>>(saved.rstd), begin, end, y.size(1));
      });
    });
  }
  if (graph) record_norm(y, saved);
  return y;
}

at::Tensor rms_norm_composed(const at::Tensor &x, const at::Tensor &weight, double eps) { return at::rms_norm(x, weight.sizes(), weight, eps); }

}  // namespace tb
