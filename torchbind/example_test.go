package torchbind_test

import (
	"fmt"

	"autolora/torchbind"
)

func ExampleRun() {
	err := torchbind.Run(func(s *torchbind.Scope) error {
		x := torchbind.FromSlice(s, []float32{1, 2, 3, 4, 5, 6}, []int64{2, 3}, torchbind.CPU)
		fmt.Println(torchbind.Sum(s, x).Item())
		torchbind.MatMul(s, x, x) // [2, 3] by [2, 3]: a mistake
		return nil
	})
	fmt.Println(err)
	// Output:
	// 21
	// torch matmul: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3) (operands [[2 3] [2 3]])
}

func ExampleScope_Tidy() {
	_ = torchbind.Run(func(s *torchbind.Scope) error {
		x := torchbind.FromSlice(s, []float32{3, 4}, []int64{2}, torchbind.CPU)
		norm := s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
			return torchbind.Sqrt(s, torchbind.Sum(s, torchbind.Mul(s, x, x)))
		})
		fmt.Println(norm.Item(), "with", torchbind.Live(), "tensors alive")
		return nil
	})
	// Output: 5 with 2 tensors alive
}

func ExampleGrad() {
	_ = torchbind.Run(func(s *torchbind.Scope) error {
		x := torchbind.FromSlice(s, []float64{3}, nil, torchbind.CPU).SetRequiresGrad(true)
		y := torchbind.Mul(s, x, torchbind.Mul(s, x, x)) // x³
		first := torchbind.Grad(s, []*torchbind.Tensor{y}, []*torchbind.Tensor{x}, nil, true)
		second := torchbind.Grad(s, first, []*torchbind.Tensor{x}, nil, false)
		fmt.Println(y.Item(), first[0].Item(), second[0].Item())
		return nil
	})
	// Output: 27 27 18
}

func ExampleAdamW() {
	_ = torchbind.Run(func(s *torchbind.Scope) error {
		w := torchbind.FromSlice(s, []float32{1, -2}, []int64{2}, torchbind.CPU).SetRequiresGrad(true)
		params := []*torchbind.Tensor{w}
		adamw := torchbind.NewAdamW(s, params, torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8})
		for range 3 {
			_ = s.Do(func(s *torchbind.Scope) error { // frees the step's tensors
				loss := torchbind.Mean(s, torchbind.Mul(s, w, w))
				adamw.Apply(torchbind.Grad(s, []*torchbind.Tensor{loss}, params, nil, false), 0.05)
				return nil
			})
		}
		fmt.Printf("%.3f after %d steps\n", w.Float32s(), adamw.Step)
		return nil
	})
	// Output: [0.850 -1.850] after 3 steps
}
