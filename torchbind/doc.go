// Package torchbind drives libtorch from Go. It is the only package of this
// program that knows C.
//
// # Lifetime
//
// Tensors live in explicit, nested scopes. Every operation that makes a tensor
// takes the scope first, so the signature says who frees it:
//
//	err := torchbind.Run(func(s *torchbind.Scope) error {
//		x := torchbind.FromSlice(s, []float32{1, 2, 3}, []int64{3}, torchbind.CPU)
//		y := s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor { // frees all but the result
//			return torchbind.Sum(s, torchbind.Mul(s, x, x))
//		})
//		fmt.Println(y.Item())
//		return nil
//	})
//
// There are no finalizers: Go's collector does not see libtorch's memory.
//
// # Errors
//
// Operations panic with *Error, because a wrong shape is a bug in the caller.
// Run is the one boundary that turns *Error into an error.
//
// # Threads
//
// libtorch keeps grad mode and more per OS thread, so everything that touches
// a tensor happens inside one Run, which locks its goroutine to its thread.
package torchbind
