package safetensors

import (
	"math"
	"strings"
	"testing"
)

// Every number of the narrow types comes back from float32, and what lies half way
// between two of them goes to the even one.
func TestConvert(t *testing.T) {
	for dtype, c := range map[DType]struct {
		widen func(uint16) float32
		round func(float32) uint16
		inf   uint16
	}{
		F16:  {halfToFloat32, float32ToHalf, 0x7c00},
		BF16: {func(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }, float32ToBFloat16, 0x7f80},
	} {
		for b := range 1 << 16 {
			b := uint16(b)
			v := c.widen(b)
			if v != v {
				if got := c.widen(c.round(v)); got == got {
					t.Fatalf("%s %#04x, not a number, became %v", dtype, b, got)
				}
				continue
			}
			if got := c.round(v); got != b {
				t.Fatalf("%s %#04x is %v, and became %#04x", dtype, b, v, got)
			}
			if b&0x7fff >= c.inf-1 { // the largest number has no next
				continue
			}
			next := c.widen(b + 1)
			half, even := float32((float64(v)+float64(next))/2), b+b&1
			if got := c.round(half); got != even {
				t.Fatalf("%s: %v, between %v and %v, became %#04x, want %#04x", dtype, half, v, next, got, even)
			}
			if got := c.round(math.Nextafter32(half, v)); got != b {
				t.Fatalf("%s: what is nearer to %v than to %v became %#04x, want %#04x", dtype, v, next, got, b)
			}
			if got := c.round(math.Nextafter32(half, next)); got != b+1 {
				t.Fatalf("%s: what is nearer to %v than to %v became %#04x, want %#04x", dtype, next, v, got, b+1)
			}
		}
	}

	three := FromFloat32s("w", []int64{3}, []float32{1, -65519, 0x1p-24})
	half, err := Convert(three, F16)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Convert(half, F32)
	if got, _ := Float32s(back); err != nil || half.DType != F16 || len(half.Data) != 6 || got[0] != 1 || got[1] != -65504 || got[2] != 0x1p-24 {
		t.Errorf("%v in F16 came back as %v, %v", three, got, err)
	}
	for to, want := range map[DType]string{F16: `tensor "w": 65520 is too large for F16`, U8: "cannot be made U8"} {
		if _, err := Convert(FromFloat32s("w", []int64{1}, []float32{65520}), to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
