#include <ATen/core/Reduction.h>
#include <ATen/ops/cross_entropy_loss.h>

#include "fused.h"
#include "kernel.h"

namespace tb {

at::Tensor cross_entropy(const at::Tensor &logits, const at::Tensor &labels, double smoothing) {
  return cross_entropy_composed(logits, labels, smoothing);
}

at::Tensor cross_entropy_composed(const at::Tensor &logits, const at::Tensor &labels, double smoothing) {
  return at::cross_entropy_loss(logits.to(acc_type(logits.scalar_type())), labels, {}, at::Reduction::Mean, -100, smoothing);
}

}  // namespace tb
