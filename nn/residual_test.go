package nn

import (
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// A residual connection with each of its norms, LayerNorm and RMSNorm, with and
// without an adapter that adds its x, is the composition that its comment writes.
func TestResidualForms(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		param := func(values ...float64) *Param {
			return &Param{Shape: []int64{int64(len(values))}, Value: torchbind.FromSlice(s, values, []int64{int64(len(values))}, torchbind.CPU)}
		}
		layer := &Norm{Weight: param(0.5, -1, 2, 1), Bias: param(0.1, 0, -0.3, 1), Eps: 1e-5}
		rms := &Norm{Weight: param(1, 2, -0.5, 0.25), Eps: 1e-6}
		x := torchbind.FromSlice(s, []float64{1, -2, 0.5, 3, 0, 1, 2, -1}, []int64{2, 4}, torchbind.CPU)
		y := torchbind.FromSlice(s, []float64{0.25, 1, -1, 2, 5, -3, 0.5, 1}, []int64{2, 4}, torchbind.CPU)
		for _, within := range []*Norm{nil, layer, rms} {
			for _, after := range []*Norm{nil, layer, rms} {
				for _, adapter := range []AdapterLayer{nil, addsInput{}} {
					r := &Residual{Within: within, After: after, Adapter: adapter}
					want := within.Forward(s, y)
					if adapter != nil {
						want = adapter.Forward(s, x, want, nil)
					}
					want = after.Forward(s, torchbind.Add(s, x, want))
					torchtest.Equal(t, "residual", r.add(s, y, x, 0, nil), want, torchtest.Float64)
				}
			}
		}
	})
}

// Each norm is of the heads that it is given for, and the others stay.
func TestPerHead(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		tensor := func(shape []int64, values ...float64) *torchbind.Tensor {
			return torchbind.FromSlice(s, values, shape, torchbind.CPU)
		}
		rms := &Norm{Weight: &Param{Value: tensor([]int64{2}, 0, 1)}, Eps: 1e-6, Plus: 1}
		x := tensor([]int64{2, 6}, 3, 4, 5, 12, 1, 2, -3, 4, 8, 6, 7, 7)
		got := perHead(s, x, 2, headNorm{rms, 2}, headNorm{nil, 1})
		heads := torchbind.RMSNorm(s, tensor([]int64{4, 2}, 3, 4, 5, 12, -3, 4, 8, 6), tensor([]int64{2}, 1, 2), 1e-6).Float64s()
		want := tensor([]int64{2, 6}, heads[0], heads[1], heads[2], heads[3], 1, 2, heads[4], heads[5], heads[6], heads[7], 7, 7)
		torchtest.Equal(t, "normalised", got, want, torchtest.Float64)
		torchtest.Equal(t, "without norms", perHead(s, x, 2, headNorm{nil, 3}), x, torchtest.Exact)
	})
}

type addsInput struct{}

func (addsInput) Forward(s *torchbind.Scope, x, y *torchbind.Tensor, _ *DropoutRNG) *torchbind.Tensor {
	return torchbind.Add(s, x, y)
}

func (addsInput) Params() []*Param { return nil }
