// NCCL for process groups: internal/c10d finds the function by its name.
#include "../c10d/c10d.h"

#if __has_include(<nccl.h>)
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <chrono>
#include <future>
#include <memory>
#include <thread>
#endif

#include "guard.h"

namespace {

#if __has_include(<nccl.h>)

using StorePtr = c10::intrusive_ptr<c10d::Store>;
using BackendPtr = c10::intrusive_ptr<c10d::Backend>;

// In an exchange NCCL's own threads end this process when another is lost or late:
// the mode of TORCH_NCCL_ASYNC_ERROR_HANDLING unless the user sets another. But
// nothing limits the time in which the processes connect.
BackendPtr connect(const StorePtr &store, int rank, int size, c10::Device device, std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, std::move(options));
  auto promise = std::make_shared<std::promise<void>>();
  auto connected = promise->get_future();
  std::thread([group, promise, device] {
    try {
      group->eagerConnectSingleDevice(device);
      promise->set_value();
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  }).detach();
  // By the system's clock: for another, libstdc++ has a function that those of older systems lack.
  const auto end = std::chrono::system_clock::now() + timeout;
  TORCH_CHECK(connected.wait_until(end) == std::future_status::ready, "the processes did not connect within ", timeout.count() / 1000.0, " s");
  connected.get();
  return group;
}

#endif

}  // namespace

extern "C" tb_error *tb_cuda_nccl(void *store, int rank, int size, int device, double timeout_seconds, void **backend) noexcept {
  return tb::guard([&] {
#if __has_include(<nccl.h>)
    const std::chrono::milliseconds timeout(static_cast<int64_t>(timeout_seconds * 1000));
    *backend = new BackendPtr(connect(*static_cast<StorePtr *>(store), rank, size, tb::device(device), timeout));
#else
    TORCH_CHECK(false, "libautolora_cuda.so was made without NCCL's headers: install them and run `make cuda-shim`");
#endif
  });
}
