// The cross entropy of a row of logits z against the distribution t, which has
// 1 - e at the label, and e spread over all V classes: with p = softmax(z),
//   loss = lse(z) - t z,  dz = g (p - t)
// where g is the gradient of the mean over its number of rows, and for the
// cotangent h of dz:
//   d_g = (p - t) h,  d_z = g p (h - p h)
// A row whose label is kIgnored has loss and gradients 0.

// One number a row into loss and lse.
template <class T>
void loss_forward(const LossRows<T> &in, RowLse<Acc<T>> *lse, Acc<T> *loss, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const A smoothing = static_cast<A>(in.smoothing);
  for (int64_t i = begin; i < end; i++) {
    const T *z = in.row(i);
    Vec<A> top = splat<A>(-INFINITY);
    for (int64_t j = 0; j < in.classes; j += kLanes<A>) {
      top = max_of(replace_from<A>(load(z + j, in.classes - j), in.classes - j, -INFINITY), top);
    }
    const A most = max_lanes(top);
    Vec<A> total{}, sum{};
    for (int64_t j = 0; j < in.classes; j += kLanes<A>) {
      const int64_t n = in.classes - j;
      const Vec<A> below = load(z + j, n) - most;
      total += replace_from<A>(exp_of(below), n, 0);
      sum += replace_from<A>(below, n, 0);
    }
    lse[i] = {most, std::log(sum_lanes(total))};
    if (in.ignored(i)) {
      loss[i] = 0;
      continue;
    }
    loss[i] = lse[i].log - (1 - smoothing) * (static_cast<A>(z[in.labels[i]]) - most);
    if (smoothing > 0) loss[i] -= smoothing / in.classes * sum_lanes(sum);
  }
}

template <class T>
void loss_backward(const LossRows<T> &in, const RowLse<Acc<T>> *lse, Acc<T> g, T *dz, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const A spread = static_cast<A>(in.smoothing / in.classes), peak = static_cast<A>(1 - in.smoothing);
  for (int64_t i = begin; i < end; i++) {
    const T *z = in.row(i);
    T *to = dz + i * in.classes;
    if (in.ignored(i)) {
      for (int64_t j = 0; j < in.classes; j++) to[j] = 0;
      continue;
    }
    for (int64_t j = 0; j < in.classes; j += kLanes<A>) {
      const int64_t n = in.classes - j;
      store(to + j, (exp_of(load(z + j, n) - lse[i].most - lse[i].log) - spread) * g, n);
    }
    const int64_t label = in.labels[i];
    to[label] = static_cast<T>((std::exp(static_cast<A>(z[label]) - lse[i].most - lse[i].log) - spread - peak) * g);
  }
}

// d_g is each row's part; d_z may be null.
template <class T>
void loss_double_backward(const LossRows<T> &in, const RowLse<Acc<T>> *lse, Acc<T> g, const T *h, Acc<T> *d_g, T *d_z, int64_t begin, int64_t end) {
  using A = Acc<T>;
  const A spread = static_cast<A>(in.smoothing / in.classes), peak = static_cast<A>(1 - in.smoothing);
  for (int64_t i = begin; i < end; i++) {
    const T *z = in.row(i), *from = h + i * in.classes;
    T *to = d_z == nullptr ? nullptr : d_z + i * in.classes;
    if (in.ignored(i)) {
      d_g[i] = 0;
      for (int64_t j = 0; j < in.classes && to != nullptr; j++) to[j] = 0;
      continue;
    }
    Vec<A> sum{}, expected{};  // of h, evenly and under p; past the last class h is 0
    for (int64_t j = 0; j < in.classes; j += kLanes<A>) {
      const int64_t n = in.classes - j;
      const Vec<A> value = load(from + j, n);
      sum += value;
      expected += replace_from<A>(exp_of(load(z + j, n) - lse[i].most - lse[i].log), n, 0) * value;
    }
    const A mean = sum_lanes(expected);
    d_g[i] = mean - spread * sum_lanes(sum) - peak * static_cast<A>(from[in.labels[i]]);
    for (int64_t j = 0; j < in.classes && to != nullptr; j += kLanes<A>) {
      const int64_t n = in.classes - j;
      store(to + j, exp_of(load(z + j, n) - lse[i].most - lse[i].log) * (load(from + j, n) - mean) * g, n);
    }
  }
}
