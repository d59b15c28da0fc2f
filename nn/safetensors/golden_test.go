package safetensors

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// The files were written by the safetensors library; see testdata/make_goldens.py.
func TestWriteEqualsLibrary(t *testing.T) {
	for _, name := range []string{"dtypes", "shapes", "names", "nothing"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".safetensors")
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var tensors []Tensor
			for _, name := range f.Names() {
				x, _ := f.Tensor(name)
				tensors = append(tensors, x)
			}
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(tensors), func(i, j int) {
				tensors[i], tensors[j] = tensors[j], tensors[i]
			})
			out := filepath.Join(t.TempDir(), "out.safetensors")
			if err := Write(out, f.Metadata(), tensors); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestReadLibraryValues(t *testing.T) {
	f, err := Open("testdata/dtypes.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range []string{"z.f64", "a.f32", "b.f32", "c.f16", "d.bf16"} {
		x, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("no tensor %q", name)
		}
		values, err := Float32s(x)
		if err != nil {
			t.Fatal(err)
		}
		// Half an ulp of the narrowest type, bfloat16, at values up to 2.
		const tolerance = 0x1p-8
		for i, v := range values {
			if want := float64(i)*0.37 - 1.5; math.Abs(float64(v)-want) > tolerance {
				t.Errorf("%s[%d] = %v, want %v", name, i, v, want)
			}
		}
	}
	for name, want := range map[string]string{
		"e.i64":  "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00",
		"h.i8":   "\xfe\xff\x00\x01\x02",
		"j.bool": "\x01\x00\x01",
	} {
		if x, _ := f.Tensor(name); string(x.Data) != want {
			t.Errorf("%s = %q, want %q", name, x.Data, want)
		}
	}
}

// readConversions returns PyTorch's conversions from testdata/conversions.json.
func readConversions(t *testing.T) (g struct {
	F16, BF16 struct {
		NaN    int    `json:"nan"`
		SHA256 string `json:"sha256_without_nan"`
	}
	F64 struct {
		In      []float64
		OutBits []int32 `json:"out_bits"`
	}
}) {
	t.Helper()
	data, err := os.ReadFile("testdata/conversions.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// All 65,536 halves against an independent reading of IEEE 754 and against
// PyTorch's own conversion.
func TestHalfExhaustive(t *testing.T) {
	golden := readConversions(t)
	all := make([]byte, 0, 1<<17)
	for h := range 1 << 16 {
		all = binary.LittleEndian.AppendUint16(all, uint16(h))
	}
	halfValue := func(h uint16) float64 {
		e, frac := int(h>>10&31), float64(h&1023)
		v := math.Ldexp(1024+frac, e-25)
		if e == 0 {
			v = math.Ldexp(frac, -24)
		} else if e == 31 {
			v = math.Inf(1)
		}
		return math.Copysign(v, 0.5-float64(h>>15))
	}
	tests := []struct {
		dtype DType
		isNaN func(h uint16) bool
		value func(h uint16) float64
		shift int // of the NaN payload
		nan   int
		sum   string
	}{
		{F16, func(h uint16) bool { return h&0x7fff > 0x7c00 }, halfValue, 13, golden.F16.NaN, golden.F16.SHA256},
		{BF16, func(h uint16) bool { return h&0x7fff > 0x7f80 },
			func(h uint16) float64 { return float64(math.Float32frombits(uint32(h) << 16)) }, 16, golden.BF16.NaN, golden.BF16.SHA256},
	}
	for _, tt := range tests {
		t.Run(string(tt.dtype), func(t *testing.T) {
			values, err := Float32s(Tensor{Name: "x", DType: tt.dtype, Shape: []int64{1 << 16}, Data: all})
			if err != nil {
				t.Fatal(err)
			}
			sum, nan := sha256.New(), 0
			for i, v := range values {
				h := uint16(i)
				got := math.Float32bits(v)
				if tt.isNaN(h) {
					nan++
					want := uint32(h&0x8000)<<16 | 0x7f800000 | uint32(h)<<tt.shift&0x7fffff
					if got != want {
						t.Fatalf("%#04x = %#08x, want the NaN %#08x", h, got, want)
					}
					continue
				}
				if want := math.Float32bits(float32(tt.value(h))); got != want {
					t.Fatalf("%#04x = %#08x, want %#08x", h, got, want)
				}
				_ = binary.Write(sum, binary.LittleEndian, got)
			}
			if got := hex.EncodeToString(sum.Sum(nil)); got != tt.sum || nan != tt.nan {
				t.Errorf("%d NaNs and sum %s, PyTorch has %d and %s", nan, got, tt.nan, tt.sum)
			}
		})
	}
}

func TestFloat64Rounds(t *testing.T) {
	golden := readConversions(t).F64
	var data []byte
	for _, v := range golden.In {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	got, err := Float32s(Tensor{Name: "x", DType: F64, Shape: []int64{int64(len(golden.In))}, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if math.Float32bits(v) != uint32(golden.OutBits[i]) {
			t.Errorf("%v = %v (%#08x), PyTorch has %#08x", golden.In[i], v, math.Float32bits(v), uint32(golden.OutBits[i]))
		}
	}
}

func TestFloat32sErrors(t *testing.T) {
	tests := []struct {
		name   string
		tensor Tensor
		want   string
	}{
		{"integers", Tensor{Name: "x", DType: I64, Shape: []int64{1}, Data: make([]byte, 8)}, `tensor "x": dtype I64, want F32, F16, BF16 or F64`},
		{"8-bit floats", Tensor{Name: "x", DType: "F8_E4M3", Shape: []int64{1}, Data: make([]byte, 1)}, `tensor "x": dtype F8_E4M3, want F32, F16, BF16 or F64`},
		{"short data", Tensor{Name: "x", DType: F32, Shape: []int64{2}, Data: make([]byte, 4)}, `tensor "x": 4 bytes of data, want 8 for F32 [2]`},
		{"no such type", Tensor{Name: "x", DType: "F33"}, `tensor "x": unknown dtype "F33"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Float32s(tt.tensor)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v\nwant  %s", err, tt.want)
			}
		})
	}
}

func BenchmarkFloat32s(b *testing.B) {
	const n = 1 << 20
	for _, dtype := range []DType{F32, F16, BF16, F64} {
		b.Run(string(dtype), func(b *testing.B) {
			x := Tensor{Name: "x", DType: dtype, Shape: []int64{n}, Data: make([]byte, n*dtype.Bits()/8)}
			for i := range x.Data {
				x.Data[i] = byte(i * 7)
			}
			b.SetBytes(int64(len(x.Data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Float32s(x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
