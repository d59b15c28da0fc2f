package nn

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"autolora/data"
	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

var roundedCases = []struct {
	name       string
	labels     int64
	regression bool
	fixture    string
}{
	{"bert-tiny", 3, false, "expected-bert-tiny"},
	{"bert-tiny-regression", 1, true, "expected-bert-tiny-regression"},
	{"roberta-tiny", 2, false, "expected-roberta-tiny"},
	{"bert-tiny-tokens", 5, false, "expected-bert-tiny-tokens"},
	{"gpt2-tiny", 0, false, "expected-gpt2-tiny"},
	{"llama-tiny", 0, false, "expected-llama-tiny"},
	{"mistral-tiny", 0, false, "expected-mistral-tiny-lora"},
	{"qwen3-tiny", 0, false, "expected-qwen3-tiny"},
	{"gemma2-tiny", 0, false, "expected-gemma2-tiny"},
	{"gemma3-tiny", 0, false, "expected-gemma3-tiny"},
	{"phi3-tiny", 0, false, "expected-phi3-tiny"},
	{"modernbert-tiny", 3, false, "expected-modernbert-tiny"},
	{"modernbert-mean", 1, true, "expected-modernbert-mean"},
	{"deberta-tiny", 3, false, "expected-deberta-tiny"},
	{"deberta-tiny-tokens", 5, false, "expected-deberta-tiny-tokens"},
}

// loadRounded loads a model of testdata whose every weight is trained, or that
// has LoRA layers with dropout.
func loadRounded(t *testing.T, name string, labels int64, regression, full bool, cfg LoadConfig) *Model {
	t.Helper()
	cfg.Output, cfg.Full = outputOf(name, regression), full
	if cfg.Output != CausalLM {
		cfg.Labels, cfg.Head = labels, HeadStored
	}
	m := mustLoad(t, testdata(name), cfg)
	if full {
		return m
	}
	p := 0.0
	if *cfg.Dropout > 0 {
		p = 0.2
	}
	if err := m.AddLoRA(LoRAConfig{Targets: []string{"query", "value"}, Rank: 3, Alpha: 6, Dropout: p}); err != nil {
		t.Fatal(err)
	}
	fillAdapter(m, 5)
	return m
}

// outcome is what a model makes of the fixture's batch: everything that training
// sees of it, by name.
func outcome(t *testing.T, s *torchbind.Scope, m *Model, seqs data.Batch, labels []float64, masked, twice bool) map[string][]float64 {
	t.Helper()
	b, y := batchOf(t, s, m, seqs, labels)
	if m.Output != Regression {
		y = b.Labels(s, y.Int64s())
	}
	if twice {
		b = b.Twice()
	}
	rng := func() *DropoutRNG {
		if masked {
			return &DropoutRNG{State: 9}
		}
		return nil
	}
	loss := m.Loss(s, b, y, rng())
	out := map[string][]float64{"logits": m.Logits(s, b, rng()).Float64s(), "loss": loss.Float64s()}
	params := m.TrainableParams()
	g := torchbind.Grad(s, []*torchbind.Tensor{loss}, Values(params), nil, twice)
	for i, p := range params {
		out["gradient of "+p.Name] = torchbind.Detach(s, g[i]).Float64s()
	}
	if twice { // the gradient of the sum of the gradients' squares
		var square *torchbind.Tensor
		for _, g := range g {
			part := torchbind.Sum(s, torchbind.Mul(s, g, g))
			if square != nil {
				part = torchbind.Add(s, square, part)
			}
			square = part
		}
		for i, g := range torchbind.Grad(s, []*torchbind.Tensor{square}, Values(params), nil, false) {
			out["second gradient of "+params[i].Name] = g.Float64s()
		}
	}
	return out
}

// sharesHead reports whether the embeddings are the head too.
func sharesHead(m *Model) bool { return m.Vocabulary != nil && m.TieWordEmbeddings }

// A rounded batch has the numbers of the batch itself: logits, loss, and every
// derivative.
func TestRoundedBatches(t *testing.T) {
	for _, c := range roundedCases {
		for _, full := range []bool{true, false} {
			for _, p := range []float64{0, 0.1} {
				for _, twice := range []bool{false, true} {
					if full && twice {
						continue // trained norms have derivatives of the first order only
					}
					if p > 0 && strings.HasPrefix(c.name, "deberta") {
						continue // its masks are of the padded batch
					}
					t.Run(fmt.Sprintf("%s/full %v/dropout %v/twice %v", c.name, full, p, twice), func(t *testing.T) {
						run(t, func(s *torchbind.Scope) {
							values := openFixture(t, c.fixture)
							seqs, labels := values.sequences("batch")
							cfg := LoadConfig{Dropout: &p, LabelSmoothing: 0.1, DType: torchbind.Float64, Device: torchbind.CPU}
							plain := loadRounded(t, c.name, c.labels, c.regression, full, cfg)
							defer plain.Close()
							cfg.Round = true
							rounded := loadRounded(t, c.name, c.labels, c.regression, full, cfg)
							defer rounded.Close()
							want := outcome(t, s, plain, seqs, labels, p > 0, twice)
							got := outcome(t, s, rounded, seqs, labels, p > 0, twice)
							if len(got) != len(want) {
								t.Fatalf("%d results, want %d", len(got), len(want))
							}
							for name, w := range want {
								near(t, name, got[name], w, tolerance64)
							}
							if full && !slices.Contains(seqs.IDs, 0) {
								words := got["gradient of "+plain.Params()[0].Name]
								if zero := words[:plain.HiddenSize]; norm(words) == 0 || norm(zero) != 0 && !sharesHead(plain) {
									t.Errorf("the gradient at token 0, which fills up, is %v, want exact zeros", zero)
								}
							}
						})
					})
				}
			}
		}
	}
}

// Batches of near sizes have the same shapes, and others that fit them.
func TestRoundedShapes(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := loadDecoder(t, "gpt2-tiny", LoadConfig{DType: torchbind.Float32, Round: true})
		defer m.Close()
		shapes := func(lengths []int, want int) (shapes [][]int64, b *Batch) {
			var seqs data.Batch
			for _, n := range lengths {
				first := int64(len(seqs.IDs))
				seqs.IDs = append(seqs.IDs, slices.Repeat([]int64{3}, n)...)
				seqs.Lengths, seqs.WantPer = append(seqs.Lengths, n), append(seqs.WantPer, want)
				for i := range want {
					seqs.Want = append(seqs.Want, first+int64(i))
				}
			}
			seqs.Segments = make([]int64, len(seqs.IDs))
			b, err := m.NewBatch(s, &seqs)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range b.Tensors() {
				shapes = append(shapes, x.Shape())
			}
			return shapes, b
		}
		first, b := shapes([]int{3, 9, 7}, 2)
		second, _ := shapes([]int{11, 13, 5}, 3)
		if !slices.EqualFunc(first, second, slices.Equal) {
			t.Errorf("shapes %v and %v, want equal ones", first, second)
		}
		if rows, want := b.IDs.Size(0), b.Want.Size(0); rows != 32 || want != 16 || b.Tokens != 19 || b.Wanted != 6 {
			t.Errorf("%d rows of %d tokens, %d wanted of %d; want 32 of 19, 16 of 6", rows, b.Tokens, want, b.Wanted)
		}
		if other, _ := shapes([]int{3, 9, 7, 14}, 2); slices.EqualFunc(first, other, slices.Equal) {
			t.Error("a batch of another number of sequences has the same shapes")
		}
	})
	for n, want := range map[int]int{1: 16, 16: 16, 17: 32, 250: 256, 256: 256, 257: 288, 511: 512, 513: 576, 1025: 1152} {
		if got := roundUp(n); got != want {
			t.Errorf("%d rounded up is %d, want %d", n, got, want)
		}
	}
}

// Texts are read and written the same on rounded batches.
func TestRoundedDecoding(t *testing.T) {
	prompts := [][]int64{{5, 9, 31}, {7}, {2, 12, 30, 8, 4}}
	scores := func(s *torchbind.Scope, name string, round bool) (all []float64) {
		m := loadDecoder(t, name, LoadConfig{DType: torchbind.Float64, Round: round})
		defer m.Close()
		torchbind.InferenceMode(func() {
			d, first, err := m.Decode(s, prompts)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			all = first.Float64s()
			for range 3 {
				next, err := d.Step(s, []int{0, 2, 2}, []int64{6, 7, 8})
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, next.Float64s()...)
			}
		})
		return all
	}
	for _, name := range append(todaysDecoders, "gpt2-tiny", "llama-tiny", "mistral-tiny") {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				near(t, "scores", scores(s, name, true), scores(s, name, false), tolerance64)
			})
		})
	}
}

// The CUDA device's numbers are the CPU's, to the rounding of the type: sums of a
// few hundred products in another order, in bfloat16 with 8 bits each.
func TestCUDAAgainstCPU(t *testing.T) {
	gpu := torchtest.CUDA(t)
	for _, c := range roundedCases {
		for _, twice := range []bool{false, true} {
			for dtype, tolerance := range map[torchbind.DType]float64{torchbind.Float32: 1e-4, torchbind.BFloat16: 4e-2} {
				t.Run(fmt.Sprintf("%s/%s/twice %v", c.name, dtype, twice), func(t *testing.T) {
					run(t, func(s *torchbind.Scope) {
						p := 0.0
						seqs, labels := openFixture(t, c.fixture).sequences("batch")
						cfg := LoadConfig{Dropout: &p, DType: dtype, Device: torchbind.CPU}
						host := loadRounded(t, c.name, c.labels, c.regression, false, cfg)
						defer host.Close()
						cfg.Device, cfg.Round = gpu, true
						device := loadRounded(t, c.name, c.labels, c.regression, false, cfg)
						defer device.Close()
						got := outcome(t, s, device, seqs, labels, false, twice)
						for name, want := range outcome(t, s, host, seqs, labels, false, twice) {
							near(t, name, got[name], want, tolerance)
						}
					})
				})
			}
		}
	}
}
