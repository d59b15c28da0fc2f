// Rotates the heads of the rows [begin, end) of x [N, columns] into y, by the
// angle whose cosine and sine are cos and direction * sin, [N, half]; direction
// is 1 or -1. The columns after the heads are copied.
template <class T>
void rotate_rows(const T *x, const Acc<T> *cos, const Acc<T> *sin, T *y, int64_t begin, int64_t end, int64_t columns, int64_t heads, int64_t half,
                 Acc<T> direction) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    const T *from = x + row * columns;
    T *to = y + row * columns;
    for (int64_t j = 0; j < half; j += kLanes<A>) {
      const int64_t n = half - j;
      const Vec<A> c = load(cos + row * half + j, n), s = load(sin + row * half + j, n) * direction;
      for (int64_t at = j; at < 2 * heads * half; at += 2 * half) {
        const Vec<A> u = load(from + at, n), v = load(from + at + half, n);
        store(to + at, u * c - v * s, n);
        store(to + at + half, v * c + u * s, n);
      }
    }
    const int64_t turned = 2 * heads * half;
    std::memcpy(to + turned, from + turned, (columns - turned) * sizeof(T));
  }
}
