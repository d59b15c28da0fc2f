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

// Convert returns a tensor's values in another of the types that [Float32s] reads
// but F64, rounded to nearest, ties to even. A number that F16 has no room for is an
// error.
func Convert(t Tensor, to DType) (Tensor, error) {
	if t.DType == to {
		return t, nil
	}
	values, err := Float32s(t)
	if err != nil {
		return Tensor{}, err
	}
	switch to {
	case F32:
		return FromFloat32s(t.Name, t.Shape, values), nil
	case F16, BF16:
	default:
		return Tensor{}, fmt.Errorf("tensor %q: dtype %s cannot be made %s, want F32, F16 or BF16", t.Name, t.DType, to)
	}
	raw := make([]byte, 0, 2*len(values))
	for _, v := range values {
		rounded := float32ToBFloat16(v)
		if to == F16 {
			rounded = float32ToHalf(v)
			if rounded&0x7fff == halfInfinity && !math.IsInf(float64(v), 0) {
				return Tensor{}, fmt.Errorf("tensor %q: %v is too large for F16: choose BF16 or F32", t.Name, v)
			}
		}
		raw = binary.LittleEndian.AppendUint16(raw, rounded)
	}
	return Tensor{Name: t.Name, DType: to, Shape: t.Shape, Data: raw}, nil
}

const halfInfinity = 0x7c00

// float32ToHalf rounds to IEEE 754's half precision.
func float32ToHalf(v float32) uint16 {
	const rebias = (127 - 15) << 23
	bits := math.Float32bits(v)
	sign := uint16(bits >> 16 & 0x8000)
	bits &= 1<<31 - 1
	switch {
	case v != v:
		return sign | halfInfinity | 0x200
	case bits >= 0x477ff000: // 65520, half way to what would be the next number
		return sign | halfInfinity
	case bits < rebias+1<<23: // below 2^-14: zero and subnormals, multiples of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(bits))*0x1p24))
	}
	bits += 0xfff + bits>>13&1
	return sign | uint16((bits-rebias)>>13)
}

// float32ToBFloat16 rounds to the upper half of a float32.
func float32ToBFloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	if v != v {
		return uint16(bits>>16) | 0x40 // quiet, and no infinity
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
