package torchbind_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// resident returns the bytes of memory that this process has now.
func resident(t *testing.T) int64 {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc/self/statm: ", err)
	}
	var size, pages int64
	if _, err := fmt.Fscan(strings.NewReader(string(statm)), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// Go's collector does not see libtorch's memory: where finalizers free tensors,
// this loop grows to 6 GB without one collection.
func TestScopesBoundMemory(t *testing.T) {
	const megabyte = 1 << 20
	tests := []struct {
		name  string
		steps int
		step  func(s *torchbind.Scope)
	}{
		{"Tidy", 1500, func(s *torchbind.Scope) {
			s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor { ones(s, megabyte); return nil })
		}},
		{"Do", 300, func(s *torchbind.Scope) {
			_ = s.Do(func(s *torchbind.Scope) error { ones(s, megabyte); return nil })
		}},
		{"Float32s", 300, func(s *torchbind.Scope) {
			_ = s.Do(func(s *torchbind.Scope) error {
				torchbind.Empty(s, []int64{megabyte}, torchbind.BFloat16, torchbind.CPU).Float32s()
				return nil
			})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				before := resident(t)
				for range tt.steps {
					tt.step(s)
				}
				// 512 MB, for the address sanitizer, which delays what is freed by up to
				// 256 MB. Without the scopes it would be 1,200 or more.
				if grown := resident(t) - before; grown > 512*megabyte {
					t.Errorf("%d MB more after %d tensors of 4 MB, one alive at a time", grown/megabyte, tt.steps)
				}
			})
		})
	}
}

func TestPeakMemory(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		const slack = 1 << 20 // the kernel counts pages in batches per thread
		var inside int64
		_ = s.Do(func(s *torchbind.Scope) error {
			ones(s, 64<<20)
			inside = resident(t)
			return nil
		})
		peak, err := torchbind.PeakMemory()
		if err != nil {
			t.Fatal(err)
		}
		if peak < inside-slack || peak < 256<<20 {
			t.Errorf("peak is %d bytes, but there were %d with a tensor of 256 MB", peak, inside)
		}
	})
}

// Every operation here runs while the collector does: a handle that it frees
// too early, or a Go pointer that C keeps, shows.
func TestGarbageCollectionStorm(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	stop := make(chan struct{})
	var collector sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	defer collector.Wait()
	defer close(stop)
	torchtest.Run(t, func(s *torchbind.Scope) {
		w := matrix(s, []int64{2, 2}, 1, 2, 3, 4).SetRequiresGrad(true)
		adamw := torchbind.NewAdamW(s, []*torchbind.Tensor{vector(s, 1)}, torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8})
		for i := range 300 {
			_ = s.Do(func(s *torchbind.Scope) error {
				garbage := make([]float64, 512) // to be collected while C reads copies of it
				garbage[0], garbage[1] = float64(i), 1
				x := matrix(s, []int64{1, 2}, garbage[:2]...)
				y := torchbind.Sum(s, torchbind.MatMul(s, x, w))
				g := torchbind.Grad(s, []*torchbind.Tensor{y}, []*torchbind.Tensor{w}, nil, false)
				torchtest.Equal(t, "y", y, []float64{float64(3*i + 7)}, torchtest.Exact)
				torchtest.Equal(t, "gradient", g[0], []float64{float64(i), float64(i), 1, 1}, torchtest.Exact)
				torchtest.Equal(t, "cat", torchbind.Cat(s, []*torchbind.Tensor{x, x}, 0), []float64{float64(i), 1, float64(i), 1}, torchtest.Exact)
				adamw.Apply([]*torchbind.Tensor{vector(s, 1)}, 0)
				return nil
			})
			if t.Failed() {
				return
			}
		}
	})
}
