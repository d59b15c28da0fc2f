// Vectors of TB_VECTOR_BYTES as GCC and clang build them in, included by
// fused_targets.h once per instruction set (so: no include guard).

typedef float F32 __attribute__((vector_size(TB_VECTOR_BYTES)));
typedef double F64 __attribute__((vector_size(TB_VECTOR_BYTES)));
typedef int32_t I32 __attribute__((vector_size(TB_VECTOR_BYTES)));
typedef int64_t I64 __attribute__((vector_size(TB_VECTOR_BYTES)));
typedef uint32_t U32 __attribute__((vector_size(TB_VECTOR_BYTES)));
typedef uint16_t U16Half __attribute__((vector_size(TB_VECTOR_BYTES / 2)));
typedef int32_t I32Half __attribute__((vector_size(TB_VECTOR_BYTES / 2)));
typedef uint32_t U32Half __attribute__((vector_size(TB_VECTOR_BYTES / 2)));

// Per element type A: the vector, the integers that select lanes of it, and 32
// random bits per lane.
template <class A>
struct Simd;
template <>
struct Simd<float> {
  typedef F32 V;
  typedef I32 Select;
  typedef U32 Bits;
  typedef I32 SignedBits;
};
template <>
struct Simd<double> {
  typedef F64 V;
  typedef I64 Select;
  typedef U32Half Bits;
  typedef I32Half SignedBits;
};

template <class A>
using Vec = typename Simd<A>::V;
template <class A>
constexpr int kLanes = TB_VECTOR_BYTES / sizeof(A);

template <class A>
TB_INLINE Vec<A> splat(A x) {
  return x - Vec<A>{};
}

// 0, 1, 2, ...
template <class V>
TB_INLINE V lane_index() {
  V v{};
#pragma GCC unroll 16
  for (int i = 0; i < static_cast<int>(sizeof(V) / sizeof(v[0])); i++) v[i] = i;
  return v;
}

TB_INLINE F32 load(const float *p) {
  F32 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
TB_INLINE F64 load(const double *p) {
  F64 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
TB_INLINE F32 load(const c10::BFloat16 *p) {
  U16Half v;
  std::memcpy(&v, p, sizeof v);
  return (F32)(__builtin_convertvector(v, U32) << 16);
}

TB_INLINE void store(float *p, F32 v) { std::memcpy(p, &v, sizeof v); }
TB_INLINE void store(double *p, F64 v) { std::memcpy(p, &v, sizeof v); }
// Rounds to nearest even; a NaN stays one.
TB_INLINE void store(c10::BFloat16 *p, F32 v) {
  const U32 bits = (U32)v;
  U32 rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  rounded = v == v ? rounded : (U32{} + 0x7FC0u);
  const U16Half half = __builtin_convertvector(rounded, U16Half);
  std::memcpy(p, &half, sizeof half);
}

// The first n lanes, the others 0; n at least kLanes means all.
template <class T>
TB_INLINE Vec<Acc<T>> load(const T *p, int64_t n) {
  constexpr int lanes = kLanes<Acc<T>>;
  if (__builtin_expect(n >= lanes, 1)) return load(p);
  T part[lanes];
  for (int i = 0; i < lanes; i++) part[i] = i < n ? p[i] : T(0);
  return load(part);
}
template <class T>
TB_INLINE void store(T *p, Vec<Acc<T>> v, int64_t n) {
  constexpr int lanes = kLanes<Acc<T>>;
  if (__builtin_expect(n >= lanes, 1)) return store(p, v);
  T part[lanes];
  store(part, v);
  for (int i = 0; i < n; i++) p[i] = part[i];
}

// v with every lane from n on replaced.
template <class A>
TB_INLINE Vec<A> replace_from(Vec<A> v, int64_t n, A with) {
  if (__builtin_expect(n >= kLanes<A>, 1)) return v;
  typedef typename Simd<A>::Select Select;
  return lane_index<Select>() < (Select{} + static_cast<decltype(Select{}[0] + 0)>(n)) ? v : splat<A>(with);
}

template <class V>
TB_INLINE V max_of(V a, V b) {
  return a > b ? a : b;
}

// Every lane combined with the one H lanes away, H halving down to 1: then each
// lane holds the sum or the maximum of all.
template <int H, class V, int... I>
TB_INLINE V partner(V v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, (I ^ H)...);
}
template <int H, class V, class F>
TB_INLINE auto fold_lanes(V v, F combine) {
  v = combine(v, partner<H>(v, std::make_integer_sequence<int, static_cast<int>(sizeof(V) / sizeof(v[0]))>()));
  if constexpr (H > 1) {
    return fold_lanes<H / 2>(v, combine);
  } else {
    return v[0];
  }
}
struct Add {
  template <class V>
  inline __attribute__((always_inline)) V operator()(V a, V b) const {
    return a + b;
  }
};
struct Max {
  template <class V>
  inline __attribute__((always_inline)) V operator()(V a, V b) const {
    return max_of(a, b);
  }
};
template <class V>
TB_INLINE auto sum_lanes(V v) {
  return fold_lanes<sizeof(V) / sizeof(v[0]) / 2>(v, Add());
}
template <class V>
TB_INLINE auto max_lanes(V v) {
  return fold_lanes<sizeof(V) / sizeof(v[0]) / 2>(v, Max());
}

// e^x to 1.5 units in the last place for x <= 88; below -87.3 it is 0, above
// 88.3 it stays there. A NaN stays one. Cephes' reduction and polynomial.
TB_INLINE F32 exp_of(F32 x) {
  const F32 low = splat<float>(-87.336544f), high = splat<float>(88.37626f);
  const F32 y = x > high ? high : x;
  const float shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const F32 shifted = y * 1.44269504088896341f + shift;
  const F32 n = shifted - shift;
  const F32 r = (y - n * 0.693359375f) - n * -2.12194440e-4f;
  F32 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const F32 power = (F32)(((I32)shifted << 23) + 0x3F800000);
  return x < low ? F32{} : p * power;
}
TB_INLINE F64 exp_of(F64 x) {
  for (int i = 0; i < kLanes<double>; i++) x[i] = std::exp(x[i]);
  return x;
}

// tanh to 3 units in the last place. Cephes' polynomial about 0, and farther out
// 1 - 2 / (e^2x + 1).
TB_INLINE F32 tanh_of(F32 x) {
  const F32 magnitude = x < 0.0f ? -x : x;
  const F32 outer = 1.0f - 2.0f / (exp_of(magnitude * 2.0f) + 1.0f);
  const F32 z = x * x;
  F32 p = z * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  const F32 centre = p * z * x + x;
  const F32 far = x < 0.0f ? -outer : outer;
  return magnitude < 0.625f ? centre : far;
}
TB_INLINE F64 tanh_of(F64 x) {
  for (int i = 0; i < kLanes<double>; i++) x[i] = std::tanh(x[i]);
  return x;
}

// The dropout masks of one row, columns in order from one on: scale or 0 per
// lane.
template <class A>
struct RowMask {
  typedef typename Simd<A>::Bits Bits;
  typedef typename Simd<A>::SignedBits SignedBits;

  Bits column;
  uint32_t second;
  int32_t threshold;
  A scale;

  TB_INLINE RowMask start(const Dropout &d, int64_t head, int64_t row, int64_t column = 0) {
    const RowKey key = d.active ? d.row(head, row) : RowKey{};
    const uint32_t first = key.first + static_cast<uint32_t>(column) * kColumnStep;
    return {lane_index<Bits>() * kColumnStep + first, key.second, d.threshold, static_cast<A>(d.scale)};
  }

  inline __attribute__((always_inline)) Vec<A> next() {
    Bits x = column;
    column += kColumnStep * static_cast<uint32_t>(kLanes<A>);
    x ^= x >> 16;
    x = x * kMix1 ^ second;
    x ^= x >> 15;
    x *= kMix2;
    const auto kept = __builtin_convertvector((SignedBits)x >= (SignedBits{} + threshold), typename Simd<A>::Select);
    return kept ? splat<A>(scale) : Vec<A>{};
  }
};
