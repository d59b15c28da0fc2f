package autolora

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"autolora/torchbind"
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

// The rank rules against exact arithmetic on every layer of a small world:
// a = n·ln 2 with whole n, so that softmax(a) is 2ⁿ/Σ2ⁿ.
func TestRankRules(t *testing.T) {
	const k, low, high = 4, -2, 3
	differ := 0
	for code := range int(math.Pow(high-low+1, k)) {
		var n, power [k]int64 // a/ln 2, and 4·2ⁿ
		var sum, powers int64
		for i := range n {
			n[i] = int64(code%(high-low+1)) + low
			power[i] = 1 << (n[i] - low)
			code /= high - low + 1
			sum, powers = sum+n[i], powers+power[i]
		}
		byAlpha, byRaw := 0, 0
		raw, softmax, scaled := make([]float64, k), make([]float64, k), make([]float64, k)
		for i := range n {
			raw[i] = float64(n[i]) * math.Ln2
			softmax[i] = float64(power[i]) / float64(powers)
			scaled[i] = k * softmax[i]
			if k*power[i] >= powers { // α ≥ 1/k
				byAlpha++
			}
			if k*n[i] >= sum { // a/Σa ≥ 1/k, where Σa > 0
				byRaw++
			}
		}
		if got := Softmax.Rank(softmax); got != byAlpha {
			t.Fatalf("a = %v·ln 2: rank %d by α, want %d", n, got, byAlpha)
		}
		if got := Softmax.Rank(scaled); got != byAlpha {
			t.Fatalf("a = %v·ln 2: rank %d by α scaled by k, want %d", n, got, byAlpha)
		}
		if got := Free.Rank(raw); got != byRaw {
			t.Fatalf("a = %v·ln 2: rank %d by a, want %d", n, got, byRaw)
		}
		if byAlpha > byRaw { // the mean of 2ⁿ is above 2 to the mean of n
			t.Fatalf("a = %v·ln 2: rank %d by α above %d by a", n, byAlpha, byRaw)
		}
		if byAlpha < byRaw {
			differ++
		}
	}
	if differ == 0 {
		t.Error("the rules never differ")
	}
}

// A search's ranks come from the numbers that its rule names.
func TestRanksByRule(t *testing.T) {
	layer := []float64{3, 1, 0, 0} // mean 1, at which α is below 1/k
	for _, c := range []struct {
		rule  RankRule
		scale float64
		want  int
	}{
		{AlphaRule, 1, 1},
		{AlphaRule, searchK, 1},
		{RawRule, 1, 2},
		{RawRule, searchK, 2},
	} {
		run(t, func(s *torchbind.Scope) {
			x := newReferenceSearch(t, s, torchbind.Float64, Softmax, slices.Repeat(layer, searchLayers), SearchConfig{Rule: c.rule, Scale: c.scale})
			defer x.model.Close()
			if got, want := x.Ranks(), slices.Repeat([]int{c.want}, searchLayers); !slices.Equal(got, want) {
				t.Errorf("ranks %v by rule %s, want %v", got, c.rule, want)
			}
			sum := 0.0
			for _, alpha := range x.Alphas()[0] {
				sum += alpha
			}
			near(t, "sum of α", []float64{sum}, []float64{c.scale}, 1e-12)
		})
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
