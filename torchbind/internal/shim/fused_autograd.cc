// The one file that includes libtorch's node and engine headers: they take as
// long to compile as all kernels together.
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include "kernel.h"

namespace tb {
namespace {

namespace ag = torch::autograd;

struct FusedNode final : ag::Node {
  FusedNode(const char *name, BackwardFn backward) : name_(name), backward_(std::move(backward)) {}

  Tensors apply(Tensors &&grads) override {
    Tensors saved;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      TORCH_CHECK(!released_, name_, ": backward through a graph that is already freed; pass retain_graph");
      saved.reserve(saved_.size());
      for (auto &v : saved_) saved.push_back(v.unpack());
    }
    std::vector<bool> needs(num_outputs());
    for (size_t i = 0; i < needs.size(); i++) needs[i] = task_should_compute_output(i);
    return backward_({grads, saved, needs});
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto &v : saved_) v.reset_data();
    released_ = true;
  }

  std::string name() const override { return std::string("tb::") + name_ + "Backward"; }

  const char *name_;
  BackwardFn backward_;
  std::vector<ag::SavedVariable> saved_;
  bool released_ = false;
};

}  // namespace

bool recording(const Tensors &inputs) { return c10::GradMode::is_enabled() && ag::any_variable_requires_grad(inputs); }

void record(const char *name, const Tensors &inputs, const Tensors &outputs, const Tensors &saved, BackwardFn backward) {
  std::shared_ptr<FusedNode> node(new FusedNode(name, std::move(backward)), ag::deleteNode);
  node->set_next_edges(ag::collect_next_edges(inputs));
  node->saved_.reserve(saved.size());
  for (const auto &t : saved) node->saved_.emplace_back(t, /*is_output=*/false);
  for (const auto &t : outputs) ag::set_history(t, node);
}

void record_last(const char *name, const Tensors &inputs, const Tensors &outputs) {
  if (!recording(inputs)) return;
  record(name, inputs, outputs, {}, [name](const Backward &) -> Tensors {
    TORCH_CHECK(false, "fused ", name, " has derivatives up to second order; use the composed form for a third");
  });
}

}  // namespace tb
