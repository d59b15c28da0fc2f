// The C boundary of process groups, under the rules of shim.h.
#pragma once

#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

// What other processes cause, beside the codes of shim.h.
enum {
  TB_ERR_PROCESS_LATE = 4,     // the time limit of an exchange passed
  TB_ERR_PROCESS_LOST = 5,     // a connection broke
  TB_ERR_PROCESS_REFUSED = 6,  // the start failed; msg is for the user
};

typedef void *tb_group;

typedef struct tb_group_config {
  int rank, size, port;
  int listener;  // the socket, which becomes the store's, where this process keeps it; else -1
  const char *addr, *prefix;
  const char *host, *interface;  // of this process for Gloo: its address, or, unless NULL, its network interface
  double timeout, waited;        // in seconds: the limit, and what of it has passed
  int device;
} tb_group_config;

tb_error *tb_group_new(tb_group_config config, tb_group *out) TB_NOEXCEPT;
void tb_group_free(tb_group g) TB_NOEXCEPT;

tb_error *tb_group_average(tb_group g, const tb_tensor *ts, int64_t n, double weight, tb_tensor *mean) TB_NOEXCEPT;
tb_error *tb_group_grad(tb_group g, const tb_tensor *outputs, int64_t n_outputs, const tb_tensor *inputs, int64_t n_inputs,
                        const tb_tensor *grad_outputs, int create_graph, double weight, tb_tensor *own, tb_tensor *mean) TB_NOEXCEPT;

// lengths has room for one number per process; of all, which has room for
// size * capacity bytes, the part of process r begins at r * capacity.
tb_error *tb_group_lengths(tb_group g, int64_t length, int64_t *lengths) TB_NOEXCEPT;
tb_error *tb_group_gather(tb_group g, const void *data, int64_t length, int64_t capacity, void *all) TB_NOEXCEPT;

tb_error *tb_group_any_begin(tb_group g, int flag, int64_t *id) TB_NOEXCEPT;
tb_error *tb_group_any_wait(tb_group g, int64_t id, int *any) TB_NOEXCEPT;

// Of the library that calls CUDA: a new NCCL backend, in *backend, of a store. They are
// c10::intrusive_ptr<c10d::Store> * and c10::intrusive_ptr<c10d::Backend> *, the latter the caller's to delete.
tb_error *tb_cuda_nccl(void *store, int rank, int size, int device, double timeout_seconds, void **backend) TB_NOEXCEPT;

#ifdef __cplusplus
}
#endif
