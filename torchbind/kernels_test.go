package torchbind_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// kernel is an operation with a kernel of our own, and what it is held to in
// float64: the same composed of other operations, or a formula.
type kernel struct {
	name     string
	inputs   [][]int64 // shapes of what it is differentiated by
	fused    torchtest.Func
	composed torchtest.Func
	want     func(x, dy, h []float64) [][]float64 // in place of composed: what orders returns
	once     bool                                 // it has first derivatives only
	wide     bool                                 // its inputs, moved, need more than bfloat16's 8 bits
	last     string                               // the name in the error of a third derivative; "": there are derivatives of any order
}

// Bounds for a result and its derivatives, relative to the largest number of each.
// Inputs are the same numbers in every type, those of bfloat16; the reference is
// computed in float64.
var kernelBounds = map[torchbind.DType]float64{
	torchbind.Float64:  1e-12, // sums of up to 5003 terms of 1.1e-16, one on the other in each derivative
	torchbind.Float32:  5e-6,  // 84 roundings of 6.0e-8: a few sums of some hundred terms as a random walk
	torchbind.BFloat16: 2e-2,  // computed in float32; what goes from kernel to kernel is rounded to 8 bits, 3.9e-3, five times
}

// draw returns normally distributed numbers, each exact in every type.
func draw(s scope, dtype torchbind.DType, seed uint64, shape ...int64) *torchbind.Tensor {
	rng := rand.New(rand.NewPCG(seed, 17))
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = math.Float32frombits(math.Float32bits(float32(rng.NormFloat64())) &^ 0xffff)
	}
	return torchbind.To(s, torchbind.FromSlice(s, values, shape, torchbind.CPU), dtype, torchbind.CPU)
}

// constant is draw in the type of like.
func constant(s scope, like *torchbind.Tensor, seed uint64, shape ...int64) *torchbind.Tensor {
	return draw(s, like.DType(), seed, shape...)
}

// leavesOf returns a kernel's inputs, to be differentiated by.
func leavesOf(s scope, k kernel, dtype torchbind.DType) (in tensors) {
	for i, shape := range k.inputs {
		in = append(in, draw(s, dtype, uint64(i+1), shape...).SetRequiresGrad(true))
	}
	return in
}

// orders returns fn's value, its gradients, and the gradients of a function of those,
// which weights of them make; nil stands for zeros.
func orders(s scope, k kernel, fn torchtest.Func, dtype torchbind.DType) (all [][]float64) {
	in := leavesOf(s, k, dtype)
	y := fn(s, in)
	dy := constant(s, y, 100, y.Shape()...).SetRequiresGrad(true)
	first := torchbind.Grad(s, tensors{y}, in, tensors{dy}, !k.once)
	results := append(tensors{y}, first...)
	if !k.once {
		var weights tensors
		for i, g := range first {
			weights = append(weights, constant(s, g, uint64(200+i), g.Shape()...))
		}
		results = append(results, torchbind.GradAllowUnused(s, first, append(slices.Clone(in), dy), weights, false)...)
	}
	for _, x := range results {
		if x == nil {
			all = append(all, nil)
			continue
		}
		all = append(all, torchbind.Detach(s, x).Float64s())
	}
	return all
}

// off returns the largest difference relative to the largest number wanted; nil
// stands for zeros.
func off(got, want []float64) float64 {
	switch {
	case want == nil:
		want = make([]float64, len(got))
	case got == nil:
		got = make([]float64, len(want))
	case len(got) != len(want):
		return math.Inf(1)
	}
	difference, size := 0.0, 1e-30
	for i := range want {
		difference, size = max(difference, math.Abs(got[i]-want[i])), max(size, math.Abs(want[i]))
	}
	return difference / size
}

// mask returns what dropout multiplies by, in float64: 0 or 1/(1-p).
func mask(s scope, p float64, seed uint64, rows, columns int64) *torchbind.Tensor {
	return torchbind.Dropout(s, torchbind.Full(s, []int64{rows, columns}, 1, torchbind.Float64, torchbind.CPU), p, seed)
}

func geluKernel(tanh bool, n, c int64) kernel {
	k := kernel{name: "gelu", inputs: [][]int64{{n, c}}, last: "gelu"}
	k.fused = func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.GELU(s, torchbind.MulScalar(s, in[0], 2), tanh)
	}
	if tanh {
		k.name = "gelu, tanh"
		k.composed = func(s scope, in tensors) *torchbind.Tensor {
			x := torchbind.MulScalar(s, in[0], 2)
			cube := torchbind.Mul(s, torchbind.Mul(s, x, x), x)
			inner := torchbind.MulScalar(s, torchbind.Add(s, x, torchbind.MulScalar(s, cube, 0.044715)), math.Sqrt(2/math.Pi))
			return torchbind.MulScalar(s, torchbind.Mul(s, x, torchbind.AddScalar(s, torchbind.Tanh(s, inner), 1)), 0.5)
		}
		return k
	}
	k.want = func(x, dy, h []float64) [][]float64 {
		out := make([][]float64, 4)
		for i, v := range x {
			v *= 2
			cdf, density := 0.5*math.Erfc(-v/math.Sqrt2), math.Exp(-v*v/2)/math.Sqrt(2*math.Pi)
			slope, curvature := 2*(cdf+v*density), 4*density*(2-v*v)
			out[0], out[1] = append(out[0], v*cdf), append(out[1], dy[i]*slope)
			out[2], out[3] = append(out[2], h[i]*dy[i]*curvature), append(out[3], h[i]*slope)
		}
		return out
	}
	return k
}

// normKernel is layer norm, of x or of residual + dropout(x). A weight that is
// trained makes it composed of ATen's.
func normKernel(n, c int64, residual bool, p float64) kernel {
	k := kernel{name: fmt.Sprintf("layer norm of %d, residual %v, dropout %v", c, residual, p), inputs: [][]int64{{n, c}}, last: "layer_norm"}
	if residual {
		k.inputs = append(k.inputs, []int64{n, c})
	}
	of := func(trained bool) torchtest.Func {
		return func(s scope, in tensors) *torchbind.Tensor {
			w, b := constant(s, in[0], 50, c).SetRequiresGrad(trained), constant(s, in[0], 51, c)
			switch {
			case residual:
				return torchbind.AddDropoutLayerNorm(s, in[0], in[1], w, b, 1e-5, p, 3)
			case p > 0:
				return torchbind.AddDropoutLayerNorm(s, in[0], nil, w, b, 1e-5, p, 3)
			}
			return torchbind.LayerNorm(s, in[0], w, b, 1e-5)
		}
	}
	k.fused, k.composed = of(false), of(true)
	return k
}

func rmsKernel(n, c int64) kernel {
	of := func(trained bool) torchtest.Func {
		return func(s scope, in tensors) *torchbind.Tensor {
			return torchbind.RMSNorm(s, in[0], constant(s, in[0], 50, c).SetRequiresGrad(trained), 1e-5)
		}
	}
	return kernel{name: fmt.Sprintf("rms norm of %d", c), inputs: [][]int64{{n, c}}, fused: of(false), composed: of(true), last: "rms_norm"}
}

func swigluKernel(n, c int64) kernel {
	return kernel{
		name: fmt.Sprintf("swiglu of %d", c), inputs: [][]int64{{n, 2 * c}}, last: "swiglu",
		fused: func(s scope, in tensors) *torchbind.Tensor { return torchbind.SwiGLU(s, in[0]) },
		composed: func(s scope, in tensors) *torchbind.Tensor {
			a, b := torchbind.Narrow(s, in[0], 1, 0, c), torchbind.Narrow(s, in[0], 1, c, c)
			return torchbind.Mul(s, torchbind.Mul(s, a, torchbind.Sigmoid(s, a)), b)
		},
	}
}

func gegluKernel(tanh bool, n, c int64) kernel {
	return kernel{
		name: fmt.Sprintf("geglu of %d, tanh %v", c, tanh), inputs: [][]int64{{n, 2 * c}}, last: "geglu",
		fused: func(s scope, in tensors) *torchbind.Tensor { return torchbind.GeGLU(s, in[0], tanh) },
		composed: func(s scope, in tensors) *torchbind.Tensor {
			a, b := torchbind.Narrow(s, in[0], 1, 0, c), torchbind.Narrow(s, in[0], 1, c, c)
			return torchbind.Mul(s, torchbind.GELU(s, a, tanh), b)
		},
	}
}

func rotaryKernel(n, heads, d, rest int64) kernel {
	angles := func(s scope) (cos, sin *torchbind.Tensor) {
		angle := torchbind.MulScalar(s, draw(s, torchbind.Float32, 52, n, d/2), 50)
		return torchbind.Cos(s, angle), torchbind.Sin(s, angle)
	}
	return kernel{
		name: fmt.Sprintf("rotary, %d heads of %d and %d columns", heads, d, rest), inputs: [][]int64{{n, heads*d + rest}},
		fused: func(s scope, in tensors) *torchbind.Tensor {
			cos, sin := angles(s)
			return torchbind.Rotary(s, in[0], cos, sin, heads)
		},
		composed: func(s scope, in tensors) *torchbind.Tensor {
			cos, sin := angles(s)
			cos, sin = torchbind.To(s, cos, torchbind.Float64, torchbind.CPU), torchbind.To(s, sin, torchbind.Float64, torchbind.CPU)
			var parts tensors
			for h := range heads {
				u, v := torchbind.Narrow(s, in[0], 1, h*d, d/2), torchbind.Narrow(s, in[0], 1, h*d+d/2, d/2)
				parts = append(parts, torchbind.Sub(s, torchbind.Mul(s, u, cos), torchbind.Mul(s, v, sin)),
					torchbind.Add(s, torchbind.Mul(s, v, cos), torchbind.Mul(s, u, sin)))
			}
			return torchbind.Cat(s, append(parts, torchbind.Narrow(s, in[0], 1, heads*d, rest)), 1)
		},
	}
}

func linearKernel(n, in, out int64, pack, bias bool) kernel {
	weights := func(s scope, like *torchbind.Tensor) (w, b *torchbind.Tensor) {
		if bias {
			b = constant(s, like, 54, out)
		}
		return constant(s, like, 53, out, in), b
	}
	return kernel{
		name: fmt.Sprintf("frozen linear [%d, %d], packed %v, bias %v", out, in, pack, bias), inputs: [][]int64{{n, in}},
		fused: func(s scope, x tensors) *torchbind.Tensor {
			w, b := weights(s, x[0])
			return torchbind.FrozenLinear(s, x[0], torchbind.Freeze(s, w, pack), b)
		},
		composed: func(s scope, x tensors) *torchbind.Tensor {
			w, b := weights(s, x[0])
			return torchbind.Linear(s, x[0], w, b)
		},
	}
}

// quantizedKernel is a product with rows of a matrix that is held in so many bits,
// made of parts of so many rows.
func quantizedKernel(n, in int64, parts []int64, first, rows int64, bits int, bias bool) kernel {
	weights := func(s scope, like *torchbind.Tensor) (q *torchbind.Quantized, b *torchbind.Tensor) {
		var table *torchbind.Tensor
		if bits == 4 {
			table = torchbind.Codebook(s, torchbind.NF4, torchbind.CPU)
		}
		var all []torchbind.QuantizedRows
		for i, part := range parts {
			all = append(all, torchbind.Quantize(s, draw(s, torchbind.Float32, uint64(60+i), part, in), table, 64))
		}
		if bias {
			b = constant(s, like, 54, rows)
		}
		return torchbind.NewQuantized(in, all...).Narrow(first, rows), b
	}
	return kernel{
		name: fmt.Sprintf("frozen linear %v by %d, rows %d to %d, in %d bits", parts, in, first, first+rows, bits), inputs: [][]int64{{n, in}},
		fused: func(s scope, x tensors) *torchbind.Tensor {
			q, b := weights(s, x[0])
			return torchbind.FrozenLinear(s, x[0], torchbind.FreezeQuantized(q), b)
		},
		composed: func(s scope, x tensors) *torchbind.Tensor {
			q, b := weights(s, x[0])
			return torchbind.Linear(s, x[0], q.Dequantize(s, x[0].DType()), b)
		},
	}
}

func dropoutKernel(n, c int64, residual bool, p float64) kernel {
	k := kernel{name: fmt.Sprintf("dropout %v, residual %v", p, residual), inputs: [][]int64{{n, c}}}
	k.fused = func(s scope, in tensors) *torchbind.Tensor { return torchbind.Dropout(s, in[0], p, 5) }
	k.composed = func(s scope, in tensors) *torchbind.Tensor { return torchbind.Mul(s, in[0], mask(s, p, 5, n, c)) }
	if residual {
		dropped := k.composed
		k.inputs = append(k.inputs, []int64{n, c})
		k.fused = func(s scope, in tensors) *torchbind.Tensor { return torchbind.AddDropout(s, in[0], in[1], p, 5) }
		k.composed = func(s scope, in tensors) *torchbind.Tensor { return torchbind.Add(s, dropped(s, in), in[1]) }
	}
	return k
}

// lossKernel is the cross entropy of logits about shift: GPT-2's lie about -100.
func lossKernel(classes int64, smoothing, shift float64, labels ...int64) kernel {
	rows := int64(len(labels))
	logits := func(s scope, in tensors) *torchbind.Tensor {
		return torchbind.AddScalar(s, torchbind.MulScalar(s, in[0], 2), shift)
	}
	return kernel{
		name: fmt.Sprintf("cross entropy [%d, %d] about %v, smoothing %v", rows, classes, shift, smoothing), inputs: [][]int64{{rows, classes}}, last: "cross_entropy", wide: shift != 0,
		fused: func(s scope, in tensors) *torchbind.Tensor {
			return torchbind.CrossEntropy(s, logits(s, in), ids(s, labels...), smoothing)
		},
		composed: func(s scope, in tensors) *torchbind.Tensor {
			share := make([]float64, rows*classes)
			counted := 0.0
			for i, label := range labels {
				if label < 0 {
					continue
				}
				counted++
				for j := range classes {
					share[int64(i)*classes+j] = smoothing / float64(classes)
				}
				share[int64(i)*classes+label] += 1 - smoothing
			}
			logs := torchbind.LogSoftmax(s, logits(s, in), 1)
			return torchbind.MulScalar(s, torchbind.Sum(s, torchbind.Mul(s, logs, matrix(s, []int64{rows, classes}, share...))), -1/counted)
		},
	}
}

// attentionCase is attention of packed sequences: keys nil stands for self attention.
type attentionCase struct {
	name          string
	queries, keys []int64 // lengths of the sequences
	heads, d      int64
	dropout       float64
	kvHeads       int64 // 0: heads
	visible       []int64
	window        int64
	cap           float64 // 0: none
}

// causal says how many keys the tokens of each sequence see.
func causal(lengths ...int64) (visible []int64) {
	for _, n := range lengths {
		for i := range n {
			visible = append(visible, i+1)
		}
	}
	return visible
}

var attentionCases = []attentionCase{
	{name: "one token", queries: []int64{1}, heads: 1, d: 4},
	{name: "unequal lengths", queries: []int64{3, 1, 5}, heads: 2, d: 8},
	{name: "dropout", queries: []int64{3, 1, 5}, heads: 2, d: 8, dropout: 0.3},
	{name: "odd head size", queries: []int64{4, 2}, heads: 3, d: 5, dropout: 0.2},
	{name: "more than one block", queries: []int64{40}, heads: 1, d: 3, dropout: 0.2},
	{name: "wanted rows", queries: []int64{1, 0, 2}, keys: []int64{3, 2, 4}, heads: 2, d: 4, dropout: 0.25},
	{name: "empty sequence", queries: []int64{2, 0, 3}, heads: 2, d: 4},
	{name: "causal", queries: []int64{3, 1, 5}, heads: 2, d: 8, visible: causal(3, 1, 5)},
	{name: "causal, groups", queries: []int64{4, 1, 3}, heads: 4, d: 5, dropout: 0.2, visible: causal(4, 1, 3), kvHeads: 2},
	{name: "one head of keys, more than one block", queries: []int64{23}, heads: 3, d: 3, dropout: 0.2, visible: causal(23), kvHeads: 1},
	{name: "groups of wanted rows", queries: []int64{1, 0, 2}, keys: []int64{3, 2, 4}, heads: 6, d: 3, dropout: 0.25, visible: []int64{2, 1, 4}, kvHeads: 2},
	{name: "any visibility", queries: []int64{5}, heads: 2, d: 4, visible: []int64{5, 1, 3, 2, 4}},
	{name: "window 1", queries: []int64{4, 1}, heads: 2, d: 4, visible: causal(4, 1), window: 1},
	{name: "window 3", queries: []int64{6, 2}, heads: 2, d: 3, dropout: 0.2, visible: causal(6, 2), window: 3},
	{name: "window without visibility", queries: []int64{5, 2}, heads: 2, d: 3, dropout: 0.2, window: 3},
	{name: "window, more than one block", queries: []int64{70}, heads: 1, d: 1, dropout: 0.2, visible: causal(70), window: 9},
	{name: "window larger than the sequence", queries: []int64{4, 1}, heads: 2, d: 4, visible: causal(4, 1), window: 9},
	{name: "soft cap", queries: []int64{3, 1, 5}, heads: 2, d: 8, cap: 0.7},
	{name: "soft cap far off", queries: []int64{4, 1, 3}, heads: 2, d: 8, dropout: 0.2, visible: causal(4, 1, 3), cap: 50},
	{name: "soft cap, groups, window, more than one block", queries: []int64{40, 3}, heads: 4, d: 5, dropout: 0.2, visible: causal(40, 3), kvHeads: 2, window: 9, cap: 1.5},
	{name: "soft cap of wanted rows", queries: []int64{1, 0, 2}, keys: []int64{3, 2, 4}, heads: 6, d: 3, visible: []int64{2, 1, 4}, kvHeads: 2, cap: 1.5},
	{name: "long", queries: []int64{13, 53, 1, 128, 7}, heads: 4, d: 32, dropout: 0.1},
	{name: "long, odd head size", queries: []int64{13, 53, 1, 128, 7}, heads: 4, d: 40},
	{name: "long, causal", queries: []int64{13, 150, 1, 64}, heads: 4, d: 64, visible: causal(13, 150, 1, 64)},
	{name: "long, causal, groups", queries: []int64{13, 150, 1, 64}, heads: 4, d: 40, dropout: 0.1, visible: causal(13, 150, 1, 64), kvHeads: 2},
	{name: "long, window", queries: []int64{13, 150, 1, 64}, heads: 4, d: 64, visible: causal(13, 150, 1, 64), kvHeads: 1, window: 20},
	{name: "512 keys", queries: []int64{1, 1}, keys: []int64{512, 300}, heads: 2, d: 32, dropout: 0.1},
}

func sum(lengths []int64) (n int64) {
	for _, length := range lengths {
		n += length
	}
	return n
}

func offsets(s scope, lengths []int64) *torchbind.Tensor {
	at := []int64{0}
	for _, n := range lengths {
		at = append(at, at[len(at)-1]+n)
	}
	return ids(s, at...)
}

func (c attentionCase) shapes() [][]int64 {
	kv := c.kvHeads
	if kv == 0 {
		kv = c.heads
	}
	if c.keys == nil {
		return [][]int64{{sum(c.queries), (c.heads + 2*kv) * c.d}}
	}
	return [][]int64{{sum(c.queries), c.heads * c.d}, {sum(c.keys), 2 * kv * c.d}}
}

func (c attentionCase) config(s scope) torchbind.AttentionConfig {
	cfg := torchbind.AttentionConfig{Heads: c.heads, KVHeads: c.kvHeads, Scale: 1 / math.Sqrt(float64(c.d)), Dropout: c.dropout, Seed: 11, Window: c.window, Cap: c.cap}
	if c.visible != nil {
		cfg.Visible = ids(s, c.visible...)
	}
	return cfg
}

func (c attentionCase) call(s scope, in tensors, cfg torchbind.AttentionConfig) *torchbind.Tensor {
	if c.keys == nil {
		return torchbind.SelfAttention(s, in[0], offsets(s, c.queries), cfg)
	}
	return torchbind.CrossAttention(s, in[0], in[1], offsets(s, c.queries), offsets(s, c.keys), cfg)
}

func (c attentionCase) packed(s scope, in tensors) *torchbind.Tensor {
	return c.call(s, in, c.config(s))
}

// filling is how many rows of no sequence planned adds.
const filling = 3

// plannedConfig is config with a plan, for so many query rows, and places in each
// sequence, more than there need be.
func (c attentionCase) plannedConfig(s scope, dtype torchbind.DType, more int64) torchbind.AttentionConfig {
	cfg := c.config(s)
	plan := torchbind.PlanConfig{
		Visible: cfg.Visible, Window: c.window, Rows: sum(c.queries) + more, QueryLength: slices.Max(c.queries) + more, DType: dtype, Device: torchbind.CPU,
	}
	var keys *torchbind.Tensor
	if plan.KeyLength = plan.QueryLength; c.keys != nil {
		keys, plan.KeyLength = offsets(s, c.keys), slices.Max(c.keys)+more
	}
	cfg.Plan, cfg.Twice = torchbind.NewAttentionPlan(s, offsets(s, c.queries), keys, plan), true
	return cfg
}

// planned is attention of ATen's operators on a padded batch, with more rows than
// the sequences have if filled; twice asks for second derivatives.
func (c attentionCase) planned(filled, twice bool) torchtest.Func {
	return func(s scope, in tensors) *torchbind.Tensor {
		more := int64(0)
		if filled {
			more, in = filling, slices.Clone(in)
			for i, x := range in {
				in[i] = torchbind.Cat(s, tensors{x, constant(s, x, 60, filling, x.Size(1))}, 0)
			}
		}
		cfg := c.plannedConfig(s, in[0].DType(), more)
		cfg.Twice = twice
		return torchbind.Narrow(s, c.call(s, in, cfg), 0, 0, sum(c.queries))
	}
}

// kernels returns all of them.
func kernels() []kernel {
	all := []kernel{
		geluKernel(false, 211, 33), geluKernel(true, 211, 33),
		swigluKernel(211, 33), swigluKernel(1, 1), swigluKernel(3, 35), gegluKernel(false, 211, 33), gegluKernel(true, 211, 33), gegluKernel(true, 3, 35),
		rmsKernel(50, 384), rmsKernel(50, 39), rmsKernel(3, 2),
		rotaryKernel(5, 3, 8, 4), rotaryKernel(1, 1, 2, 0), rotaryKernel(3, 2, 70, 3), rotaryKernel(60, 3, 32, 65),
		linearKernel(50, 64, 96, false, true), linearKernel(50, 64, 96, true, true), linearKernel(7, 33, 5, true, false),
		quantizedKernel(20, 96, []int64{40, 24, 16}, 0, 80, 4, true), quantizedKernel(20, 33, []int64{5, 7, 3}, 4, 9, 4, false), quantizedKernel(20, 33, []int64{5, 7, 3}, 5, 7, 8, true),
		dropoutKernel(9, 21, false, 0.3), dropoutKernel(9, 21, true, 0.3), dropoutKernel(9, 21, true, 0),
		lossKernel(5, 0, 0, 3, 0, 4, 1), lossKernel(7, 0.1, 0, 6, 2, 2), lossKernel(2, 0.2, 0, 0), lossKernel(21, 0.1, 0, 20, -100, 5, -100), lossKernel(3, 1, 0, 0, 1),
		lossKernel(5003, 0.1, 0, 7, 5002, 41), lossKernel(5003, 0.1, -100, 7, 5002, 41),
	}
	for _, c := range []int64{384, 39} {
		for _, residual := range []bool{false, true} {
			all = append(all, normKernel(50, c, residual, 0), normKernel(50, c, residual, 0.4))
		}
	}
	for _, c := range attentionCases {
		all = append(all,
			kernel{name: "attention, " + c.name, inputs: c.shapes(), fused: c.packed, composed: c.planned(false, true), last: "attention"},
			kernel{name: "planned attention, " + c.name, inputs: c.shapes(), fused: c.planned(true, true), composed: c.packed},
			kernel{name: "planned attention, once, " + c.name, inputs: c.shapes(), fused: c.planned(true, false), composed: c.packed, once: true})
	}
	return all
}

// Every kernel, its first and its second derivatives are what the operations that
// it stands for give in float64, with the masks that they have under dropout.
func TestKernels(t *testing.T) {
	for _, k := range kernels() {
		t.Run(k.name, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				var want [][]float64
				if k.want != nil {
					numbers := func(seed uint64) []float64 { return draw(s, torchbind.Float64, seed, k.inputs[0]...).Float64s() }
					want = k.want(numbers(1), numbers(100), numbers(200))
				} else {
					want = orders(s, k, k.composed, torchbind.Float64)
				}
				for dtype, bound := range kernelBounds {
					if k.wide && dtype == torchbind.BFloat16 {
						continue
					}
					got := orders(s, k, k.fused, dtype)
					for i := range want {
						if d := off(got[i], want[i]); !(d <= bound) {
							t.Errorf("%v, result %d (the value, %d first and then the second derivatives) is %.2g of its largest number off, bound %g", dtype, i, len(k.inputs), d, bound)
						}
					}
				}
			})
		})
	}
}

// The kernels of a lesser CPU, which this one has too; libtorch's own are those of
// that CPU then.
func TestKernelsOfLesserCPUs(t *testing.T) {
	const variable = "ATEN_CPU_CAPABILITY"
	for _, capability := range []string{"default", "avx2"} {
		if strings.EqualFold(torchbind.CPUCapability(), capability) {
			break
		}
		t.Run(capability, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^(TestKernels|TestGELURange|TestSpecialNumbers|TestDropoutMasks|TestKernelsAreRepeatable)$")
			cmd.Env = append(os.Environ(), variable+"="+capability)
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

// A third derivative is one of the composed operations, or an error: never a silent
// zero.
func TestThirdDerivatives(t *testing.T) {
	third := func(s scope, fn torchtest.Func, in tensors) []float64 {
		y := fn(s, in)
		y = torchbind.Sum(s, torchbind.Mul(s, torchbind.Mul(s, y, y), torchbind.Mul(s, y, y)))
		for range 3 {
			g := torchbind.Grad(s, tensors{y}, in[:1], nil, true)[0]
			y = torchbind.Sum(s, torchbind.Mul(s, g, g))
		}
		return torchbind.Detach(s, y).Float64s()
	}
	for _, k := range kernels() {
		if k.once || strings.Contains(k.name, "long") {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				in := leavesOf(s, k, torchbind.Float64)
				if k.last != "" {
					wantError(t, "grad: fused "+k.last+" has derivatives up to second order", func(s scope) { third(s, k.fused, in) })
					return
				}
				composed := k.composed
				if strings.HasPrefix(k.name, "planned") {
					return // it is composed, and packed attention ends at the second
				}
				if d := off(third(s, k.fused, in), third(s, composed, in)); !(d <= kernelBounds[torchbind.Float64]) {
					t.Errorf("the third derivative is %.2g off", d)
				}
			})
		})
	}
}

func TestFreedGraph(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := vector(s, 1, 2).SetRequiresGrad(true)
		loss := torchbind.Sum(s, torchbind.GELU(s, x, false))
		torchbind.Grad(s, tensors{loss}, tensors{x}, nil, false)
		wantError(t, "grad: gelu: backward through a graph that is already freed", func(s scope) { torchbind.Grad(s, tensors{loss}, tensors{x}, nil, false) })
	})
}

// Rows that belong to no sequence have no gradient, of either order, to the bit.
func TestRowsOfNoSequence(t *testing.T) {
	for _, c := range attentionCases {
		t.Run(c.name, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				shapes := c.shapes()
				var in tensors
				for i, shape := range shapes {
					in = append(in, draw(s, torchbind.Float64, uint64(i), shape[0]+filling, shape[1]).SetRequiresGrad(true))
				}
				cfg := c.plannedConfig(s, torchbind.Float64, filling)
				y := torchbind.Narrow(s, c.call(s, in, cfg), 0, 0, shapes[0][0])
				first := torchbind.Grad(s, tensors{torchbind.Sum(s, torchbind.Mul(s, y, y))}, in, nil, true)
				squares := make(tensors, len(first))
				for i, g := range first {
					squares[i] = torchbind.Sum(s, torchbind.Mul(s, g, g))
				}
				for _, gs := range []tensors{first, torchbind.Grad(s, squares, in, nil, false)} {
					for i, g := range gs {
						rest := torchbind.Detach(s, torchbind.Narrow(s, g, 0, shapes[i][0], filling))
						torchtest.Equal(t, "gradient", rest, torchbind.ZerosLike(s, rest), torchtest.Exact)
					}
				}
			})
		})
	}
}

// Over the whole range GELU is within a few roundings of what it is, absolutely:
// the tail is small.
func TestGELURange(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		const n, bound = 200_001, 1e-6 // of numbers up to 12, with 6.0e-8 each
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(-12 + 24*float64(i)/(n-1))
		}
		for _, tanh := range []bool{false, true} {
			for i, got := range torchbind.GELU(s, torchbind.FromSlice(s, x, []int64{n}, torchbind.CPU), tanh).Float64s() {
				v := float64(x[i])
				want := v * 0.5 * math.Erfc(-v/math.Sqrt2)
				if tanh {
					want = 0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
				}
				if !(math.Abs(got-want) <= bound) {
					t.Fatalf("tanh %v: at %v it is %v, want %v", tanh, v, got, want)
				}
			}
		}
	})
}

// What is no ordinary number, and tensors that are not laid out by rows.
func TestSpecialNumbers(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	torchtest.Run(t, func(s *torchbind.Scope) {
		single := func(shape []int64, values ...float64) *torchbind.Tensor {
			return torchbind.To(s, matrix(s, shape, values...), torchbind.Float32, torchbind.CPU)
		}
		random := func(seed uint64, shape ...int64) *torchbind.Tensor { return draw(s, torchbind.Float32, seed, shape...) }
		turned := func(x *torchbind.Tensor) *torchbind.Tensor { // the same numbers, laid out by columns
			return torchbind.Transpose(s, torchbind.Contiguous(s, torchbind.Transpose(s, x, 0, 1)), 0, 1)
		}
		for _, tanh := range []bool{false, true} {
			torchtest.Equal(t, "gelu", torchbind.GELU(s, single([]int64{5}, nan, inf, -100, 100, 0), tanh), []float64{nan, inf, 0, 100, 0}, torchtest.Exact)
		}
		x := random(1, 12, 40)
		torchtest.Equal(t, "gelu by columns", torchbind.GELU(s, turned(x), false), torchbind.GELU(s, x, false), torchtest.Exact)
		torchtest.Equal(t, "swiglu by columns", torchbind.SwiGLU(s, turned(x)), torchbind.SwiGLU(s, x), torchtest.Exact)
		torchtest.Equal(t, "swiglu", torchbind.SwiGLU(s, single([]int64{1, 8}, -1e4, 90, 1e4, nan, 1, 1, 1, 1)), []float64{0, 90, 1e4, nan}, torchtest.Exact)
		if n := torchbind.SwiGLU(s, single([]int64{0, 8})).NumEl(); n != 0 {
			t.Errorf("swiglu of no rows has %d numbers", n)
		}

		w := torchbind.Full(s, []int64{384}, 1, torchbind.Float32, torchbind.CPU)
		zeros := torchbind.ZerosLike(s, w)
		far := torchbind.AddScalar(s, random(2, 5, 384), 3000)
		wide := torchbind.To(s, far, torchbind.Float64, torchbind.CPU)
		want := torchbind.LayerNorm(s, wide, torchbind.To(s, w, torchbind.Float64, torchbind.CPU), torchbind.To(s, zeros, torchbind.Float64, torchbind.CPU), 1e-5)
		torchtest.Equal(t, "layer norm about 3000", torchbind.LayerNorm(s, far, w, zeros, 1e-5), want, torchtest.Tolerance{Abs: 2e-4}) // 6.0e-8 of 3000
		torchtest.Equal(t, "rms norm of zeros", torchbind.RMSNorm(s, torchbind.ZerosLike(s, far), w, 1e-5), torchbind.ZerosLike(s, far), torchtest.Exact)

		logits, labels := random(3, 3, 6), ids(s, 0, 1, 2)
		loss := func(x *torchbind.Tensor) float64 { return torchbind.CrossEntropy(s, x, labels, 0).Item() }
		change := func(x *torchbind.Tensor, at int, value float64) *torchbind.Tensor {
			values := x.Float64s()
			values[at] = value
			return single(x.Shape(), values...)
		}
		if !math.IsNaN(loss(change(logits, 11, nan))) || !math.IsNaN(torchbind.CrossEntropy(s, logits, ids(s, -100, -100, -100), 0).Item()) {
			t.Error("cross entropy of NaN, and of no rows, is a number")
		}
		hidden := single([]int64{3, 6}, 1, 2, 3, -inf, -inf, -inf, 1, 2, 3, -inf, -inf, -inf, 1, 2, 3, -inf, -inf, -inf)
		seen := single([]int64{3, 3}, 1, 2, 3, 1, 2, 3, 1, 2, 3)
		if a, b := loss(hidden), loss(seen); !(math.Abs(a-b) < 1e-6) {
			t.Errorf("cross entropy with classes at -Inf is %v, without them %v", a, b)
		}
		if v := loss(torchbind.MulScalar(s, logits, 1e4)); math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("cross entropy of huge logits is %v", v)
		}
		torchtest.Equal(t, "cross entropy by columns", torchbind.CrossEntropy(s, turned(logits), labels, 0.1), torchbind.CrossEntropy(s, logits, labels, 0.1), torchtest.Exact)
		if got := torchbind.CrossEntropy(s, torchbind.To(s, logits, torchbind.BFloat16, torchbind.CPU), labels, 0).DType(); got != torchbind.Float32 {
			t.Errorf("the loss of bfloat16 logits is %v", got)
		}

		torchtest.Equal(t, "dropout 1", torchbind.Dropout(s, x, 1, 5), torchbind.ZerosLike(s, x), torchtest.Exact)
		allNaN := torchbind.Full(s, []int64{4, 9}, nan, torchbind.Float32, torchbind.CPU)
		torchtest.Equal(t, "dropout of NaN", torchbind.Dropout(s, allNaN, 0.5, 1), allNaN, torchtest.Exact)

		qkv := random(4, 6, 24)
		capped := func(x *torchbind.Tensor, scale, soft, p float64) *torchbind.Tensor {
			return torchbind.SelfAttention(s, x, ids(s, 0, 6), torchbind.AttentionConfig{Heads: 2, Scale: scale, Cap: soft, Dropout: p})
		}
		attend := func(x *torchbind.Tensor, scale, p float64) *torchbind.Tensor { return capped(x, scale, 0, p) }
		torchtest.Equal(t, "attention of rows with a stride", attend(torchbind.Narrow(s, torchbind.Cat(s, tensors{qkv, qkv}, 1), 1, 0, 24), 0.5, 0), attend(qkv, 0.5, 0), torchtest.Exact)
		torchtest.Equal(t, "attention by columns", attend(turned(qkv), 0.5, 0), attend(qkv, 0.5, 0), torchtest.Exact)
		torchtest.Equal(t, "attention, dropout 1", attend(qkv, 0.5, 1), torchbind.ZerosLike(s, attend(qkv, 0.5, 0)), torchtest.Exact)
		for i, v := range attend(change(qkv, 2*24, nan), 0.5, 0.3).Float64s() { // a number of query 2
			if row := i / 8; math.IsNaN(v) && row != 2 {
				t.Errorf("NaN in query 2 comes out of row %d", row)
			}
		}
		for i, v := range attend(change(qkv, 2*24+8, nan), 0.5, 0).Float64s() { // of the first head's key 2
			if first := i%8 < 4; math.IsNaN(v) != first {
				t.Errorf("NaN in a key of the first head: number %d is %v", i, v)
			}
		}
		for _, soft := range []float64{0, 50} {
			for _, v := range capped(torchbind.MulScalar(s, qkv, 1e4), 1, soft, 0).Float64s() {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Fatalf("attention of huge scores, soft cap %v, has %v", soft, v)
				}
			}
		}
		none := torchbind.CrossAttention(s, single([]int64{0, 8}), random(5, 5, 8), ids(s, 0, 0, 0), ids(s, 0, 2, 5), torchbind.AttentionConfig{Heads: 2, KVHeads: 1, Scale: 1})
		if !slices.Equal(none.Shape(), []int64{0, 8}) {
			t.Errorf("attention of no queries has shape %v", none.Shape())
		}
	})
}

// The gradient by queries alone, and by keys and values alone.
func TestAttentionDifferentiatedInPart(t *testing.T) {
	c := attentionCase{queries: []int64{3}, keys: []int64{5}, heads: 1, d: 4}
	torchtest.Run(t, func(s *torchbind.Scope) {
		second := func(fn torchtest.Func) (all [][]float64) {
			in := leavesOf(s, kernel{inputs: c.shapes()}, torchbind.Float64)
			for i := range in {
				y := fn(s, in)
				g := torchbind.Grad(s, tensors{torchbind.Sum(s, torchbind.Mul(s, y, y))}, in[i:i+1], nil, true)[0]
				for _, h := range torchbind.Grad(s, tensors{torchbind.Sum(s, torchbind.Mul(s, g, g))}, in, nil, false) {
					all = append(all, h.Float64s())
				}
			}
			return all
		}
		got, want := second(c.packed), second(c.planned(false, true))
		for i := range want {
			if d := off(got[i], want[i]); !(d <= kernelBounds[torchbind.Float64]) {
				t.Errorf("second derivative %d is %.2g off", i, d)
			}
		}
	})
}

// A frozen product in bfloat16 is the float32 product, rounded once.
func TestFrozenLinearRoundsOnce(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		for _, pack := range []bool{false, true} {
			half := func(seed uint64, shape ...int64) *torchbind.Tensor {
				return draw(s, torchbind.BFloat16, seed, shape...)
			}
			single := func(x *torchbind.Tensor) *torchbind.Tensor {
				return torchbind.To(s, x, torchbind.Float32, torchbind.CPU)
			}
			x, w, b := half(1, 50, 64), half(2, 96, 64), half(3, 96)
			got := torchbind.FrozenLinear(s, x, torchbind.Freeze(s, w, pack), b).Float64s()
			want := torchbind.To(s, torchbind.Linear(s, single(x), single(w), single(b)), torchbind.BFloat16, torchbind.CPU).Float64s()
			differ := 0
			for i := range want {
				if got[i] != want[i] {
					differ++
				}
			}
			if share := float64(differ) / float64(len(want)); share > 0.01 {
				t.Errorf("packed %v: %.1f %% of the numbers are others, want those alone that another order of the sum rounds to a neighbour", pack, 100*share)
			}
		}
	})
}

// Masks are random by every count that attention and training could notice: bounds
// are five standard deviations, of some hundred counts. They depend on the seed
// alone, so this holds on every machine or on none.
func TestDropoutMasks(t *testing.T) {
	const rows, columns, bound = 2048, 1024, 5.0
	torchtest.Run(t, func(s *torchbind.Scope) {
		for _, p := range []float64{0.1, 0.5} {
			deviation := math.Sqrt(p * (1 - p))
			// kept returns 1 where seed's mask keeps, centred and scaled to variance 1.
			centred := func(seed uint64) []float64 {
				values := mask(s, p, seed, rows, columns).Float64s()
				for i, v := range values {
					if v != 0 && v != 1/(1-p) {
						t.Fatalf("dropout %v scales by %v", p, v)
					}
					values[i] = (v*(1-p) - (1 - p)) / deviation
				}
				return values
			}
			check := func(what string, sum float64, n int) {
				if z := sum / math.Sqrt(float64(n)); !(math.Abs(z) < bound) {
					t.Errorf("dropout %v: %s is %.1f standard deviations off", p, what, z)
				}
			}
			var previous []float64
			for _, seed := range []uint64{0, 1, 2, 3, 1 << 32, 1 << 63, 12345678901234567} {
				m := centred(seed)
				total, squares := 0.0, 0.0
				byColumn := make([]float64, columns)
				for i := range rows {
					sum := 0.0
					for j, v := range m[i*columns : (i+1)*columns] {
						sum, byColumn[j] = sum+v, byColumn[j]+v
					}
					if total, squares = total+sum, squares+sum*sum; i < 16 {
						check(fmt.Sprintf("row %d of seed %d", i, seed), sum, columns)
					}
				}
				check(fmt.Sprintf("the mean of seed %d", seed), total, rows*columns)
				for j := range 16 {
					check(fmt.Sprintf("column %d of seed %d", j, seed), byColumn[j], rows)
				}
				// Squares of 2048 sums, each of variance 1024, have a deviation of √2 of it.
				check(fmt.Sprintf("the variance of rows of seed %d", seed), (squares/columns-rows)/math.Sqrt2, rows)
				for _, lag := range []int{1, 2, 3, 4, 7, 8, 16, 32, 64, 384} {
					across, down := 0.0, 0.0
					for i := range rows {
						row := m[i*columns : (i+1)*columns]
						for j := lag; j < columns; j++ {
							across += row[j] * row[j-lag]
						}
					}
					for i := lag * columns; i < len(m); i++ {
						down += m[i] * m[i-lag*columns]
					}
					check(fmt.Sprintf("columns %d apart of seed %d", lag, seed), across, rows*(columns-lag))
					check(fmt.Sprintf("rows %d apart of seed %d", lag, seed), down, (rows-lag)*columns)
				}
				if previous != nil {
					product := 0.0
					for i, v := range m {
						product += v * previous[i]
					}
					check(fmt.Sprintf("the product of seed %d and the one before", seed), product, rows*columns)
				}
				previous = m
			}

			// Queries of zero see every key alike: with the unit vectors for values a row is its mask.
			const n = 256
			values := make([]float64, n*6*n)
			for i := range n {
				values[i*6*n+4*n+i], values[i*6*n+5*n+i] = n*(1-p), n*(1-p)
			}
			y := torchbind.SelfAttention(s, matrix(s, []int64{n, 6 * n}, values...), ids(s, 0, n), torchbind.AttentionConfig{Heads: 2, Scale: 1, Dropout: p, Seed: 3}).Float64s()
			product := 0.0
			for i := range n {
				for j := range n {
					product += (y[i*2*n+j] - (1 - p)) * (y[i*2*n+n+j] - (1 - p)) / (p * (1 - p))
				}
			}
			check("the product of two heads", product, n*n)
		}
	})
}

// The same numbers come again, on any number of threads.
func TestKernelsAreRepeatable(t *testing.T) {
	c := attentionCase{queries: []int64{13, 53, 20}, heads: 3, d: 32, dropout: 0.1}
	torchtest.Run(t, func(s *torchbind.Scope) {
		defer torchbind.SetNumThreads(torchbind.NumThreads())
		for _, k := range []kernel{{inputs: c.shapes(), fused: c.packed}, normKernel(300, 384, true, 0.1), geluKernel(false, 300, 384), lossKernel(5003, 0.1, 0, 1, 2, 3, 4, 5, 6, 7)} {
			var want [][]float64
			for _, threads := range []int{2, 2, 1} {
				torchbind.SetNumThreads(threads)
				got := orders(s, k, k.fused, torchbind.Float32)
				for i := range want {
					torchtest.Equal(t, fmt.Sprintf("%s on %d threads, result %d", k.name, threads, i), got[i], want[i], torchtest.Exact)
				}
				want = got
			}
		}
	})
}

// Where nothing is to be differentiated, 512 tokens do not cost a matrix of scores.
func TestAttentionMemory(t *testing.T) {
	const sequences, tokens, heads, d = 16, 512, 12, 32
	torchtest.Run(t, func(s *torchbind.Scope) {
		x := draw(s, torchbind.Float32, 1, sequences*tokens, 3*heads*d)
		offsets := offsets(s, slices.Repeat([]int64{tokens}, sequences))
		if err := torchbind.ResetPeakMemory(); err != nil {
			t.Skip(err)
		}
		before, err := torchbind.PeakMemory()
		if err != nil {
			t.Skip(err)
		}
		torchbind.SelfAttention(s, x, offsets, torchbind.AttentionConfig{Heads: heads, Scale: 0.1, Dropout: 0.1})
		after, err := torchbind.PeakMemory()
		if err != nil {
			t.Fatal(err)
		}
		const scores = sequences * heads * tokens * tokens * 4
		if grown := after - before; grown > 40<<20 {
			t.Errorf("%d MB more; the result is 12 MB, all scores would be %d MB", grown>>20, scores>>20)
		}
	})
}
