// Gated linear units and their first two derivatives, row by row: x = [a, b]
// with f(a) b, f the function silu or GELU. For the cotangents [u, v] of
// dx = [dy f'(a) b, dy f(a)]:
//   d_dy = u f' b + v f,  d_a = dy (u f'' b + v f'),  d_b = dy u f'
// With P the logistic function and Q = P (1 - P), silu has
//   f = a P,  f' = P + a Q,  f'' = 2 Q + a Q (1 - 2 P)

#include "fused_gelu_kernel.h"

template <class A>
TB_INLINE ActivationPoint<A> silu_at(Vec<A> a) {
  const A one = 1;
  const Vec<A> small = exp_of(a < 0 ? a : -a);  // never overflows
  const Vec<A> upper = one / (small + one);
  const Vec<A> p = a < 0 ? small * upper : upper, q = small * upper * upper;
  return {a * p, p + a * q, q * (2 + a * (one - 2 * p))};
}

template <class A, Gate G>
TB_INLINE ActivationPoint<A> gate_at(Vec<A> a) {
  if constexpr (G == Gate::kSilu) {
    return silu_at<A>(a);
  } else {
    return gelu_at<A>(a, G == Gate::kGeluTanh);
  }
}

template <class T, Gate G>
void glu_forward(const T *x, T *y, int64_t begin, int64_t end, int64_t inner) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    const T *a = x + 2 * row * inner, *b = a + inner;
    T *to = y + row * inner;
    for (int64_t j = 0; j < inner; j += kLanes<A>) {
      const int64_t n = inner - j;
      store(to + j, gate_at<A, G>(load(a + j, n)).value * load(b + j, n), n);
    }
  }
}

template <class T, Gate G>
void glu_backward(const T *dy, const T *x, T *dx, int64_t begin, int64_t end, int64_t inner) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    const T *a = x + 2 * row * inner, *b = a + inner, *from = dy + row * inner;
    T *da = dx + 2 * row * inner, *db = da + inner;
    for (int64_t j = 0; j < inner; j += kLanes<A>) {
      const int64_t n = inner - j;
      const auto at = gate_at<A, G>(load(a + j, n));
      const Vec<A> g = load(from + j, n);
      store(da + j, g * at.first * load(b + j, n), n);
      store(db + j, g * at.value, n);
    }
  }
}

// h holds [u, v]; either result may be null.
template <class T, Gate G>
void glu_double_backward(const T *h, const T *dy, const T *x, T *d_dy, T *d_x, int64_t begin, int64_t end, int64_t inner) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    const int64_t wide = 2 * row * inner, narrow = row * inner;
    for (int64_t j = 0; j < inner; j += kLanes<A>) {
      const int64_t n = inner - j;
      const auto at = gate_at<A, G>(load(x + wide + j, n));
      const Vec<A> b = load(x + wide + inner + j, n), u = load(h + wide + j, n), v = load(h + wide + inner + j, n);
      if (d_dy != nullptr) store(d_dy + narrow + j, u * at.first * b + v * at.value, n);
      if (d_x != nullptr) {
        const Vec<A> g = load(dy + narrow + j, n);
        store(d_x + wide + j, g * (u * at.second * b + v * at.first), n);
        store(d_x + wide + inner + j, g * u * at.first, n);
      }
    }
  }
}
