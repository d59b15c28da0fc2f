package torchbind_test

import (
	"encoding/json"
	"os"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// array is a tensor in testdata/*.json, as goldens.py writes it.
type array struct {
	DType string
	Shape []int64
	Data  []float64
}

func (a array) tensor(s *torchbind.Scope, float torchbind.DType) *torchbind.Tensor {
	x := torchbind.FromSlice(s, a.Data, a.Shape, torchbind.CPU)
	if a.DType == "int64" {
		return torchbind.To(s, x, torchbind.Int64, torchbind.CPU)
	}
	return torchbind.To(s, x, float, torchbind.CPU)
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

type scope = *torchbind.Scope

// operators has the calls of testdata/goldens.py, under the same names.
var operators = map[string]torchtest.Func{
	"add":           func(s scope, in tensors) *torchbind.Tensor { return torchbind.Add(s, in[0], in[1]) },
	"sub":           func(s scope, in tensors) *torchbind.Tensor { return torchbind.Sub(s, in[0], in[1]) },
	"mul":           func(s scope, in tensors) *torchbind.Tensor { return torchbind.Mul(s, in[0], in[1]) },
	"add_scalar":    func(s scope, in tensors) *torchbind.Tensor { return torchbind.AddScalar(s, in[0], 0.3) },
	"mul_scalar":    func(s scope, in tensors) *torchbind.Tensor { return torchbind.MulScalar(s, in[0], -1.7) },
	"sqrt":          func(s scope, in tensors) *torchbind.Tensor { return torchbind.Sqrt(s, in[0]) },
	"tanh":          func(s scope, in tensors) *torchbind.Tensor { return torchbind.Tanh(s, in[0]) },
	"sigmoid":       func(s scope, in tensors) *torchbind.Tensor { return torchbind.Sigmoid(s, in[0]) },
	"cos":           func(s scope, in tensors) *torchbind.Tensor { return torchbind.Cos(s, in[0]) },
	"sin":           func(s scope, in tensors) *torchbind.Tensor { return torchbind.Sin(s, in[0]) },
	"relu":          func(s scope, in tensors) *torchbind.Tensor { return torchbind.ReLU(s, in[0]) },
	"softmax":       func(s scope, in tensors) *torchbind.Tensor { return torchbind.Softmax(s, in[0], -1) },
	"softmax_first": func(s scope, in tensors) *torchbind.Tensor { return torchbind.Softmax(s, in[0], 0) },
	"log_softmax":   func(s scope, in tensors) *torchbind.Tensor { return torchbind.LogSoftmax(s, in[0], -1) },
	"topk": func(s scope, in tensors) *torchbind.Tensor {
		values, _ := torchbind.TopK(s, in[0], 2, -1)
		return values
	},
	"sum":            func(s scope, in tensors) *torchbind.Tensor { return torchbind.Sum(s, in[0]) },
	"mean":           func(s scope, in tensors) *torchbind.Tensor { return torchbind.Mean(s, in[0]) },
	"matmul":         func(s scope, in tensors) *torchbind.Tensor { return torchbind.MatMul(s, in[0], in[1]) },
	"matmul_batched": func(s scope, in tensors) *torchbind.Tensor { return torchbind.MatMul(s, in[0], in[1]) },
	"matmul_vectors": func(s scope, in tensors) *torchbind.Tensor { return torchbind.MatMul(s, in[0], in[1]) },
	"addmm_": func(s scope, in tensors) *torchbind.Tensor {
		t := torchbind.Clone(s, in[0])
		t.AddMMInPlace(in[1], in[2])
		return t
	},
	"transpose": func(s scope, in tensors) *torchbind.Tensor { return torchbind.Transpose(s, in[0], 0, 2) },
	"contiguous": func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.Contiguous(s, torchbind.Transpose(s, in[0], 0, 1))
	},
	"reshape":      func(s scope, in tensors) *torchbind.Tensor { return torchbind.Reshape(s, in[0], 3, -1) },
	"narrow":       func(s scope, in tensors) *torchbind.Tensor { return torchbind.Narrow(s, in[0], 1, 1, 2) },
	"index_select": func(s scope, in tensors) *torchbind.Tensor { return torchbind.IndexSelect(s, in[0], 1, in[1]) },
	"index_copy_": func(s scope, in tensors) *torchbind.Tensor {
		t := torchbind.Clone(s, in[0])
		t.IndexCopyInPlace(0, in[2], in[1])
		return t
	},
	"cat": func(s scope, in tensors) *torchbind.Tensor { return torchbind.Cat(s, in, 1) },
	"block_diag": func(s scope, in tensors) *torchbind.Tensor {
		none := torchbind.Empty(s, []int64{2, 0}, in[0].DType(), torchbind.CPU)
		return torchbind.BlockDiag(s, tensors{in[0], none, in[1]})
	},
	"linear":         func(s scope, in tensors) *torchbind.Tensor { return torchbind.Linear(s, in[0], in[1], in[2]) },
	"linear_no_bias": func(s scope, in tensors) *torchbind.Tensor { return torchbind.Linear(s, in[0], in[1], nil) },
	"embedding":      func(s scope, in tensors) *torchbind.Tensor { return torchbind.Embedding(s, in[0], in[1]) },
	"layer_norm": func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.LayerNorm(s, in[0], in[1], in[2], 1e-5)
	},
	"layer_norm_frozen": func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.LayerNorm(s, in[0], like(s, in[0], 1, -2, 0.5, 3), like(s, in[0], 0.25, -1, 2, 0.5), 1e-5)
	},
	"rms_norm": func(s scope, in tensors) *torchbind.Tensor { return torchbind.RMSNorm(s, in[0], in[1], 1e-5) },
	"rms_norm_frozen": func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.RMSNorm(s, in[0], like(s, in[0], 1, -2, 0.5, 3), 1e-5)
	},
	"swiglu":     func(s scope, in tensors) *torchbind.Tensor { return torchbind.SwiGLU(s, in[0]) },
	"geglu":      func(s scope, in tensors) *torchbind.Tensor { return torchbind.GeGLU(s, in[0], false) },
	"geglu_tanh": func(s scope, in tensors) *torchbind.Tensor { return torchbind.GeGLU(s, in[0], true) },
	"rotary": func(s scope, in tensors) *torchbind.Tensor {
		cos := torchbind.FromSlice(s, []float32{0.5, -0.25, 0.75, 1, -1, 0.125}, []int64{3, 2}, torchbind.CPU)
		sin := torchbind.FromSlice(s, []float32{1, 0.5, -0.5, 0, 0.25, -0.75}, []int64{3, 2}, torchbind.CPU)
		return torchbind.Rotary(s, in[0], cos, sin, 2)
	},
	"add_dropout": func(s scope, in tensors) *torchbind.Tensor { return torchbind.AddDropout(s, in[0], in[1], 0, 0) },
	"self_attention": func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.SelfAttention(s, in[0], in[1], torchbind.AttentionConfig{Heads: 2, KVHeads: 1, Scale: 0.7, Visible: in[2], Window: 2})
	},
	"cross_attention": func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.CrossAttention(s, in[0], in[1], in[2], in[3], torchbind.AttentionConfig{Heads: 4, KVHeads: 2, Scale: 0.7, Visible: in[4]})
	},
	"cross_entropy_smooth": func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.CrossEntropy(s, in[0], in[1], 0.1)
	},
	"cross_entropy": func(s scope, in tensors) *torchbind.Tensor { return torchbind.CrossEntropy(s, in[0], in[1], 0) },
	"mse_loss":      func(s scope, in tensors) *torchbind.Tensor { return torchbind.MSELoss(s, in[0], in[1]) },
}

// like returns values as a tensor of x's type.
func like(s scope, x *torchbind.Tensor, values ...float64) *torchbind.Tensor {
	return torchbind.To(s, torchbind.FromSlice(s, values, []int64{int64(len(values))}, torchbind.CPU), x.DType(), torchbind.CPU)
}

// TestOperators compares every operator's value and gradients with PyTorch's,
// and its first and second derivatives with central differences.
func TestOperators(t *testing.T) {
	var golden struct {
		Ops []struct {
			Name            string
			Inputs          []array
			Output, Weights array
			Gradients       []array
		}
	}
	readJSON(t, "testdata/ops.json", &golden)
	if len(golden.Ops) != len(operators) {
		t.Errorf("testdata/ops.json has %d operators, want %d", len(golden.Ops), len(operators))
	}
	precisions := []struct {
		dtype     torchbind.DType
		tolerance torchtest.Tolerance
	}{
		{torchbind.Float64, torchtest.Float64},
		{torchbind.Float32, torchtest.Float32},
	}
	for _, op := range golden.Ops {
		fn := operators[op.Name]
		if fn == nil {
			t.Errorf("no operator %q", op.Name)
			continue
		}
		for _, p := range precisions {
			t.Run(op.Name+"/"+p.dtype.String(), func(t *testing.T) {
				torchtest.Run(t, func(s *torchbind.Scope) {
					in, variable := leaves(s, op.Inputs, p.dtype)
					out := fn(s, in)
					torchtest.Equal(t, "value", torchbind.To(s, out, torchbind.Float64, torchbind.CPU), op.Output.tensor(s, torchbind.Float64), p.tolerance)
					gradients := torchbind.Grad(s, tensors{out}, variable, tensors{op.Weights.tensor(s, p.dtype)}, false)
					for i, g := range gradients {
						torchtest.Equal(t, "gradient", g, op.Gradients[i].tensor(s, torchbind.Float64), p.tolerance)
					}
				})
			})
		}
		t.Run(op.Name+"/differences", func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				in, variable := leaves(s, op.Inputs, torchbind.Float64)
				of := func(s *torchbind.Scope, moved tensors) *torchbind.Tensor {
					return fn(s, append(moved[:len(moved):len(moved)], in[len(moved):]...))
				}
				torchtest.GradCheck(t, of, variable)
				torchtest.GradGradCheck(t, of, variable)
			})
		})
	}
}

// leaves returns the inputs as tensors, and those of them that have gradients;
// these come first.
func leaves(s *torchbind.Scope, inputs []array, float torchbind.DType) (all, variable tensors) {
	for _, a := range inputs {
		x := a.tensor(s, float)
		if x.DType() == float {
			variable = append(variable, x.SetRequiresGrad(true))
		}
		all = append(all, x)
	}
	return all, variable
}
