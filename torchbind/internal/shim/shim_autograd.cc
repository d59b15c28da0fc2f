// Gradients of any order.
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include "guard.h"

using namespace tb;

extern "C" tb_error *tb_grad(const tb_tensor *outputs, int64_t n_outputs, const tb_tensor *inputs, int64_t n_inputs,
                             const tb_tensor *grad_outputs, int create_graph, int allow_unused, tb_tensor *out) noexcept {
  return guard([&] {
    torch::autograd::variable_list seeds;
    if (grad_outputs != nullptr) seeds = list(grad_outputs, n_outputs);
    emit(out, torch::autograd::grad(list(outputs, n_outputs), list(inputs, n_inputs), seeds, std::nullopt, create_graph != 0, allow_unused != 0));
  });
}
