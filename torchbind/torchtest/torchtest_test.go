package torchtest_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// recorder is a test whose failures are looked at instead of reported.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()           {}
func (r *recorder) Cleanup(fn func()) { r.cleanups = append(r.cleanups, fn) }
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatal(args ...any) { r.failures = append(r.failures, fmt.Sprint(args...)) }

func (r *recorder) finish() {
	for _, fn := range r.cleanups {
		fn()
	}
}

func (r *recorder) check(t *testing.T, want string) {
	t.Helper()
	all := strings.Join(r.failures, "\n")
	if want == "" && all != "" || !strings.Contains(all, want) {
		t.Errorf("failures are %q, want %q", all, want)
	}
}

func TestEqual(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	tests := []struct {
		name      string
		got, want []float64
		tolerance torchtest.Tolerance
		failure   string
	}{
		{"same", []float64{1, 2}, []float64{1, 2}, torchtest.Exact, ""},
		{"empty", nil, nil, torchtest.Exact, ""},
		{"within absolute", []float64{1.5}, []float64{1}, torchtest.Tolerance{Abs: 0.5}, ""},
		{"within relative", []float64{110}, []float64{100}, torchtest.Tolerance{Rel: 0.1}, ""},
		{"length", []float64{1}, []float64{1, 2}, torchtest.Exact, "x: shape [1], want [2]"},
		{"first mismatch and both differences", []float64{1, 2, 5, 4}, []float64{1, 2, 4, 2}, torchtest.Float64,
			"x: 2 of 4 elements differ by more than 1e-13 + 1e-12·|want|; first at 2: got 5, want 4; max difference 2 absolute, 1 relative; shapes [4] and [4]"},
		{"infinities and NaN are themselves", []float64{inf, -inf, nan}, []float64{inf, -inf, nan}, torchtest.Exact, ""},
		{"infinity of the other sign", []float64{inf}, []float64{-inf}, torchtest.Float32, "got +Inf, want -Inf"},
		{"infinity for a number", []float64{inf}, []float64{1}, torchtest.Float32, "got +Inf, want 1"},
		{"number for infinity", []float64{1}, []float64{inf}, torchtest.Float32, "got 1, want +Inf"},
		{"NaN for a number", []float64{nan}, []float64{1}, torchtest.Float32, "got NaN, want 1"},
		{"number for NaN", []float64{1}, []float64{nan}, torchtest.Float32, "got 1, want NaN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{}
			torchtest.Equal(r, "x", tt.got, tt.want, tt.tolerance)
			r.check(t, tt.failure)
		})
	}
}

func TestEqualTensors(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		a := torchbind.FromSlice(s, []float32{1, 2}, []int64{2}, torchbind.CPU)
		torchtest.Equal(t, "tensor and slice", a, []int64{1, 2}, torchtest.Exact)
		torchtest.Equal(t, "slice and tensor", []float32{1, 2}, a, torchtest.Exact)
		r := &recorder{}
		torchtest.Equal(r, "x", a, torchbind.Reshape(s, a, 2, 1), torchtest.Exact)
		r.check(t, "x: shape [2], want [2 1]")
	})
}

func TestSetupCountsWhatIsLeft(t *testing.T) {
	for _, n := range []int{0, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := &recorder{}
			torchtest.Setup(r)
			s := torchbind.NewScope()
			defer s.Close()
			for range n {
				torchbind.FromSlice(s, []int64{1}, nil, torchbind.CPU)
			}
			r.finish()
			want := ""
			if n > 0 {
				want = fmt.Sprintf("%d tensors were not freed", n)
			}
			r.check(t, want)
		})
	}
}

func TestRunReportsErrors(t *testing.T) {
	r := &recorder{}
	torchtest.Run(r, func(s *torchbind.Scope) { torchbind.Cat(s, nil, 0) })
	r.finish()
	r.check(t, "torch cat: ")
}

// Each function here has a gradient that is wrong in one way.
func TestGradCheckFindsWrongGradients(t *testing.T) {
	type scope = *torchbind.Scope
	type tensors = []*torchbind.Tensor
	halfDetached := func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.Mul(s, in[0], torchbind.Detach(s, in[0]))
	}
	tests := []struct {
		name          string
		fn            torchtest.Func
		first, second string
	}{
		{"right", func(s scope, in tensors) *torchbind.Tensor { return torchbind.Mul(s, in[0], torchbind.Tanh(s, in[1])) }, "", ""},
		{"one path is cut", halfDetached, "gradient by input 0", "second derivative by input 0"},
		{"an input is cut", func(s scope, in tensors) *torchbind.Tensor {
			return torchbind.Mul(s, in[0], torchbind.Detach(s, in[1]))
		}, "gradient by input 1", "second derivative by input 1"},
		{"constant", func(s scope, in tensors) *torchbind.Tensor { return torchbind.ZerosLike(s, in[0]) }, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				inputs := tensors{
					torchbind.FromSlice(s, []float64{0.3, -0.7}, []int64{2}, torchbind.CPU),
					torchbind.FromSlice(s, []float64{1.1, 0.2}, []int64{2}, torchbind.CPU),
				}
				r := &recorder{}
				torchtest.GradCheck(r, tt.fn, inputs)
				r.check(t, tt.first)
				r = &recorder{}
				torchtest.GradGradCheck(r, tt.fn, inputs)
				r.check(t, tt.second)
			})
		})
	}
}

func TestGradCheckWantsFloat64(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		r := &recorder{}
		x := torchbind.FromSlice(s, []float32{1}, []int64{1}, torchbind.CPU)
		torchtest.GradCheck(r, func(s *torchbind.Scope, in []*torchbind.Tensor) *torchbind.Tensor { return in[0] }, []*torchbind.Tensor{x})
		r.check(t, "input 0 is float32: differences need float64")
	})
}
