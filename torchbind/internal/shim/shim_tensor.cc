// Handles, and data going in and out of them.
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros_like.h>

#include "guard.h"

using namespace tb;

// The most bytes that go to a device by way of pinned memory, of which libtorch
// keeps what it once had: batches, but not weights.
constexpr size_t kPinnedBytes = 16 << 20;

extern "C" {

void tb_error_free(tb_error *e) noexcept {
  if (e == nullptr) return;
  std::free(e->msg);
  std::free(e->trace);
  std::free(e);
}

void tb_free(const tb_tensor *ts, int64_t n) noexcept {
  for (int64_t i = 0; i < n; i++) delete static_cast<at::Tensor *>(ts[i]);
}

tb_error *tb_from_data(const void *data, int dtype, const int64_t *shape, int64_t ndim, int dev, tb_tensor *out) noexcept {
  return guard([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype));
    auto dims = at::IntArrayRef(shape, ndim);
    if (c10::multiply_integers(dims) == 0) return emit(out, at::empty(dims, options.device(device(dev))));
    // from_blob borrows Go memory: the copies below end the loan before returning.
    auto view = at::from_blob(const_cast<void *>(data), dims, options);
    if (dev < 0) return emit(out, view.clone());
    if (view.nbytes() > kPinnedBytes) return emit(out, view.to(device(dev)));
    // The copy to the device goes on after this function returned; libtorch lends
    // the block to nobody else until it is done.
    auto pinned = at::empty(dims, options.pinned_memory(true));
    std::memcpy(pinned.mutable_data_ptr(), data, pinned.nbytes());
    emit(out, at::empty(dims, options.device(device(dev))).copy_(pinned, /*non_blocking=*/true));
  });
}

tb_error *tb_empty(int dtype, const int64_t *shape, int64_t ndim, int dev, tb_tensor *out) noexcept {
  return guard([&] { emit(out, at::empty(at::IntArrayRef(shape, ndim), at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype)).device(device(dev)))); });
}

tb_error *tb_info(tb_tensor t, int64_t *shape, int64_t *ndim, int *dtype, int *dev) noexcept {
  return guard([&] {
    auto &x = ref(t);
    TORCH_CHECK(x.defined(), "undefined tensor");
    TORCH_CHECK(x.dim() <= 8, "tensors of more than 8 dimensions are not used here");
    for (int64_t i = 0; i < x.dim(); i++) shape[i] = x.size(i);
    *ndim = x.dim();
    *dtype = static_cast<int>(x.scalar_type());
    *dev = x.is_cpu() ? -1 : x.get_device();
  });
}

tb_error *tb_copy_to_host(tb_tensor t, void *dst, int64_t bytes) noexcept {
  return guard([&] {
    auto x = ref(t).detach().to(c10::kCPU).contiguous();
    TORCH_CHECK(static_cast<int64_t>(x.nbytes()) == bytes, "destination has ", bytes, " bytes, want ", x.nbytes());
    if (bytes > 0) std::memcpy(dst, x.const_data_ptr(), bytes);
  });
}

tb_error *tb_copy_(tb_tensor dst, tb_tensor src) noexcept {
  return guard([&] { ref(dst).copy_(ref(src)); });
}

tb_error *tb_item(tb_tensor t, double *out) noexcept {
  return guard([&] { *out = ref(t).item().toDouble(); });
}

tb_error *tb_to(tb_tensor t, int dtype, int dev, tb_tensor *out) noexcept {
  return guard([&] { emit(out, ref(t).to(device(dev), static_cast<at::ScalarType>(dtype))); });
}

tb_error *tb_clone(tb_tensor t, tb_tensor *out) noexcept {
  return guard([&] { emit(out, ref(t).clone()); });
}

tb_error *tb_zeros_like(tb_tensor t, tb_tensor *out) noexcept {
  return guard([&] { emit(out, at::zeros_like(ref(t))); });
}

tb_error *tb_detach(tb_tensor t, tb_tensor *out) noexcept {
  return guard([&] { emit(out, ref(t).detach()); });
}

tb_error *tb_requires_grad(tb_tensor t, int *out) noexcept {
  return guard([&] { *out = ref(t).requires_grad(); });
}

tb_error *tb_requires_grad_(tb_tensor t, int on) noexcept {
  return guard([&] { ref(t).requires_grad_(on != 0); });
}
}
