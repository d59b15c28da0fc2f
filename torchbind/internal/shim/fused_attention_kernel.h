// Attention of one (sequence, key head) pair at a time: keys and values [n, D]
// and the queries of all heads that share them, copied into panels whose rows
// are padded with zeros to whole vectors; then every product is the same
// register-blocked loop. The query rows come in blocks, scores exist for one
// block only, and keys that no row of a block sees are left out.

constexpr int kColumns = 4;  // vectors of C that a register block spans

// The rows of a register block: 12 sums in registers leave room for B and A.
constexpr int rows_of_block(int vectors) { return vectors >= 4 ? 3 : vectors == 3 ? 4 : vectors == 2 ? 6 : 8; }

template <class A>
constexpr int64_t padded(int64_t n) {
  return (n + kLanes<A> - 1) / kLanes<A> * kLanes<A>;
}

// A matrix in scratch, rows of stride elements.
template <class A>
struct Panel {
  A *data;
  int64_t stride;
  A *row(int64_t i) const { return data + i * stride; }
};

// The left factor of a product: element (i, k) is data[i * row + k * step], so
// a transposed panel costs nothing.
template <class A>
struct Left {
  const A *data;
  int64_t row, step;
};
template <class A>
TB_INLINE Left<A> plain(Panel<A> p) {
  return {p.data, p.stride, 1};
}
template <class A>
TB_INLINE Left<A> transposed(Panel<A> p) {
  return {p.data, 1, p.stride};
}

// ROWS x VECTORS vectors of C = A B, or C += A B, over depth.
template <class A, bool ADD, int ROWS, int VECTORS>
TB_INLINE void multiply_block(Left<A> a, const A *b, int64_t b_stride, A *c, int64_t c_stride, int64_t depth) {
  Vec<A> sum[ROWS][VECTORS];
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; j++) sum[i][j] = ADD ? load(c + i * c_stride + j * kLanes<A>) : Vec<A>{};
  }
  for (int64_t k = 0; k < depth; k++) {
    Vec<A> right[VECTORS];
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; j++) right[j] = load(b + k * b_stride + j * kLanes<A>);
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++) {
      const Vec<A> left = splat<A>(a.data[i * a.row + k * a.step]);
#pragma GCC unroll 4
      for (int j = 0; j < VECTORS; j++) sum[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 4
    for (int j = 0; j < VECTORS; j++) store(c + i * c_stride + j * kLanes<A>, sum[i][j]);
  }
}

// A column of C, VECTORS wide; what is left of the rows after whole blocks goes
// in blocks of half the size, and so on.
template <class A, bool ADD, int VECTORS, int ROWS>
TB_INLINE void multiply_column(Left<A> a, const A *b, int64_t b_stride, A *c, int64_t c_stride, int64_t rows, int64_t depth) {
  for (; rows >= ROWS; rows -= ROWS) {
    multiply_block<A, ADD, ROWS, VECTORS>(a, b, b_stride, c, c_stride, depth);
    a.data += ROWS * a.row;
    c += ROWS * c_stride;
  }
  if constexpr (ROWS > 1) multiply_column<A, ADD, VECTORS, ROWS / 2>(a, b, b_stride, c, c_stride, rows, depth);
}

// C [rows, columns] = or += A B; columns is a multiple of kLanes.
template <class A, bool ADD>
__attribute__((noinline)) void multiply(Left<A> a, Panel<A> b, Panel<A> c, int64_t rows, int64_t columns, int64_t depth) {
  int64_t j = 0;
  for (; j + kColumns * kLanes<A> <= columns; j += kColumns * kLanes<A>) {
    multiply_column<A, ADD, kColumns, rows_of_block(kColumns)>(a, b.data + j, b.stride, c.data + j, c.stride, rows, depth);
  }
  switch ((columns - j) / kLanes<A>) {
    case 3:
      return multiply_column<A, ADD, 3, rows_of_block(3)>(a, b.data + j, b.stride, c.data + j, c.stride, rows, depth);
    case 2:
      return multiply_column<A, ADD, 2, rows_of_block(2)>(a, b.data + j, b.stride, c.data + j, c.stride, rows, depth);
    case 1:
      return multiply_column<A, ADD, 1, rows_of_block(1)>(a, b.data + j, b.stride, c.data + j, c.stride, rows, depth);
  }
}

// Swaps the off-diagonal H x H blocks of every 2H x 2H block of a square of
// vectors; H = 1, 2, 4, ... in turn transposes it.
template <class A, int H, int... I>
TB_INLINE void swap_blocks(Vec<A> *v, std::integer_sequence<int, I...>) {
  constexpr int lanes = sizeof...(I);
#pragma GCC unroll 16
  for (int i = 0; i < lanes; i++) {
    if (i & H) continue;
    const Vec<A> top = v[i], bottom = v[i + H];
    v[i] = __builtin_shufflevector(top, bottom, (I & H ? lanes + I - H : I)...);
    v[i + H] = __builtin_shufflevector(top, bottom, (I & H ? lanes + I : I + H)...);
  }
}
template <class A>
TB_INLINE void transpose(Vec<A> *v) {
  constexpr auto lanes = std::make_integer_sequence<int, kLanes<A>>();
  swap_blocks<A, 1>(v, lanes);
  if constexpr (kLanes<A> > 2) swap_blocks<A, 2>(v, lanes);
  if constexpr (kLanes<A> > 4) swap_blocks<A, 4>(v, lanes);
  if constexpr (kLanes<A> > 8) swap_blocks<A, 8>(v, lanes);
}

// Copies [rows, size] into a panel.
template <class T>
void copy_in(Rows<const T> from, int64_t first, int64_t column, int64_t rows, int64_t size, Panel<Acc<T>> to) {
  for (int64_t i = 0; i < rows; i++) {
    const T *source = from.data + (first + i) * from.stride + column;
    for (int64_t j = 0; j < size; j += kLanes<Acc<T>>) store(to.row(i) + j, load(source + j, size - j));
  }
}

// Copies [rows, size] into a panel as [size, rows].
template <class T>
void copy_in_transposed(Rows<const T> from, int64_t first, int64_t column, int64_t rows, int64_t size, Panel<Acc<T>> to) {
  using A = Acc<T>;
  constexpr int lanes = kLanes<A>;
  for (int64_t i = 0; i < rows; i += lanes) {
    for (int64_t j = 0; j < size; j += lanes) {
      const T *source = from.data + (first + i) * from.stride + column + j;
      Vec<A> v[lanes];
#pragma GCC unroll 16
      for (int k = 0; k < lanes; k++) v[k] = i + k < rows ? load(source + k * from.stride, size - j) : Vec<A>{};
      transpose<A>(v);
      if (__builtin_expect(size - j >= lanes, 1)) {
#pragma GCC unroll 16
        for (int k = 0; k < lanes; k++) store(to.row(j + k) + i, v[k]);
      } else {
        for (int k = 0; k < size - j; k++) store(to.row(j + k) + i, v[k]);
      }
    }
  }
}

// Copies a panel out to [rows, size].
template <class T>
void copy_out(Panel<Acc<T>> from, Rows<T> to, int64_t first, int64_t column, int64_t rows, int64_t size) {
  for (int64_t i = 0; i < rows; i++) {
    T *target = to.data + (first + i) * to.stride + column;
    for (int64_t j = 0; j < size; j += kLanes<Acc<T>>) store(target + j, load(from.row(i) + j), size - j);
  }
}

template <class A>
void clear(Panel<A> p, int64_t rows) {
  for (int64_t i = 0; i < rows * p.stride; i += kLanes<A>) store(p.data + i, Vec<A>{});
}

// Hands out panels from one block of memory.
template <class A>
struct Scratch {
  A *next;
  Panel<A> panel(int64_t rows, int64_t columns) {
    const Panel<A> p{next, padded<A>(columns)};
    next += rows * p.stride;
    return p;
  }
};

// Where a (sequence, key head) pair lies: its keys, and the queries of the
// group of heads that share them, from head on.
struct Pair {
  int64_t group, key_head, head, query, queries, key, keys;

  Pair(const AttentionShape &s, int64_t index)
      : group(s.group()),
        key_head(index % s.kv_heads),
        head(key_head * group),
        query(s.cu_q[index / s.kv_heads]),
        queries(s.cu_q[index / s.kv_heads + 1] - query),
        key(s.cu_k[index / s.kv_heads]),
        keys(s.cu_k[index / s.kv_heads + 1] - key) {}

  int64_t rows() const { return queries * group; }
};

// Up to kQueryBlock rows of a pair, the heads of a query one after the other,
// and the keys that one of them sees: [from, from + keys).
template <class A>
struct Block {
  struct Row {
    int64_t head, query;
    KeyRange seen;  // counted from "from"
  };
  int64_t rows, from, keys;
  Row row[kQueryBlock];

  Block(const AttentionShape &s, const Pair &p, int64_t first) {
    rows = p.rows() - first < kQueryBlock ? p.rows() - first : kQueryBlock;
    int64_t query = p.query + first / p.group, head = first % p.group, to = 0;
    from = p.keys;
    for (int64_t i = 0; i < rows; i++) {
      const KeyRange seen = s.seen(query, p.keys);
      row[i] = {p.head + head, query, seen};
      from = seen.from < from ? seen.from : from;
      to = seen.to > to ? seen.to : to;
      if (++head == p.group) {
        head = 0;
        query++;
      }
    }
    from -= from % kLanes<A>;  // columns of panels begin at whole vectors
    keys = to - from;
    for (int64_t i = 0; i < rows; i++) row[i].seen = {row[i].seen.from - from, row[i].seen.to - from};
  }

  int64_t columns() const { return padded<A>(keys); }
  // These keys' part of a panel [size, all keys] or [all keys, size].
  Panel<A> columns_of(Panel<A> p) const { return {p.data + from, p.stride}; }
  Panel<A> rows_of(Panel<A> p) const { return {p.row(from), p.stride}; }
};

// Copies the block's rows, [size] each, into a panel.
template <class T>
void copy_in(Rows<const T> from, const Block<Acc<T>> &b, int64_t size, Panel<Acc<T>> to) {
  for (int64_t i = 0; i < b.rows; i++) copy_in(from, b.row[i].query, b.row[i].head * size, 1, size, {to.row(i), to.stride});
}

// Copies a panel out to the block's rows.
template <class T>
void copy_out(Panel<Acc<T>> from, Rows<T> to, const Block<Acc<T>> &b, int64_t size) {
  for (int64_t i = 0; i < b.rows; i++) copy_out({from.row(i), from.stride}, to, b.row[i].query, b.row[i].head * size, 1, size);
}

// The vector v at j of a block's row, with what the row does not see replaced.
template <class A>
TB_INLINE Vec<A> replace_unseen(Vec<A> v, int64_t j, KeyRange seen, A with) {
  if (__builtin_expect(j >= seen.from && j + kLanes<A> <= seen.to, 1)) return v;
  typedef typename Simd<A>::Select Select;
  typedef decltype(Select{}[0] + 0) Index;
  const Select lane = lane_index<Select>() + static_cast<Index>(j);
  const Select inside = (lane >= (Select{} + static_cast<Index>(seen.from))) & (lane < (Select{} + static_cast<Index>(seen.to)));
  return inside ? v : splat<A>(with);
}

// Elements of scratch that a pair with so many keys needs: the most that one of
// the functions below takes.
template <class A>
int64_t attention_scratch(int64_t head_size, int64_t keys, bool capped) {
  const int64_t rows = padded<A>(head_size), scores = padded<A>(keys);
  return kQueryBlock * (5 * rows + (capped ? 7 : 5) * scores) + 6 * keys * rows + 4 * head_size * scores;
}

// Makes the products T = Q K^T of a block f(T) = L tanh(T / L), L = cap / scale, so
// that scale f(T) are the scores under the cap. slope becomes f' = 1 - tanh(T / L)^2,
// unless its data are null.
template <class A>
void cap_products(const AttentionShape &s, const Block<A> &b, Panel<A> products, Panel<A> slope) {
  const A limit = static_cast<A>(s.cap / s.scale), inverse = static_cast<A>(s.scale / s.cap);
  for (int64_t i = 0; i < b.rows; i++) {
    for (int64_t j = 0; j < b.keys; j += kLanes<A>) {
      const Vec<A> t = tanh_of(load(products.row(i) + j) * inverse);
      store(products.row(i) + j, t * limit);
      if (slope.data != nullptr) store(slope.row(i) + j, splat<A>(1) - t * t);
    }
  }
}

// The output of the pairs [begin, end), and the logarithm of each row's sum of
// exponentials, [heads, M], if lse is not null.
template <class T>
void attention_forward(const AttentionShape &s, int64_t begin, int64_t end, const Qkv<const T> &in, Rows<T> out, Acc<T> *lse, Acc<T> *memory) {
  using A = Acc<T>;
  const int64_t d = s.head_size;
  const A scale = static_cast<A>(s.scale);
  for (int64_t index = begin; index < end; index++) {
    const Pair p(s, index);
    if (p.queries == 0) continue;
    Scratch<A> scratch{memory};
    const Panel<A> kt = scratch.panel(d, p.keys), v = scratch.panel(p.keys, d);
    const Panel<A> q = scratch.panel(kQueryBlock, d), o = scratch.panel(kQueryBlock, d), scores = scratch.panel(kQueryBlock, p.keys);
    copy_in_transposed(in.k, p.key, p.key_head * d, p.keys, d, kt);
    copy_in(in.v, p.key, p.key_head * d, p.keys, d, v);
    for (int64_t first = 0; first < p.rows(); first += kQueryBlock) {
      const Block<A> b(s, p, first);
      copy_in(in.q, b, d, q);
      multiply<A, false>(plain(q), b.columns_of(kt), scores, b.rows, b.columns(), d);
      if (s.cap != 0) cap_products(s, b, scores, {});
      A inverse[kQueryBlock];
      for (int64_t i = 0; i < b.rows; i++) {
        const auto &at = b.row[i];
        A *row = scores.row(i);
        Vec<A> top = splat<A>(-INFINITY);
        for (int64_t j = 0; j < b.keys; j += kLanes<A>) {
          const Vec<A> value = replace_unseen<A>(load(row + j) * scale, j, at.seen, -INFINITY);
          store(row + j, value);
          top = max_of(value, top);
        }
        const A most = max_lanes(top);
        auto mask = RowMask<A>::start(s.drop, at.head, at.query, b.from);
        Vec<A> total{};
        for (int64_t j = 0; j < b.keys; j += kLanes<A>) {
          Vec<A> e = exp_of(load(row + j) - most);
          total += e;
          if (s.drop.active) e *= mask.next();
          store(row + j, e);
        }
        const A sum = sum_lanes(total);
        inverse[i] = 1 / sum;
        if (lse != nullptr) lse[at.head * s.queries() + at.query] = most + std::log(sum);
      }
      multiply<A, false>(plain(scores), b.rows_of(v), o, b.rows, o.stride, b.keys);
      for (int64_t i = 0; i < b.rows; i++) {
        for (int64_t j = 0; j < o.stride; j += kLanes<A>) store(o.row(i) + j, load(o.row(i) + j) * inverse[i]);
      }
      copy_out(o, out, b, d);
    }
  }
}

// The vector at j of a row's probabilities from the product q k^T:
// P = exp(scale S - lse).
template <class A>
TB_INLINE Vec<A> probability(const A *product, A scale, A lse, int64_t j, KeyRange seen) {
  return replace_unseen<A>(exp_of(load(product + j) * scale - lse), j, seen, 0);
}

// With M the dropout mask, S = scale Q K^T and P = softmax(S):
//   dP = (dO V^T) o M,  r = rowsum(P o dP),  dS = P o (dP - r)
//   dQ = scale dS K,  dK = scale dS^T Q,  dV = (P o M)^T dO
// Under a cap S = scale f(Q K^T) (cap_products): dQ and dK are of dS o f'.
// grad.q, or grad.k and grad.v, may be null.
template <class T>
void attention_backward(const AttentionShape &s, int64_t begin, int64_t end, const Qkv<const T> &in, Rows<const T> grad_out, const Acc<T> *lse,
                        const Qkv<T> &grad, Acc<T> *memory) {
  using A = Acc<T>;
  const int64_t d = s.head_size;
  const A scale = static_cast<A>(s.scale);
  for (int64_t index = begin; index < end; index++) {
    const Pair p(s, index);
    Scratch<A> scratch{memory};
    const Panel<A> kt = scratch.panel(d, p.keys), vt = scratch.panel(d, p.keys), k = scratch.panel(p.keys, d);
    const Panel<A> dk = scratch.panel(p.keys, d), dv = scratch.panel(p.keys, d);
    const Panel<A> q = scratch.panel(kQueryBlock, d), dout = scratch.panel(kQueryBlock, d), dq = scratch.panel(kQueryBlock, d);
    const Panel<A> prob = scratch.panel(kQueryBlock, p.keys), ds = scratch.panel(kQueryBlock, p.keys);
    const Panel<A> kept = s.drop.active ? scratch.panel(kQueryBlock, p.keys) : prob;
    const Panel<A> slope = s.cap != 0 ? scratch.panel(kQueryBlock, p.keys) : Panel<A>{};
    copy_in_transposed(in.k, p.key, p.key_head * d, p.keys, d, kt);
    copy_in_transposed(in.v, p.key, p.key_head * d, p.keys, d, vt);
    copy_in(in.k, p.key, p.key_head * d, p.keys, d, k);
    clear(dk, p.keys);
    clear(dv, p.keys);
    for (int64_t first = 0; first < p.rows(); first += kQueryBlock) {
      const Block<A> b(s, p, first);
      copy_in(in.q, b, d, q);
      copy_in(grad_out, b, d, dout);
      multiply<A, false>(plain(q), b.columns_of(kt), prob, b.rows, b.columns(), d);
      multiply<A, false>(plain(dout), b.columns_of(vt), ds, b.rows, b.columns(), d);
      if (s.cap != 0) cap_products(s, b, prob, slope);
      for (int64_t i = 0; i < b.rows; i++) {
        const auto &at = b.row[i];
        A *pr = prob.row(i), *dr = ds.row(i), *kr = kept.row(i);
        const A row_lse = lse[at.head * s.queries() + at.query];
        auto mask = RowMask<A>::start(s.drop, at.head, at.query, b.from);
        Vec<A> sum{};
        for (int64_t j = 0; j < b.keys; j += kLanes<A>) {
          const Vec<A> pv = probability(pr, scale, row_lse, j, at.seen);
          Vec<A> dv = load(dr + j);
          store(pr + j, pv);
          if (s.drop.active) {
            const Vec<A> m = mask.next();
            store(kr + j, pv * m);
            dv *= m;
            store(dr + j, dv);
          }
          sum += pv * dv;
        }
        const A r = sum_lanes(sum);
        for (int64_t j = 0; j < b.keys; j += kLanes<A>) store(dr + j, load(pr + j) * (load(dr + j) - r) * scale);
        for (int64_t j = 0; s.cap != 0 && j < b.keys; j += kLanes<A>) store(dr + j, load(dr + j) * load(slope.row(i) + j));
      }
      if (grad.q.data != nullptr) {
        multiply<A, false>(plain(ds), b.rows_of(k), dq, b.rows, dq.stride, b.keys);
        copy_out(dq, grad.q, b, d);
      }
      if (grad.k.data != nullptr) {
        multiply<A, true>(transposed(ds), q, b.rows_of(dk), b.keys, dk.stride, b.rows);
        multiply<A, true>(transposed(kept), dout, b.rows_of(dv), b.keys, dv.stride, b.rows);
      }
    }
    if (grad.k.data != nullptr) {
      copy_out(dk, grad.k, p.key, p.key_head * d, p.keys, d);
      copy_out(dv, grad.v, p.key, p.key_head * d, p.keys, d);
    }
  }
}

// The cotangents of Q, K, V and dO for the cotangents gQ, gK, gV of dQ, dK, dV.
//   G = scale (gQ K^T + Q gK^T),  c = rowsum(P o G)
//   X = P o (G - c), the cotangent of dP
//   Y = (dO gV^T) o M + G o (dP - r) - c dP, that of P
//   Z = P o (Y - rowsum(P o Y)), that of S
//   Q: scale (Z K + dS gK)       K: scale (Z^T Q + dS^T gQ)
//   V: (X o M)^T dO              dO: (X o M) V + (P o M) gV
// Under a cap, with W = gQ K^T + Q gK^T, G is scale W o f', and for Q and K stand
// Z o f' + W o dS o f'' in the place of Z and dS o f' in that of dS; f'' = -2 f f' / L^2.
// result.q, result.k with result.v, and result_out may be null.
template <class T>
void attention_double_backward(const AttentionShape &s, int64_t begin, int64_t end, const Qkv<const T> &in, Rows<const T> grad_out,
                               const Acc<T> *lse, const Qkv<const T> &g, const Qkv<T> &result, Rows<T> result_out, Acc<T> *memory) {
  using A = Acc<T>;
  const int64_t d = s.head_size;
  const A scale = static_cast<A>(s.scale), curvature = s.cap != 0 ? static_cast<A>(-2 * (s.scale / s.cap) * (s.scale / s.cap)) : 0;
  for (int64_t index = begin; index < end; index++) {
    const Pair p(s, index);
    Scratch<A> scratch{memory};
    const Panel<A> kt = scratch.panel(d, p.keys), vt = scratch.panel(d, p.keys);
    const Panel<A> gkt = scratch.panel(d, p.keys), gvt = scratch.panel(d, p.keys);
    const Panel<A> k = scratch.panel(p.keys, d), v = scratch.panel(p.keys, d), gk = scratch.panel(p.keys, d), gv = scratch.panel(p.keys, d);
    const Panel<A> to_k = scratch.panel(p.keys, d), to_v = scratch.panel(p.keys, d);
    const Panel<A> q = scratch.panel(kQueryBlock, d), gq = scratch.panel(kQueryBlock, d), dout = scratch.panel(kQueryBlock, d);
    const Panel<A> to_q = scratch.panel(kQueryBlock, d), to_out = scratch.panel(kQueryBlock, d);
    const Panel<A> prob = scratch.panel(kQueryBlock, p.keys), ds = scratch.panel(kQueryBlock, p.keys);
    const Panel<A> z = scratch.panel(kQueryBlock, p.keys), x = scratch.panel(kQueryBlock, p.keys);
    const Panel<A> kept = s.drop.active ? scratch.panel(kQueryBlock, p.keys) : prob;
    const Panel<A> slope = s.cap != 0 ? scratch.panel(kQueryBlock, p.keys) : Panel<A>{};
    const Panel<A> bend = s.cap != 0 ? scratch.panel(kQueryBlock, p.keys) : Panel<A>{};
    copy_in_transposed(in.k, p.key, p.key_head * d, p.keys, d, kt);
    copy_in_transposed(in.v, p.key, p.key_head * d, p.keys, d, vt);
    copy_in_transposed(g.k, p.key, p.key_head * d, p.keys, d, gkt);
    copy_in_transposed(g.v, p.key, p.key_head * d, p.keys, d, gvt);
    copy_in(in.k, p.key, p.key_head * d, p.keys, d, k);
    copy_in(in.v, p.key, p.key_head * d, p.keys, d, v);
    copy_in(g.k, p.key, p.key_head * d, p.keys, d, gk);
    copy_in(g.v, p.key, p.key_head * d, p.keys, d, gv);
    clear(to_k, p.keys);
    clear(to_v, p.keys);
    for (int64_t first = 0; first < p.rows(); first += kQueryBlock) {
      const Block<A> b(s, p, first);
      copy_in(in.q, b, d, q);
      copy_in(g.q, b, d, gq);
      copy_in(grad_out, b, d, dout);
      multiply<A, false>(plain(q), b.columns_of(kt), prob, b.rows, b.columns(), d);
      multiply<A, false>(plain(dout), b.columns_of(vt), ds, b.rows, b.columns(), d);
      multiply<A, false>(plain(gq), b.columns_of(kt), z, b.rows, b.columns(), d);
      multiply<A, true>(plain(q), b.columns_of(gkt), z, b.rows, b.columns(), d);
      multiply<A, false>(plain(dout), b.columns_of(gvt), x, b.rows, b.columns(), d);
      if (s.cap != 0) cap_products(s, b, prob, slope);
      for (int64_t i = 0; i < b.rows; i++) {
        const auto &at = b.row[i];
        // In order of use: P, then P o M; dO V^T, dP, scale dS; G, Y, scale Z;
        // dO gV^T, X o M.
        A *pr = prob.row(i), *kr = kept.row(i), *dr = ds.row(i), *zr = z.row(i), *xr = x.row(i);
        for (int64_t j = 0; s.cap != 0 && j < b.keys; j += kLanes<A>) {
          const Vec<A> gv = load(zr + j) * load(slope.row(i) + j);
          store(zr + j, gv);
          store(bend.row(i) + j, gv * load(pr + j) * curvature);
        }
        const A row_lse = lse[at.head * s.queries() + at.query];
        auto mask = RowMask<A>::start(s.drop, at.head, at.query, b.from);
        Vec<A> sum_r{}, sum_c{};
        for (int64_t j = 0; j < b.keys; j += kLanes<A>) {
          const Vec<A> pv = probability(pr, scale, row_lse, j, at.seen), gv = load(zr + j) * scale;
          Vec<A> dv = load(dr + j);
          store(pr + j, pv);
          store(zr + j, gv);
          if (s.drop.active) {
            const Vec<A> m = mask.next();
            store(kr + j, pv * m);
            dv *= m;
            store(dr + j, dv);
            store(xr + j, load(xr + j) * m);
          }
          sum_r += pv * dv;
          sum_c += pv * gv;
        }
        const A r = sum_lanes(sum_r), c = sum_lanes(sum_c);
        Vec<A> sum_y{};
        for (int64_t j = 0; j < b.keys; j += kLanes<A>) {
          const Vec<A> pv = load(pr + j), dv = load(dr + j), gv = load(zr + j);
          const Vec<A> y = load(xr + j) + gv * (dv - r) - dv * c;
          sum_y += pv * y;
          store(dr + j, pv * (dv - r) * scale);
          store(xr + j, load(kr + j) * (gv - c));
          store(zr + j, y);
        }
        const A mean_y = sum_lanes(sum_y);
        for (int64_t j = 0; j < b.keys; j += kLanes<A>) store(zr + j, load(pr + j) * (load(zr + j) - mean_y) * scale);
        for (int64_t j = 0; s.cap != 0 && j < b.keys; j += kLanes<A>) {
          const Vec<A> slopes = load(slope.row(i) + j), dv = load(dr + j);
          store(zr + j, load(zr + j) * slopes + load(bend.row(i) + j) * dv);
          store(dr + j, dv * slopes);
        }
      }
      if (result.q.data != nullptr) {
        multiply<A, false>(plain(z), b.rows_of(k), to_q, b.rows, to_q.stride, b.keys);
        multiply<A, true>(plain(ds), b.rows_of(gk), to_q, b.rows, to_q.stride, b.keys);
        copy_out(to_q, result.q, b, d);
      }
      if (result.k.data != nullptr) {
        multiply<A, true>(transposed(z), q, b.rows_of(to_k), b.keys, to_k.stride, b.rows);
        multiply<A, true>(transposed(ds), gq, b.rows_of(to_k), b.keys, to_k.stride, b.rows);
        multiply<A, true>(transposed(x), dout, b.rows_of(to_v), b.keys, to_v.stride, b.rows);
      }
      if (result_out.data != nullptr) {
        multiply<A, false>(plain(x), b.rows_of(v), to_out, b.rows, to_out.stride, b.keys);
        multiply<A, true>(plain(kept), b.rows_of(gv), to_out, b.rows, to_out.stride, b.keys);
        copy_out(to_out, result_out, b, d);
      }
    }
    if (result.k.data != nullptr) {
      copy_out(to_k, result.k, p.key, p.key_head * d, p.keys, d);
      copy_out(to_v, result.v, p.key, p.key_head * d, p.keys, d);
    }
  }
}
