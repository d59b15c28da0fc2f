// CUDA graphs, and what the driver says of a device.
#include "cuda_api.h"

#include <ATen/Context.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/version.h>

#include <map>
#include <optional>

#include "guard.h"

namespace tb {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

void describe(c10::DeviceIndex device, tb_cuda_device *out) {
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  cudaDeviceProp properties;
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  static_assert(sizeof(properties.name) == sizeof(out->name));
  std::memcpy(out->name, properties.name, sizeof(out->name));
  out->major = properties.major;
  out->minor = properties.minor;
  const auto [free, total] = allocator::get()->getMemoryInfo(device);
  out->free = static_cast<int64_t>(free);
  out->total = static_cast<int64_t>(total);
}

// What all captures on a device share: a stream, because libraries keep a workspace
// for each, and a pool of memory, so that many graphs need what the largest needs
// and their outputs. Graphs are replayed one after the other, and a replay writes
// over what others computed on the way and, at worst, over their outputs. A pool
// is gone with the last of its graphs.
struct Captures {
  c10::cuda::CUDAStream stream;
  c10::MempoolId_t pool{0, 0};
  int64_t graphs = 0;  // that hold the pool
};

Captures &captures(c10::DeviceIndex device) {
  static std::map<c10::DeviceIndex, Captures> all;  // of the one thread that captures
  auto found = all.find(device);
  if (found == all.end()) found = all.emplace(device, Captures{c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)}).first;
  return found->second;
}

// While it captures, the allocator cannot give back what it keeps of memory that
// is free. So that is done before where a graph may need it: as much as what has
// run so far had at its peak.
void make_room(c10::DeviceIndex device) {
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const auto bytes = allocator::getDeviceStats(device).allocated_bytes[all];
  if (static_cast<int64_t>(allocator::get()->getMemoryInfo(device).first) < bytes.peak - bytes.current) allocator::emptyCache();
}

class Graph : public at::cuda::CUDAGraph {
 public:
  explicit Graph(c10::DeviceIndex device) : caller_(c10::cuda::getCurrentCUDAStream(device)), shared_(captures(device)) {
    if (shared_.graphs++ == 0) shared_.pool = at::cuda::graph_pool_handle();
  }

  ~Graph() {
    if (stream_.has_value()) abandon();
    shared_.graphs--;
  }

  Graph(const Graph &) = delete;
  Graph &operator=(const Graph &) = delete;

  void begin() {
    const auto device = caller_.device_index();
    make_room(device);
    const auto stream = shared_.stream;
    // capture_begin and replays write to the same state of the generator, by
    // kernels on the one stream and on the other.
    follow(stream, caller_);
    stream_.emplace(stream);
    // Other threads may use CUDA meanwhile: autograd's launches into this capture,
    // and NCCL's asks about its events.
    capture_begin(shared_.pool, cudaStreamCaptureModeThreadLocal);
    begun_ = true;
  }

  void end() {
    capture_end();
    const auto stream = stream_->current_stream();
    stream_.reset();
    follow(caller_, stream);
  }

 private:
  // follow makes what is launched on stream run after what was launched on first.
  static void follow(const c10::cuda::CUDAStream &stream, const c10::cuda::CUDAStream &first) {
    c10::cuda::CUDAEvent launched;
    launched.record(first);
    launched.block(stream);
  }

  // abandon undoes a capture that failed. Neither capture_end nor reset does: the
  // allocator would go on to ask this graph what belongs to its pool, and the
  // generator would not draw any more. Some steps may have been done already.
  void abandon() noexcept {
    const auto attempt = [](auto &&step) {
      try {
        step();
        return true;
      } catch (...) {
        return false;
      }
    };
    attempt([&] {
      cudaGraph_t rest = nullptr;
      C10_CUDA_IGNORE_ERROR(cudaStreamEndCapture(capture_stream_, &rest));
      if (rest != nullptr) C10_CUDA_IGNORE_ERROR(cudaGraphDestroy(rest));
      C10_CUDA_CLEAR_ERROR();
    });
    for (auto &captured : captured_generator_states_) captured.first->capturing_ = false;
    auto *host = at::getHostAllocator(at::kCUDA);
    // A capture that did not begin holds the pool if it has begun to allocate from it.
    const bool held = attempt([&] { allocator::endAllocateToPool(capture_dev_, mempool_id_); }) || begun_;
    const bool host_held = attempt([&] { host->end_allocate_to_pool(mempool_id_); }) || begun_;
    if (!capture_ended_) {  // else reset does
      if (held) attempt([&] { allocator::releasePool(capture_dev_, mempool_id_); });
      if (host_held) attempt([&] { host->release_pool(mempool_id_); });
    }
    attempt([&] { stream_.reset(); });
  }

  c10::cuda::CUDAStream caller_;
  Captures &shared_;
  bool begun_ = false;
  std::optional<c10::cuda::CUDAStreamGuard> stream_;  // of the capture that is under way
};

Graph &graph(tb_cuda_graph g) { return *static_cast<Graph *>(g); }

const tb_cuda_api api = {
    /*torch_version=*/TORCH_VERSION,
    /*describe=*/[](int device, tb_cuda_device *out) { return guard([&] { describe(static_cast<c10::DeviceIndex>(device), out); }); },
    /*graph_begin=*/
    [](int device, tb_cuda_graph *out) {
      return guard([&] {
        at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
        auto g = std::make_unique<Graph>(static_cast<c10::DeviceIndex>(device));
        g->begin();
        *out = g.release();
      });
    },
    /*graph_end=*/[](tb_cuda_graph g) { return guard([&] { graph(g).end(); }); },
    /*graph_replay=*/[](tb_cuda_graph g) { return guard([&] { graph(g).replay(); }); },
    /*graph_free=*/[](tb_cuda_graph g) { return guard([&] { delete &graph(g); }); },
};

}  // namespace
}  // namespace tb

extern "C" const tb_cuda_api *tb_cuda_api_v1(void) noexcept { return &tb::api; }
