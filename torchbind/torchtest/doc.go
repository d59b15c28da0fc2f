// Package torchtest sets up tests that use tensors, compares values, and checks
// gradients against central differences.
//
//	func TestSquare(t *testing.T) {
//		torchtest.Run(t, func(s *torchbind.Scope) {
//			x := torchbind.FromSlice(s, []float64{1, 2, 3}, []int64{3}, torchbind.CPU)
//			torchtest.Equal(t, "square", torchbind.Mul(s, x, x), []float64{1, 4, 9}, torchtest.Exact)
//		})
//	}
package torchtest
