#include "profiler.h"

#include <ATen/record_function.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include "guard.h"

namespace {

namespace profiler = torch::autograd::profiler;

// Kernels that still run when a recording ends would be missing in it.
void wait_for(int device) {
  const auto d = tb::device(device);
  if (d.is_cuda()) c10::impl::getDeviceGuardImpl(d.type())->synchronizeDevice(d.index());
}

}  // namespace

extern "C" {

tb_error *tb_profiler_start(int device) noexcept {
  return tb::guard([&] {
    wait_for(device);
    std::set<profiler::ActivityType> activities{profiler::ActivityType::CPU};
    if (tb::device(device).is_cuda()) {
      activities.insert(profiler::ActivityType::CUDA);
    } else {
      // libkineto looks for a driver all the same, and tells stderr that there is none.
      setenv("KINETO_LOG_LEVEL", "5", /*overwrite=*/0);
    }
    const profiler::ProfilerConfig config(profiler::ProfilerState::KINETO, /*report_input_shapes=*/true);
    profiler::prepareProfiler(config, activities);
    profiler::enableProfiler(config, activities, {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION, at::RecordScope::USER_SCOPE});
  });
}

tb_error *tb_profiler_stop(int device, const char *path) noexcept {
  return tb::guard([&] {
    wait_for(device);
    auto result = profiler::disableProfiler();
    if (*path != '\0') result->save(path);
  });
}

tb_error *tb_profiler_span_begin(const char *name, void **out) noexcept {
  return tb::guard([&] {
    auto span = std::make_unique<at::RecordFunction>(at::RecordScope::USER_SCOPE);
    if (span->isActive()) span->before(name);
    *out = span.release();
  });
}

tb_error *tb_profiler_span_end(int device, void *span) noexcept {
  const std::unique_ptr<at::RecordFunction> owned(static_cast<at::RecordFunction *>(span));
  return tb::guard([&] { wait_for(device); });
}

}  // extern "C"
