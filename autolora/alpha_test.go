package autolora

import (
	"fmt"
	"testing"
)

func TestRank(t *testing.T) {
	eighth := 1.0 / 8
	for _, c := range []struct {
		form  AlphaForm
		alpha []float64
		want  int
	}{
		{Softmax, []float64{eighth, eighth, eighth, eighth, eighth, eighth, eighth, eighth}, 8},
		{Softmax, []float64{0.7, 0.1, 0.1, 0.1}, 1},
		{Softmax, []float64{0.26, 0.26, 0.24, 0.24}, 2},
		{Softmax, []float64{float64(float32(1) / 3), float64(float32(1) / 3), float64(float32(1) / 3)}, 3}, // rounded down
		{Free, []float64{1, 2, 3, 4}, 2},
		{Free, []float64{-1, -1, -1, -1}, 4},
		{Free, []float64{0, 0, 0}, 3},
		{Free, []float64{-3, 1, 1, 1}, 3},
		{Sigmoid, []float64{0.4, 0.3, 0.49}, 0},
		{Sigmoid, []float64{0.5, 0.6, 0.1}, 2},
	} {
		if got := c.form.Rank(c.alpha); got != c.want {
			t.Errorf("%s %v: rank %d, want %d", c.form, c.alpha, got, c.want)
		}
	}
}

func TestLearningRate(t *testing.T) {
	c := TrainConfig{Steps: 10, LR: 1, Warmup: 0.2}
	want := []float64{0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125}
	for i, w := range want {
		if got := c.Rate(i); got != w {
			t.Errorf("step %d: rate %v, want %v", i, got, w)
		}
	}
}

func ExampleAlphaForm_Rank() {
	fmt.Println(Softmax.Rank([]float64{0.4, 0.3, 0.2, 0.1}))
	// Output: 2
}
