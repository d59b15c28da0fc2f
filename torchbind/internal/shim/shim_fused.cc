// The operators with kernels of their own; fused.h says what each computes.
#include "fused.h"

#include "guard.h"

using namespace tb;

namespace {

QuantizedWeight quantized(const tb_tensor *parts, const int64_t *sizes, int64_t n) {
  QuantizedWeight w{{}, sizes[0], sizes[1], sizes[2]};
  for (int64_t i = 0; i < n; i++) {
    w.parts.push_back({ref(parts[3 * i]), ref(parts[3 * i + 1]), optional(parts[3 * i + 2]), sizes[3 + 2 * i], sizes[4 + 2 * i]});
  }
  return w;
}

}  // namespace

extern "C" {

tb_error *tb_pack_frozen(tb_tensor w, tb_tensor *forward, tb_tensor *transpose) noexcept {
  return guard([&] {
    auto [there, back] = pack_frozen(ref(w));
    tb_tensor handles[2] = {nullptr, nullptr};
    emit(handles, std::vector<at::Tensor>{there, back});
    *forward = handles[0];
    *transpose = handles[1];
  });
}

tb_error *tb_frozen_linear(tb_tensor x, tb_tensor w, tb_tensor forward, tb_tensor transpose, tb_tensor b, tb_tensor *out) noexcept {
  return guard([&] { emit(out, frozen_linear(ref(x), ref(w), {optional(forward), optional(transpose)}, optional(b))); });
}

tb_error *tb_quantize(tb_tensor w, tb_tensor table, int64_t block, tb_tensor *out) noexcept {
  return guard([&] {
    auto [codes, scales] = quantize(ref(w), optional(table), block);
    emit(out, std::vector<at::Tensor>{codes, scales});
  });
}

tb_error *tb_dequantize(const tb_tensor *parts, const int64_t *sizes, int64_t n, int dtype, tb_tensor *out) noexcept {
  return guard([&] { emit(out, dequantize(quantized(parts, sizes, n), static_cast<at::ScalarType>(dtype))); });
}

tb_error *tb_quantized_linear(tb_tensor x, const tb_tensor *parts, const int64_t *sizes, int64_t n, tb_tensor b, tb_tensor *out) noexcept {
  return guard([&] { emit(out, quantized_linear(ref(x), quantized(parts, sizes, n), optional(b))); });
}

tb_error *tb_packed_attention(tb_tensor q, tb_tensor kv, tb_tensor offsets_q, tb_tensor offsets_kv, tb_tensor visible, int64_t heads,
                              int64_t kv_heads, int64_t window, double scale, double cap, double p, uint64_t seed, tb_tensor *out) noexcept {
  return guard([&] {
    emit(out, packed_attention(ref(q), optional(kv), ref(offsets_q), ref(offsets_kv), {heads, kv_heads, scale, cap, p, seed, optional(visible), window}));
  });
}

tb_error *tb_attention_plan(tb_tensor offsets_q, tb_tensor offsets_kv, tb_tensor visible, int64_t window, int64_t rows, int64_t length_q,
                            int64_t length_kv, int dtype, int dev, tb_tensor *out) noexcept {
  return guard([&] {
    const auto like = at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype)).device(device(dev));
    auto plan = attention_plan(ref(offsets_q), optional(offsets_kv), optional(visible), window, rows, length_q, length_kv, like);
    emit(out, std::vector<at::Tensor>{plan.queries, plan.keys, plan.places, plan.mask});
  });
}

tb_error *tb_planned_attention(tb_tensor q, tb_tensor kv, const tb_tensor *plan, int64_t heads, int64_t kv_heads, double scale, double cap,
                               double p, uint64_t seed, int twice, tb_tensor *out) noexcept {
  return guard([&] {
    const AttentionPlan how{ref(plan[0]), optional(plan[1]), ref(plan[2]), ref(plan[3])};
    emit(out, planned_attention(ref(q), optional(kv), how, {heads, kv_heads, scale, cap, p, seed}, twice != 0));
  });
}

tb_error *tb_add_dropout_layer_norm(tb_tensor x, tb_tensor residual, tb_tensor w, tb_tensor b, double eps, double p, uint64_t seed, tb_tensor *out) noexcept {
  return guard([&] { emit(out, add_dropout_layer_norm(ref(x), optional(residual), ref(w), ref(b), eps, p, seed)); });
}

tb_error *tb_layer_norm(tb_tensor x, tb_tensor w, tb_tensor b, double eps, tb_tensor *out) noexcept {
  return guard([&] { emit(out, add_dropout_layer_norm(ref(x), {}, ref(w), ref(b), eps, 0, 0)); });
}

tb_error *tb_rms_norm(tb_tensor x, tb_tensor w, double eps, tb_tensor *out) noexcept {
  return guard([&] { emit(out, rms_norm(ref(x), ref(w), eps)); });
}

tb_error *tb_add_dropout(tb_tensor x, tb_tensor residual, double p, uint64_t seed, tb_tensor *out) noexcept {
  return guard([&] { emit(out, add_dropout(ref(x), ref(residual), p, seed)); });
}

tb_error *tb_gelu(tb_tensor x, int tanh, tb_tensor *out) noexcept {
  return guard([&] { emit(out, gelu(ref(x), tanh != 0)); });
}

tb_error *tb_swiglu(tb_tensor x, tb_tensor *out) noexcept {
  return guard([&] { emit(out, swiglu(ref(x))); });
}

tb_error *tb_geglu(tb_tensor x, int tanh, tb_tensor *out) noexcept {
  return guard([&] { emit(out, geglu(ref(x), tanh != 0)); });
}

tb_error *tb_rotary(tb_tensor x, tb_tensor cos, tb_tensor sin, int64_t heads, tb_tensor *out) noexcept {
  return guard([&] { emit(out, rotary(ref(x), ref(cos), ref(sin), heads)); });
}

tb_error *tb_cross_entropy(tb_tensor logits, tb_tensor labels, double smoothing, tb_tensor *out) noexcept {
  return guard([&] { emit(out, cross_entropy(ref(logits), ref(labels), smoothing)); });
}

tb_error *tb_dropout(tb_tensor x, double p, uint64_t seed, tb_tensor *out) noexcept {
  return guard([&] { emit(out, dropout(ref(x), p, seed)); });
}
}
