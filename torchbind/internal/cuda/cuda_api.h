// The C boundary of what calls CUDA, under the rules of shim.h: a library of its
// own, opened after libtorch_cuda.so where there is one, so that the program
// starts on machines without.
#pragma once

#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void *tb_cuda_graph;

typedef struct tb_cuda_device {
  char name[256];
  int major, minor;     // compute capability
  int64_t total, free;  // bytes
} tb_cuda_device;

typedef struct tb_cuda_api {
  const char *torch_version;  // that the library was compiled for

  tb_error *(*describe)(int device, tb_cuda_device *out);

  // A capture begins, and ends, on one thread, whose current stream it changes
  // meanwhile. graph_free ends one that is under way, and frees what it recorded.
  tb_error *(*graph_begin)(int device, tb_cuda_graph *out);
  tb_error *(*graph_end)(tb_cuda_graph g);
  tb_error *(*graph_replay)(tb_cuda_graph g);
  tb_error *(*graph_free)(tb_cuda_graph g);
} tb_cuda_api;

// The number in its name rises whenever tb_cuda_api changes.
const tb_cuda_api *tb_cuda_api_v1(void) TB_NOEXCEPT;

#ifdef __cplusplus
}
#endif
