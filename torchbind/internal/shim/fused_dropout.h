// The dropout mask as a pure function of (seed, head, row, column): nothing is
// stored, each derivative makes it again, and the composed forms make the same.
//
// A row's two keys come from the splitmix64 finaliser. An element is one round
// of a 32-bit multiply-xorshift hash (Wellons' lowbias32) of the column, with a
// key added before and one mixed in between. It is dropped if the hash, as a
// signed number, lies below a threshold; that reads the high bits, so the last
// xorshift of lowbias32 is not needed.
#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tb {

constexpr uint32_t kColumnStep = 0x9E3779B9u;
constexpr uint32_t kMix1 = 0x7FEB352Du;
constexpr uint32_t kMix2 = 0x846CA68Bu;

struct RowKey {
  uint32_t first, second;
};

struct Dropout {
  uint64_t seed = 0;
  int32_t threshold = INT32_MIN;  // kept if hash >= threshold
  double scale = 1;               // of what is kept
  bool active = false;

  Dropout(double p, uint64_t seed) : seed(seed) {
    TORCH_CHECK(p >= 0 && p <= 1, "dropout probability is ", p, ", want 0 to 1");
    active = p > 0;
    scale = p < 1 ? 1 / (1 - p) : 0;
    const double dropped = std::min(std::floor(p * 4294967296.0 + 0.5), 4294967295.0);
    threshold = static_cast<int32_t>(static_cast<int64_t>(dropped) + INT32_MIN);
  }

  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  RowKey row(int64_t head, int64_t row) const {
    const uint64_t stream = mix(seed + 0x9E3779B97F4A7C15u * (static_cast<uint64_t>(head) + 1));
    const uint64_t key = mix(stream + 0xD1B54A32D192ED03u * (static_cast<uint64_t>(row) + 1));
    return {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  }
};

}  // namespace tb
