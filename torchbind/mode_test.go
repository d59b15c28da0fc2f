package torchbind_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

func TestGradModes(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		w := vector(s, 1, 2).SetRequiresGrad(true)
		check := func(where string, want bool) {
			t.Helper()
			if got := torchbind.Mul(s, w, w).RequiresGrad(); got != want {
				t.Errorf("%s: gradient recording is %v, want %v", where, got, want)
			}
		}
		thrown := func(fn func()) {
			defer func() { _ = recover() }()
			fn()
		}
		check("outside", true)
		torchbind.NoGrad(func() {
			check("NoGrad", false)
			torchbind.EnableGrad(func() {
				check("EnableGrad in NoGrad", true)
				torchbind.NoGrad(func() { check("NoGrad in EnableGrad", false) })
				check("EnableGrad again", true)
			})
			thrown(func() { torchbind.EnableGrad(func() { panic("stop") }) })
			check("NoGrad after a panic in EnableGrad", false)
		})
		check("after NoGrad", true)
		thrown(func() { torchbind.NoGrad(func() { panic("stop") }) })
		check("after a panic in NoGrad", true)
		torchbind.InferenceMode(func() { check("InferenceMode", false) })
		check("after InferenceMode", true)
		thrown(func() { torchbind.InferenceMode(func() { panic("stop") }) })
		check("after a panic in InferenceMode", true)
	})
}

func TestInferenceTensorsStayOutOfGraphs(t *testing.T) {
	torchtest.Setup(t)
	wantError(t, "mul: Inference tensors cannot be saved for backward", func(s *torchbind.Scope) {
		var x *torchbind.Tensor
		torchbind.InferenceMode(func() { x = vector(s, 1, 2) })
		torchtest.Equal(t, "values", x, []float64{1, 2}, torchtest.Exact)
		torchbind.Mul(s, x, vector(s, 1, 2).SetRequiresGrad(true))
	})
}

// Grad mode belongs to an OS thread. A goroutine that moves to another one
// between setting the mode and using it computes in the wrong mode, and leaves
// the mode behind for others: without LockOSThread this failed for 2,000 of
// 5,000 operations.
func TestNoGradAmongBusyGoroutines(t *testing.T) {
	torchtest.Setup(t)
	const workers, rounds, operations = 8, 25, 25
	var recorded, lost atomic.Int64 // in NoGrad, outside
	count := func(s *torchbind.Scope, w *torchbind.Tensor, want bool, wrong *atomic.Int64) {
		for range operations {
			if torchbind.Mul(s, w, w).RequiresGrad() != want {
				wrong.Add(1)
			}
			runtime.Gosched()
		}
	}
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { // no Run: these goroutines do move
			s := torchbind.NewScope()
			defer s.Close()
			w := vector(s, 1).SetRequiresGrad(true)
			for range rounds {
				torchbind.NoGrad(func() { count(s, w, false, &recorded) })
				count(s, w, true, &lost)
			}
		})
	}
	group.Wait()
	if recorded.Load() != 0 || lost.Load() != 0 {
		t.Errorf("of %d operations each, %d recorded gradients inside NoGrad and %d did not outside",
			workers*rounds*operations, recorded.Load(), lost.Load())
	}
}

func TestThreadsOfOneOperation(t *testing.T) {
	torchtest.Setup(t)
	before := torchbind.NumThreads()
	defer torchbind.SetNumThreads(before)
	for _, n := range []int{1, 2} {
		torchbind.SetNumThreads(n)
		if got := torchbind.NumThreads(); got != n {
			t.Errorf("%d threads, want %d", got, n)
		}
	}
}
