package torchbind_test

import (
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

type tensors = []*torchbind.Tensor

func TestGradOfAScalar(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 3).SetRequiresGrad(true)
		y := torchbind.Mul(s, x, torchbind.Mul(s, x, x)) // x³ and its derivatives
		for order, want := range []float64{27, 27, 18, 6} {
			torchtest.Equal(t, "derivative "+string(rune('0'+order)), y, []float64{want}, torchtest.Exact)
			if order < 3 {
				y = torchbind.Grad(s, tensors{y}, tensors{x}, nil, true)[0]
			}
		}
	})
}

func TestGradOutputsWeighTheOutputs(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 2, 3).SetRequiresGrad(true)
		square, sum := torchbind.Mul(s, x, x), torchbind.Sum(s, x)
		g := torchbind.Grad(s, tensors{square, sum}, tensors{x}, tensors{vector(s, 10, 100), nil}, false)
		torchtest.Equal(t, "gradient", g[0], []float64{2*2*10 + 1, 2*3*100 + 1}, torchtest.Exact)
	})
}

// With createGraph the weights are variables too: this is how a vector-Jacobian
// product is differentiated by its vector.
func TestGradByGradOutputs(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x, v := vector(s, 2, 3).SetRequiresGrad(true), vector(s, 1, 1).SetRequiresGrad(true)
		g := torchbind.Grad(s, tensors{torchbind.Mul(s, x, x)}, tensors{x}, tensors{v}, true)
		h := torchbind.Grad(s, tensors{torchbind.Sum(s, g[0])}, tensors{v}, nil, false)
		torchtest.Equal(t, "derivative", h[0], []float64{4, 6}, torchtest.Exact)
	})
}

func TestGradAllowUnused(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x, unused := vector(s, 2).SetRequiresGrad(true), vector(s, 1).SetRequiresGrad(true)
		before := torchbind.Live()
		g := torchbind.GradAllowUnused(s, tensors{torchbind.Mul(s, x, x)}, tensors{unused, x}, nil, false)
		if g[0] != nil {
			t.Errorf("gradient by an unused input is %v, want nil", g[0].Float64s())
		}
		torchtest.Equal(t, "gradient", g[1], []float64{4}, torchtest.Exact)
		if n := torchbind.Live() - before; n != 2 {
			t.Errorf("%d more tensors are alive, want the product and one gradient", n)
		}
	})
}

func TestGradErrors(t *testing.T) {
	tests := []struct {
		name, want string
		fn         func(s *torchbind.Scope, x *torchbind.Tensor)
	}{
		{"output is no scalar", "grad: grad can be implicitly created only for scalar outputs", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, tensors{torchbind.Mul(s, x, x)}, tensors{x}, nil, false)
		}},
		{"weights of another shape", "grad: invalid gradient at index 0 - got [3]", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, tensors{torchbind.Mul(s, x, x)}, tensors{x}, tensors{vector(s, 1, 2, 3)}, false)
		}},
		{"too few weights", "grad: lists of 1 and 2 tensors", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, tensors{x}, tensors{x}, tensors{x, x}, false)
		}},
		{"unused input", "grad: ", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, tensors{torchbind.Sum(s, x)}, tensors{vector(s, 1).SetRequiresGrad(true)}, nil, false)
		}},
		{"constant output", "grad: element 0 of tensors does not require grad", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, tensors{torchbind.Sum(s, vector(s, 1))}, tensors{x}, nil, false)
		}},
		{"recorded under NoGrad", "grad: element 0 of tensors does not require grad", func(s *torchbind.Scope, x *torchbind.Tensor) {
			var y *torchbind.Tensor
			torchbind.NoGrad(func() { y = torchbind.Sum(s, x) })
			torchbind.Grad(s, tensors{y}, tensors{x}, nil, false)
		}},
		{"detached", "grad: element 0 of tensors does not require grad", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, tensors{torchbind.Sum(s, torchbind.DetachAll(s, tensors{x})[0])}, tensors{x}, nil, false)
		}},
		{"graph was freed", "grad: Trying to backward through the graph a second time", func(s *torchbind.Scope, x *torchbind.Tensor) {
			y := torchbind.Sum(s, torchbind.Mul(s, x, x))
			torchbind.Grad(s, tensors{y}, tensors{x}, nil, false)
			torchbind.Grad(s, tensors{y}, tensors{x}, nil, false)
		}},
		{"no outputs", "grad: 0 outputs and 1 inputs", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, nil, tensors{x}, nil, false)
		}},
		{"no inputs", "grad: 1 outputs and 0 inputs", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, tensors{x}, nil, nil, false)
		}},
		{"nil output", "grad: tensor 0 of 1 is nil", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, tensors{nil}, tensors{x}, nil, false)
		}},
		{"nil input", "grad: tensor 0 of 1 is nil", func(s *torchbind.Scope, x *torchbind.Tensor) {
			torchbind.Grad(s, tensors{torchbind.Sum(s, x)}, tensors{nil}, nil, false)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Setup(t)
			wantError(t, tt.want, func(s *torchbind.Scope) { tt.fn(s, vector(s, 1, 2).SetRequiresGrad(true)) })
		})
	}
}

// The gradient of a composed function, and of that gradient: what the search
// does with a model.
func TestSecondDerivativesOfComposedFunctions(t *testing.T) {
	tests := []struct {
		name   string
		fn     torchtest.Func
		inputs func(s *torchbind.Scope) tensors
	}{
		{"x³", func(s *torchbind.Scope, in tensors) *torchbind.Tensor {
			return torchbind.Mul(s, in[0], torchbind.Mul(s, in[0], in[0]))
		}, func(s *torchbind.Scope) tensors { return tensors{vector(s, 0.5, -1.2)} }},
		{"attention", func(s *torchbind.Scope, in tensors) *torchbind.Tensor {
			scores := torchbind.MatMul(s, in[0], torchbind.Transpose(s, in[1], 0, 1)) // [3, 2]
			return torchbind.MatMul(s, torchbind.Softmax(s, scores, -1), in[1])       // [3, 2]
		}, func(s *torchbind.Scope) tensors {
			return tensors{matrix(s, []int64{3, 2}, 0.1, -0.4, 0.9, 0.3, -0.8, 0.2), matrix(s, []int64{2, 2}, 0.7, -0.2, 0.5, 1.1)}
		}},
		{"low-rank classifier", func(s *torchbind.Scope, in tensors) *torchbind.Tensor {
			x := matrix(s, []int64{2, 3}, 0.3, -0.5, 0.8, 1.2, 0.1, -0.9)
			hidden := torchbind.Tanh(s, torchbind.Linear(s, x, in[0], nil))                            // [2, 2]
			return torchbind.CrossEntropy(s, torchbind.Linear(s, hidden, in[1], nil), ids(s, 2, 0), 0) // [2, 3]
		}, func(s *torchbind.Scope) tensors {
			return tensors{matrix(s, []int64{2, 3}, 0.2, 0.6, -0.7, -0.1, 0.4, 0.5), matrix(s, []int64{3, 2}, 0.9, -0.3, 0.2, 0.8, -0.6, 0.1)}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				torchtest.GradCheck(t, tt.fn, tt.inputs(s))
				torchtest.GradGradCheck(t, tt.fn, tt.inputs(s))
			})
		})
	}
}
