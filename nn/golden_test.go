package nn

import (
	"strings"
	"testing"

	"autolora/torchbind"
)

// Tolerances against transformers, relative to the largest number of a tensor, at
// least 1. Rounding is at most 6.0e-8 of a number in float32, 1.1e-16 in float64.
const (
	// A block is a chain of seven sums, of products and of norms, with 24 to 128
	// terms of size 1: rounding as a random walk is √128 of 6.0e-8 for each, and one
	// on the other 2 blocks, the embeddings and a head are 16 of them, 1.1e-5.
	tolLogits32 = 2e-5
	// Gradients here are a tenth of that in size, and their chain is twice as long.
	tolGrads32  = 5e-6
	tolSteps32  = tolLogits32
	tolerance64 = 1e-11
	// A number of a float64 run that the fixtures have in float32.
	tolStored = 1.0/(1<<24) + tolerance64
)

var fullCases = []struct {
	name       string
	labels     int64
	regression bool
}{
	{"bert-tiny", 3, false},
	{"bert-tiny-regression", 1, true},
	{"roberta-tiny", 2, false},
	{"bert-tiny-tokens", 5, false},
	{"roberta-tiny-tokens", 5, false},
}

func TestFullAgainstTransformers(t *testing.T) {
	for _, c := range fullCases {
		for _, dtype := range []torchbind.DType{torchbind.Float32, torchbind.Float64} {
			t.Run(c.name+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m, err := Load(testdata(c.name), LoadConfig{Labels: c.labels, Output: outputOf(c.name, c.regression), Head: HeadStored, Full: true, DType: dtype, Device: torchbind.CPU})
					if err != nil {
						t.Fatal(err)
					}
					defer m.Close()
					checkTraining(t, s, m, openFixture(t, "expected-"+c.name), openFixture(t, "expected-"+c.name+"-adamw"), "")
				})
			})
		}
	}
}

// checkTraining compares logits, loss, every gradient and ten steps of AdamW.
func checkTraining(t *testing.T, s *torchbind.Scope, m *Model, values, steps fixture, keyPrefix string) {
	t.Helper()
	suffix, tolLogits, tolGrads, tolSteps := "", tolLogits32, tolGrads32, tolSteps32
	if m.DType() == torchbind.Float64 {
		suffix, tolLogits, tolGrads, tolSteps = ".f64", tolerance64, tolStored, tolerance64
	}
	seqs, labels := values.sequences("batch")
	b, y := batchOf(t, s, m, seqs, labels)
	near(t, "logits", m.Logits(s, b, nil).Float64s(), values.floats("logits"+suffix), tolLogits)
	loss := m.Loss(s, b, y, nil)
	near(t, "loss", loss.Float64s(), values.floats("loss"+suffix), tolLogits)

	params, seen := m.TrainableParams(), 0
	for i, g := range torchbind.Grad(s, []*torchbind.Tensor{loss}, Values(params), nil, false) {
		for j, key := range params[i].Keys() {
			near(t, "gradient of "+key, params[i].Stored(s, g, j).Float64s(), values.floats("grad."+keyPrefix+key), tolGrads)
			seen++
		}
	}
	if want := countPrefix(values, "grad."); seen != want {
		t.Errorf("compared %d gradients, the fixture has %d", seen, want)
	}

	optim := torchbind.NewAdamW(m.Scope(), Values(params), torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01})
	var losses []float64
	for range 10 {
		loss := m.Loss(s, b, y, nil)
		losses = append(losses, loss.Item())
		optim.Apply(torchbind.Grad(s, []*torchbind.Tensor{loss}, Values(params), nil, false), 1e-3)
	}
	near(t, "losses of ten steps", losses, steps.floats("steps.loss"+suffix), tolSteps)
	if m.DType() == torchbind.Float32 {
		return // AdamW makes steps of the rounding of small gradients, which differs from CPU to CPU
	}
	for _, p := range params {
		for j, key := range p.Keys() {
			near(t, "weights after ten steps: "+key, p.Stored(s, torchbind.Detach(s, p.Value), j).Float64s(), steps.floats("final."+keyPrefix+key), tolStored)
		}
	}
}

func countPrefix(f fixture, prefix string) int {
	n := 0
	for _, name := range f.file.Names() {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

// The same weights under other names, types and in shards give the same model.
func TestFormsOfOneCheckpoint(t *testing.T) {
	values, rounded := openFixture(t, "expected-bert-tiny"), openFixture(t, "expected-bert-tiny-rounded")
	for _, c := range []struct {
		dir  string
		want []float64
	}{
		{"bert-tiny", values.floats("logits")},
		{"bert-tiny-sharded", values.floats("logits")},
		{"bert-tiny-f16", rounded.floats("f16.logits")},
		{"bert-tiny-bf16", rounded.floats("bf16.logits")},
	} {
		t.Run(c.dir, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				for _, pack := range []bool{false, true} {
					m, err := Load(testdata(c.dir), LoadConfig{Labels: 3, Head: HeadStored, Pack: pack, DType: torchbind.Float32, Device: torchbind.CPU})
					if err != nil {
						t.Fatal(err)
					}
					seqs, _ := values.sequences("batch")
					b, err := m.NewBatch(s, &seqs)
					if err != nil {
						t.Fatal(err)
					}
					near(t, "logits", m.Logits(s, b, nil).Float64s(), c.want, tolLogits32)
					m.Close()
				}
			})
		})
	}
}
