package safetensors

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWriteErrors(t *testing.T) {
	good := bytesTensor("x", "1")
	tests := []struct {
		name     string
		metadata map[string]string
		tensors  []Tensor
		want     string
	}{
		{"unknown dtype", nil, []Tensor{{Name: "x", DType: "F33", Shape: []int64{1}, Data: []byte("1")}}, `tensor "x": unknown dtype "F33"`},
		{"negative shape", nil, []Tensor{{Name: "x", DType: U8, Shape: []int64{-1}}}, `tensor "x": shape [-1] has a negative dimension`},
		{"data not of the shape", nil, []Tensor{{Name: "x", DType: F32, Shape: []int64{2}, Data: make([]byte, 4)}}, `tensor "x": 4 bytes of data, want 8 for F32 [2]`},
		{"a name twice", nil, []Tensor{good, good}, `tensor "x": given twice`},
		{"the reserved name", nil, []Tensor{bytesTensor("__metadata__", "1")}, "the format reserves this name"},
		{"a name that is not UTF-8", nil, []Tensor{bytesTensor("\xff", "1")}, "name is not valid UTF-8"},
		{"metadata that is not UTF-8", map[string]string{"a": "\xff"}, []Tensor{good}, `metadata key "a": not valid UTF-8`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "m.safetensors")
			if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
			err := Write(path, tt.metadata, tt.tensors)
			if err == nil || !strings.HasPrefix(err.Error(), "write "+path+": ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want the path and %q", err, tt.want)
			}
			if old, _ := os.ReadFile(path); string(old) != "old" || len(filesIn(t, dir)) != 1 {
				t.Errorf("folder has %q, the old file %q", filesIn(t, dir), old)
			}
		})
	}
}

func TestWriteNoFolder(t *testing.T) {
	err := Write(filepath.Join(t.TempDir(), "none", "m.safetensors"), nil, nil)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want os.ErrNotExist", err)
	}
}

// Rewriting a file from tensors mapped out of it must not touch the mapping.
func TestWriteOverItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := Write(path, nil, []Tensor{bytesTensor("a", "1234"), bytesTensor("b", "5678")}); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, _ := f.Tensor("b")
	if err := Write(path, nil, []Tensor{b}); err != nil {
		t.Fatal(err)
	}
	if a, _ := f.Tensor("a"); string(a.Data) != "1234" || string(b.Data) != "5678" {
		t.Errorf("mapped data became %q and %q", a.Data, b.Data)
	}
	g, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if got := g.Names(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("names %q, want b", got)
	}
}

type failingWriter struct{ after int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, errors.New("broken pipe")
	}
	return len(p), nil
}

func TestEncodeWriterFails(t *testing.T) {
	for _, after := range []int{0, 66} {
		if err := Encode(&failingWriter{after}, nil, []Tensor{bytesTensor("x", "1234")}); err == nil {
			t.Errorf("no error from a writer that fails after %d bytes", after)
		}
	}
}

func TestFromFloat32s(t *testing.T) {
	shape := []int64{2, 1}
	x := FromFloat32s("x", shape, []float32{1.5, -2})
	shape[0] = 9
	var b bytes.Buffer
	if err := Encode(&b, nil, []Tensor{x}); err != nil {
		t.Fatal(err)
	}
	f, err := Parse("m", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	y, _ := f.Tensor("x")
	values, err := Float32s(y)
	if err != nil || !slices.Equal(values, []float32{1.5, -2}) || !slices.Equal(y.Shape, []int64{2, 1}) {
		t.Errorf("read back %v %v, %v", y.Shape, values, err)
	}
}
