// The C boundary of accelerators, under the rules of shim.h.
#pragma once

#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

// device is that of an accelerator, 0 or above.
tb_error *tb_accelerator_seed(int device, uint64_t seed) TB_NOEXCEPT;
tb_error *tb_accelerator_synchronize(int device) TB_NOEXCEPT;
tb_error *tb_accelerator_peak_memory(int device, int64_t *bytes) TB_NOEXCEPT;
tb_error *tb_accelerator_reset_peak_memory(int device) TB_NOEXCEPT;
tb_error *tb_accelerator_empty_cache(void) TB_NOEXCEPT;
tb_error *tb_allow_tf32(int on) TB_NOEXCEPT;

// host [n] gets the elements of n tensors of one element each. On an accelerator
// they are there when tb_read_wait(event) returned; event lives as long as host.
// It is NULL on the CPU, where nothing is to be waited for.
tb_error *tb_read_later(const tb_tensor *ts, int64_t n, tb_tensor *host, void **event) TB_NOEXCEPT;
tb_error *tb_read_wait(void *event) TB_NOEXCEPT;

#ifdef __cplusplus
}
#endif
