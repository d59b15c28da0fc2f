package torchbind_test

import (
	"fmt"
	"math"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

func all(s *torchbind.Scope, arrays []array) tensors {
	ts := make(tensors, len(arrays))
	for i, a := range arrays {
		ts[i] = a.tensor(s, torchbind.Float64)
	}
	return ts
}

func equalAll(t *testing.T, name string, got tensors, want []array) {
	t.Helper()
	for i, g := range got {
		torchtest.Equal(t, fmt.Sprintf("%s %d", name, i), g, want[i].Data, torchtest.Float64)
	}
}

func TestAdamWAgainstPyTorch(t *testing.T) {
	var golden struct {
		Beta1, Beta2, Eps float64
		WeightDecay       float64 `json:"weight_decay"`
		Params            []array
		Steps             []struct {
			LR                float64
			Gradients, Params []array
			FirstMoments      []array `json:"first_moments"`
			SecondMoments     []array `json:"second_moments"`
		}
	}
	readJSON(t, "testdata/adamw.json", &golden)
	cfg := torchbind.AdamWConfig{Beta1: golden.Beta1, Beta2: golden.Beta2, Eps: golden.Eps, WeightDecay: golden.WeightDecay}
	torchtest.Run(t, func(s *torchbind.Scope) {
		params := all(s, golden.Params)
		params[0].SetRequiresGrad(true) // a step is outside of every graph
		o := torchbind.NewAdamW(s, params, cfg)
		for i, step := range golden.Steps {
			if i == 5 { // Params, M, V and Step are all there is to save
				resumed := torchbind.NewAdamW(s, params, cfg)
				torchbind.ForeachCopyInPlace(resumed.M, o.M)
				torchbind.ForeachCopyInPlace(resumed.V, o.V)
				resumed.Step = o.Step
				o = resumed
			}
			o.Apply(all(s, step.Gradients), step.LR)
			name := fmt.Sprintf("step %d: ", i+1)
			equalAll(t, name+"parameter", o.Params, step.Params)
			equalAll(t, name+"first moment", o.M, step.FirstMoments)
			equalAll(t, name+"second moment", o.V, step.SecondMoments)
		}
		if o.Step != int64(len(golden.Steps)) {
			t.Errorf("%d steps are counted, want %d", o.Step, len(golden.Steps))
		}
	})
}

func TestAdamWStartsAtZeroFromAnyParameters(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		params := tensors{vector(s, math.NaN(), math.Inf(1)), torchbind.To(s, vector(s, 1), torchbind.BFloat16, torchbind.CPU)}
		o := torchbind.NewAdamW(s, params, torchbind.AdamWConfig{})
		for i, p := range params {
			for _, moment := range (tensors{o.M[i], o.V[i]}) {
				torchtest.Equal(t, "moment", moment, make([]float64, p.NumEl()), torchtest.Exact)
				if moment.DType() != p.DType() {
					t.Errorf("moment is %v, want %v", moment.DType(), p.DType())
				}
			}
		}
	})
}

// The fused kernel reads a gradient's memory in order: without a copy, the
// gradient of a transposed product would update the wrong elements.
func TestAdamWTakesGradientsOfAnyLayout(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		cfg := torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
		dense := matrix(s, []int64{2, 3}, 1, 3, 5, 2, 4, 6)
		for name, g := range map[string]*torchbind.Tensor{
			"transposed": torchbind.Transpose(s, matrix(s, []int64{3, 2}, 1, 2, 3, 4, 5, 6), 0, 1),
			"narrowed":   torchbind.Narrow(s, matrix(s, []int64{2, 4}, 1, 3, 5, 0, 2, 4, 6, 0), 1, 0, 3),
		} {
			a := torchbind.NewAdamW(s, tensors{matrix(s, []int64{2, 3}, 0, 0, 0, 0, 0, 0)}, cfg)
			b := torchbind.NewAdamW(s, tensors{torchbind.Clone(s, a.Params[0])}, cfg)
			a.Apply(tensors{g}, 0.1)
			b.Apply(tensors{dense}, 0.1)
			torchtest.Equal(t, name+": first moment", a.M[0], b.M[0], torchtest.Exact)
			torchtest.Equal(t, name+": parameter", a.Params[0], b.Params[0], torchtest.Exact)
		}
	})
}

func TestAdamWErrorsChangeNothing(t *testing.T) {
	const op = "_fused_adamw_: "
	tests := []struct {
		name, want string
		second     func(s *torchbind.Scope, o *torchbind.AdamW) tensors // gradients, of which the first is right
	}{
		{"shape", op + "gradient 1 is Double[3], want Double[2]", func(s *torchbind.Scope, o *torchbind.AdamW) tensors {
			return tensors{vector(s, 1), vector(s, 1, 2, 3)}
		}},
		{"dtype", op + "gradient 1 is Float[2], want Double[2]", func(s *torchbind.Scope, o *torchbind.AdamW) tensors {
			return tensors{vector(s, 1), ones(s, 2)}
		}},
		{"nil", op + "tensor 1 of 2 is nil", func(s *torchbind.Scope, o *torchbind.AdamW) tensors {
			return tensors{vector(s, 1), nil}
		}},
		{"too few", op + "lists of 2 and 1 tensors", func(s *torchbind.Scope, o *torchbind.AdamW) tensors {
			return tensors{vector(s, 1)}
		}},
		{"moment", op + "second moment 1 is Double[1], want Double[2]", func(s *torchbind.Scope, o *torchbind.AdamW) tensors {
			o.V[1] = vector(s, 0)
			return tensors{vector(s, 1), vector(s, 1, 2)}
		}},
		{"parameter's layout", op + "parameter 1 or its state is not contiguous", func(s *torchbind.Scope, o *torchbind.AdamW) tensors {
			every := torchbind.Narrow(s, matrix(s, []int64{2, 2}, 1, 1, 1, 1), 1, 0, 1)
			o.Params[1], o.M[1], o.V[1] = every, every, every
			return tensors{vector(s, 1), every}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				o := torchbind.NewAdamW(s, tensors{vector(s, 7), vector(s, 8, 9)}, torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.9, Eps: 1})
				gradients := tt.second(s, o)
				wantError(t, tt.want, func(*torchbind.Scope) { o.Apply(gradients, 0.1) })
				torchtest.Equal(t, "parameter 0", o.Params[0], []float64{7}, torchtest.Exact)
				torchtest.Equal(t, "first moment 0", o.M[0], []float64{0}, torchtest.Exact)
				if o.Step != 0 {
					t.Errorf("%d steps are counted, want none", o.Step)
				}
			})
		})
	}
}

func TestLookAhead(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		const eta = 0.3
		cfg := torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.98, Eps: 1e-3, WeightDecay: 0.5} // the decay is not part of it
		o := torchbind.NewAdamW(s, tensors{vector(s, 1, -2), vector(s, 0.5)}, cfg)
		for step := 1; step <= 4; step++ {
			gradients := tensors{vector(s, 0.1*float64(step), -3), vector(s, 0)}
			moved, scale := o.LookAhead(s, gradients, eta)
			for i, p := range o.Params {
				w, g, m, v := p.Float64s(), gradients[i].Float64s(), o.M[i].Float64s(), o.V[i].Float64s()
				wantMoved, wantScale := make([]float64, len(w)), make([]float64, len(w))
				c1, c2 := 1-math.Pow(cfg.Beta1, float64(step)), 1-math.Pow(cfg.Beta2, float64(step))
				for j := range w {
					mHat := (cfg.Beta1*m[j] + (1-cfg.Beta1)*g[j]) / c1
					vHat := (cfg.Beta2*v[j] + (1-cfg.Beta2)*g[j]*g[j]) / c2
					c := 1 / (math.Sqrt(vHat) + cfg.Eps)
					wantMoved[j] = w[j] - eta*c*mHat
					wantScale[j] = c * (1 - cfg.Beta1) / c1
				}
				name := fmt.Sprintf("step %d, parameter %d: ", step, i)
				torchtest.Equal(t, name+"moved", moved[i], wantMoved, torchtest.Float64)
				torchtest.Equal(t, name+"scale", scale[i], wantScale, torchtest.Float64)
			}
			before := torchbind.Clone(s, o.M[0])
			o.LookAhead(s, gradients, eta)
			torchtest.Equal(t, "first moment after looking", o.M[0], before, torchtest.Exact)
			o.Apply(gradients, 0.01)
		}
	})
}

// Without weight decay LookAhead is where Apply leads.
func TestLookAheadIsTheStep(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		o := torchbind.NewAdamW(s, tensors{vector(s, 1, -2)}, torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8})
		for step := range 3 {
			gradients := tensors{vector(s, float64(step)-0.5, 2)}
			moved, _ := o.LookAhead(s, gradients, 0.1)
			o.Apply(gradients, 0.1)
			torchtest.Equal(t, "moved", moved[0], o.Params[0], torchtest.Float64)
		}
	})
}

func TestLookAheadErrors(t *testing.T) {
	torchtest.Run(t, func(s *torchbind.Scope) {
		o := torchbind.NewAdamW(s, tensors{vector(s, 1, 2)}, torchbind.AdamWConfig{})
		wantError(t, "adam_lookahead: gradient 0 is Double[1], want Double[2]", func(s *torchbind.Scope) { o.LookAhead(s, tensors{vector(s, 1)}, 1) })
		wantError(t, "adam_lookahead: tensor 0 of 1 is nil", func(s *torchbind.Scope) { o.LookAhead(s, tensors{nil}, 1) })
		none := torchbind.NewAdamW(s, nil, torchbind.AdamWConfig{})
		if moved, scale := none.LookAhead(s, nil, 1); len(moved) != 0 || len(scale) != 0 {
			t.Errorf("no parameters look ahead to %v and %v", moved, scale)
		}
		none.Apply(nil, 1)
	})
}
