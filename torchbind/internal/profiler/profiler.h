// The C boundary of libtorch's profiler (torch/csrc/autograd/profiler_kineto.h),
// by the rules of shim.h. Start and stop belong to one thread.
#pragma once

#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

// Starts to record operators and, where device is one, what runs on a CUDA device.
tb_error *tb_profiler_start(int device) TB_NOEXCEPT;
// Ends the recording and writes it as a Chrome trace; an empty path drops it.
tb_error *tb_profiler_stop(int device, const char *path) TB_NOEXCEPT;
// Marks what runs until the end of the span by a name, which has to outlive it. The end waits for the device.
tb_error *tb_profiler_span_begin(const char *name, void **out) TB_NOEXCEPT;
tb_error *tb_profiler_span_end(int device, void *span) TB_NOEXCEPT;

#ifdef __cplusplus
}
#endif
