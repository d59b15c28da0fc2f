package nn

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

const peftPrefix = "base_model.model."

var adapterCases = []struct {
	base, adapter string
	labels        int64
	regression    bool
}{
	{"bert-tiny", "bert-tiny-lora", 3, false},
	{"bert-tiny", "bert-tiny-lora-ranks", 3, false}, // ranks 3, 1, 0, 6
	{"bert-tiny-regression", "bert-tiny-regression-lora", 1, true},
	{"roberta-tiny", "roberta-tiny-lora", 2, false},
	{"roberta-tiny", "roberta-tiny-lora-ranks", 2, false},
	{"bert-tiny-tokens", "bert-tiny-tokens-lora", 5, false},
	{"roberta-tiny-tokens", "roberta-tiny-tokens-lora", 5, false},
}

func loadAdapted(t *testing.T, base, adapter string, labels int64, regression bool, dtype torchbind.DType) *Model {
	t.Helper()
	m, err := Load(testdata(base), LoadConfig{
		Labels: labels, Output: outputOf(base, regression), Head: HeadFresh, Pack: true, DType: dtype, Device: torchbind.CPU,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.LoadAdapter(adapter); err != nil {
		m.Close()
		t.Fatal(err)
	}
	return m
}

// Adapters written by PEFT: logits, loss, every gradient and ten steps.
func TestLoRAAgainstPEFT(t *testing.T) {
	for _, c := range adapterCases {
		for _, dtype := range []torchbind.DType{torchbind.Float32, torchbind.Float64} {
			t.Run(c.adapter+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadAdapted(t, c.base, testdata(c.adapter), c.labels, c.regression, dtype)
					defer m.Close()
					want := openFixture(t, "expected-"+c.adapter)
					checkTraining(t, s, m, want, want, peftPrefix)
				})
			})
		}
	}
}

// Training an adapter leaves the base as it was, to the bit.
func TestBaseIsFrozen(t *testing.T) {
	for _, c := range []struct{ adapter, keyPrefix string }{
		{"bert-tiny-lora", peftPrefix}, {"bert-tiny-houlsby", ""}, {"bert-tiny-pfeiffer", ""},
	} {
		t.Run(c.adapter, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := loadAdapted(t, "bert-tiny", testdata(c.adapter), 3, false, torchbind.Float32)
				defer m.Close()
				head := make(map[*Param]bool)
				for _, p := range m.Head.Params() {
					head[p] = true
				}
				before := make(map[*Param][]float64)
				for _, p := range m.Params() {
					before[p] = torchbind.Detach(s, p.Value).Float64s()
				}
				want := openFixture(t, "expected-"+c.adapter)
				checkTraining(t, s, m, want, want, c.keyPrefix)
				for _, p := range m.Params() {
					changed := false
					for i, v := range torchbind.Detach(s, p.Value).Float64s() {
						changed = changed || v != before[p][i]
					}
					if changed != head[p] {
						t.Errorf("%s: changed by training: %v, want %v", p.Name, changed, head[p])
					}
				}
			})
		})
	}
}

// What is written as an adapter, and as a merged model, gives the same logits
// when it is read again.
func TestAdapterAndMergedModelRoundTrip(t *testing.T) {
	for _, c := range adapterCases {
		t.Run(c.adapter, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := loadAdapted(t, c.base, testdata(c.adapter), c.labels, c.regression, torchbind.Float64)
				defer m.Close()
				want := openFixture(t, "expected-"+c.adapter)
				seqs, _ := want.sequences("batch")
				logits := logitsOf(t, s, &seqs)
				before := logits(m)
				near(t, "logits", before, want.floats("logits"), tolLogits32)

				dir := filepath.Join(t.TempDir(), "adapter")
				if err := writeAdapter(dir, m); err != nil {
					t.Fatal(err)
				}
				again := loadAdapted(t, c.base, dir, c.labels, c.regression, torchbind.Float64)
				defer again.Close()
				near(t, "logits of the adapter read again", logits(again), before, tolerance64)

				merged := filepath.Join(t.TempDir(), "merged")
				labels := make([]string, c.labels)
				for i := range labels {
					labels[i] = string(rune('a' + i))
				}
				if err := m.Write(merged, labels, safetensors.F32); err != nil {
					t.Fatal(err)
				}
				whole, err := Load(merged, LoadConfig{
					Labels: c.labels, Output: m.Output, Head: HeadStored, DType: torchbind.Float64, Device: torchbind.CPU,
				})
				if err != nil {
					t.Fatal(err)
				}
				defer whole.Close()
				near(t, "logits of the merged model", logits(whole), before, tolMerged)
				if !c.regression && strings.Join(whole.LabelNames(), " ") != strings.Join(labels, " ") {
					t.Errorf("labels %v, want %v", whole.LabelNames(), labels)
				}
				if want := m.Architectures; !slices.Equal(whole.Architectures, want) {
					t.Errorf("architectures %v, want %v", whole.Architectures, want)
				}
				if err := m.Write(merged, labels, safetensors.F32); err == nil {
					t.Error("an existing folder was overwritten")
				}
			})
		})
	}
}

// Bad adapters name the layer, and leave no half-loaded surprise unsaid.
func TestLoadAdapterErrors(t *testing.T) {
	for _, c := range []struct {
		name, base, adapter, want string
		labels                    int64
	}{
		{"other architecture", "bert-tiny", "roberta-tiny-lora", "is not in the model", 3},
		{"other size", "bert-tiny", "bert-tiny-regression-lora", "belongs to another model", 3},
		{"other number of labels", "bert-tiny", "bert-tiny-lora", "another number of labels", 2},
		{"no folder", "bert-tiny", "no-such-folder", "no-such-folder", 3},
		{"other task", "bert-tiny", "bert-tiny-tokens-lora", "task_type is TOKEN_CLS, want SEQ_CLS", 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m, err := Load(testdata(c.base), LoadConfig{Labels: c.labels, Head: HeadFresh, DType: torchbind.Float32, Device: torchbind.CPU})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				oneLine(t, m.LoadAdapter(testdata(c.adapter)), c.want)
			})
		})
	}
}

// What is saved of a head that the model has not is not lost without a word.
func TestSavedHeadOfNoModel(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "adapter")
	adapter := &peft.Adapter{
		Config: peft.Config{R: 1, LoraAlpha: 1, ModulesToSave: []string{"score"}},
		Saved:  []safetensors.Tensor{safetensors.FromFloat32s("score.weight", []int64{3, 24}, make([]float32, 72))},
	}
	if err := peft.Write(dir, adapter, peft.ModelCard{}); err != nil {
		t.Fatal(err)
	}
	run(t, func(*torchbind.Scope) {
		m := mustLoad(t, testdata("gpt2-tiny"), LoadConfig{Output: CausalLM, DType: torchbind.Float32, Device: torchbind.CPU})
		defer m.Close()
		oneLine(t, m.LoadAdapter(dir), `"score.weight" is saved in the adapter, but not part of this model's head`)
	})
}

// A norm of the head is no matrix, whatever an adapter says of it.
func TestLoRAOnNorm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "adapter")
	a, b := safetensors.FromFloat32s("", []int64{1, 12}, make([]float32, 12)), safetensors.FromFloat32s("", []int64{12, 1}, make([]float32, 12))
	adapter := &peft.Adapter{Config: peft.Config{R: 1, LoraAlpha: 1}, Layers: []peft.Layer{{Name: "head.norm", Rank: 1, Alpha: 1, A: a, B: b}}}
	if err := peft.Write(dir, adapter, peft.ModelCard{}); err != nil {
		t.Fatal(err)
	}
	run(t, func(*torchbind.Scope) {
		m := mustLoad(t, testdata("modernbert-tiny"), LoadConfig{Labels: 3, Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU})
		defer m.Close()
		m.Head.train(true)
		oneLine(t, m.LoadAdapter(dir), `layer "head.norm" is not in the model`)
	})
}

// oneLine fails unless err is one line that contains want.
func oneLine(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("no error, want one with %q", want)
	case !strings.Contains(err.Error(), want):
		t.Errorf("error %q does not say %q", err, want)
	case strings.Contains(err.Error(), "\n"):
		t.Errorf("error has several lines: %q", err)
	}
}

func writeAdapter(dir string, m *Model) error {
	return peft.Write(dir, m.Adapter("base", nil), peft.ModelCard{})
}
