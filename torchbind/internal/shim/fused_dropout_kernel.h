// residual + dropout(x) of the rows [begin, end) of x [rows, columns] into y. x
// may be null, which stands for ones, and so may residual, for zeros.
template <class T>
void dropout_rows(const T *x, const T *residual, T *y, int64_t head, int64_t begin, int64_t end, int64_t columns, const Dropout &drop) {
  using A = Acc<T>;
  for (int64_t row = begin; row < end; row++) {
    auto mask = RowMask<A>::start(drop, head, row);
    for (int64_t j = 0; j < columns; j += kLanes<A>) {
      const Vec<A> value = x == nullptr ? splat<A>(1) : load(x + row * columns + j, columns - j);
      const Vec<A> kept = value * mask.next();
      store(y + row * columns + j, residual == nullptr ? kept : kept + load(residual + row * columns + j, columns - j), columns - j);
    }
  }
}
