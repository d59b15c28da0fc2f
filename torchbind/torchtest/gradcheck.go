package torchtest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"autolora/torchbind"
)

// Func is a differentiable function of float64 tensors. What it makes goes into
// s; it must not keep or change its inputs.
type Func func(s *torchbind.Scope, inputs []*torchbind.Tensor) *torchbind.Tensor

// step balances the two errors of a central difference of a function of size 1
// with derivatives of size 1: h²/6 of truncation, 1e-16/h of rounding.
const step = 1e-5

// Differences is the tolerance for gradients by central differences: some tens
// of times the error of 2e-11 that step explains, for functions whose third
// derivative is larger.
var Differences = Tolerance{Abs: 1e-9, Rel: 1e-8}

// GradCheck compares the gradients of fn with respect to every input with
// central differences. The inputs are float64 tensors; other operands belong
// into fn's closure.
func GradCheck(t testing.TB, fn Func, inputs []*torchbind.Tensor) {
	t.Helper()
	gradCheck(t, "gradient", single(fn), inputs)
}

// GradGradCheck compares the second derivatives of fn: it is GradCheck of the
// function that maps the inputs and the weights of fn's output to the
// gradients.
func GradGradCheck(t testing.TB, fn Func, inputs []*torchbind.Tensor) {
	t.Helper()
	err := torchbind.Run(func(s *torchbind.Scope) error {
		weights := weightsLike(s, fn(s, inputs), 1)
		gradient := func(s *torchbind.Scope, in []*torchbind.Tensor) []*torchbind.Tensor {
			in, weights := in[:len(in)-1], in[len(in)-1]
			return grad(s, []*torchbind.Tensor{fn(s, in)}, in, []*torchbind.Tensor{weights})
		}
		gradCheck(t, "second derivative", gradient, append(inputs[:len(inputs):len(inputs)], weights))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

type multiFunc func(s *torchbind.Scope, inputs []*torchbind.Tensor) []*torchbind.Tensor

func single(fn Func) multiFunc {
	return func(s *torchbind.Scope, in []*torchbind.Tensor) []*torchbind.Tensor {
		return []*torchbind.Tensor{fn(s, in)}
	}
}

// gradCheck differentiates Σ weights·fn(inputs), for weights that tell every
// element of the outputs apart.
func gradCheck(t testing.TB, what string, fn multiFunc, inputs []*torchbind.Tensor) {
	t.Helper()
	err := torchbind.Run(func(s *torchbind.Scope) error {
		leaves := make([]*torchbind.Tensor, len(inputs))
		for i, in := range inputs {
			if in.DType() != torchbind.Float64 {
				return fmt.Errorf("input %d is %v: differences need float64", i, in.DType())
			}
			leaves[i] = leaf(s, in.Float64s(), in.Shape())
		}
		outputs := fn(s, leaves)
		weights := make([]*torchbind.Tensor, len(outputs))
		for i, out := range outputs {
			weights[i] = weightsLike(s, out, i)
		}
		got := grad(s, outputs, leaves, weights)
		for i, in := range inputs {
			want := make([]float64, in.NumEl())
			values := in.Float64s()
			for j, v := range values {
				at := func(x float64) (y [][]float64) {
					values[j] = x
					_ = s.Do(func(s *torchbind.Scope) error {
						moved := slices.Clone(leaves)
						moved[i] = leaf(s, values, in.Shape())
						for _, out := range fn(s, moved) {
							y = append(y, out.Float64s())
						}
						return nil
					})
					return y
				}
				h := step * max(1, math.Abs(v))
				upper, lower := v+h, v-h
				want[j] = weighted(at(upper), at(lower), weights) / (upper - lower)
				values[j] = v
			}
			Equal(t, fmt.Sprintf("%s by input %d of shape %v", what, i, in.Shape()), got[i].Float64s(), want, Differences)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// grad is torchbind.Grad with a graph, zeros for inputs on which no output
// depends, and outputs that are constants left out.
func grad(s *torchbind.Scope, outputs, inputs, weights []*torchbind.Tensor) []*torchbind.Tensor {
	var variable, scale []*torchbind.Tensor
	for i, out := range outputs {
		if out.RequiresGrad() {
			variable, scale = append(variable, out), append(scale, weights[i])
		}
	}
	gradients := make([]*torchbind.Tensor, len(inputs))
	if len(variable) > 0 {
		gradients = torchbind.GradAllowUnused(s, variable, inputs, scale, true)
	}
	for i, g := range gradients {
		if g == nil {
			gradients[i] = torchbind.ZerosLike(s, inputs[i])
		}
	}
	return gradients
}

func leaf(s *torchbind.Scope, values []float64, shape []int64) *torchbind.Tensor {
	return torchbind.FromSlice(s, values, shape, torchbind.CPU).SetRequiresGrad(true)
}

// weightsLike returns fixed numbers between 1 and 2, no two alike.
func weightsLike(s *torchbind.Scope, out *torchbind.Tensor, salt int) *torchbind.Tensor {
	values := make([]float64, out.NumEl())
	for i := range values {
		_, fraction := math.Modf(float64(i+1)*math.Phi + float64(salt)*math.Sqrt2)
		values[i] = 1 + fraction
	}
	return leaf(s, values, out.Shape())
}

// weighted returns Σ weights·(a − b).
func weighted(a, b [][]float64, weights []*torchbind.Tensor) float64 {
	sum := 0.0
	for i := range a {
		for j, w := range weights[i].Float64s() {
			sum += w * (a[i][j] - b[i][j])
		}
	}
	return sum
}
