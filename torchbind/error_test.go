package torchbind_test

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

func TestWrongShape(t *testing.T) {
	torchtest.Setup(t)
	err := torchbind.Run(func(s *torchbind.Scope) error {
		torchbind.MatMul(s, ones(s, 2, 3), ones(s, 4, 5))
		return nil
	})
	var e *torchbind.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T, want *torchbind.Error", err)
	}
	const want = "torch matmul: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5) (operands [[2 3] [4 5]])"
	if err.Error() != want {
		t.Errorf("error is %q, want %q", err, want)
	}
	if shapes := [][]int64{{2, 3}, {4, 5}}; e.Op != "matmul" || !reflect.DeepEqual(e.Shapes, shapes) {
		t.Errorf("op %q and shapes %v, want matmul and %v", e.Op, e.Shapes, shapes)
	}
	if !strings.Contains(e.Trace, e.Msg) || !strings.Contains(e.Trace, "\n") {
		t.Errorf("trace has no backtrace: %q", e.Trace)
	}
	if errors.Is(err, torchbind.ErrOutOfMemory) {
		t.Error("a wrong shape is reported as a lack of memory")
	}
}

func TestRun(t *testing.T) {
	torchtest.Setup(t)
	stop := errors.New("stop")
	before := torchbind.Live()
	if err := torchbind.Run(func(s *torchbind.Scope) error { vector(s, 1); return stop }); err != stop {
		t.Errorf("error is %v, want %v", err, stop)
	}
	if err := torchbind.Run(func(s *torchbind.Scope) error { vector(s, 1); return nil }); err != nil {
		t.Errorf("error is %v, want none", err)
	}
	if n := torchbind.Live(); n != before {
		t.Errorf("%d tensors are alive, want %d", n, before)
	}
}

func TestRunPanicsWithWhatIsNotAnError(t *testing.T) {
	for _, thrown := range []any{"text", errors.New("plain"), fmt.Errorf("wrapped: %w", &torchbind.Error{Op: "x"}), 7} {
		t.Run(fmt.Sprintf("%T", thrown), func(t *testing.T) {
			torchtest.Setup(t)
			before := torchbind.Live()
			defer func() {
				if r := recover(); r != thrown {
					t.Errorf("recovered %v, want %v", r, thrown)
				}
				if n := torchbind.Live(); n != before {
					t.Errorf("%d tensors are alive, want %d", n, before)
				}
			}()
			err := torchbind.Run(func(s *torchbind.Scope) error {
				vector(s, 1)
				panic(thrown)
			})
			t.Errorf("returned %v instead of panicking", err)
		})
	}
}

func TestRunFreesOnGoexit(t *testing.T) {
	torchtest.Setup(t)
	before := torchbind.Live()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = torchbind.Run(func(s *torchbind.Scope) error {
			vector(s, 1)
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	if n := torchbind.Live(); n != before {
		t.Errorf("%d tensors are alive, want %d", n, before)
	}
}

func TestOutOfMemory(t *testing.T) {
	const petabyte = 1 << 50
	tests := []struct {
		name string
		fn   func(s *torchbind.Scope)
	}{
		{"empty", func(s *torchbind.Scope) {
			torchbind.Empty(s, []int64{petabyte}, torchbind.Float32, torchbind.CPU)
		}},
		{"full, through gotorch", func(s *torchbind.Scope) { ones(s, petabyte) }},
		{"matmul", func(s *torchbind.Scope) {
			torchbind.MatMul(s, ones(s, 1<<24, 1), ones(s, 1, 1<<24))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Setup(t)
			err := torchbind.Run(func(s *torchbind.Scope) error { tt.fn(s); return nil })
			if !errors.Is(err, torchbind.ErrOutOfMemory) {
				t.Fatalf("error %v is not ErrOutOfMemory", err)
			}
			for _, want := range []string{"out of memory: ", "you tried to allocate"} {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q, want one line with %q", err, want)
				}
			}
		})
	}
}

// Every operation fails here once. Under the address sanitizer this also shows
// that the shim writes no result when it fails: the handle would leak.
func TestFailingOperations(t *testing.T) {
	type scope = *torchbind.Scope
	type tensors = []*torchbind.Tensor
	plan := func(s scope, offsets *torchbind.Tensor, rows, length int64) *torchbind.AttentionPlan {
		return torchbind.NewAttentionPlan(s, offsets, nil, torchbind.PlanConfig{Rows: rows, QueryLength: length, KeyLength: length, DType: torchbind.Float32, Device: torchbind.CPU})
	}
	tests := []struct {
		want string
		fn   func(s scope)
	}{
		{"from_slice: 3 elements for shape [2 2]", func(s scope) { matrix(s, []int64{2, 2}, 1, 2, 3) }},
		{"from_slice: shape [-1 -1]", func(s scope) { matrix(s, []int64{-1, -1}, 1) }},
		{"from_slice: shape [4294967296 4294967296]", func(s scope) { matrix(s, []int64{1 << 32, 1 << 32}) }},
		{"from_bytes: 3 bytes for shape [2] of bfloat16", func(s scope) {
			torchbind.FromBytes(s, make([]byte, 3), torchbind.BFloat16, []int64{2}, torchbind.CPU)
		}},
		{"from_bytes: 0 bytes for shape [0] of dtype(99)", func(s scope) {
			torchbind.FromBytes(s, nil, torchbind.DType(99), []int64{0}, torchbind.CPU)
		}},
		{"empty: unknown dtype(99)", func(s scope) { torchbind.Empty(s, []int64{1}, torchbind.DType(99), torchbind.CPU) }},
		{"empty: Trying to create tensor with negative dimension", func(s scope) {
			torchbind.Empty(s, []int64{-1}, torchbind.Float32, torchbind.CPU)
		}},
		{"to: unknown dtype(-3)", func(s scope) { torchbind.To(s, ones(s, 1), torchbind.DType(-3), torchbind.CPU) }},
		{"item: a Tensor with 2 elements", func(s scope) { ones(s, 2).Item() }},
		{"size: dimension 1 of shape [2]", func(s scope) { ones(s, 2).Size(1) }},
		{"size: dimension -2 of shape [2]", func(s scope) { ones(s, 2).Size(-2) }},
		{"copy_: ", func(s scope) { ones(s, 2).CopyInPlace(ones(s, 3)) }},
		{"copy_: a leaf Variable that requires grad", func(s scope) { ones(s, 2).SetRequiresGrad(true).CopyInPlace(ones(s, 2)) }},
		{"requires_grad_: Only Tensors of floating point", func(s scope) { ids(s, 1).SetRequiresGrad(true) }},
		{"info: tensors of more than 8 dimensions", func(s scope) { ones(s, 1, 1, 1, 1, 1, 1, 1, 1, 1).Shape() }},
		{"add: nil tensor", func(s scope) { torchbind.Add(s, ones(s, 1), nil) }},
		{"add: The size of tensor a (2) must match the size of tensor b (3)", func(s scope) { torchbind.Add(s, ones(s, 2), ones(s, 3)) }},
		{"sub: ", func(s scope) { torchbind.Sub(s, ones(s, 2), ones(s, 3)) }},
		{"mul: ", func(s scope) { torchbind.Mul(s, ones(s, 2), ones(s, 3)) }},
		{"softmax: Dimension out of range", func(s scope) { torchbind.Softmax(s, ones(s, 2), 1) }},
		{"mean: ", func(s scope) { torchbind.Mean(s, ids(s, 1)) }},
		{"addmm_: ", func(s scope) { ones(s, 2, 2).AddMMInPlace(ones(s, 3, 2), ones(s, 2, 2)) }},
		{"transpose: Dimension out of range", func(s scope) { torchbind.Transpose(s, ones(s, 2), 0, 1) }},
		{"reshape: shape '[4]' is invalid for input of size 6", func(s scope) { torchbind.Reshape(s, ones(s, 2, 3), 4) }},
		{"narrow: ", func(s scope) { torchbind.Narrow(s, ones(s, 2), 0, 1, 2) }},
		{"index_select: index out of range", func(s scope) { torchbind.IndexSelect(s, ones(s, 2), 0, ids(s, 2)) }},
		{"cat: torch.cat(): expected a non-empty list", func(s scope) { torchbind.Cat(s, nil, 0) }},
		{"cat: tensor 1 of 2 is nil", func(s scope) { torchbind.Cat(s, tensors{ones(s, 1), nil}, 0) }},
		{"cat: Sizes of tensors must match", func(s scope) { torchbind.Cat(s, tensors{ones(s, 1, 2), ones(s, 1, 3)}, 0) }},
		{"block_diag: torch.block_diag: Input tensors must have 2 or fewer dimensions", func(s scope) { torchbind.BlockDiag(s, tensors{ones(s, 1, 1, 1)}) }},
		{"linear: ", func(s scope) { torchbind.Linear(s, ones(s, 2, 3), ones(s, 4, 2), nil) }},
		{"embedding: index out of range", func(s scope) { torchbind.Embedding(s, ones(s, 2, 2), ids(s, 2)) }},
		{"layer_norm: ", func(s scope) { torchbind.LayerNorm(s, ones(s, 2, 3), ones(s, 2), ones(s, 2), 1e-5) }},
		{"cross_entropy: cross_entropy: row 0 has label 2, want 0 to 1", func(s scope) { torchbind.CrossEntropy(s, ones(s, 1, 2), ids(s, 2), 0) }},
		{"layer_norm: layer_norm: x has shape [3], want [N, C]", func(s scope) { torchbind.LayerNorm(s, ones(s, 3), ones(s, 3), ones(s, 3), 1e-5) }},
		{"rms_norm: rms_norm: weight and bias want shape [3]", func(s scope) { torchbind.RMSNorm(s, ones(s, 2, 3), ones(s, 2), 1e-5) }},
		{"add_dropout: add_dropout: x [2, 3] and residual [2] differ", func(s scope) { torchbind.AddDropout(s, ones(s, 2, 3), ones(s, 2), 0.5, 1) }},
		{"swiglu: swiglu: x has shape [2, 3], want [N, 2I]", func(s scope) { torchbind.SwiGLU(s, ones(s, 2, 3)) }},
		{"geglu: geglu: x has shape [2, 3], want [N, 2I]", func(s scope) { torchbind.GeGLU(s, ones(s, 2, 3), true) }},
		{"rotary: rotary: x has 4 columns, want at least 2 heads of 4", func(s scope) {
			torchbind.Rotary(s, ones(s, 2, 4), ones(s, 2, 2), ones(s, 2, 2), 2)
		}},
		{"cross_entropy: cross_entropy: labels are Long[1], want int64 [3]", func(s scope) { torchbind.CrossEntropy(s, ones(s, 3, 2), ids(s, 1), 0) }},
		{"cross_entropy: cross_entropy: label smoothing is 1.5", func(s scope) { torchbind.CrossEntropy(s, ones(s, 1, 2), ids(s, 1), 1.5) }},
		{"frozen_linear: frozen_linear: x has shape [4, 3], weight [5, 5]; want [N, in] and [out, in]", func(s scope) {
			torchbind.FrozenLinear(s, ones(s, 4, 3), torchbind.Freeze(s, ones(s, 5, 5), false), nil)
		}},
		{"dropout: dropout probability is 1.5, want 0 to 1", func(s scope) { torchbind.Dropout(s, ones(s, 2), 1.5, 1) }},
		{"rotary: rotary: cos and sin", func(s scope) { torchbind.Rotary(s, ones(s, 3, 8), ones(s, 2, 2), ones(s, 2, 2), 2) }},
		{"rotary: rotary: cos and sin", func(s scope) {
			torchbind.Rotary(s, ones(s, 1, 2), matrix(s, []int64{1, 1}, 1), matrix(s, []int64{1, 1}, 1), 1)
		}},
		{"packed_attention: packed_attention: 3 heads are no multiple of 2", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 2, 14), ids(s, 0, 2), torchbind.AttentionConfig{Heads: 3, KVHeads: 2})
		}},
		{"packed_attention: packed_attention: query row 1 sees 3 keys, want 1 to 2", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 2, 6), ids(s, 0, 2), torchbind.AttentionConfig{Heads: 2, Visible: ids(s, 1, 3)})
		}},
		{"packed_attention: packed_attention: cu_q falls from 4 to 2", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 6, 12), ids(s, 0, 4, 2, 6), torchbind.AttentionConfig{Heads: 2})
		}},
		{"packed_attention: packed_attention: cu_q runs from 0 to 5, want 0 to 6", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 6, 12), ids(s, 0, 5), torchbind.AttentionConfig{Heads: 2})
		}},
		{"packed_attention: packed_attention: qkv has shape [6, 12], which 5 heads", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 6, 12), ids(s, 0, 6), torchbind.AttentionConfig{Heads: 5})
		}},
		{"packed_attention: packed_attention: sequence 0 has queries but no keys", func(s scope) {
			torchbind.CrossAttention(s, ones(s, 2, 8), torchbind.Empty(s, []int64{0, 16}, torchbind.Float32, torchbind.CPU), ids(s, 0, 2), ids(s, 0, 0), torchbind.AttentionConfig{Heads: 2})
		}},
		{"packed_attention: packed_attention: kv has shape [6, 24], want [N, 16]", func(s scope) {
			torchbind.CrossAttention(s, ones(s, 6, 8), ones(s, 6, 24), ids(s, 0, 6), ids(s, 0, 6), torchbind.AttentionConfig{Heads: 2})
		}},
		{"packed_attention: dropout probability is 1.5", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 2, 6), ids(s, 0, 2), torchbind.AttentionConfig{Heads: 2, Dropout: 1.5})
		}},
		{"packed_attention: packed_attention: visible has 1 rows, want 2", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 2, 6), ids(s, 0, 2), torchbind.AttentionConfig{Heads: 2, Visible: ids(s, 1)})
		}},
		{"packed_attention: packed_attention: visible must be int32 or int64 [M]", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 2, 6), ids(s, 0, 2), torchbind.AttentionConfig{Heads: 2, Visible: ones(s, 2)})
		}},
		{"packed_attention: packed_attention: a window of -1 keys", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 2, 6), ids(s, 0, 2), torchbind.AttentionConfig{Heads: 2, Window: -1})
		}},
		{"attention_plan: attention_plan: padded to 2 queries and 2 keys, want at least 3 and 3", func(s scope) { plan(s, ids(s, 0, 3, 4), 4, 2) }},
		{"attention_plan: attention_plan: 3 query rows, want at least 4", func(s scope) { plan(s, ids(s, 0, 3, 4), 3, 8) }},
		{"attention_plan: attention_plan: no sequence", func(s scope) { plan(s, ids(s, 0), 0, 8) }},
		{"packed_attention: planned_attention: q has 3 rows, the plan 4", func(s scope) {
			torchbind.SelfAttention(s, ones(s, 3, 12), nil, torchbind.AttentionConfig{Heads: 2, Plan: plan(s, ids(s, 0, 3, 4), 4, 8)})
		}},
		{"packed_attention: planned_attention: the plan is for self attention", func(s scope) {
			torchbind.CrossAttention(s, ones(s, 4, 6), ones(s, 4, 12), nil, nil, torchbind.AttentionConfig{Heads: 3, Plan: plan(s, ids(s, 0, 3, 4), 4, 8)})
		}},
		{"log_softmax: Dimension out of range", func(s scope) { torchbind.LogSoftmax(s, ones(s, 2), 1) }},
		{"topk: selected index k out of range", func(s scope) { torchbind.TopK(s, ones(s, 2), 3, 0) }},
		{"index_copy_: ", func(s scope) { ones(s, 2).IndexCopyInPlace(0, ids(s, 2), ones(s, 1)) }},
		{"mse_loss: shapes [3 1] and [3]", func(s scope) { torchbind.MSELoss(s, ones(s, 3, 1), ones(s, 3)) }},
		{"_foreach_add: lists of 1 and 0 tensors", func(s scope) { torchbind.ForeachAdd(s, tensors{ones(s, 1)}, nil, 1) }},
		{"_foreach_add: ", func(s scope) { torchbind.ForeachAdd(s, tensors{ones(s, 2)}, tensors{ones(s, 3)}, 1) }},
		{"_foreach_add_: ", func(s scope) { torchbind.ForeachAddInPlace(tensors{ones(s, 2)}, tensors{ones(s, 3)}, 1) }},
		{"_foreach_mul: ", func(s scope) { torchbind.ForeachMul(s, tensors{ones(s, 2)}, tensors{ones(s, 3)}) }},
		{"_foreach_mul_: tensor 0 of 1 is nil", func(s scope) { torchbind.ForeachMulScalarInPlace(tensors{nil}, 1) }},
		{"_foreach_copy_: ", func(s scope) { torchbind.ForeachCopyInPlace(tensors{ones(s, 2)}, tensors{ones(s, 3)}) }},
		{"_foreach_norm: ", func(s scope) { torchbind.ForeachNorm(tensors{ids(s, 1)}) }},
		{"full: a scalar's empty shape", func(s scope) { ones(s) }},
		{"full: Trying to create tensor with negative dimension", func(s scope) { ones(s, -1) }},
		{"set_num_threads: 0 threads", func(s scope) { torchbind.SetNumThreads(0) }},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			torchtest.Setup(t)
			wantError(t, tt.want, tt.fn)
		})
	}
}
