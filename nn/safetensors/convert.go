package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Float32s returns a tensor's values as a new slice of float32. F16 and BF16
// convert exactly, subnormals, infinities and NaN payloads included; F64 rounds
// to nearest, ties to even. Any other dtype is an error.
func Float32s(t Tensor) ([]float32, error) {
	size, err := byteSize(t.DType, t.Shape)
	if err == nil && size != int64(len(t.Data)) {
		err = fmt.Errorf("%d bytes of data, want %d for %s %v", len(t.Data), size, t.DType, t.Shape)
	}
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	values := make([]float32, t.NumElements())
	switch t.DType {
	case F32:
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i : 4*i+4]))
		}
	case F16:
		for i := range values {
			values[i] = halfToFloat32(binary.LittleEndian.Uint16(t.Data[2*i : 2*i+2]))
		}
	case BF16:
		for i := range values {
			values[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:2*i+2])) << 16)
		}
	case F64:
		for i := range values {
			values[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i : 8*i+8])))
		}
	default:
		return nil, fmt.Errorf("tensor %q: dtype %s, want F32, F16, BF16 or F64", t.Name, t.DType)
	}
	return values, nil
}

// halfToFloat32 widens an IEEE 754 half-precision number. Every half is exact
// in float32.
func halfToFloat32(h uint16) float32 {
	const rebias = (127 - 15) << 23 // between the two formats' exponents
	sign, exponent, fraction := uint32(h&0x8000)<<16, h>>10&31, uint32(h&0x3ff)
	switch exponent {
	case 0: // zero and subnormals, multiples of 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 31: // infinity and NaN
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | uint32(h&0x7fff)<<13 + rebias)
}
