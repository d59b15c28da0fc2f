// Threads, thread-local modes, seeds and devices.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <torch/version.h>

#include "guard.h"

using namespace tb;

extern "C" {

tb_error *tb_set_num_threads(int n) noexcept {
  return guard([&] { at::set_num_threads(n); });
}

int tb_num_threads(void) noexcept { return at::get_num_threads(); }

tb_error *tb_manual_seed(uint64_t seed) noexcept {
  return guard([&] { at::manual_seed(seed); });
}

const char *tb_version(void) noexcept { return TORCH_VERSION; }

const char *tb_cpu_capability(void) noexcept {
  static const std::string name = at::get_cpu_capability();
  return name.c_str();
}

int tb_cpu_bfloat16(void) noexcept { return __builtin_cpu_supports("avx512bf16") != 0; }

int tb_grad_mode_set(int on) noexcept {
  int previous = c10::GradMode::is_enabled();
  c10::GradMode::set_enabled(on != 0);
  return previous;
}

tb_error *tb_inference_enter(void **g) noexcept {
  return guard([&] { *g = new c10::InferenceMode(); });
}

void tb_inference_leave(void *g) noexcept { delete static_cast<c10::InferenceMode *>(g); }

int tb_cuda_devices(void) noexcept {
  try {
    if (!at::globalContext().hasCUDA()) return 0;
    return at::globalContext().getAcceleratorHooksInterface().deviceCount();
  } catch (...) {
    return 0;
  }
}
}
