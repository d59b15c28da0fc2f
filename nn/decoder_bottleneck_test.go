package nn

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"autolora/data"
	"autolora/nn/adapterhub"
	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

var decoderBottlenecks = []struct {
	base, adapter string
	style         adapterhub.Style
}{
	{"gpt2-tiny", "gpt2-tiny-houlsby", Houlsby},
	{"gpt2-tiny", "gpt2-tiny-pfeiffer", Pfeiffer},
	{"llama-tiny", "llama-tiny-houlsby", Houlsby},
	{"llama-tiny", "llama-tiny-pfeiffer", Pfeiffer},
	{"mistral-tiny", "mistral-tiny-houlsby", Houlsby},
}

// Adapters written by AdapterHub, two of them with the head: logits, loss, every
// gradient and ten steps.
func TestDecoderBottlenecksAgainstAdapterHub(t *testing.T) {
	for _, c := range decoderBottlenecks {
		for _, dtype := range bothTypes {
			t.Run(c.adapter+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadAdapted(t, c.base, testdata(c.adapter), 0, false, dtype)
					defer m.Close()
					want := openFixture(t, "expected-"+c.adapter)
					checkTraining(t, s, m, want, want, "")
				})
			})
		}
	}
}

// The gradients of the loss with respect to every weight of the adapters, along a
// random direction each, under every dropout that the model has.
func TestDecoderBottleneckDifferences(t *testing.T) {
	p := 0.2
	for _, c := range []struct{ base, adapter string }{{"gpt2-tiny", "gpt2-tiny-pfeiffer"}, {"mistral-tiny", "mistral-tiny-houlsby"}} {
		t.Run(c.adapter, func(t *testing.T) {
			torchtest.Run(t, func(s *torchbind.Scope) {
				m := loadDecoder(t, c.base, LoadConfig{Dropout: &p, DType: torchbind.Float64})
				defer m.Close()
				if err := m.LoadAdapter(testdata(c.adapter)); err != nil {
					t.Fatal(err)
				}
				b, y := smallBatch(t, s, m)
				if m.Loss(s, b, y, &DropoutRNG{State: 5}).Item() == m.Loss(s, b, y, nil).Item() {
					t.Fatal("no dropout")
				}
				checkDifferences(t, s, m.AdapterParams(), func(s *torchbind.Scope) *torchbind.Tensor { return m.Loss(s, b, y, &DropoutRNG{State: 5}) })
			})
		})
	}
}

// smallBatch returns two texts whose later tokens are wanted.
func smallBatch(t *testing.T, s *torchbind.Scope, m *Model) (*Batch, *torchbind.Tensor) {
	t.Helper()
	return batchOf(t, s, m, data.Batch{
		IDs: []int64{5, 9, 31, 7, 2, 12, 30, 30}, Segments: make([]int64, 8), Lengths: []int{5, 3}, Want: []int64{2, 3, 4, 7}, WantPer: []int{3, 1},
	}, []float64{7, 2, 1, 19})
}

// With up-projections of zero an adapter changes nothing, under dropout too.
func TestZeroDecoderBottlenecksAreTheBase(t *testing.T) {
	p := 0.3
	for _, style := range []adapterhub.Style{Houlsby, Pfeiffer} {
		for _, base := range []string{"gpt2-tiny", "llama-tiny"} {
			t.Run(string(style)+"/"+base, func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadDecoder(t, base, LoadConfig{Dropout: &p, DType: torchbind.Float64})
					defer m.Close()
					b, _ := smallBatch(t, s, m)
					logits := func(rng *DropoutRNG) []float64 { return torchbind.Detach(s, m.Logits(s, b, rng)).Float64s() }
					plain, dropped := logits(nil), logits(&DropoutRNG{State: 7})
					if slices.Equal(plain, dropped) {
						t.Fatal("no dropout")
					}
					if err := m.AddBottlenecks(BottleneckConfig{Style: style, Size: 3, Seed: 1}); err != nil {
						t.Fatal(err)
					}
					if want := map[adapterhub.Style]int{Houlsby: 4, Pfeiffer: 2}[style]; len(m.Bottlenecks()) != want {
						t.Errorf("%d adapters, want %d", len(m.Bottlenecks()), want)
					}
					if n := len(m.TrainableParams()); n != 4*len(m.Bottlenecks()) {
						t.Errorf("%d tensors are trained, want those of the adapters alone", n)
					}
					if slices.Equal(logits(nil), plain) {
						t.Error("fresh adapters have no effect")
					}
					torchbind.NoGrad(func() {
						for _, a := range m.Bottlenecks() {
							a.Up.Value.CopyInPlace(torchbind.ZerosLike(s, a.Up.Value))
						}
					})
					near(t, "logits", logits(nil), plain, 0)
					near(t, "logits under dropout", logits(&DropoutRNG{State: 7}), dropped, tolerance64) // the dropout is not in the kernel of the sum
				})
			})
		}
	}
}

// What is written has no head, and gives the same logits when it is read again.
func TestDecoderBottleneckRoundTrip(t *testing.T) {
	for _, c := range decoderBottlenecks {
		t.Run(c.adapter, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := loadAdapted(t, c.base, testdata(c.adapter), 0, false, torchbind.Float64)
				defer m.Close()
				a := m.BottleneckAdapter(c.base, nil)
				stored, err := adapterhub.Read(testdata(c.adapter))
				if err != nil {
					t.Fatal(err)
				}
				if a.Style != c.style || a.ModelClass != stored.ModelClass || a.ModelType != stored.ModelType || a.Size != stored.Size || len(a.Head) > 0 {
					t.Errorf("%+v is not of the kind of AdapterHub's", a)
				}
				if got, want := tensorNames(a.Weights), tensorNames(stored.Weights); !slices.Equal(got, want) {
					t.Errorf("weights %q, AdapterHub's are %q", got, want)
				}
				dir := filepath.Join(t.TempDir(), "adapter")
				if err := adapterhub.Write(dir, a, peft.ModelCard{}); err != nil {
					t.Fatal(err)
				}
				again := loadAdapted(t, c.base, dir, 0, false, torchbind.Float64)
				defer again.Close()
				want := openFixture(t, "expected-"+c.adapter)
				seqs, labels := want.sequences("batch")
				b, _ := batchOf(t, s, m, seqs, labels)
				near(t, "logits", m.Logits(s, b, nil).Float64s(), want.floats("logits"), tolLogits32)
				near(t, "logits of the adapter read again", again.Logits(s, b, nil).Float64s(), m.Logits(s, b, nil).Float64s(), tolerance64)
				oneLine(t, m.Write(filepath.Join(t.TempDir(), "merged"), nil, safetensors.F32), "cannot be merged")
			})
		})
	}
}

func tensorNames(tensors []safetensors.Tensor) []string {
	var names []string
	for _, t := range tensors {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// A head that is stored with an adapter of a language model must be the model's.
func TestHeadOfDecoderBottlenecks(t *testing.T) {
	for _, c := range []struct {
		base, adapter, want string
		spoil               func(head *safetensors.Tensor)
	}{
		{"gpt2-tiny", "gpt2-tiny-houlsby", "", nil},
		{"gpt2-tiny", "gpt2-tiny-houlsby", `"lm_head.weight" is not that of the model`, func(t *safetensors.Tensor) { t.Data[3] ^= 0x80 }},
		{"llama-tiny", "llama-tiny-pfeiffer", `"lm_head.weight" is not that of the model`, func(t *safetensors.Tensor) { t.Data[len(t.Data)-1] ^= 0x80 }},
		{"gpt2-tiny", "gpt2-tiny-houlsby", `"score.weight" of F32 [60 24] is not the head`, func(t *safetensors.Tensor) { t.Name = "score.weight" }},
		{"llama-tiny", "llama-tiny-pfeiffer", `"lm_head.weight" of F32 [32 60] is not the head`, func(t *safetensors.Tensor) { t.Shape = []int64{32, 60} }},
		{"gpt2-tiny", "llama-tiny-pfeiffer", "it belongs to another model: a LlamaForCausalLM of hidden size 32, want GPT2LMHeadModel of 24", nil},
	} {
		for _, dtype := range []torchbind.DType{torchbind.Float32, torchbind.BFloat16} {
			t.Run(fmt.Sprintf("%s/%s/%s", c.base, c.want, dtype), func(t *testing.T) {
				run(t, func(*torchbind.Scope) {
					dir := t.TempDir()
					if err := os.CopyFS(dir, os.DirFS(testdata(c.adapter))); err != nil {
						t.Fatal(err)
					}
					if c.spoil != nil {
						a, err := adapterhub.Read(dir)
						if err != nil {
							t.Fatal(err)
						}
						c.spoil(&a.Head[0])
						if err := safetensors.Write(filepath.Join(dir, "model_head.safetensors"), nil, a.Head); err != nil {
							t.Fatal(err)
						}
					}
					m := loadDecoder(t, c.base, LoadConfig{DType: dtype})
					defer m.Close()
					if err := m.LoadAdapter(dir); c.want != "" {
						oneLine(t, err, c.want)
					} else if err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}
