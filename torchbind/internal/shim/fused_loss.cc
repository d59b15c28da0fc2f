#include <ATen/core/Reduction.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>

#define TB_KERNEL_FILE "fused_loss_kernel.h"
#include "fused.h"
#include "fused_loss.h"
#include "fused_targets.h"

namespace tb {
namespace {

// The labels of the rows, their RowLse [M, 2], and how many of them count.
struct Saved {
  at::Tensor labels, lse;
  int64_t count;
  double smoothing;
};

template <class A>
RowLse<A> *pairs(const at::Tensor &lse) {
  return reinterpret_cast<RowLse<A> *>(out<A>(lse));
}

// The sum of [M], in order: the same on any number of threads.
template <class A>
double sum(const at::Tensor &t) {
  double total = 0;
  for (int64_t i = 0; i < t.numel(); i++) total += in<A>(t)[i];
  return total;
}

Tensors double_backward(const at::Tensor &h, const at::Tensor &g, const at::Tensor &logits, const Saved &saved, const std::vector<bool> &needs) {
  if (!h.defined()) return {at::Tensor(), at::Tensor()};
  at::Tensor d_g, d_z;
  {
    c10::NoGradGuard no_grad;
    const auto hc = h.contiguous(), zc = logits.contiguous(), parts = at::empty({logits.size(0)}, saved.lse.options());
    if (needs[1]) d_z = at::empty_like(zc);
    with_type(logits.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      using A = Acc<T>;
      const auto kernel = TB_KERNEL(loss_double_backward<T>);
      const A scale = static_cast<A>(g.item<double>() / saved.count);
      const auto rows = LossRows<T>{in<T>(zc), in<int64_t>(saved.labels), zc.size(1), saved.smoothing};
      parallel_rows(zc.size(0), zc.size(1),
                    [&](int64_t begin, int64_t end) { kernel(rows, pairs<A>(saved.lse), scale, in<T>(hc), out<A>(parts), out<T>(d_z), begin, end); });
      if (needs[0]) d_g = at::full({}, sum<A>(parts) / saved.count, g.options());
    });
  }
  record_last("cross_entropy", {h, g, logits}, {d_g, d_z});
  return {d_g, d_z};
}

at::Tensor backward(const at::Tensor &g, const at::Tensor &logits, const Saved &saved) {
  if (!g.defined()) return {};
  at::Tensor dz;
  {
    c10::NoGradGuard no_grad;
    const auto zc = logits.contiguous();
    dz = at::empty_like(zc);
    with_type(logits.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      using A = Acc<T>;
      const auto kernel = TB_KERNEL(loss_backward<T>);
      const A scale = static_cast<A>(g.item<double>() / saved.count);
      const auto rows = LossRows<T>{in<T>(zc), in<int64_t>(saved.labels), zc.size(1), saved.smoothing};
      parallel_rows(zc.size(0), zc.size(1),
                    [&](int64_t begin, int64_t end) { kernel(rows, pairs<A>(saved.lse), scale, out<T>(dz), begin, end); });
    });
  }
  if (recording({g, logits})) {
    record("cross_entropy_backward", {g, logits}, {dz}, {g, logits, saved.labels, saved.lse},
           [count = saved.count, smoothing = saved.smoothing](const Backward &b) {
             return double_backward(b.grads[0], b.saved[0], b.saved[1], {b.saved[2], b.saved[3], count, smoothing}, b.needs);
           });
  }
  return dz;
}

// The number of rows whose label is not kIgnored.
int64_t count_labels(const at::Tensor &labels, int64_t classes) {
  const int64_t *label = in<int64_t>(labels);
  int64_t count = 0;
  for (int64_t i = 0; i < labels.size(0); i++) {
    if (label[i] == kIgnored) continue;
    TORCH_CHECK(label[i] >= 0 && label[i] < classes, "cross_entropy: row ", i, " has label ", label[i], ", want 0 to ", classes - 1);
    count++;
  }
  return count;
}

}  // namespace

at::Tensor cross_entropy(const at::Tensor &logits, const at::Tensor &labels, double smoothing) {
  TORCH_CHECK(logits.dim() == 2 && logits.size(1) > 0, "cross_entropy: logits have shape ", logits.sizes(), ", want [M, V]");
  TORCH_CHECK(labels.dim() == 1 && labels.size(0) == logits.size(0) && labels.scalar_type() == at::kLong && labels.device() == logits.device(),
              "cross_entropy: labels are ", labels.scalar_type(), labels.sizes(), ", want int64 [", logits.size(0), "] on the device of the logits");
  TORCH_CHECK(smoothing >= 0 && smoothing <= 1, "cross_entropy: label smoothing is ", smoothing, ", want 0 to 1");
  if (!has_kernel(logits)) return cross_entropy_composed(logits, labels, smoothing);
  at::Tensor loss;
  Saved saved{labels.detach().contiguous(), {}, 0, smoothing};
  {
    c10::NoGradGuard no_grad;
    const auto zc = logits.contiguous();
    saved.count = count_labels(saved.labels, zc.size(1));
    saved.lse = at::empty({zc.size(0), 2}, zc.options().dtype(acc_type(zc.scalar_type())));
    const auto parts = at::empty({zc.size(0)}, saved.lse.options());
    with_type(logits.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      using A = Acc<T>;
      const auto kernel = TB_KERNEL(loss_forward<T>);
      const auto rows = LossRows<T>{in<T>(zc), in<int64_t>(saved.labels), zc.size(1), smoothing};
      parallel_rows(zc.size(0), zc.size(1), [&](int64_t begin, int64_t end) { kernel(rows, pairs<A>(saved.lse), out<A>(parts), begin, end); });
      loss = at::full({}, sum<A>(parts) / saved.count, parts.options());
    });
  }
  if (recording({logits})) {
    record("cross_entropy", {logits}, {loss}, {logits, saved.labels, saved.lse}, [count = saved.count, smoothing](const Backward &b) -> Tensors {
      return {backward(b.grads[0], b.saved[0], {b.saved[1], b.saved[2], count, smoothing})};
    });
  }
  return loss;
}

at::Tensor cross_entropy_composed(const at::Tensor &logits, const at::Tensor &labels, double smoothing) {
  return at::cross_entropy_loss(logits.to(acc_type(logits.scalar_type())), labels, {}, at::Reduction::Mean, kIgnored, smoothing);
}

}  // namespace tb
