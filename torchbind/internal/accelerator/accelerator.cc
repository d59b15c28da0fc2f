#include "accelerator.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/Event.h>

#include "guard.h"

using namespace tb;

namespace {

// lazy_init makes the context of CUDA, without which its allocator has no figures.
void lazy_init() { at::globalContext().lazyInitDevice(c10::DeviceType::CUDA); }

// What tb_read_later has under way: the pinned memory, and the end of the copy.
struct Reading {
  at::Tensor pinned;
  c10::Event copied;
};

}  // namespace

extern "C" {

tb_error *tb_accelerator_seed(int dev, uint64_t seed) noexcept {
  return guard([&] {
    auto generator = at::globalContext().defaultGenerator(device(dev));
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_current_seed(seed);
  });
}

tb_error *tb_accelerator_synchronize(int dev) noexcept {
  return guard([&] { at::accelerator::synchronizeDevice(static_cast<c10::DeviceIndex>(dev)); });
}

tb_error *tb_accelerator_peak_memory(int dev, int64_t *bytes) noexcept {
  return guard([&] {
    lazy_init();
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    *bytes = at::accelerator::getDeviceStats(static_cast<c10::DeviceIndex>(dev)).allocated_bytes[kAll].peak;
  });
}

tb_error *tb_accelerator_reset_peak_memory(int dev) noexcept {
  return guard([&] {
    lazy_init();
    at::accelerator::resetPeakStats(static_cast<c10::DeviceIndex>(dev));
  });
}

tb_error *tb_accelerator_empty_cache(void) noexcept {
  return guard([&] {
    lazy_init();
    at::accelerator::emptyCache();
  });
}

tb_error *tb_allow_tf32(int on) noexcept {
  return guard([&] { at::globalContext().setAllowTF32CuBLAS(on != 0); });
}

tb_error *tb_read_later(const tb_tensor *ts, int64_t n, tb_tensor *host, void **event) noexcept {
  return guard([&] {
    std::vector<at::Tensor> elements;
    bool mixed = false;
    for (auto &t : list(ts, n)) {
      TORCH_CHECK(t.numel() == 1, "tensor of shape ", t.sizes(), ", want one element");
      elements.push_back(t.detach().reshape({1}));
      mixed = mixed || t.scalar_type() != elements[0].scalar_type();
    }
    if (mixed) {
      for (auto &t : elements) t = t.to(at::kDouble);  // else int64 beside float32 would lose digits
    }
    auto packed = at::cat(elements);
    if (packed.is_cpu()) {
      emit(host, std::move(packed));
      *event = nullptr;
      return;
    }
    auto reading = std::make_unique<Reading>(Reading{at::empty({n}, packed.options().device(c10::kCPU).pinned_memory(true)), c10::Event(packed.device().type())});
    reading->pinned.copy_(packed, /*non_blocking=*/true);
    reading->copied.record(at::accelerator::getCurrentStream(packed.device().index()));
    auto *owned = reading.release();
    emit(host, at::from_blob(owned->pinned.mutable_data_ptr(), {n}, [owned](void *) { delete owned; }, owned->pinned.options().pinned_memory(false)));
    *event = &owned->copied;
  });
}

tb_error *tb_read_wait(void *event) noexcept {
  return guard([&] { static_cast<c10::Event *>(event)->synchronize(); });
}
}
