// The operators of layers and losses, one ATen operator per function.
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mse_loss.h>

#include "guard.h"

using namespace tb;

#define TB_OP(name, params, expr) \
  tb_error *name params noexcept { return guard([&] { emit(out, expr); }); }

extern "C" {
TB_OP(tb_linear, (tb_tensor x, tb_tensor w, tb_tensor b, tb_tensor *out), at::linear(ref(x), ref(w), optional(b)))
TB_OP(tb_embedding, (tb_tensor weight, tb_tensor ids, tb_tensor *out), at::embedding(ref(weight), ref(ids)))
TB_OP(tb_mse_loss, (tb_tensor x, tb_tensor target, tb_tensor *out), at::mse_loss(ref(x), ref(target)))
}
