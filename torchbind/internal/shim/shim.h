// The C boundary of torchbind. Every function that can fail returns a
// tb_error (NULL = done) and writes its out-pointers only on success; none
// throws. tb_tensor is an at::Tensor*, the handle that gotorch uses too.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define TB_NOEXCEPT noexcept
#else
#define TB_NOEXCEPT
#endif

enum {
  TB_ERR_TORCH = 1,   // c10::Error: wrong shape, dtype, device, argument
  TB_ERR_MEMORY = 2,  // out of memory
  TB_ERR_OTHER = 3,   // any other C++ exception
};

typedef struct tb_error {
  int code;
  char *msg;    // without the backtrace
  char *trace;  // with it
} tb_error;

typedef void *tb_tensor;

void tb_error_free(tb_error *e) TB_NOEXCEPT;

// shim_tensor.cc: handles, data in and out.
void tb_free(const tb_tensor *ts, int64_t n) TB_NOEXCEPT;  // skips NULL
tb_error *tb_from_data(const void *data, int dtype, const int64_t *shape, int64_t ndim, int device, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_empty(int dtype, const int64_t *shape, int64_t ndim, int device, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_info(tb_tensor t, int64_t *shape, int64_t *ndim, int *dtype, int *device) TB_NOEXCEPT;
tb_error *tb_copy_to_host(tb_tensor t, void *dst, int64_t bytes) TB_NOEXCEPT;
tb_error *tb_copy_(tb_tensor dst, tb_tensor src) TB_NOEXCEPT;
tb_error *tb_item(tb_tensor t, double *out) TB_NOEXCEPT;
tb_error *tb_to(tb_tensor t, int dtype, int device, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_clone(tb_tensor t, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_zeros_like(tb_tensor t, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_detach(tb_tensor t, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_requires_grad(tb_tensor t, int *out) TB_NOEXCEPT;
tb_error *tb_requires_grad_(tb_tensor t, int on) TB_NOEXCEPT;

// shim_runtime.cc: threads, modes, seeds, devices.
tb_error *tb_set_num_threads(int n) TB_NOEXCEPT;
int tb_num_threads(void) TB_NOEXCEPT;
tb_error *tb_manual_seed(uint64_t seed) TB_NOEXCEPT;
const char *tb_version(void) TB_NOEXCEPT;
const char *tb_cpu_capability(void) TB_NOEXCEPT;
int tb_cpu_bfloat16(void) TB_NOEXCEPT;
int tb_grad_mode_set(int on) TB_NOEXCEPT;  // returns the previous mode of this thread
tb_error *tb_inference_enter(void **guard) TB_NOEXCEPT;
void tb_inference_leave(void *guard) TB_NOEXCEPT;
int tb_cuda_devices(void) TB_NOEXCEPT;

// shim_math.cc and shim_nn.cc: one ATen operator each.
tb_error *tb_add(tb_tensor a, tb_tensor b, double alpha, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_mul(tb_tensor a, tb_tensor b, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_add_scalar(tb_tensor a, double v, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_mul_scalar(tb_tensor a, double v, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_sqrt(tb_tensor a, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_tanh(tb_tensor a, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_sigmoid(tb_tensor a, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_cos(tb_tensor a, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_sin(tb_tensor a, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_contiguous(tb_tensor a, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_softmax(tb_tensor a, int64_t dim, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_log_softmax(tb_tensor a, int64_t dim, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_topk(tb_tensor a, int64_t k, int64_t dim, tb_tensor *values, tb_tensor *indices) TB_NOEXCEPT;
tb_error *tb_sum(tb_tensor a, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_mean(tb_tensor a, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_matmul(tb_tensor a, tb_tensor b, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_addmm_(tb_tensor self, tb_tensor a, tb_tensor b) TB_NOEXCEPT;
tb_error *tb_transpose(tb_tensor a, int64_t d0, int64_t d1, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_reshape(tb_tensor a, const int64_t *shape, int64_t ndim, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_narrow(tb_tensor a, int64_t dim, int64_t start, int64_t length, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_index_select(tb_tensor a, int64_t dim, tb_tensor index, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_index_copy_(tb_tensor self, int64_t dim, tb_tensor index, tb_tensor source) TB_NOEXCEPT;
tb_error *tb_cat(const tb_tensor *ts, int64_t n, int64_t dim, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_block_diag(const tb_tensor *ts, int64_t n, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_linear(tb_tensor x, tb_tensor w, tb_tensor b, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_embedding(tb_tensor weight, tb_tensor ids, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_mse_loss(tb_tensor x, tb_tensor target, tb_tensor *out) TB_NOEXCEPT;

// shim_autograd.cc and shim_foreach.cc: over lists of tensors.
tb_error *tb_grad(const tb_tensor *outputs, int64_t n_outputs, const tb_tensor *inputs, int64_t n_inputs,
                  const tb_tensor *grad_outputs, int create_graph, int allow_unused, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_foreach_add(const tb_tensor *a, const tb_tensor *b, double alpha, int64_t n, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_foreach_add_(const tb_tensor *a, const tb_tensor *b, double alpha, int64_t n) TB_NOEXCEPT;
tb_error *tb_foreach_mul(const tb_tensor *a, const tb_tensor *b, int64_t n, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_foreach_mul_scalar_(const tb_tensor *a, double v, int64_t n) TB_NOEXCEPT;
tb_error *tb_foreach_copy_(const tb_tensor *dst, const tb_tensor *src, int64_t n) TB_NOEXCEPT;
tb_error *tb_foreach_norm(const tb_tensor *a, int64_t n, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_fused_adamw_(const tb_tensor *params, const tb_tensor *grads, const tb_tensor *m, const tb_tensor *v, int64_t n,
                          int64_t step, double lr, double beta1, double beta2, double weight_decay, double eps) TB_NOEXCEPT;
tb_error *tb_adam_lookahead(const tb_tensor *params, const tb_tensor *grads, const tb_tensor *m, const tb_tensor *v, int64_t n, int64_t step,
                            double eta, double beta1, double beta2, double eps, tb_tensor *params_out, tb_tensor *scale_out) TB_NOEXCEPT;

// shim_fused.cc: operators with kernels of their own, see fused.h.
tb_error *tb_pack_frozen(tb_tensor w, tb_tensor *forward, tb_tensor *transpose) TB_NOEXCEPT;  // both NULL where packing gains nothing
tb_error *tb_frozen_linear(tb_tensor x, tb_tensor w, tb_tensor forward, tb_tensor transpose, tb_tensor b, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_quantize(tb_tensor w, tb_tensor table, int64_t block, tb_tensor *out) TB_NOEXCEPT;  // codes, scales
// parts: codes, scales and table (NULL in 8 bits) of each of n. sizes: first, rows, in, then rows and block of each.
tb_error *tb_dequantize(const tb_tensor *parts, const int64_t *sizes, int64_t n, int dtype, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_quantized_linear(tb_tensor x, const tb_tensor *parts, const int64_t *sizes, int64_t n, tb_tensor b, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_packed_attention(tb_tensor q, tb_tensor kv, tb_tensor offsets_q, tb_tensor offsets_kv, tb_tensor visible, int64_t heads,
                              int64_t kv_heads, int64_t window, double scale, double cap, double p, uint64_t seed, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_attention_plan(tb_tensor offsets_q, tb_tensor offsets_kv, tb_tensor visible, int64_t window, int64_t rows, int64_t length_q,
                            int64_t length_kv, int dtype, int device, tb_tensor *out) TB_NOEXCEPT;  // queries, keys (NULL without offsets_kv), places, mask
tb_error *tb_planned_attention(tb_tensor q, tb_tensor kv, const tb_tensor *plan, int64_t heads, int64_t kv_heads, double scale, double cap,
                               double p, uint64_t seed, int twice, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_add_dropout_layer_norm(tb_tensor x, tb_tensor residual, tb_tensor w, tb_tensor b, double eps, double p, uint64_t seed, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_layer_norm(tb_tensor x, tb_tensor w, tb_tensor b, double eps, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_rms_norm(tb_tensor x, tb_tensor w, double eps, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_add_dropout(tb_tensor x, tb_tensor residual, double p, uint64_t seed, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_gelu(tb_tensor x, int tanh, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_swiglu(tb_tensor x, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_geglu(tb_tensor x, int tanh, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_rotary(tb_tensor x, tb_tensor cos, tb_tensor sin, int64_t heads, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_cross_entropy(tb_tensor logits, tb_tensor labels, double smoothing, tb_tensor *out) TB_NOEXCEPT;
tb_error *tb_dropout(tb_tensor x, double p, uint64_t seed, tb_tensor *out) TB_NOEXCEPT;

#ifdef __cplusplus
}
#endif
