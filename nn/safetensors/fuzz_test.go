package safetensors

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// FuzzParse feeds arbitrary bytes to the reader. It must not panic or allocate
// out of proportion, and what it accepts must survive being written and read.
func FuzzParse(f *testing.F) {
	goldens, err := filepath.Glob("testdata/*.safetensors")
	if err != nil || len(goldens) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, path := range goldens {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(file(one(`"F32"`, "[1]", "[0,4]"), "1234")))
	f.Add([]byte(file(`{"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"b":{"dtype":"F16","shape":[0,3],"data_offsets":[1,1]}}`, "1")))
	f.Fuzz(func(t *testing.T, data []byte) {
		var first *File
		var err error
		// The engine allocates beside the parser, hence the large constant; it is
		// far below what a length believed from the header would cost.
		if got, most := allocated(func() { first, err = Parse("fuzz", data) }), uint64(8<<20+200*len(data)); got > most {
			t.Errorf("%d bytes allocated for %d bytes of input", got, len(data))
		}
		if err != nil {
			return
		}
		var tensors []Tensor
		for _, name := range first.Names() {
			x, _ := first.Tensor(name)
			tensors = append(tensors, x)
		}
		var b bytes.Buffer
		if err := Encode(&b, first.Metadata(), tensors); err != nil {
			t.Fatalf("cannot write what was read: %v", err)
		}
		second, err := Parse("fuzz", b.Bytes())
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		sameFile(t, first, second)
	})
}

func sameFile(t *testing.T, a, b *File) {
	t.Helper()
	ma, mb := a.Metadata(), b.Metadata()
	if (ma == nil) != (mb == nil) || len(ma) != len(mb) {
		t.Errorf("metadata %q became %q", ma, mb)
	}
	for k, v := range ma {
		if mb[k] != v {
			t.Errorf("metadata %q: %q became %q", k, v, mb[k])
		}
	}
	if !slices.Equal(a.Names(), b.Names()) {
		t.Fatalf("names %q became %q", a.Names(), b.Names())
	}
	for _, name := range a.Names() {
		x, _ := a.Tensor(name)
		y, _ := b.Tensor(name)
		if x.DType != y.DType || !slices.Equal(x.Shape, y.Shape) || !bytes.Equal(x.Data, y.Data) {
			t.Errorf("tensor %+v became %+v", x, y)
		}
	}
}
