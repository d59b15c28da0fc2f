package torchbind_test

import (
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// What Go adds to an operation: two crossings, a handle, a place in the scope.
func BenchmarkAdd(b *testing.B) {
	torchtest.Run(b, func(s *torchbind.Scope) {
		x := ones(s, 4)
		torchbind.NoGrad(func() {
			b.ReportAllocs()
			for b.Loop() {
				s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
					torchbind.Add(s, x, x)
					return nil
				})
			}
		})
	})
}

// A scope of 100 operations; divide by 100 to compare with BenchmarkAdd.
func BenchmarkScopeOf100(b *testing.B) {
	torchtest.Run(b, func(s *torchbind.Scope) {
		x := ones(s, 4)
		torchbind.NoGrad(func() {
			b.ReportAllocs()
			for b.Loop() {
				s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
					for range 100 {
						torchbind.Add(s, x, x)
					}
					return nil
				})
			}
		})
	})
}

// An empty scope, inside another and at the top with its back-stop.
func BenchmarkEmptyScope(b *testing.B) {
	b.Run("Tidy", func(b *testing.B) {
		torchtest.Run(b, func(s *torchbind.Scope) {
			b.ReportAllocs()
			for b.Loop() {
				s.Tidy(func(*torchbind.Scope) *torchbind.Tensor { return nil })
			}
		})
	})
	b.Run("NewScope", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			torchbind.NewScope().Close()
		}
	})
}

// One fused step over as many parameters as LoRA has in a 24-layer model.
func BenchmarkAdamW(b *testing.B) {
	torchtest.Run(b, func(s *torchbind.Scope) {
		var params, gradients tensors
		for range 96 {
			params, gradients = append(params, ones(s, 8, 1024)), append(gradients, ones(s, 8, 1024))
		}
		adamw := torchbind.NewAdamW(s, params, torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8})
		b.ReportAllocs()
		for b.Loop() {
			adamw.Apply(gradients, 1e-3)
		}
	})
}
