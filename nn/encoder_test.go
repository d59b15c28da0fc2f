package nn

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// todaysEncoders are those of testdata/nn/make_encoders.py.
var todaysEncoders = []struct {
	name       string
	labels     int64
	regression bool
}{
	{"distilbert-tiny", 3, false},
	{"distilbert-tiny-tokens", 5, false},
	{"electra-tiny", 3, false},
	{"electra-tiny-tokens", 5, false},
	{"modernbert-tiny", 3, false},
	{"modernbert-mean", 1, true},
	{"modernbert-tiny-tokens", 5, false},
	{"deberta-tiny", 3, false},
	{"deberta-tiny-tokens", 5, false},
	{"deberta-c2p", 1, true},
}

func loadEncoder(t *testing.T, name string, labels int64, regression bool, cfg LoadConfig) *Model {
	t.Helper()
	cfg.Labels, cfg.Output, cfg.Head, cfg.Device = labels, outputOf(name, regression), HeadStored, torchbind.CPU
	m, err := Load(testdata(name), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every weight trained against transformers, then LoRA on every linear layer of the
// body against PEFT.
func TestEncodersAgainstTransformers(t *testing.T) {
	for _, c := range todaysEncoders {
		for _, dtype := range bothTypes {
			t.Run(c.name+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadEncoder(t, c.name, c.labels, c.regression, LoadConfig{Full: true, DType: dtype})
					defer m.Close()
					checkTraining(t, s, m, openFixture(t, "expected-"+c.name), openFixture(t, "expected-"+c.name+"-adamw"), "")

					adapted := loadEncoder(t, c.name, c.labels, c.regression, LoadConfig{DType: dtype, Pack: true})
					defer adapted.Close()
					if err := adapted.LoadAdapter(testdata(c.name + "-lora")); err != nil {
						t.Fatal(err)
					}
					values := openFixture(t, "expected-"+c.name+"-lora")
					checkTraining(t, s, adapted, values, values, peftPrefix)
				})
			})
		}
	}
}

// In an encoder a window is to both sides: bothSides lays out what a mask would show.
func TestBothSides(t *testing.T) {
	offsets := []int64{0, 1, 4, 9, 29}
	for _, side := range []int64{1, 2, 3, 6} {
		queries, keys, places, visible := bothSides(offsets, side)
		if len(visible) != 29 || queries[len(queries)-1] != 29 || keys[len(keys)-1] != int64(len(places)) {
			t.Fatalf("side %d: queries to %d, keys to %d of %d", side, queries[len(queries)-1], keys[len(keys)-1], len(places))
		}
		seen := make(map[[2]int64]bool)
		for i, from := range queries[:len(queries)-1] {
			of := places[keys[i]:keys[i+1]]
			for row := from; row < queries[i+1]; row++ {
				for _, key := range of[max(0, visible[row]-(2*side+1)):visible[row]] {
					seen[[2]int64{row, key}] = true
				}
			}
		}
		for i, from := range offsets[:len(offsets)-1] {
			for row := from; row < offsets[i+1]; row++ {
				for key := from; key < offsets[i+1]; key++ {
					if at := [2]int64{row, key}; seen[at] != (max(row-key, key-row) <= side) {
						t.Errorf("side %d: row %d sees %d: %v", side, row, key, seen[at])
					}
					delete(seen, [2]int64{row, key})
				}
			}
		}
		if len(seen) > 0 {
			t.Errorf("side %d: rows see other sequences: %v", side, seen)
		}
	}
}

// DeBERTa's buckets of distances are those of transformers, which computes them in
// float32.
func TestBuckets(t *testing.T) {
	values := openFixture(t, "expected-buckets")
	run(t, func(*torchbind.Scope) {
		for _, name := range values.file.Names() {
			var r Relative
			if _, err := fmt.Sscanf(name, "%d-%d", &r.Buckets, &r.Max); err != nil {
				t.Fatal(err)
			}
			r.Span = r.Buckets
			want, _ := values.ints(name)
			for i, w := range want {
				distance := int64(i - len(want)/2)
				if got := r.bucket(distance); got != min(max(w+r.Span, 0), 2*r.Span-1) {
					t.Errorf("%s: bucket of %d is %d, want %d", name, distance, got-r.Span, w)
				}
			}
		}
	})
}

// How many dropout masks a pass draws by each probability: those of the modules that
// transformers has.
func TestEncoderDropouts(t *testing.T) {
	for _, c := range []struct {
		name                                    string
		labels                                  int64
		hidden, attention, embed, before, after uint64 // the last two of the head
	}{
		{"distilbert-tiny", 3, 2, 2, 1, 0, 1},
		{"distilbert-tiny-tokens", 5, 2, 2, 1, 0, 1},
		{"electra-tiny", 3, 4, 2, 1, 1, 1},
		{"electra-tiny-tokens", 5, 4, 2, 1, 0, 1},
		{"modernbert-tiny", 3, 2, 4, 1, 0, 1}, // after attention too
		{"modernbert-tiny-tokens", 5, 2, 4, 1, 0, 1},
		{"deberta-tiny", 3, 6, 2, 1, 1, 1},
		{"deberta-tiny-tokens", 5, 7, 2, 1, 0, 1}, // the convolution
	} {
		run(t, func(s *torchbind.Scope) {
			m := loadEncoder(t, c.name, c.labels, false, LoadConfig{DType: torchbind.Float32})
			defer m.Close()
			seqs, _ := openFixture(t, "expected-"+c.name).sequences("batch")
			b, err := m.NewBatch(s, &seqs)
			if err != nil {
				t.Fatal(err)
			}
			masks := func() uint64 {
				rng := m.Dropout(0)
				m.Logits(s, b, rng)
				step := &DropoutRNG{}
				step.next()
				n := uint64(0)
				for state := uint64(0); state != rng.State && n < 100; n++ {
					state += step.State
				}
				return n
			}
			if n := masks(); n != 0 {
				t.Errorf("%s: %d masks without dropout", c.name, n)
			}
			for i, place := range []*float64{&m.HiddenDropout, &m.AttentionDropout, &m.EmbedDropout, &m.Head.InputDropout, &m.Head.Dropout} {
				if i == 3 && c.before == 0 {
					continue // it is no part of this head
				}
				*place = 0.2
				if got, want := masks(), []uint64{c.hidden, c.attention, c.embed, c.before, c.after}[i]; got != want {
					t.Errorf("%s: %d masks of dropout %d, want %d", c.name, got, i, want)
				}
				*place = 0
			}
		})
	}
}

// LoRA's targets in each family's names, and in the common ones.
func TestEncoderTargets(t *testing.T) {
	for _, c := range []struct {
		name    string
		labels  int64
		targets []string
		want    []string // in block 0
	}{
		{"distilbert-tiny", 3, []string{"query", "value"}, []string{"attention.q_lin", "attention.v_lin"}},
		{"distilbert-tiny", 3, []string{"q_lin", "v_lin"}, []string{"attention.q_lin", "attention.v_lin"}},
		{"distilbert-tiny", 3, []string{"all-linear"}, []string{"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "ffn.lin1", "ffn.lin2"}},
		{"electra-tiny", 3, []string{"query", "value"}, []string{"attention.self.query", "attention.self.value"}},
		{"modernbert-tiny", 3, []string{"query", "value"}, []string{"attn.Wqkv"}},
		{"modernbert-tiny", 3, []string{"Wo"}, []string{"attn.Wo", "mlp.Wo"}},
		{"modernbert-tiny", 3, []string{"all-linear"}, []string{"attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"}},
		{"modernbert-tiny", 3, []string{"feed-forward"}, []string{"mlp.Wi", "mlp.Wo"}},
		{"deberta-tiny", 3, []string{"query", "value"}, []string{"attention.self.query_proj", "attention.self.value_proj"}},
		{"deberta-tiny", 3, []string{"query_proj", "value_proj"}, []string{"attention.self.query_proj", "attention.self.value_proj"}},
		{"deberta-tiny-tokens", 5, []string{"pos_key_proj"}, []string{"attention.self.pos_key_proj"}},
	} {
		run(t, func(*torchbind.Scope) {
			m := loadEncoder(t, c.name, c.labels, false, LoadConfig{DType: torchbind.Float32})
			defer m.Close()
			paths, err := m.Modules(c.targets)
			if err != nil {
				t.Fatal(err)
			}
			if got := m.inBlocks(paths); !slices.Equal(got, c.want) || len(paths) != 2*len(c.want) {
				t.Errorf("%s, %v: %v of %v, want %v", c.name, c.targets, got, paths, c.want)
			}
		})
	}
}

// An adapter of PEFT's is written as PEFT wrote it, merged it gives the same logits,
// and so does the model that is written, which has the keys of transformers' own.
func TestEncoderFiles(t *testing.T) {
	for _, c := range todaysEncoders {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := loadEncoder(t, c.name, c.labels, c.regression, LoadConfig{DType: torchbind.Float64})
				defer m.Close()
				values := openFixture(t, "expected-"+c.name+"-lora")
				seqs, _ := values.sequences("batch")
				if err := m.LoadAdapter(testdata(c.name + "-lora")); err != nil {
					t.Fatal(err)
				}
				dir := filepath.Join(t.TempDir(), "adapter")
				if err := peft.Write(dir, m.Adapter(c.name, nil), peft.ModelCard{}); err != nil {
					t.Fatal(err)
				}
				sameFile(t, filepath.Join(dir, "adapter_model.safetensors"), testdata(c.name+"-lora/adapter_model.safetensors"))

				merged := filepath.Join(t.TempDir(), "merged")
				if err := m.Write(merged, make([]string, c.labels), safetensors.F32); err != nil {
					t.Fatal(err)
				}
				if got, want := keysOf(t, merged), keysOf(t, testdata(c.name)); !slices.Equal(got, want) {
					t.Errorf("keys %v, want %v", got, want)
				}
				whole := mustLoad(t, merged, LoadConfig{Labels: c.labels, Output: m.Output, Head: HeadStored, DType: torchbind.Float64, Device: torchbind.CPU})
				b, err := whole.NewBatch(s, &seqs)
				if err != nil {
					t.Fatal(err)
				}
				near(t, "logits of the merged model", whole.Logits(s, b, nil).Float64s(), values.floats("logits.f64"), tolMerged)
				whole.Close()
			})
		})
	}
}

func keysOf(t *testing.T, dir string) []string {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return slices.Sorted(slices.Values(f.Names()))
}

// A checkpoint of the body alone gets a head of its own, of which PEFT is told all
// that is trained; segments are nothing to a model without them.
func TestEncoderFreshHeads(t *testing.T) {
	for _, c := range []struct {
		name   string
		output Output
		params int
		saved  []string
	}{
		{"distilbert-tiny", SequenceClassification, 4, []string{"classifier", "pre_classifier"}},
		{"distilbert-tiny", TokenClassification, 2, []string{"classifier"}},
		{"electra-tiny", SequenceClassification, 4, []string{"classifier"}},
		{"modernbert-tiny", SequenceClassification, 4, []string{"classifier", "head"}},
		{"modernbert-mean", Regression, 6, []string{"classifier", "head"}},
		{"deberta-tiny", SequenceClassification, 4, []string{"classifier", "pooler"}},
	} {
		t.Run(fmt.Sprintf("%s/%d", c.name, c.output), func(t *testing.T) {
			dir := copyModel(t, c.name)
			rewrite(t, dir, func(tensors map[string]safetensors.Tensor) {
				for name := range tensors {
					if module, _, _ := strings.Cut(name, "."); slices.Contains([]string{"classifier", "pre_classifier", "head", "pooler"}, module) {
						delete(tensors, name)
					}
				}
			})
			run(t, func(s *torchbind.Scope) {
				labels := int64(4)
				if c.output == Regression {
					labels = 1
				}
				m := mustLoad(t, dir, LoadConfig{Labels: labels, Output: c.output, DType: torchbind.Float32, Device: torchbind.CPU})
				defer m.Close()
				seqs, _ := openFixture(t, "expected-"+c.name).sequences("batch")
				logits := func() []float64 {
					b, err := m.NewBatch(s, &seqs)
					if err != nil {
						t.Fatal(err)
					}
					return m.Logits(s, b, nil).Float64s()
				}
				before := logits()
				if m.Body.Embedding.Types == nil {
					for i := range seqs.Segments {
						seqs.Segments[i] = 1
					}
					near(t, "logits with segments", logits(), before, 0)
				}
				if got := m.Adapter("", nil).Config.ModulesToSave; len(m.HeadParams()) != c.params || !slices.Equal(got, c.saved) {
					t.Errorf("%d parameters, %v saved, want %d and %v", len(m.HeadParams()), got, c.params, c.saved)
				}
			})
		})
	}
}
