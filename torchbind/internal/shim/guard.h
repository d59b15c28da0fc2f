// What every shim_*.cc shares: exceptions become tb_error, handles become
// tensors. Include ATen/core headers only: narrow includes keep a file under
// 15 s of compile time.
#pragma once

#if !__has_include(<ATen/core/Tensor.h>)
#error "libtorch is missing: run `make setup` (scripts/fetch_libtorch.sh), which fills third_party/"
#endif

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "shim.h"

namespace tb {

inline tb_error *make_error(int code, const char *msg, const char *trace) noexcept {
  auto *e = static_cast<tb_error *>(std::malloc(sizeof(tb_error)));
  if (e == nullptr) std::abort();
  *e = {code, strdup(msg), strdup(trace)};
  return e;
}

template <class F>
tb_error *guard(F &&f) noexcept {
  try {
    f();
    return nullptr;
  } catch (const c10::OutOfMemoryError &e) {
    return make_error(TB_ERR_MEMORY, e.what_without_backtrace(), e.what());
  } catch (const c10::Error &e) {
    return make_error(TB_ERR_TORCH, e.what_without_backtrace(), e.what());
  } catch (const std::bad_alloc &e) {
    return make_error(TB_ERR_MEMORY, e.what(), "");
  } catch (const std::exception &e) {
    return make_error(TB_ERR_OTHER, e.what(), "");
  } catch (...) {
    return make_error(TB_ERR_OTHER, "unknown C++ exception", "");
  }
}

inline at::Tensor &ref(tb_tensor t) { return *static_cast<at::Tensor *>(t); }

// An absent optional argument is a NULL handle.
inline at::Tensor optional(tb_tensor t) { return t == nullptr ? at::Tensor() : ref(t); }

inline void emit(tb_tensor *out, at::Tensor t) { *out = new at::Tensor(std::move(t)); }

inline std::vector<at::Tensor> list(const tb_tensor *ts, int64_t n) {
  std::vector<at::Tensor> v;
  v.reserve(n);
  for (int64_t i = 0; i < n; i++) v.push_back(optional(ts[i]));
  return v;
}

// All handles or none: the array is written after the last allocation.
inline void emit(tb_tensor *out, std::vector<at::Tensor> ts) {
  std::vector<std::unique_ptr<at::Tensor>> owned;
  owned.reserve(ts.size());
  for (auto &t : ts) owned.push_back(t.defined() ? std::make_unique<at::Tensor>(std::move(t)) : nullptr);
  for (size_t i = 0; i < owned.size(); i++) out[i] = owned[i].release();
}

// Devices cross the boundary as -1 for the CPU and n for CUDA device n.
inline c10::Device device(int d) { return d < 0 ? c10::Device(c10::kCPU) : c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(d)); }

}  // namespace tb
