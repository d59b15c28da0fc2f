// One ATen operator per function.
#include <ATen/ops/add.h>
#include <ATen/ops/block_diag.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/narrow.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/topk.h>

#include "guard.h"

using namespace tb;

#define TB_OP(name, params, expr) \
  tb_error *name params noexcept { return guard([&] { emit(out, expr); }); }

extern "C" {
TB_OP(tb_add, (tb_tensor a, tb_tensor b, double alpha, tb_tensor *out), at::add(ref(a), ref(b), alpha))
TB_OP(tb_mul, (tb_tensor a, tb_tensor b, tb_tensor *out), at::mul(ref(a), ref(b)))
TB_OP(tb_add_scalar, (tb_tensor a, double v, tb_tensor *out), at::add(ref(a), v))
TB_OP(tb_mul_scalar, (tb_tensor a, double v, tb_tensor *out), at::mul(ref(a), v))
TB_OP(tb_sqrt, (tb_tensor a, tb_tensor *out), at::sqrt(ref(a)))
TB_OP(tb_tanh, (tb_tensor a, tb_tensor *out), at::tanh(ref(a)))
TB_OP(tb_sigmoid, (tb_tensor a, tb_tensor *out), at::sigmoid(ref(a)))
TB_OP(tb_cos, (tb_tensor a, tb_tensor *out), at::cos(ref(a)))
TB_OP(tb_sin, (tb_tensor a, tb_tensor *out), at::sin(ref(a)))
TB_OP(tb_contiguous, (tb_tensor a, tb_tensor *out), ref(a).contiguous())
TB_OP(tb_softmax, (tb_tensor a, int64_t dim, tb_tensor *out), at::softmax(ref(a), dim))
TB_OP(tb_log_softmax, (tb_tensor a, int64_t dim, tb_tensor *out), at::log_softmax(ref(a), dim))
TB_OP(tb_sum, (tb_tensor a, tb_tensor *out), at::sum(ref(a)))
TB_OP(tb_mean, (tb_tensor a, tb_tensor *out), at::mean(ref(a)))
TB_OP(tb_matmul, (tb_tensor a, tb_tensor b, tb_tensor *out), at::matmul(ref(a), ref(b)))
TB_OP(tb_transpose, (tb_tensor a, int64_t d0, int64_t d1, tb_tensor *out), ref(a).transpose(d0, d1))
TB_OP(tb_reshape, (tb_tensor a, const int64_t *shape, int64_t ndim, tb_tensor *out), ref(a).reshape(at::IntArrayRef(shape, ndim)))
TB_OP(tb_narrow, (tb_tensor a, int64_t dim, int64_t start, int64_t length, tb_tensor *out), at::narrow(ref(a), dim, start, length))
TB_OP(tb_index_select, (tb_tensor a, int64_t dim, tb_tensor index, tb_tensor *out), at::index_select(ref(a), dim, ref(index)))
TB_OP(tb_cat, (const tb_tensor *ts, int64_t n, int64_t dim, tb_tensor *out), at::cat(list(ts, n), dim))
TB_OP(tb_block_diag, (const tb_tensor *ts, int64_t n, tb_tensor *out), at::block_diag(list(ts, n)))

tb_error *tb_topk(tb_tensor a, int64_t k, int64_t dim, tb_tensor *values, tb_tensor *indices) noexcept {
  return guard([&] {
    auto [largest, where] = at::topk(ref(a), k, dim);
    tb_tensor handles[2];
    emit(handles, std::vector<at::Tensor>{largest, where});
    *values = handles[0];
    *indices = handles[1];
  });
}

tb_error *tb_index_copy_(tb_tensor self, int64_t dim, tb_tensor index, tb_tensor source) noexcept {
  return guard([&] { ref(self).index_copy_(dim, ref(index), ref(source)); });
}

tb_error *tb_addmm_(tb_tensor self, tb_tensor a, tb_tensor b) noexcept {
  return guard([&] { ref(self).addmm_(ref(a), ref(b)); });
}
}
