package torchtest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"autolora/torchbind"
)

// Tolerance bounds |got − want| by Abs + Rel·|want|.
type Tolerance struct{ Abs, Rel float64 }

// The tolerances of tests. Each allows for the rounding of sums of some
// hundreds of terms of size 1 in its type, in another order than the reference
// took them; none covers a wrong formula.
var (
	Exact    = Tolerance{}
	Float64  = Tolerance{Abs: 1e-13, Rel: 1e-12} // unit roundoff 1.1e-16
	Float32  = Tolerance{Abs: 2e-6, Rel: 1e-5}   // unit roundoff 6.0e-8
	BFloat16 = Tolerance{Abs: 1e-2, Rel: 2e-2}   // unit roundoff 3.9e-3
)

// Values is what Equal compares. A slice has no shape but its length.
type Values interface {
	*torchbind.Tensor | []float64 | []float32 | []int64
}

// Equal fails the test unless got and want have the same number of elements
// (two tensors: the same shape) and every pair is within tolerance. NaN equals
// NaN, and an infinity itself. The report has the first mismatch, the largest
// absolute and relative differences, and both shapes.
func Equal[G, W Values](t testing.TB, name string, got G, want W, tolerance Tolerance) {
	t.Helper()
	if report := compare(elements(got), elements(want), tolerance); report != "" {
		t.Errorf("%s: %s", name, report)
	}
}

type array struct {
	data  []float64
	shape []int64
	bare  bool // a slice: only its length is known
}

func elements(values any) array {
	switch v := values.(type) {
	case *torchbind.Tensor:
		return array{data: v.Float64s(), shape: v.Shape()}
	case []float64:
		return bare(v)
	case []float32:
		return bare(v)
	default:
		return bare(values.([]int64))
	}
}

func bare[T float64 | float32 | int64](values []T) array {
	data := make([]float64, len(values))
	for i, v := range values {
		data[i] = float64(v)
	}
	return array{data: data, shape: []int64{int64(len(values))}, bare: true}
}

// compare returns what is wrong, or "".
func compare(got, want array, tolerance Tolerance) string {
	if len(got.data) != len(want.data) || !got.bare && !want.bare && !slices.Equal(got.shape, want.shape) {
		return fmt.Sprintf("shape %v, want %v", got.shape, want.shape)
	}
	first, mismatches := -1, 0
	var maxAbs, maxRel float64
	for i, g := range got.data {
		w := want.data[i]
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		abs := math.Abs(g - w)
		if !(abs <= tolerance.Abs+tolerance.Rel*math.Abs(w)) || math.IsInf(w, 0) {
			if first < 0 {
				first = i
			}
			mismatches++
		}
		maxAbs = max(maxAbs, abs) // NaN stays
		maxRel = max(maxRel, abs/math.Abs(w))
	}
	if mismatches == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d elements differ by more than %g + %g·|want|; first at %d: got %v, want %v; max difference %.3g absolute, %.3g relative; shapes %v and %v",
		mismatches, len(got.data), tolerance.Abs, tolerance.Rel, first, got.data[first], want.data[first], maxAbs, maxRel, got.shape, want.shape)
}
