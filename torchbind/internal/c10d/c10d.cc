#include "c10d.h"

#if __has_include(<gloo/config.h>)
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#include <dlfcn.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "guard.h"

namespace tb {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;

// What other processes cause. Everything else that is thrown is a failure of
// this process.
struct ProcessError : std::runtime_error {
  int code;
  std::string trace;
  ProcessError(int code, const std::string &msg, std::string trace) : std::runtime_error(msg), code(code), trace(std::move(trace)) {}
};

// The first line of what c10d says, without the backtrace and the place in its source that Gloo puts in front.
ProcessError process_error(const std::exception &e) {
  std::string text = e.what();
  bool late = text.find("imed out") != std::string::npos || text.find("imeout") != std::string::npos;
  return {late ? TB_ERR_PROCESS_LATE : TB_ERR_PROCESS_LOST, text.substr(0, text.find('\n')), text};
}

[[noreturn]] void refuse(const std::string &msg, const std::string &trace = "") { throw ProcessError(TB_ERR_PROCESS_REFUSED, msg, trace); }

// guard, for functions that other processes can make fail.
template <class F>
tb_error *group_guard(F &&f) noexcept {
  tb_error *failure = nullptr;
  tb_error *other = guard([&] {
    try {
      f();
    } catch (const ProcessError &e) {
      failure = make_error(e.code, e.what(), e.trace.c_str());
    }
  });
  return failure != nullptr ? failure : other;
}

struct Group {
  int rank, size;
  c10::Device device;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::Backend> gloo;     // for bytes and flags, and for tensors of the CPU
  c10::intrusive_ptr<c10d::Backend> tensors;  // for tensors of device
  bool broken = false;                        // an exchange failed, and others may be under way for good
  struct Flag {
    at::Tensor value;
    WorkPtr work;
  };
  std::map<int64_t, Flag> flags;  // begun and not waited for
  int64_t next_flag = 0;

  Group(int rank, int size, c10::Device device) : rank(rank), size(size), device(device) {}

  // exchange runs f, which begins or awaits one.
  template <class F>
  auto exchange(F &&f) -> decltype(f()) {
    try {
      return f();
    } catch (const c10::OutOfMemoryError &) {
      broken = true;
      throw;
    } catch (const std::exception &e) {
      broken = true;
      throw process_error(e);
    }
  }

  WorkPtr begin_sum(c10d::Backend &backend, at::Tensor t, c10d::ReduceOp op = c10d::ReduceOp::SUM) {
    return exchange([&] {
      std::vector<at::Tensor> ts{std::move(t)};
      c10d::AllreduceOptions options;
      options.reduceOp = op;
      return backend.allreduce(ts, options);
    });
  }

  // wait blocks the host on the CPU; on CUDA the current stream alone.
  void wait(const WorkPtr &work) {
    exchange([&] { work->wait(); });
  }
};

// As in DistributedDataParallel: a small bucket first, so that the exchange begins early, then large ones.
constexpr int64_t kFirstBucketBytes = 1 << 20, kBucketBytes = 25 << 20;

// Buckets averages tensors over the processes, many in one exchange: a bucket
// is a flat tensor of Σ weight · t, with the weight behind, and its exchange
// begins when it and all before it are full. All processes have the same
// buckets, whose order is that of the tensors.
class Buckets {
 public:
  Buckets(Group &group, const std::vector<at::Tensor> &like, double weight) : group_(group), weight_(weight) {
    int64_t limit = kFirstBucketBytes, bytes = 0;
    for (const auto &t : like) {
      TORCH_CHECK(t.device() == group_.device, "tensor on ", t.device(), ", want ", group_.device, ", the device of the process group");
      TORCH_CHECK(at::isFloatingType(t.scalar_type()), "tensor of ", t.scalar_type(), ": the mean of processes is of floating-point numbers");
      // Sums of 16-bit numbers, and counts among the weights, need more bits than these have.
      auto dtype = t.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
      int64_t more = t.numel() * static_cast<int64_t>(c10::elementSize(dtype));
      if (buckets_.empty() || buckets_.back().dtype != dtype || bytes + more > limit) {
        if (!buckets_.empty()) limit = kBucketBytes;
        buckets_.emplace_back();
        buckets_.back().dtype = dtype;
        bytes = 0;
      }
      bytes += more;
      auto &b = buckets_.back();
      place_.emplace_back(buckets_.size() - 1, b.like.size());
      b.like.push_back(t.detach());
    }
    for (auto &b : buckets_) b.missing = b.like.size();
  }

  ~Buckets() {
    if (begun_ > awaited_) group_.broken = true;  // this process failed, and the others wait for what it does not send
  }

  Buckets(const Buckets &) = delete;
  Buckets &operator=(const Buckets &) = delete;

  void put(size_t i, const at::Tensor &t) {
    at::NoGradGuard no_grad;
    auto &b = buckets_[place_[i].first];
    if (!b.flat.defined()) b.allocate();
    if (weight_ != 0) b.views[place_[i].second].copy_(t);  // else zeros: the mean of no examples may be NaN
    b.missing--;
    for (; begun_ < buckets_.size() && buckets_[begun_].missing == 0; begun_++) begin(buckets_[begun_]);
  }

  // finish waits for the exchanges and returns the means.
  std::vector<at::Tensor> finish() {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> means;
    means.reserve(place_.size());
    for (auto &b : buckets_) {
      group_.wait(b.work);
      awaited_++;
      auto total = b.flat[-1];
      auto quotients = at::_foreach_div(b.views, total);
      for (size_t i = 0; i < quotients.size(); i++) means.push_back(quotients[i].to(b.like[i].scalar_type()));
      b = Bucket();
    }
    return means;
  }

 private:
  struct Bucket {
    at::ScalarType dtype = at::kFloat;
    std::vector<at::Tensor> like;
    at::Tensor flat;
    std::vector<at::Tensor> views;
    size_t missing = 0;
    WorkPtr work;

    void allocate() {
      int64_t n = 0;
      for (const auto &t : like) n += t.numel();
      flat = at::zeros({n + 1}, like[0].options().dtype(dtype).requires_grad(false));
      int64_t begin = 0;
      for (const auto &t : like) {
        views.push_back(flat.narrow(0, begin, t.numel()).view(t.sizes()));
        begin += t.numel();
      }
    }
  };

  void begin(Bucket &b) {
    if (weight_ != 1) b.flat.mul_(weight_);
    b.flat[-1].fill_(weight_);
    b.work = group_.begin_sum(*group_.tensors, b.flat);
  }

  Group &group_;
  double weight_;
  std::vector<Bucket> buckets_;
  std::vector<std::pair<size_t, size_t>> place_;  // of each tensor: its bucket, and its number there
  size_t begun_ = 0, awaited_ = 0;
};

// Hooks hands the gradients of inputs to fn when they are complete, as long as
// it lives. They are hooks of the nodes, not Tensor.register_hook's, whose list
// keeps an empty place of every hook that was removed.
class Hooks {
 public:
  Hooks(const std::vector<at::Tensor> &inputs, std::function<void(size_t, const at::Tensor &)> fn) {
    nodes_.reserve(inputs.size());
    for (size_t i = 0; i < inputs.size(); i++) {
      auto edge = torch::autograd::impl::gradient_edge(inputs[i]);
      TORCH_CHECK(edge.is_valid(), "input ", i, " does not require a gradient");
      auto hook = std::make_unique<Hook>(i, edge.input_nr, fn);
      auto *added = hook.get();
      edge.function->tensor_pre_hooks().push_back(std::move(hook));  // a leaf's are not where add_tensor_pre_hook puts them
      nodes_.emplace_back(std::move(edge.function), added);
    }
  }

  ~Hooks() {
    for (auto &[node, hook] : nodes_) {
      auto &all = node->tensor_pre_hooks();
      all.erase(std::remove_if(all.begin(), all.end(), [hook = hook](const auto &h) { return h.get() == hook; }), all.end());
    }
  }

  Hooks(const Hooks &) = delete;
  Hooks &operator=(const Hooks &) = delete;

 private:
  struct Hook : torch::autograd::FunctionPreHook {
    size_t index;
    uint32_t input;
    std::function<void(size_t, const at::Tensor &)> fn;
    Hook(size_t index, uint32_t input, std::function<void(size_t, const at::Tensor &)> fn) : index(index), input(input), fn(std::move(fn)) {}
    std::vector<at::Tensor> operator()(const std::vector<at::Tensor> &grads) override {
      if (grads[input].defined()) fn(index, grads[input]);
      return grads;
    }
  };

  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, Hook *>> nodes_;
};

// Joining: every process announces its rank in the store, once.
class Meeting {
 public:
  Meeting(const tb_group_config &c, Clock::time_point deadline) : config_(c), deadline_(deadline) {}

  void join(c10d::Store &store) {
    std::string missing = "process 0";
    try {
      if (config_.rank == 0) store.set("size", std::to_string(config_.size));
      while (!store.check({"size"})) sleep("process 0 did not appear within " + limit());
      auto size = std::stoi(store.get_to_str("size"));
      if (size != config_.size)
        refuse("process 0 of this run counts " + std::to_string(size) + " processes, process " + std::to_string(config_.rank) + " was told of " +
               std::to_string(config_.size) + ": give all the same number");
      if (store.add(key(config_.rank), 1) != 1)
        refuse("process " + std::to_string(config_.rank) + " of this run has joined already: a process cannot join a run that has begun");
      std::vector<int> absent;
      for (int r = 0; r < size; r++) absent.push_back(r);
      for (;;) {
        absent.erase(std::remove_if(absent.begin(), absent.end(), [&](int r) { return store.check({key(r)}); }), absent.end());
        if (absent.empty()) return;
        missing = name(absent);
        sleep(missing + " did not appear within " + limit() + "; " + std::to_string(size - absent.size()) + " of " + std::to_string(size) + " are there");
      }
    } catch (const ProcessError &) {
      throw;
    } catch (const std::exception &e) {
      refuse("the connection to process 0 was lost while waiting for " + missing, e.what());
    }
  }

  std::string limit() const {
    char text[32];
    std::snprintf(text, sizeof text, "%gs", config_.timeout);
    return text;
  }

 private:
  static std::string key(int rank) { return "joined/" + std::to_string(rank); }

  static std::string name(const std::vector<int> &ranks) {
    constexpr size_t kNamed = 8;
    std::string text = ranks.size() == 1 ? "process " : "processes ";
    for (size_t i = 0; i < ranks.size() && i < kNamed; i++) text += (i == 0 ? "" : ", ") + std::to_string(ranks[i]);
    return ranks.size() <= kNamed ? text : text + " and " + std::to_string(ranks.size() - kNamed) + " more";
  }

  void sleep(const std::string &otherwise) const {
    if (Clock::now() >= deadline_) refuse(otherwise);
    std::this_thread::sleep_for(Milliseconds(20));
  }

  const tb_group_config &config_;
  Clock::time_point deadline_;
};

#ifdef USE_C10D_GLOO

c10::intrusive_ptr<c10d::Backend> new_gloo(const c10::intrusive_ptr<c10d::Store> &store, const tb_group_config &c, Milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(c.interface != nullptr ? c10d::ProcessGroupGloo::createDeviceForInterface(c.interface)
                                                    : c10d::ProcessGroupGloo::createDeviceForHostname(c.host));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store), c.rank, c.size, options);
}

constexpr bool kGloo = true;

#else

constexpr bool kGloo = false;

c10::intrusive_ptr<c10d::Backend> new_gloo(const c10::intrusive_ptr<c10d::Store> &, const tb_group_config &, Milliseconds) { return {}; }

#endif

// NCCL needs CUDA, which lives in a library that is opened where there is a GPU.
c10::intrusive_ptr<c10d::Backend> new_nccl(const c10::intrusive_ptr<c10d::Store> &store, const tb_group_config &c) {
  auto *make = reinterpret_cast<decltype(&tb_cuda_nccl)>(dlsym(RTLD_DEFAULT, "tb_cuda_nccl"));
  if (make == nullptr) refuse("this build has no NCCL: run `make cuda-shim` and start again, or use --device cpu");
  c10::intrusive_ptr<c10d::Store> own = c10::make_intrusive<c10d::PrefixStore>("nccl", store);
  void *made = nullptr;
  if (auto *err = make(&own, c.rank, c.size, c.device, c.timeout, &made)) {
    std::string msg = err->msg, trace = err->trace;
    tb_error_free(err);
    refuse("NCCL does not start: " + msg.substr(0, msg.find('\n')), trace);
  }
  std::unique_ptr<c10::intrusive_ptr<c10d::Backend>> backend(static_cast<c10::intrusive_ptr<c10d::Backend> *>(made));
  return std::move(*backend);
}

Group &group(tb_group g) { return *static_cast<Group *>(g); }

}  // namespace
}  // namespace tb

using namespace tb;

extern "C" tb_error *tb_group_new(tb_group_config c, tb_group *out) noexcept {
  return group_guard([&] {
    if (!kGloo) refuse("this build has no Gloo: install libgloo-dev (Debian, Ubuntu) and build again");
    Milliseconds timeout(static_cast<int64_t>(c.timeout * 1000));
    Meeting meeting(c, Clock::now() + timeout - Milliseconds(static_cast<int64_t>(c.waited * 1000)));
    auto g = std::make_unique<Group>(c.rank, c.size, device(c.device));
    c10::intrusive_ptr<c10d::Store> store;
    std::string place = std::string(c.addr) + ":" + std::to_string(c.port);
    try {
      c10d::TCPStoreOptions options;
      options.port = static_cast<uint16_t>(c.port);
      options.isServer = c.listener >= 0;
      if (options.isServer) options.masterListenFd = c.listener;
      options.waitWorkers = false;
      options.timeout = timeout;
      store = c10::make_intrusive<c10d::TCPStore>(c.addr, options);
    } catch (const std::exception &e) {
      std::string text = e.what();
      refuse(c.listener >= 0 ? "process 0 cannot listen at " + place + ": " + text.substr(0, text.find('\n')) : "no process 0 at " + place + " within " + meeting.limit(),
             text);
    }
    g->store = c10::make_intrusive<c10d::PrefixStore>(c.prefix, store);
    meeting.join(*g->store);
    try {
      g->gloo = new_gloo(g->store, c, timeout);
      g->tensors = c.device < 0 ? g->gloo : new_nccl(g->store, c);
    } catch (const ProcessError &) {
      throw;
    } catch (const std::exception &e) {
      std::string text = e.what();
      refuse("the processes do not reach each other: " + text.substr(0, text.find('\n')), text);
    }
    *out = g.release();
  });
}

extern "C" void tb_group_free(tb_group p) noexcept {
  auto *g = static_cast<Group *>(p);
  // Gloo's destructor waits for the exchanges under way. After a failure, and
  // for a flag that nobody waits for any more, that is as long as the time limit.
  if (g->broken || !g->flags.empty())
    std::thread([g] { delete g; }).detach();
  else
    delete g;
}

extern "C" tb_error *tb_group_average(tb_group p, const tb_tensor *ts, int64_t n, double weight, tb_tensor *mean) noexcept {
  return group_guard([&] {
    auto tensors = list(ts, n);
    Buckets buckets(group(p), tensors, weight);
    for (size_t i = 0; i < tensors.size(); i++) buckets.put(i, tensors[i]);
    emit(mean, buckets.finish());
  });
}

extern "C" tb_error *tb_group_grad(tb_group p, const tb_tensor *outputs, int64_t n_outputs, const tb_tensor *inputs, int64_t n_inputs,
                                   const tb_tensor *grad_outputs, int create_graph, double weight, tb_tensor *own, tb_tensor *mean) noexcept {
  return group_guard([&] {
    auto in = list(inputs, n_inputs);
    // The gradients of the last inputs, nearest to the loss, are complete first.
    std::vector<at::Tensor> reversed(in.rbegin(), in.rend());
    Buckets buckets(group(p), reversed, weight);
    std::exception_ptr failure;  // of an exchange: the backward pass goes on and knows nothing of it
    torch::autograd::variable_list grads, seeds;
    if (grad_outputs != nullptr) seeds = list(grad_outputs, n_outputs);
    {
      Hooks hooks(in, [&](size_t i, const at::Tensor &grad) {
        if (failure != nullptr) return;
        try {
          buckets.put(in.size() - 1 - i, grad);
        } catch (...) {
          failure = std::current_exception();
        }
      });
      grads = torch::autograd::grad(list(outputs, n_outputs), in, seeds, std::nullopt, create_graph != 0, false);
    }
    if (failure != nullptr) std::rethrow_exception(failure);
    auto means = buckets.finish();
    std::reverse(means.begin(), means.end());
    // All handles or none: one call writes both lists.
    std::vector<tb_tensor> handles(grads.size() + means.size());
    std::move(means.begin(), means.end(), std::back_inserter(grads));
    emit(handles.data(), std::move(grads));
    std::copy_n(handles.begin(), n_inputs, own);
    std::copy_n(handles.begin() + n_inputs, n_inputs, mean);
  });
}

extern "C" tb_error *tb_group_lengths(tb_group p, int64_t length, int64_t *lengths) noexcept {
  return group_guard([&] {
    auto &g = group(p);
    auto all = at::zeros({g.size}, at::kLong);
    all[g.rank].fill_(length);
    g.wait(g.begin_sum(*g.gloo, all));
    std::memcpy(lengths, all.const_data_ptr(), g.size * sizeof(int64_t));
  });
}

extern "C" tb_error *tb_group_gather(tb_group p, const void *data, int64_t length, int64_t capacity, void *all) noexcept {
  return group_guard([&] {
    auto &g = group(p);
    auto part = at::zeros({capacity}, at::kByte);
    if (length > 0) std::memcpy(part.mutable_data_ptr(), data, length);
    auto parts = at::empty({g.size * capacity}, at::kByte);
    g.wait(g.exchange([&] { return g.gloo->_allgather_base(parts, part); }));
    std::memcpy(all, parts.const_data_ptr(), g.size * capacity);
  });
}

extern "C" tb_error *tb_group_any_begin(tb_group p, int flag, int64_t *id) noexcept {
  return group_guard([&] {
    auto &g = group(p);
    auto value = at::full({1}, flag, at::kByte);
    auto work = g.begin_sum(*g.gloo, value, c10d::ReduceOp::MAX);
    *id = g.next_flag++;
    g.flags.emplace(*id, Group::Flag{std::move(value), std::move(work)});
  });
}

extern "C" tb_error *tb_group_any_wait(tb_group p, int64_t id, int *any) noexcept {
  return group_guard([&] {
    auto &g = group(p);
    auto flag = std::move(g.flags.at(id));
    g.flags.erase(id);
    g.wait(flag.work);
    *any = *flag.value.const_data_ptr<uint8_t>();
  });
}
