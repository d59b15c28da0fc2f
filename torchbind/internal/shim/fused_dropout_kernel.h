// Dropout of the rows [begin, end) of x [rows, columns] into y; x may be null,
// which stands for ones.
template <class T>
void dropout_rows(const T *x, T *y, int64_t head, int64_t begin, int64_t end, int64_t columns, const Dropout &drop) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    auto mask = RowMask<A>::start(drop, head, row);
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const Vec<A> value = x == nullptr ? splat<A>(1) : load(x + row * columns + j, columns - j);
      store(y + row * columns + j, value * mask.next(), columns - j);
    }
  }
}
