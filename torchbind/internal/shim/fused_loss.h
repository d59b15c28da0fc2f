// What fused_loss.cc and its kernels agree on.
#pragma once

#include <cstdint>

namespace tb {

// The label of a row that counts for nothing, as PyTorch's ignore_index.
constexpr int64_t kIgnored = -100;

template <class T>
struct LossRows {
  const T *logits;        // [M, classes]
  const int64_t *labels;  // [M]
  int64_t classes;
  double smoothing;

  const T *row(int64_t i) const { return logits + i * classes; }
  bool ignored(int64_t i) const { return labels[i] == kIgnored; }
};

// The logarithm of a row's sum of exponentials in two parts, so that large
// logits cost no digits: the largest logit, and the logarithm of the sum of e to
// the power of each logit less that.
template <class A>
struct RowLse {
  A most, log;
};

}  // namespace tb
