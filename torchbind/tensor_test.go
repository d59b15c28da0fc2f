package torchbind_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

func TestShapes(t *testing.T) {
	tests := []struct {
		name  string
		shape []int64
		numel int64
	}{
		{"scalar", nil, 1},
		{"vector", []int64{3}, 3},
		{"8 dimensions", []int64{1, 2, 1, 2, 1, 2, 1, 2}, 16},
		{"empty vector", []int64{0}, 0},
		{"empty matrix", []int64{2, 0}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				data := make([]float32, tt.numel)
				for i := range data {
					data[i] = float32(i)
				}
				x := torchbind.FromSlice(s, data, tt.shape, torchbind.CPU)
				if !slices.Equal(x.Shape(), tt.shape) || x.NumEl() != tt.numel {
					t.Errorf("shape %v of %d elements, want %v of %d", x.Shape(), x.NumEl(), tt.shape, tt.numel)
				}
				if x.DType() != torchbind.Float32 || x.Device() != torchbind.CPU {
					t.Errorf("%v on %v, want float32 on cpu", x.DType(), x.Device())
				}
				torchtest.Equal(t, "elements", x, data, torchtest.Exact)
				torchtest.Equal(t, "doubled", torchbind.Add(s, x, x), torchbind.MulScalar(s, x, 2), torchtest.Exact)
				for name, same := range map[string]*torchbind.Tensor{
					"Clone":      torchbind.Clone(s, x),
					"Detach":     torchbind.Detach(s, x),
					"Empty":      torchbind.Empty(s, tt.shape, torchbind.Float32, torchbind.CPU),
					"ZerosLike":  torchbind.ZerosLike(s, x),
					"BFloat16":   torchbind.To(s, x, torchbind.BFloat16, torchbind.CPU),
					"FromBytes":  torchbind.FromBytes(s, x.Bytes(), torchbind.Float32, tt.shape, torchbind.CPU),
					"SumOf zero": torchbind.Add(s, x, torchbind.Sum(s, torchbind.ZerosLike(s, x))),
				} {
					if !slices.Equal(same.Shape(), tt.shape) {
						t.Errorf("%s: shape %v, want %v", name, same.Shape(), tt.shape)
					}
				}
			})
		})
	}
}

func TestSize(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := ones(s, 2, 3, 4)
		for dim, want := range map[int]int64{0: 2, 1: 3, 2: 4, -1: 4, -3: 2} {
			if got := x.Size(dim); got != want {
				t.Errorf("Size(%d) is %d, want %d", dim, got, want)
			}
		}
	})
}

func TestSlicesAreCopied(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		data := []float64{1, 2}
		x := vector(s, data...)
		data[0] = 9
		x.Float64s()[1] = 9
		torchtest.Equal(t, "elements", x, []float64{1, 2}, torchtest.Exact)
	})
}

func TestElementsInRowMajorOrder(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := torchbind.Transpose(s, torchbind.FromSlice(s, []int64{1, 2, 3, 4, 5, 6}, []int64{2, 3}, torchbind.CPU), 0, 1)
		want := []int64{1, 4, 2, 5, 3, 6}
		if got := x.Int64s(); !slices.Equal(got, want) {
			t.Errorf("Int64s is %v, want %v", got, want)
		}
		torchtest.Equal(t, "Float32s", x.Float32s(), want, torchtest.Exact)
		if got := torchbind.FromBytes(s, x.Bytes(), torchbind.Int64, []int64{3, 2}, torchbind.CPU).Int64s(); !slices.Equal(got, want) {
			t.Errorf("after Bytes and FromBytes: %v, want %v", got, want)
		}
	})
}

func TestItem(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		for name, x := range map[string]*torchbind.Tensor{
			"scalar":   torchbind.FromSlice(s, []float32{7}, nil, torchbind.CPU),
			"matrix":   torchbind.FromSlice(s, []int64{7}, []int64{1, 1}, torchbind.CPU),
			"bfloat16": torchbind.To(s, vector(s, 7), torchbind.BFloat16, torchbind.CPU),
			"in graph": torchbind.Sum(s, vector(s, 3, 4).SetRequiresGrad(true)),
		} {
			if got := x.Item(); got != 7 {
				t.Errorf("%s: %v, want 7", name, got)
			}
		}
	})
}

func TestSharedAndCopiedValues(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 1, 2)
		shared := tensors{torchbind.Detach(s, x), torchbind.To(s, x, torchbind.Float64, torchbind.CPU), torchbind.Reshape(s, x, 2, 1), torchbind.Narrow(s, x, 0, 0, 2)}
		copied := tensors{torchbind.Clone(s, x), torchbind.To(s, x, torchbind.Float32, torchbind.CPU)}
		x.CopyInPlace(torchbind.FromSlice(s, []int64{8, 9}, []int64{2}, torchbind.CPU)) // converts
		for _, y := range shared {
			torchtest.Equal(t, "shared", y, []float64{8, 9}, torchtest.Exact)
		}
		for _, y := range copied {
			torchtest.Equal(t, "copied", y, []float64{1, 2}, torchtest.Exact)
		}
	})
}

func TestRequiresGrad(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 1)
		for _, on := range []bool{false, true, false} {
			if got := x.SetRequiresGrad(on).RequiresGrad(); got != on {
				t.Errorf("RequiresGrad is %v, want %v", got, on)
			}
		}
		x.SetRequiresGrad(true)
		if torchbind.Detach(s, x).RequiresGrad() || torchbind.ZerosLike(s, x).RequiresGrad() {
			t.Error("Detach or ZerosLike takes part in the graph")
		}
		if !torchbind.Clone(s, x).RequiresGrad() || !torchbind.To(s, x, torchbind.BFloat16, torchbind.CPU).RequiresGrad() {
			t.Error("Clone or To does not take part in the graph")
		}
	})
}

func TestHalfPrecision(t *testing.T) {
	inf := math.Inf(1)
	tests := []struct {
		dtype  torchbind.DType
		bytes  []byte // little-endian: sign, exponent, fraction from the top bit down
		values []float64
	}{
		{torchbind.BFloat16,
			[]byte{0x80, 0x3f, 0x00, 0xc0, 0x01, 0x00, 0x80, 0x00, 0x7f, 0x7f, 0x80, 0x7f, 0x81, 0x3f},
			[]float64{1, -2, math.Ldexp(1, -133), math.Ldexp(1, -126), math.Ldexp(255, 120), inf, 1 + 1.0/128}},
		{torchbind.Float16,
			[]byte{0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0x00, 0x04, 0xff, 0x7b, 0x00, 0x7c, 0x01, 0x3c},
			[]float64{1, -2, math.Ldexp(1, -24), math.Ldexp(1, -14), 65504, inf, 1 + 1.0/1024}},
	}
	for _, tt := range tests {
		t.Run(tt.dtype.String(), func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				shape := []int64{int64(len(tt.values))}
				x := torchbind.FromBytes(s, tt.bytes, tt.dtype, shape, torchbind.CPU)
				torchtest.Equal(t, "decoded", x, tt.values, torchtest.Exact)
				torchtest.Equal(t, "decoded to float32", x.Float32s(), tt.values, torchtest.Exact)
				if got := torchbind.To(s, vector(s, tt.values...), tt.dtype, torchbind.CPU).Bytes(); !bytes.Equal(got, tt.bytes) {
					t.Errorf("encoded %x, want %x", got, tt.bytes)
				}
			})
		})
	}
}

func TestRoundingToBFloat16(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		const ulp = 1.0 / 128
		x := torchbind.To(s, vector(s, 1+ulp/2, 1+3*ulp/2, 1+ulp/4, 1e39, math.NaN()), torchbind.BFloat16, torchbind.CPU)
		torchtest.Equal(t, "nearest, ties to even", x, []float64{1, 1 + 2*ulp, 1, math.Inf(1), math.NaN()}, torchtest.Exact)
	})
}

func TestBFloat16Computes(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		values := []float64{0.3, -1.1, 0.7, 1.9, -0.2, 0.4}
		a, b := matrix(s, []int64{2, 3}, values...), matrix(s, []int64{3, 2}, values...)
		half := func(x *torchbind.Tensor) *torchbind.Tensor {
			return torchbind.To(s, x, torchbind.BFloat16, torchbind.CPU)
		}
		got := torchbind.MatMul(s, half(a), half(b))
		if got.DType() != torchbind.BFloat16 {
			t.Errorf("product is %v, want bfloat16", got.DType())
		}
		torchtest.Equal(t, "product", got, torchbind.MatMul(s, a, b), torchtest.BFloat16)
	})
}

func TestDTypes(t *testing.T) {
	tests := []struct {
		dtype torchbind.DType
		name  string
		size  int64
	}{
		{torchbind.Int64, "int64", 8},
		{torchbind.Float16, "float16", 2},
		{torchbind.Float32, "float32", 4},
		{torchbind.Float64, "float64", 8},
		{torchbind.BFloat16, "bfloat16", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				if tt.dtype.String() != tt.name || tt.dtype.Size() != tt.size {
					t.Errorf("%v of %d bytes, want %s of %d", tt.dtype, tt.dtype.Size(), tt.name, tt.size)
				}
				if got, err := torchbind.ParseDType(tt.name); got != tt.dtype || err != nil {
					t.Errorf("ParseDType returns %v, %v", got, err)
				}
				x := torchbind.Full(s, []int64{3}, 2, tt.dtype, torchbind.CPU)
				if x.DType() != tt.dtype || int64(len(x.Bytes())) != 3*tt.size {
					t.Errorf("%v in %d bytes, want %v in %d", x.DType(), len(x.Bytes()), tt.dtype, 3*tt.size)
				}
				torchtest.Equal(t, "elements", x, []float64{2, 2, 2}, torchtest.Exact)
			})
		})
	}
	if _, err := torchbind.ParseDType("float8"); err == nil || err.Error() != `unknown dtype "float8", want float32, bfloat16 or float64` {
		t.Errorf("ParseDType of float8: %v", err)
	}
	if got := torchbind.DType(99).String(); got != "dtype(99)" {
		t.Errorf("DType(99) is %q", got)
	}
}
