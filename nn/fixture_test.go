package nn

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"autolora/data"
	"autolora/nn/safetensors"
	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// fixture is a file of expected values in testdata/nn, made by PyTorch,
// transformers and PEFT; the scripts beside it say how.
type fixture struct {
	t    *testing.T
	file *safetensors.File
}

func openFixture(t *testing.T, name string) fixture {
	t.Helper()
	f, err := safetensors.Open(testdata(name + ".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return fixture{t, f}
}

func testdata(name string) string { return filepath.Join("..", "testdata", "nn", name) }

// outputOf returns what a model of testdata makes of its hidden states, by its
// name.
func outputOf(name string, regression bool) Output {
	switch cfg, err := ReadConfig(testdata(name)); {
	case err == nil && cfg.Generates():
		return CausalLM
	case strings.HasSuffix(name, "-tokens"):
		return TokenClassification
	case regression:
		return Regression
	}
	return SequenceClassification
}

func (f fixture) has(name string) bool {
	_, ok := f.file.Tensor(name)
	return ok
}

// floats returns a float tensor's values.
func (f fixture) floats(name string) []float64 {
	f.t.Helper()
	var out []float64
	f.load(name, func(t *torchbind.Tensor) { out = t.Float64s() })
	return out
}

// shaped returns a float tensor's values and shape.
func (f fixture) shaped(name string) (values []float64, shape []int64) {
	f.t.Helper()
	f.load(name, func(t *torchbind.Tensor) { values, shape = t.Float64s(), t.Shape() })
	return values, shape
}

func (f fixture) ints(name string) (values []int64, shape []int64) {
	f.t.Helper()
	f.load(name, func(t *torchbind.Tensor) { values, shape = t.Int64s(), t.Shape() })
	return values, shape
}

func (f fixture) load(name string, fn func(*torchbind.Tensor)) {
	f.t.Helper()
	t, ok := f.file.Tensor(name)
	if !ok {
		f.t.Fatalf("fixture has no %q", name)
	}
	types := map[safetensors.DType]torchbind.DType{safetensors.I64: torchbind.Int64, safetensors.F32: torchbind.Float32, safetensors.F64: torchbind.Float64}
	s := torchbind.NewScope()
	defer s.Close()
	fn(torchbind.FromBytes(s, t.Data, types[t.DType], t.Shape, torchbind.CPU))
}

// logitsOf returns what gives a model's logits of a batch.
func logitsOf(t *testing.T, s *torchbind.Scope, seqs *data.Batch) func(m *Model) []float64 {
	return func(m *Model) []float64 {
		t.Helper()
		b, err := m.NewBatch(s, seqs)
		if err != nil {
			t.Fatal(err)
		}
		return m.Logits(s, b, nil).Float64s()
	}
}

// sequences returns the padded batch under prefix without its padding, and its
// labels.
func (f fixture) sequences(prefix string) (data.Batch, []float64) {
	f.t.Helper()
	ids, shape := f.ints(prefix + ".ids")
	segments, _ := f.ints(prefix + ".segments")
	lengths, _ := f.ints(prefix + ".lengths")
	var seqs data.Batch
	for i, n := range lengths {
		at := int64(i) * shape[1]
		seqs.IDs = append(seqs.IDs, ids[at:at+n]...)
		seqs.Segments = append(seqs.Segments, segments[at:at+n]...)
		seqs.Lengths = append(seqs.Lengths, int(n))
	}
	if f.has(prefix + ".want") {
		seqs.Want, _ = f.ints(prefix + ".want")
		per, _ := f.ints(prefix + ".want_per")
		for _, n := range per {
			seqs.WantPer = append(seqs.WantPer, int(n))
		}
	}
	return seqs, f.floats(prefix + ".labels")
}

// batch copies sequences and labels to the model.
func batchOf(t *testing.T, s *torchbind.Scope, m *Model, seqs data.Batch, labels []float64) (*Batch, *torchbind.Tensor) {
	t.Helper()
	b, err := m.NewBatch(s, &seqs)
	if err != nil {
		t.Fatal(err)
	}
	y := torchbind.FromSlice(s, labels, []int64{int64(len(labels))}, torchbind.CPU)
	if m.Output != Regression {
		y = torchbind.To(s, y, torchbind.Int64, torchbind.CPU)
	}
	return b, y
}

// near fails unless got equals want to tolerance, relative to the largest
// number of want (at least 1): the error of a sum grows with its terms.
func near(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	scale := 1.0
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	worst, at := 0.0, -1
	for i := range want {
		if d := math.Abs(got[i]-want[i]) / scale; !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= tolerance) {
		t.Errorf("%s: element %d is %v, want %v (difference %.2g of scale %.3g, tolerance %g)", name, at, got[at], want[at], worst, scale, tolerance)
	}
}

// run runs fn on the thread of libtorch, and makes sure that it leaves no tensor.
var run = torchtest.Run

func mustLoad(t *testing.T, dir string, cfg LoadConfig) *Model {
	t.Helper()
	m, err := Load(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}
