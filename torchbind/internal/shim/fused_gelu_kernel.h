// GELU and its first two derivatives. With f(x) = x P(x):
//   f'  = P + x P'
//   f'' = 2 P' + x P''
// P is the normal distribution function Phi (P' = phi, P'' = -x phi), or in the
// tanh form the logistic function of w(x) = 2 sqrt(2/pi) (x + 0.044715 x^3).

template <class A>
struct ActivationPoint {
  Vec<A> value, first, second;  // f, f', f''
};

struct Normal {
  Vec<float> density, cumulative;
};

// Largest absolute error of Phi 8e-8; scripts/fit_normal_tail.py made the
// coefficients and says which forms they belong to.
TB_INLINE Normal normal(F32 x) {
  const F32 magnitude = x < 0.0f ? -x : x;
  const F32 bell = exp_of(x * x * -0.5f);

  const F32 u = x * x;
  F32 p = u * -7.654208098e-06f + 1.134863713e-04f;
  p = p * u + -1.186329941e-03f;
  p = p * u + 9.973323410e-03f;
  p = p * u + -6.649035992e-02f;
  p = p * u + 3.989422801e-01f;
  const F32 centre = x * p + 0.5f;

  const F32 t = 1.0f / (magnitude * 0.4f + 1.0f);
  F32 q = t * 6.812146374e-02f + -1.864282451e-01f;
  q = q * t + 1.053634197e-01f;
  q = q * t + 5.554042593e-02f;
  q = q * t + 1.390023433e-01f;
  q = q * t + 1.590999857e-01f;
  q = q * t + 1.595957832e-01f;
  const F32 tail = bell * t * q;

  const F32 outer = x < 0.0f ? tail : 1.0f - tail;
  return {bell * 0.3989422804f, magnitude <= 1.0f ? centre : outer};
}

TB_INLINE ActivationPoint<float> gelu_erf(F32 x) {
  const Normal n = normal(x);
  return {x * n.cumulative, n.cumulative + x * n.density, n.density * (2.0f - x * x)};
}

TB_INLINE ActivationPoint<double> gelu_erf(F64 x) {
  ActivationPoint<double> r;
  for (int i = 0; i < kLanes<double>; i++) {
    const double density = 0.39894228040143267794 * std::exp(-0.5 * x[i] * x[i]);
    const double cumulative = 0.5 * std::erfc(-x[i] * 0.70710678118654752440);
    r.value[i] = x[i] * cumulative;
    r.first[i] = cumulative + x[i] * density;
    r.second[i] = density * (2 - x[i] * x[i]);
  }
  return r;
}

template <class A>
TB_INLINE ActivationPoint<A> gelu_tanh(Vec<A> x) {
  const A scale = static_cast<A>(1.5957691216057307117), cubic = static_cast<A>(0.044715), one = 1;
  const Vec<A> u = x * x;
  const Vec<A> w = x * (u * (scale * cubic) + scale), w1 = u * (3 * scale * cubic) + scale, w2 = x * (6 * scale * cubic);
  const Vec<A> small = exp_of(w < 0 ? w : -w);  // never overflows
  const Vec<A> upper = one / (small + one);
  const Vec<A> p = w < 0 ? one - upper : upper;
  const Vec<A> slope = small * upper * upper;  // of the logistic function: p (1 - p)
  const Vec<A> p1 = slope * w1, p2 = slope * ((one - 2 * p) * w1 * w1 + w2);
  return {x * p, p + x * p1, 2 * p1 + x * p2};
}

template <class A>
TB_INLINE ActivationPoint<A> gelu_at(Vec<A> x, bool tanh_form) {
  return tanh_form ? gelu_tanh<A>(x) : gelu_erf(x);
}

template <class T>
void gelu_forward(const T *x, T *y, int64_t n, bool tanh_form) {
  for (int64_t i = 0; i < n; i += kLanes<Acc<T>>) store(y + i, gelu_at<Acc<T>>(load(x + i, n - i), tanh_form).value, n - i);
}

template <class T>
void gelu_backward(const T *grad, const T *x, T *dx, int64_t n, bool tanh_form) {
  for (int64_t i = 0; i < n; i += kLanes<Acc<T>>) {
    const auto at = gelu_at<Acc<T>>(load(x + i, n - i), tanh_form);
    store(dx + i, load(grad + i, n - i) * at.first, n - i);
  }
}

// h is the cotangent of dx; either result may be null.
template <class T>
void gelu_double_backward(const T *h, const T *grad, const T *x, T *d_grad, T *d_x, int64_t n, bool tanh_form) {
  for (int64_t i = 0; i < n; i += kLanes<Acc<T>>) {
    const auto at = gelu_at<Acc<T>>(load(x + i, n - i), tanh_form);
    const auto hv = load(h + i, n - i);
    if (d_grad != nullptr) store(d_grad + i, hv * at.first, n - i);
    if (d_x != nullptr) store(d_x + i, hv * load(grad + i, n - i) * at.second, n - i);
  }
}
