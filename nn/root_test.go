package nn

import (
	"math"
	"slices"
	"testing"

	"autolora/data"
	"autolora/torchbind"
)

// The outer products of the roots of a loss have its second derivative as their mean: here
// by the bias of the head's last layer, by which that of every row is the identity, times
// the scale of a regression. Against central differences of Loss, within four standard
// errors of so many draws.
func TestLossRoot(t *testing.T) {
	for name, c := range map[string]struct {
		LoadConfig
		per int   // labels of a row
		of  int64 // classes of each
	}{
		"regression":      {LoadConfig{Output: Regression, Labels: 1, Units: Units{2, 1.5}}, 1, 0},
		"two classes":     {LoadConfig{Labels: 2}, 1, 2},
		"three classes":   {LoadConfig{Labels: 3}, 1, 3},
		"weighted":        {LoadConfig{Labels: 3, ClassWeights: []float64{0.5, 2, 4}}, 1, 3},
		"several labels":  {LoadConfig{Output: MultiLabel, Labels: 3}, 3, 2},
		"weighted labels": {LoadConfig{Output: MultiLabel, Labels: 3, ClassWeights: []float64{1, 3, 0.5, 2, 1, 1}}, 3, 2},
		"tagging":         {LoadConfig{Output: TokenClassification, Labels: 5, Round: true, ClassWeights: []float64{1, 2, 3, 4, 5}}, 1, 5},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				cfg := c.LoadConfig
				cfg.Head, cfg.Seed, cfg.DType, cfg.Device = HeadFresh, 1, torchbind.Float64, torchbind.CPU
				m, err := Load(testdata("bert-tiny"), cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				seqs := &data.Batch{IDs: []int64{2, 9, 5, 3, 2, 7, 3, 2, 4, 8, 3}, Segments: make([]int64, 11), Lengths: []int{4, 3, 4}}
				rows := 3
				if cfg.Output == TokenClassification {
					seqs.Want, seqs.WantPer, rows = []int64{1, 2, 5, 8, 9}, []int{2, 1, 2}, 5
				}
				b, err := m.NewBatch(s, seqs)
				if err != nil {
					t.Fatal(err)
				}
				labels := torchbind.FromSlice(s, []float64{1, 4, 2}, []int64{3}, torchbind.CPU)
				scale := cfg.Units.Scale
				if cfg.Output != Regression {
					var classes []int64
					for i := range rows * c.per {
						classes = append(classes, int64(i*i)%c.of)
					}
					labels, scale = m.Targets(s, b, classes), 1
				}
				bias := m.Head.OutB.Value
				k := int(cfg.Labels)
				center := []float64{0.7, -1, 0.3, 0.2, -0.4}[:k]
				at := func(i int, di float64, j int, dj float64) float64 {
					moved := slices.Clone(center)
					moved[i] += di
					moved[j] += dj
					torchbind.NoGrad(func() { bias.CopyInPlace(torchbind.FromSlice(s, moved, []int64{int64(k)}, torchbind.CPU)) })
					return m.Loss(s, b, labels, nil).Item()
				}
				at(0, 0, 0, 0)
				scores, rng := m.Logits(s, b, nil), m.Dropout(1)
				const draws, step = 2000, 1e-3
				sum, squares := make([]float64, k*k), make([]float64, k*k)
				for range draws {
					s := torchbind.NewScope()
					all := make([]float64, k)
					for i, v := range m.LossRoot(s, scores, labels, rng).Float64s() {
						all[i%k] += v * scale
					}
					s.Close()
					for i := range sum {
						v := all[i/k] * all[i%k]
						sum[i], squares[i] = sum[i]+v, squares[i]+v*v
					}
				}
				for i := range sum {
					want := (at(i/k, step, i%k, step) - at(i/k, step, i%k, -step) - at(i/k, -step, i%k, step) + at(i/k, -step, i%k, -step)) / (4 * step * step)
					mean := sum[i] / draws
					bound := 4*math.Sqrt(max(0, squares[i]/draws-mean*mean)/draws) + 1e-6
					if off := math.Abs(mean - want); off > bound {
						t.Errorf("element %d is %.5f, want %.5f within %.2g", i, mean, want, bound)
					}
				}
			})
		})
	}
}
