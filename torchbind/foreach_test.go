package torchbind_test

import (
	"math"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

func TestForeach(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		a := func() tensors { return tensors{vector(s, 1, 2), matrix(s, []int64{1, 1}, 3)} }
		b := tensors{vector(s, 10, 20), matrix(s, []int64{1, 1}, 30)}
		check := func(name string, got tensors, first, second []float64) {
			t.Helper()
			torchtest.Equal(t, name+" 0", got[0], vector(s, first...), torchtest.Float64)
			torchtest.Equal(t, name+" 1", got[1], matrix(s, []int64{1, 1}, second...), torchtest.Float64)
		}
		check("ForeachAdd", torchbind.ForeachAdd(s, a(), b, -0.5), []float64{-4, -8}, []float64{-12})
		check("ForeachMul", torchbind.ForeachMul(s, a(), b), []float64{10, 40}, []float64{90})

		x := a()
		x[0].SetRequiresGrad(true) // in place means outside of every graph
		torchbind.ForeachAddInPlace(x, b, 2)
		check("ForeachAddInPlace", x, []float64{21, 42}, []float64{63})
		torchbind.ForeachMulScalarInPlace(x, -1)
		check("ForeachMulScalarInPlace", x, []float64{-21, -42}, []float64{-63})
		torchbind.ForeachCopyInPlace(x, b)
		check("ForeachCopyInPlace", x, []float64{10, 20}, []float64{30})

		if got, want := torchbind.ForeachNorm(a()), math.Sqrt(14); math.Abs(got-want) > 1e-15 {
			t.Errorf("ForeachNorm is %v, want %v", got, want)
		}
	})
}

func TestForeachRecordsGradients(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 2, 3).SetRequiresGrad(true)
		sum := torchbind.ForeachAdd(s, torchbind.ForeachMul(s, tensors{x}, tensors{x}), tensors{x}, 3)
		g := torchbind.Grad(s, tensors{torchbind.Sum(s, sum[0])}, tensors{x}, nil, false)
		torchtest.Equal(t, "gradient", g[0], []float64{7, 9}, torchtest.Exact)
	})
}

func TestForeachOfNothing(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		torchbind.ForeachAddInPlace(nil, nil, 1)
		torchbind.ForeachMulScalarInPlace(nil, 1)
		torchbind.ForeachCopyInPlace(nil, nil)
		if n := len(torchbind.ForeachAdd(s, nil, nil, 1)) + len(torchbind.ForeachMul(s, nil, nil)); n != 0 {
			t.Errorf("%d tensors from none", n)
		}
		if norm := torchbind.ForeachNorm(nil); norm != 0 {
			t.Errorf("the norm of nothing is %v, want 0", norm)
		}
	})
}
