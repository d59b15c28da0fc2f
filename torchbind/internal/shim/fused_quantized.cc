#include <ATen/ops/bucketize.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "fused.h"
#include "kernel.h"

namespace tb {
namespace {

constexpr int64_t kTable = 512;     // 256 bytes, two numbers each
constexpr double kLeast = 1e-38;    // of a block's scale, before it is divided by
constexpr double kInt8 = 1.0 / 127; // bitsandbytes multiplies by it

// Calls f for parts of n elements: on the CPU some that its cache holds, each a
// multiple of step, on all threads.
template <class F>
void in_pieces(const at::Tensor &like, int64_t n, int64_t step, F &&f) {
  if (!like.device().is_cpu()) return f(0, n);
  const int64_t piece = std::max<int64_t>(1, 65536 / step) * step, pieces = (n + piece - 1) / piece;
  at::parallel_for(0, pieces, 1, [&](int64_t begin, int64_t end) {
    c10::NoGradGuard no_grad;  // of this thread
    for (int64_t i = begin; i < end; i++) f(i * piece, std::min(n, (i + 1) * piece));
  });
}

void check_block(const at::Tensor &table, int64_t block) {
  TORCH_CHECK(table.numel() == kTable && table.scalar_type() == at::kFloat, "quantized: the table is ", table.scalar_type(), table.sizes(), ", want float[512]");
  TORCH_CHECK(block > 0 && block % 2 == 0, "quantized: block is ", block, ", want an even number");
}

// values times the scale of each block, in place; values begin with a block.
void scale_blocks(const at::Tensor &values, const at::Tensor &scales, int64_t block) {
  const int64_t n = values.numel(), whole = n / block;
  if (whole > 0) values.narrow(0, 0, whole * block).view({whole, block}).mul_(scales.narrow(0, 0, whole).unsqueeze(1));
  if (n > whole * block) values.narrow(0, whole * block, n - whole * block).mul_(scales.select(0, whole));
}

// Writes the numbers of p into to [rows · in].
void dequantize_part(const QuantizedPart &p, int64_t in, const at::Tensor &to) {
  const int64_t n = p.rows * in;
  if (!p.table.defined()) {
    TORCH_CHECK(p.codes.numel() == n && p.scales.numel() == p.rows, "dequantize: ", p.codes.numel(), " codes and ", p.scales.numel(), " scales for [", p.rows,
                ", ", in, "]");
    const auto codes = p.codes.reshape({p.rows, in});
    return in_pieces(to, n, in, [&](int64_t begin, int64_t end) {
      const int64_t first = begin / in, rows = (end - begin) / in;
      const auto values = codes.narrow(0, first, rows).to(at::kFloat);
      values.mul_(p.scales.narrow(0, first, rows).unsqueeze(1)).mul_(kInt8);
      to.narrow(0, begin, end - begin).copy_(values.view(-1));
    });
  }
  check_block(p.table, p.block);
  TORCH_CHECK(p.codes.numel() == (n + 1) / 2 && p.scales.numel() == (n + p.block - 1) / p.block, "dequantize: ", p.codes.numel(), " bytes and ",
              p.scales.numel(), " scales for [", p.rows, ", ", in, "]");
  const auto codes = p.codes.reshape(-1), pairs = p.table.view(at::kDouble);  // a pair of float32 is one element to be picked
  in_pieces(to, n, p.block, [&](int64_t begin, int64_t end) {
    const auto picked = pairs.index_select(0, codes.narrow(0, begin / 2, (end + 1) / 2 - begin / 2).to(at::kInt));
    const auto values = picked.view(at::kFloat).narrow(0, 0, end - begin);
    scale_blocks(values, p.scales.narrow(0, begin / p.block, (end + p.block - 1) / p.block - begin / p.block), p.block);
    to.narrow(0, begin, end - begin).copy_(values);
  });
}

// How many of the 15 bounds lie below each of x: what bucketize gives, which on the CPU
// takes ten times as long.
at::Tensor below(const at::Tensor &bounds, const at::Tensor &x) {
  if (!x.device().is_cpu()) return at::bucketize(x, bounds, /*out_int32=*/true).to(at::kByte);
  const auto counts = at::empty(x.sizes(), x.options().dtype(at::kByte)), sorted = bounds.contiguous();
  const float *b = in<float>(sorted), *from = in<float>(x);
  auto *to = out<uint8_t>(counts);
  for (int64_t i = 0; i < x.numel(); i++) {
    int n = from[i] > b[7] ? 8 : 0;
    n += from[i] > b[n + 3] ? 4 : 0;
    n += from[i] > b[n + 1] ? 2 : 0;
    to[i] = static_cast<uint8_t>(n + (from[i] > b[n] ? 1 : 0));
  }
  return counts;
}

// Returns the codes of values, which begin with a block, and writes the scales of their blocks.
at::Tensor quantize_blocks(const at::Tensor &values, const at::Tensor &bounds, int64_t block, const at::Tensor &scales) {
  const int64_t n = values.numel(), whole = n / block, rest = n - whole * block;
  auto scaled = at::empty({(n + 1) / 2 * 2}, values.options());
  if (whole > 0) {
    const auto blocks = values.narrow(0, 0, whole * block).view({whole, block});
    const auto most = blocks.abs().amax(1);
    scales.narrow(0, 0, whole).copy_(most);
    scaled.narrow(0, 0, whole * block).view({whole, block}).copy_(blocks.mul(most.clamp_min(kLeast).reciprocal().unsqueeze(1)).clamp_(-1, 1));
  }
  if (rest > 0) {  // which bitsandbytes divides
    const auto part = values.narrow(0, whole * block, rest), most = part.abs().amax().clamp_min(kLeast);
    scales.select(0, whole).copy_(most);
    scaled.narrow(0, whole * block, rest).copy_(part.div(most).clamp_(-1, 1));
  }
  if (n % 2 != 0) scaled.select(0, n).zero_();
  const auto pairs = below(bounds, scaled).view({-1, 2});
  return pairs.select(1, 0).mul(16).add_(pairs.select(1, 1));
}

}  // namespace

std::pair<at::Tensor, at::Tensor> quantize(const at::Tensor &w, const at::Tensor &table, int64_t block) {
  TORCH_CHECK(w.dim() == 2 && w.numel() > 0, "quantize: weight has shape ", w.sizes(), ", want [out, in]");
  c10::NoGradGuard no_grad;
  if (!table.defined()) {
    const auto values = w.detach().to(at::kFloat);
    const auto scales = values.abs().amax(1);
    // A row of zeros has a scale of 0 and codes of 0, where bitsandbytes divides by it.
    const auto by = scales.clamp_min(kLeast).reciprocal().mul_(127);
    return {values.mul(by.unsqueeze(1)).round_().to(at::kChar), scales};
  }
  check_block(table, block);
  const auto flat = w.detach().reshape(-1), numbers = table.view({256, 2}).select(1, 1).narrow(0, 0, 16);
  const auto bounds = numbers.narrow(0, 0, 15).add(numbers.narrow(0, 1, 15)).div_(2);
  const int64_t n = flat.numel();
  const auto codes = at::empty({(n + 1) / 2}, flat.options().dtype(at::kByte)), scales = at::empty({(n + block - 1) / block}, flat.options().dtype(at::kFloat));
  in_pieces(w, n, block, [&](int64_t begin, int64_t end) {
    const auto some = scales.narrow(0, begin / block, (end + block - 1) / block - begin / block);
    const auto packed = quantize_blocks(flat.narrow(0, begin, end - begin).to(at::kFloat), bounds, block, some);
    codes.narrow(0, begin / 2, packed.numel()).copy_(packed);
  });
  return {codes, scales};
}

at::Tensor dequantize(const QuantizedWeight &w, at::ScalarType type) {
  c10::NoGradGuard no_grad;
  int64_t rows = 0;
  for (const auto &p : w.parts) rows += p.rows;
  TORCH_CHECK(!w.parts.empty() && w.first >= 0 && w.rows > 0 && w.first + w.rows <= rows, "dequantize: rows ", w.first, " to ", w.first + w.rows, " of ", rows);
  const auto all = at::empty({rows * w.in}, w.parts[0].scales.options().dtype(type));
  int64_t first = 0;
  for (const auto &p : w.parts) {
    dequantize_part(p, w.in, all.narrow(0, first * w.in, p.rows * w.in));
    first += p.rows;
  }
  return all.view({rows, w.in}).narrow(0, w.first, w.rows);
}

at::Tensor quantized_linear(const at::Tensor &x, const QuantizedWeight &w, const at::Tensor &bias, bool transposed) {
  at::Tensor y;
  {
    c10::NoGradGuard no_grad;
    const auto dense = dequantize(w, x.scalar_type());
    y = frozen_linear(x, transposed ? dense.t() : dense, {}, bias);
  }
  if (recording({x})) {
    Tensors saved;
    for (const auto &p : w.parts) saved.insert(saved.end(), {p.codes, p.scales, p.table});
    auto form = w;  // without its tensors, which the node holds
    for (auto &p : form.parts) p.codes = p.scales = p.table = at::Tensor();
    record("quantized_linear", {x}, {y}, saved, [form, transposed](const Backward &b) -> Tensors {
      if (!b.grads[0].defined()) return {at::Tensor()};
      auto same = form;
      for (size_t i = 0; i < same.parts.size(); i++) {
        auto &p = same.parts[i];
        p.codes = b.saved[3 * i], p.scales = b.saved[3 * i + 1], p.table = b.saved[3 * i + 2];
      }
      return {quantized_linear(b.grads[0], same, {}, !transposed)};
    });
  }
  return y;
}

}  // namespace tb
