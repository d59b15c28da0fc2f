package torchbind

// #include "shim.h"
import "C"

import "runtime"

// Quantized is a matrix [out, in] in 8 or 4 bits, of the rows of parts, one after the
// other. Frozen with it, FrozenWeight holds nothing more: each product, and each
// derivative of one, makes the numbers again for itself.
type Quantized struct {
	parts     []QuantizedRows
	in, first int64
	rows      int64
}

// QuantizedRows are rows [rows, in] as bitsandbytes quantizes them.
type QuantizedRows struct {
	Rows int64
	// Codes are int8 [Rows, in], or in 4 bits uint8 of two numbers each, in row-major
	// order, the first in the high bits.
	Codes *Tensor
	// Scales are float32, the largest absolute value of each row, or in 4 bits of each
	// Block numbers.
	Scales *Tensor
	// Table is what Codebook makes; nil in 8 bits.
	Table *Tensor
	Block int64
}

// NF4 are the 16 numbers of 4-bit NormalFloat (Dettmers et al. 2023, appendix E).
var NF4 = [16]float32{
	-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
}

// Codebook returns the table of the pairs of numbers that a byte stands for.
func Codebook(s *Scope, numbers [16]float32, device Device) *Tensor {
	var pairs []float32
	for _, high := range numbers {
		for _, low := range numbers {
			pairs = append(pairs, high, low)
		}
	}
	return FromSlice(s, pairs, []int64{int64(len(pairs))}, device)
}

// NewQuantized returns the matrix of parts with rows of in numbers. Whoever owns the
// parts' tensors owns its.
func NewQuantized(in int64, parts ...QuantizedRows) *Quantized {
	q := &Quantized{parts: parts, in: in}
	for _, p := range parts {
		q.rows += p.Rows
	}
	return q
}

// Quantize returns the rows of w [out, in], of any type of floating point, in 8 bits,
// or in 4 of table, whose numbers ascend.
func Quantize(s *Scope, w, table *Tensor, block int64) QuantizedRows {
	const op = "quantize"
	var out [2]C.tb_tensor
	check(C.tb_quantize(w.handle(op), table.optionalHandle(op), C.int64_t(block), &out[0]), op, w, table)
	ts := s.adoptAll(out[:], op)
	return QuantizedRows{Rows: w.Size(0), Codes: ts[0], Scales: ts[1], Table: table, Block: block}
}

// Narrow returns n rows of q, from first on: a view.
func (q *Quantized) Narrow(first, n int64) *Quantized {
	part, rows := &Quantized{in: q.in, first: q.first + first, rows: n}, int64(0)
	for _, p := range q.parts {
		switch {
		case part.parts == nil && part.first >= p.Rows: // it lies before them
			part.first -= p.Rows
		case rows < part.first+n:
			part.parts = append(part.parts, p)
			rows += p.Rows
		}
	}
	return part
}

// Bytes returns what q takes of memory, without its tables.
func (q *Quantized) Bytes() int64 {
	var n int64
	for _, p := range q.parts {
		for _, t := range []*Tensor{p.Codes, p.Scales} {
			n += count("bytes", t.Shape()) * t.DType().Size()
		}
	}
	return n
}

// Dequantize returns q's numbers in dtype, on its device: float32's products, rounded.
func (q *Quantized) Dequantize(s *Scope, dtype DType) *Tensor {
	const op = "dequantize"
	var out C.tb_tensor
	parts, sizes := q.handles(op)
	err := C.tb_dequantize(&parts[0], &sizes[0], C.int64_t(len(q.parts)), C.int(dtype), &out)
	runtime.KeepAlive(q)
	return s.adopt(out, err, op)
}

func (q *Quantized) handles(op string) (parts []C.tb_tensor, sizes []C.int64_t) {
	sizes = []C.int64_t{C.int64_t(q.first), C.int64_t(q.rows), C.int64_t(q.in)}
	for _, p := range q.parts {
		parts = append(parts, p.Codes.handle(op), p.Scales.handle(op), p.Table.optionalHandle(op))
		sizes = append(sizes, C.int64_t(p.Rows), C.int64_t(p.Block))
	}
	return parts, sizes
}

// FreezeQuantized returns q for FrozenLinear.
func FreezeQuantized(q *Quantized) *FrozenWeight { return &FrozenWeight{quantized: q} }

// linear is FrozenLinear with q.
func (q *Quantized) linear(s *Scope, x, b *Tensor) *Tensor {
	const op = "quantized_linear"
	var out C.tb_tensor
	parts, sizes := q.handles(op)
	err := C.tb_quantized_linear(x.handle(op), &parts[0], &sizes[0], C.int64_t(len(q.parts)), b.optionalHandle(op), &out)
	runtime.KeepAlive(q)
	return s.adopt(out, err, op, x, b)
}
