// Compiles the kernels in TB_KERNEL_FILE once per instruction set, each in a
// namespace of its own; TB_KERNEL(f) is the one for this CPU. One kernel file
// per .cc file. Kernels use no standard library beyond scalar mathematics: a
// shared inline function must not be compiled for a CPU that is not there.
#pragma once

#include <c10/util/BFloat16.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "fused_dropout.h"
#include "kernel.h"

#define TB_INLINE static inline __attribute__((always_inline))

namespace tb {

enum class Isa { kBase, kAvx2, kAvx512 };

// What libtorch itself detected; ATEN_CPU_CAPABILITY lowers it.
Isa isa();

template <class F>
F *select(F *base, [[maybe_unused]] F *avx2, [[maybe_unused]] F *avx512) {
#if defined(__x86_64__)
  if (isa() == Isa::kAvx512) return avx512;
  if (isa() == Isa::kAvx2) return avx2;
#endif
  return base;
}

}  // namespace tb

#define TB_VECTOR_BYTES 16
namespace tb::base {
#include "fused_simd.h"
#include TB_KERNEL_FILE
}  // namespace tb::base
#undef TB_VECTOR_BYTES

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define TB_VECTOR_BYTES 32
namespace tb::avx2 {
#include "fused_simd.h"
#include TB_KERNEL_FILE
}  // namespace tb::avx2
#undef TB_VECTOR_BYTES
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#define TB_VECTOR_BYTES 64
namespace tb::avx512 {
#include "fused_simd.h"
#include TB_KERNEL_FILE
}  // namespace tb::avx512
#undef TB_VECTOR_BYTES
#pragma GCC pop_options

#define TB_KERNEL(...) ::tb::select(&::tb::base::__VA_ARGS__, &::tb::avx2::__VA_ARGS__, &::tb::avx512::__VA_ARGS__)

#else

#define TB_KERNEL(...) (&::tb::base::__VA_ARGS__)

#endif
