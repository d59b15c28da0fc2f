package torchbind_test

import (
	"math"
	"runtime"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// gotorch's finalizers free tensors that are in use. The adapter clears them:
// else the collections here would free these tensors, and closing the scope
// would free them again.
func TestGotorchFinalizersAreCleared(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		const n = 5000
		made := make(tensors, n)
		for i := range made {
			made[i] = torchbind.Full(s, []int64{16}, float64(i), torchbind.Float32, torchbind.CPU)
		}
		for range 5 {
			runtime.GC()
			runtime.Gosched() // to the goroutine that runs finalizers
		}
		for range n {
			torchbind.Full(s, []int64{16}, -1, torchbind.Float32, torchbind.CPU) // takes freed memory
		}
		for i, x := range made {
			if got := x.Float32s(); got[0] != float32(i) || got[15] != float32(i) {
				t.Fatalf("tensor %d is %v", i, got)
			}
		}
	})
}

func TestFull(t *testing.T) {
	torchtest.Setup(t)
	tests := []struct {
		name   string
		value  float64
		dtype  torchbind.DType
		want   float64
		failed string
	}{
		{"rounded", 0.1, torchbind.Float32, float64(float32(0.1)), ""},
		{"rounded twice", 0.1, torchbind.BFloat16, 0.10009765625, ""},
		{"NaN", math.NaN(), torchbind.Float64, math.NaN(), ""},
		{"infinity", math.Inf(-1), torchbind.Float32, math.Inf(-1), ""},
		{"exact", 0.5, torchbind.Float64, 0.5, ""},
		{"not exact", 0.1, torchbind.Float64, 0, "full: value 0.1 is not a float32, and the tensor is float64"},
		{"large integer", 1<<24 + 1, torchbind.Int64, 0, "full: value 1.6777217e+07 is not a float32, and the tensor is int64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Setup(t)
			full := func(s *torchbind.Scope) *torchbind.Tensor {
				return torchbind.Full(s, []int64{2}, tt.value, tt.dtype, torchbind.CPU)
			}
			if tt.failed != "" {
				wantError(t, tt.failed, func(s *torchbind.Scope) { full(s) })
				return
			}
			torchtest.Run(t, func(s *torchbind.Scope) {
				torchtest.Equal(t, "elements", full(s), []float64{tt.want, tt.want}, torchtest.Exact)
			})
		})
	}
}
