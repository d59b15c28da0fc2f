// What the fused_*.cc files share: a graph node without libtorch's slow
// autograd headers, the choice of element type, and the parallel loop.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>

#include <functional>
#include <vector>

#ifndef _OPENMP
#error "compile with -fopenmp: at::parallel_for is a sequential loop without it"
#endif

namespace tb {

using Tensors = std::vector<at::Tensor>;

// What a backward function gets: the gradient of each output (undefined where
// none came), what record saved, and which inputs need a gradient.
struct Backward {
  const Tensors &grads;
  const Tensors &saved;
  const std::vector<bool> &needs;
};

// Returns the gradient of each input, undefined for none. It runs with grad
// mode on under create_graph, so it must itself record what it computes.
using BackwardFn = std::function<Tensors(const Backward &)>;

// True if an operator on these inputs belongs into the graph. Undefined inputs
// count for nothing.
bool recording(const Tensors &inputs);

// Makes outputs the results of a graph node on inputs. saved holds inputs and
// tensors outside the graph, never outputs: a node that owns itself leaks.
void record(const char *name, const Tensors &inputs, const Tensors &outputs, const Tensors &saved, BackwardFn backward);

// Ends the graph: whoever differentiates outputs once more gets an error that
// names the operator, instead of a silent zero.
void record_last(const char *name, const Tensors &inputs, const Tensors &outputs);

// Makes sum the result of residual + dropout(x); residual may be undefined.
void record_add_dropout(const at::Tensor &x, const at::Tensor &residual, const at::Tensor &sum, double p, uint64_t seed);

// A device and type that the fused kernels take.
inline bool has_kernel(const at::Tensor &t) {
  const auto type = t.scalar_type();
  return t.device().is_cpu() && t.layout() == c10::kStrided && (type == at::kFloat || type == at::kDouble || type == at::kBFloat16);
}

// The type in which a kernel on T computes.
template <class T>
struct Accumulate {
  using type = T;
};
template <>
struct Accumulate<c10::BFloat16> {
  using type = float;
};
template <class T>
using Acc = typename Accumulate<T>::type;

inline at::ScalarType acc_type(at::ScalarType t) { return t == at::kBFloat16 ? at::kFloat : t; }

// Calls f with a value of the element type t, one that has_kernel admits.
template <class F>
void with_type(at::ScalarType t, F &&f) {
  switch (t) {
    case at::kFloat:
      return f(float{});
    case at::kDouble:
      return f(double{});
    case at::kBFloat16:
      return f(c10::BFloat16{});
    default:
      TORCH_CHECK(false, "no fused kernel for ", t);
  }
}

template <class T>
const T *in(const at::Tensor &t) {
  return t.defined() ? t.const_data_ptr<T>() : nullptr;
}
template <class T>
T *out(const at::Tensor &t) {
  return t.defined() ? t.mutable_data_ptr<T>() : nullptr;
}

// Below this many elements a second thread costs more than it brings.
constexpr int64_t kElementsPerThread = 16384;

template <class F>
void parallel_rows(int64_t rows, int64_t columns, F &&f) {
  at::parallel_for(0, rows, std::max<int64_t>(1, kElementsPerThread / std::max<int64_t>(1, columns)), f);
}

}  // namespace tb
