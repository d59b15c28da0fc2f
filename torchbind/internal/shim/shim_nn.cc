// The operators of layers and losses, one ATen operator per function.
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "guard.h"

using namespace tb;

#define TB_OP(name, params, expr) \
  tb_error *name params noexcept { return guard([&] { emit(out, expr); }); }

extern "C" {
TB_OP(tb_linear, (tb_tensor x, tb_tensor w, tb_tensor b, tb_tensor *out), at::linear(ref(x), ref(w), optional(b)))
TB_OP(tb_embedding, (tb_tensor weight, tb_tensor ids, tb_tensor *out), at::embedding(ref(weight), ref(ids)))
TB_OP(tb_mse_loss, (tb_tensor x, tb_tensor target, tb_tensor *out), at::mse_loss(ref(x), ref(target)))

tb_error *tb_scaled_dot_product_attention(tb_tensor q, tb_tensor k, tb_tensor v, tb_tensor mask, double scale, tb_tensor *out) noexcept {
  return guard([&] {
    const bool grouped = ref(q).dim() == 4 && ref(k).dim() == 4 && ref(q).size(1) != ref(k).size(1);
    emit(out, at::scaled_dot_product_attention(ref(q), ref(k), ref(v), optional(mask), 0, false, scale, grouped));
  });
}
}
