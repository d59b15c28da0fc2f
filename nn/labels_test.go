package nn

import (
	"path/filepath"
	"testing"

	"autolora/data"
	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// labelModels are the models of testdata/nn/make_labels.py.
var labelModels = []struct {
	name   string
	output Output
	labels int64
}{
	{"gpt2-labels", SequenceClassification, 3},
	{"llama-labels", SequenceClassification, 4},
	{"gemma3-regression", Regression, 1},
	{"gpt2-tokens", TokenClassification, 5},
	{"llama-tokens", TokenClassification, 5},
	{"llama-several", MultiLabel, 4},
	{"bert-several", MultiLabel, 3},
	{"gemma2-tokens", TokenClassification, 5},
}

// Logits, loss, every gradient and ten steps of AdamW, of all weights and of PEFT's
// adapters with their heads; and of these a second derivative, and what is written of
// them.
func TestLabelsAgainstTransformers(t *testing.T) {
	for _, c := range labelModels {
		for _, dtype := range bothTypes {
			t.Run(c.name+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					load := func(dir string, cfg LoadConfig) *Model {
						cfg.Output, cfg.Labels, cfg.DType, cfg.Device = c.output, c.labels, dtype, torchbind.CPU
						return mustLoad(t, dir, cfg)
					}
					whole := load(testdata(c.name), LoadConfig{Head: HeadStored, Full: true})
					defer whole.Close()
					checkTraining(t, s, whole, openFixture(t, "expected-"+c.name), openFixture(t, "expected-"+c.name+"-adamw"), "")

					values := openFixture(t, "expected-"+c.name+"-lora")
					m := load(testdata(c.name), LoadConfig{Head: HeadFresh, Pack: true})
					defer m.Close()
					if err := m.LoadAdapter(testdata(c.name + "-lora")); err != nil {
						t.Fatal(err)
					}
					seqs, labels := values.sequences("batch")
					b, y := batchOf(t, s, m, seqs, labels)
					if dtype == torchbind.Float64 {
						checkSecondDerivative(t, s, m, b, y, values)
						checkRounded(t, s, load(testdata(c.name), LoadConfig{Head: HeadStored, Round: true}), seqs, openFixture(t, "expected-"+c.name))
						checkWrittenLabels(t, s, m, b, seqs, c.name, load)
					}
					checkTraining(t, s, m, values, values, peftPrefix)
				})
			})
		}
	}
}

// checkSecondDerivative compares ∂(g·u)/∂w, g the gradient of the loss.
func checkSecondDerivative(t *testing.T, s *torchbind.Scope, m *Model, b *Batch, y *torchbind.Tensor, values fixture) {
	t.Helper()
	params := m.TrainableParams()
	var u []*torchbind.Tensor
	for _, p := range params {
		var parts []*torchbind.Tensor
		for _, key := range p.Keys() {
			all, shape := values.shaped("u." + peftPrefix + key)
			parts = append(parts, torchbind.FromSlice(s, all, shape, torchbind.CPU))
		}
		u = append(u, torchbind.Cat(s, parts, 0))
	}
	loss := m.Loss(s, b.Twice(), y, nil)
	g := torchbind.Grad(s, []*torchbind.Tensor{loss}, Values(params), nil, true)
	for i, h := range torchbind.Grad(s, g, Values(params), u, false) {
		for j, key := range params[i].Keys() {
			near(t, "second derivative by "+key, params[i].Stored(s, h, j).Float64s(), values.floats("hvp."+peftPrefix+key), tolStored)
		}
	}
}

// checkRounded makes sure that rows which fill a batch up count for nothing in the
// loss.
func checkRounded(t *testing.T, s *torchbind.Scope, m *Model, seqs data.Batch, values fixture) {
	t.Helper()
	defer m.Close()
	b, err := m.NewBatch(s, &seqs)
	if err != nil {
		t.Fatal(err)
	}
	labels := values.floats("batch.labels")
	y := torchbind.FromSlice(s, labels, []int64{int64(len(labels))}, torchbind.CPU)
	if m.Output != Regression {
		classes := make([]int64, len(labels))
		for i, v := range labels {
			classes[i] = int64(v)
		}
		y = m.Targets(s, b, classes)
	}
	near(t, "loss of a rounded batch", m.Loss(s, b, y, nil).Float64s(), values.floats("loss.f64"), tolerance64)
}

// checkWrittenLabels makes sure that a model's adapter, written, and the whole of it,
// merged, are read as what they are.
func checkWrittenLabels(t *testing.T, s *torchbind.Scope, m *Model, b *Batch, seqs data.Batch, base string, load func(string, LoadConfig) *Model) {
	t.Helper()
	want := m.Logits(s, b, nil).Float64s()
	logits := logitsOf(t, s, &seqs)
	dir := t.TempDir()
	adapter := filepath.Join(dir, "adapter")
	if err := peft.Write(adapter, m.Adapter(base, nil), peft.ModelCard{}); err != nil {
		t.Fatal(err)
	}
	again := load(testdata(base), LoadConfig{Head: HeadFresh})
	defer again.Close()
	if err := again.LoadAdapter(adapter); err != nil {
		t.Fatal(err)
	}
	near(t, "logits of the adapter read again", logits(again), want, tolFactors)

	merged := filepath.Join(dir, "merged")
	if err := m.Write(merged, []string{"a", "b", "c", "d", "e"}[:m.Labels()], safetensors.F32); err != nil {
		t.Fatal(err)
	}
	whole := load(merged, LoadConfig{Head: HeadStored})
	defer whole.Close()
	near(t, "logits of the merged model", logits(whole), want, tolMerged)
	if whole.SeveralLabels() != (m.Output == MultiLabel) {
		t.Errorf("the merged model's problem_type is %q", whole.ProblemType)
	}
	if got, want := whole.Architectures[0], m.Architecture(m.Output); got != want || m.Generates() && whole.Padding == nil {
		t.Errorf("the merged model is a %s with padding %v, want a %s with one", got, whole.Padding, want)
	}
}

// A language model's folder gives labels with a fresh head, drawn as transformers
// draws it; where padding has no token every text has its last row read.
func TestFreshLabelsOfLanguageModels(t *testing.T) {
	for _, name := range append(todaysDecoders, "gpt2-tiny", "llama-tiny", "mistral-tiny") {
		for _, output := range []Output{SequenceClassification, Regression, TokenClassification} {
			run(t, func(s *torchbind.Scope) {
				m := mustLoad(t, testdata(name), LoadConfig{Output: output, Labels: 2, DType: torchbind.Float64, Device: torchbind.CPU})
				defer m.Close()
				if len(m.Notes) > 0 {
					t.Errorf("%s: notes %q", name, m.Notes)
				}
				seqs := data.Batch{IDs: []int64{5, 0, 7, 1, 0, 3}, Segments: make([]int64, 6), Lengths: []int{2, 4}}
				if output == TokenClassification {
					seqs.Want, seqs.WantPer = []int64{0, 1, 3}, []int{2, 1}
				}
				b, err := m.NewBatch(s, &seqs)
				if err != nil {
					t.Fatal(err)
				}
				if rows := b.Want.Int64s(); output != TokenClassification && (rows[1] != 5 || rows[0] != 1 && m.Padding == nil) {
					t.Errorf("%s: rows %v are read, want the last of each text", name, rows)
				}
				if head := m.HeadParams(); m.Logits(s, b, nil).Size(1) != 2 || len(head) == 1 != (output != TokenClassification) {
					t.Errorf("%s: the head has %d parameters", name, len(head))
				}
			})
		}
	}
}
