// Layer norm of s = residual + dropout(x) and its first two derivatives, row by
// row. Notation: xh = (s - mean) r with r = 1/sigma, g the weight, a = dy g, and
// m(.) the mean over a row's columns:
//   y  = g xh + b
//   ds = r (a - m(a) - xh m(a xh))
// and for the cotangent h of ds:
//   d_dy = g r (h - m(h) - xh m(h xh))
//   d_s  = r^2 (-xh (m(h a) - m(h) m(a) - 3 m(h xh) m(a xh)) - h m(a xh) - a m(h xh)
//               + m(h) m(a xh) + m(a) m(h xh))
// RMS norm of s is the same without a mean: xh = s r with r = 1/sqrt(m(s^2)),
// y = g xh, and m(a) = m(h) = 0 in the derivatives.
// Loads past the last column give 0, so the sums need no special end.

// mean and rstd get one number a row, s the sum; they may be null.
template <class T>
void norm_forward(const T *x, const T *residual, const T *weight, const T *bias, double eps, const Dropout &drop, T *y, T *s, Acc<T> *mean,
                  Acc<T> *rstd, int64_t begin, int64_t end, int64_t columns) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    const int64_t offset = row * columns;
    T *at = (s != nullptr ? s : y) + offset;  // without s, y holds the sum until it is overwritten
    auto mask = RowMask<A>::start(drop, 0, row);
    Vec<A> sum{};
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const int64_t n = columns - j;
      Vec<A> value = load(x + offset + j, n);
      if (drop.active) value *= mask.next();
      if (residual != nullptr) value += load(residual + offset + j, n);
      store(at + j, value, n);
      sum += load(at + j, n);  // as rounded
    }
    const A center = sum_lanes(sum) / columns;
    Vec<A> first{}, second{};
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const Vec<A> d = replace_from<A>(load(at + j, columns - j) - center, columns - j, 0);
      first += d;
      second += d * d;
    }
    // The rounding error of a large mean, found on the second pass.
    const A shift = sum_lanes(first) / columns;
    const A mu = center + shift;
    const A variance = sum_lanes(second) / columns - shift * shift;
    const A r = 1 / std::sqrt((variance < 0 ? A(0) : variance) + static_cast<A>(eps));
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const int64_t n = columns - j;
      const Vec<A> xh = (load(at + j, n) - mu) * r;
      store(y + offset + j, xh * load(weight + j, n) + load(bias + j, n), n);
    }
    if (mean != nullptr) mean[row] = mu;
    if (rstd != nullptr) rstd[row] = r;
  }
}

// rstd gets one number a row; it may be null.
template <class T>
void rms_norm_forward(const T *x, const T *weight, double eps, T *y, Acc<T> *rstd, int64_t begin, int64_t end, int64_t columns) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    const int64_t offset = row * columns;
    Vec<A> sum{};
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const Vec<A> value = load(x + offset + j, columns - j);
      sum += value * value;
    }
    const A r = 1 / std::sqrt(sum_lanes(sum) / columns + static_cast<A>(eps));
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const int64_t n = columns - j;
      store(y + offset + j, load(x + offset + j, n) * r * load(weight + j, n), n);
    }
    if (rstd != nullptr) rstd[row] = r;
  }
}

// mean is null for RMS norm, here and below.
template <class T>
void norm_backward(const T *dy, const T *s, const Acc<T> *mean, const Acc<T> *rstd, const T *weight, T *ds, int64_t begin, int64_t end,
                   int64_t columns) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    const int64_t offset = row * columns;
    const A mu = mean != nullptr ? mean[row] : 0, r = rstd[row];
    Vec<A> sum_a{}, sum_ax{};
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const int64_t n = columns - j;
      const Vec<A> a = load(dy + offset + j, n) * load(weight + j, n);
      sum_a += a;
      sum_ax += a * ((load(s + offset + j, n) - mu) * r);
    }
    const A mean_a = mean != nullptr ? sum_lanes(sum_a) / columns : 0, mean_ax = sum_lanes(sum_ax) / columns;
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const int64_t n = columns - j;
      const Vec<A> a = load(dy + offset + j, n) * load(weight + j, n);
      const Vec<A> xh = (load(s + offset + j, n) - mu) * r;
      store(ds + offset + j, (a - mean_a - xh * mean_ax) * r, n);
    }
  }
}

// Either result may be null.
template <class T>
void norm_double_backward(const T *h, const T *dy, const T *s, const Acc<T> *mean, const Acc<T> *rstd, const T *weight, T *d_dy, T *d_s,
                          int64_t begin, int64_t end, int64_t columns) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    const int64_t offset = row * columns;
    const A mu = mean != nullptr ? mean[row] : 0, r = rstd[row];
    Vec<A> sum_h{}, sum_a{}, sum_ha{}, sum_hx{}, sum_ax{};
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const int64_t n = columns - j;
      const Vec<A> hv = load(h + offset + j, n), a = load(dy + offset + j, n) * load(weight + j, n);
      const Vec<A> xh = (load(s + offset + j, n) - mu) * r;
      sum_h += hv;
      sum_a += a;
      sum_ha += hv * a;
      sum_hx += hv * xh;
      sum_ax += a * xh;
    }
    const A mean_h = mean != nullptr ? sum_lanes(sum_h) / columns : 0, mean_a = mean != nullptr ? sum_lanes(sum_a) / columns : 0;
    const A mean_ha = sum_lanes(sum_ha) / columns, mean_hx = sum_lanes(sum_hx) / columns, mean_ax = sum_lanes(sum_ax) / columns;
    const A along = mean_ha - mean_h * mean_a - 3 * mean_hx * mean_ax, constant = mean_h * mean_ax + mean_a * mean_hx;
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const int64_t n = columns - j;
      const Vec<A> hv = load(h + offset + j, n), g = load(weight + j, n);
      const Vec<A> xh = (load(s + offset + j, n) - mu) * r;
      if (d_dy != nullptr) store(d_dy + offset + j, g * ((hv - mean_h - xh * mean_hx) * r), n);
      if (d_s != nullptr) {
        const Vec<A> a = load(dy + offset + j, n) * g;
        store(d_s + offset + j, (constant - xh * along - hv * mean_ax - a * mean_hx) * (r * r), n);
      }
    }
  }
}
