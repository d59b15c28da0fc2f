package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// Tensor is a named block of raw data.
type Tensor struct {
	Name  string
	DType DType
	Shape []int64 // empty for a scalar; a dimension may be 0
	Data  []byte  // little-endian, row-major
}

// NumElements returns the product of the dimensions, 1 for a scalar.
func (t Tensor) NumElements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// NumElements returns that of all tensors.
func NumElements(tensors []Tensor) int64 {
	n := int64(0)
	for _, t := range tensors {
		n += t.NumElements()
	}
	return n
}

// FromFloat32s returns an F32 tensor holding a copy of data, which must have as
// many elements as shape says for the result to be writable.
func FromFloat32s(name string, shape []int64, data []float32) Tensor {
	raw := make([]byte, 0, 4*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return Tensor{Name: name, DType: F32, Shape: append([]int64(nil), shape...), Data: raw}
}

// byteSize returns how many bytes a tensor of this dtype and shape has, or why
// there can be no such tensor.
func byteSize(dtype DType, shape []int64) (int64, error) {
	n := dtype.Bits()
	if n == 0 {
		return 0, fmt.Errorf("unknown dtype %q", dtype)
	}
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		hi, lo := bits.Mul64(uint64(n), uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, fmt.Errorf("shape %v of %s overflows 64 bits", shape, dtype)
		}
		n = int64(lo)
	}
	if n%8 != 0 {
		return 0, fmt.Errorf("shape %v of %s does not fill whole bytes", shape, dtype)
	}
	return n / 8, nil
}
