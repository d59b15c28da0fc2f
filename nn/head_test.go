package nn

import (
	"testing"

	"autolora/data"
	"autolora/torchbind"
)

// Search computes a segment again in a scope of its own, to have less in memory.
func TestWeightedLossAgain(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := mustLoad(t, testdata("bert-tiny"), LoadConfig{
			Labels: 3, Head: HeadStored, ClassWeights: []float64{1, 2, 0.5}, DType: torchbind.Float32, Device: torchbind.CPU,
		})
		defer m.Close()
		b, err := m.NewBatch(s, &data.Batch{IDs: []int64{2, 11, 3}, Segments: make([]int64, 3), Lengths: []int{3}})
		if err != nil {
			t.Fatal(err)
		}
		segments := m.Segments(s, b, m.Targets(s, b, []int64{1}))
		loss := func() (loss float64) {
			_ = s.Do(func(s *torchbind.Scope) error {
				loss = forward(s, segments, nil).Item()
				return nil
			})
			return loss
		}
		if first, again := loss(), loss(); first != again {
			t.Errorf("loss %v, and then %v", first, again)
		}
	})
}
