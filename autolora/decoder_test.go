package autolora

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"autolora/nn"
	"autolora/nn/peft"
	"autolora/torchbind"
)

// The reference of these tests is testdata/nn/make_decoder_search.py: the search
// (docs/method.md, "One search iteration") in plain PyTorch on transformers'
// GPT-2 and LLaMA.

var decoderFamilies = []string{"gpt2", "llama"}

func loadDecoder(t *testing.T, name string, cfg nn.LoadConfig) *nn.Model {
	t.Helper()
	cfg.Output, cfg.Device = nn.CausalLM, torchbind.CPU
	model, err := nn.Load(fixturePath(name), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// newDecoderSearch returns the search of the fixture search-FAMILY at its start,
// but for a in another form than softmax, which is that of search-FORM.
func newDecoderSearch(t *testing.T, s *torchbind.Scope, family string, dtype torchbind.DType, form string, cfg SearchConfig) *Search {
	t.Helper()
	values := openFixture(t, "search-"+family)
	start := values.floats(s, "a")
	cfg.Form, cfg.Scale = Softmax, 1
	for _, f := range referenceForms {
		if f.name == form && form != "softmax" {
			cfg.Form, cfg.Scale = f.form, f.scale
			start = openFixture(t, "search-"+form).floats(s, "a")
		}
	}
	cfg.K, cfg.AdamW, cfg.AdamWA, cfg.LRWeights, cfg.LRAlpha, cfg.Unroll = searchK, AdamW(0.01), AdamW(0), 1e-3, 1e-2, 1
	model := loadDecoder(t, family+"-tiny", nn.LoadConfig{DType: dtype, Pack: dtype == torchbind.Float32})
	x, err := NewSearch(model, nn.LoRAConfig{Targets: []string{"query", "value"}, Alpha: 8}, cfg, Execution{Seed: 1, GradientCheckpointing: recomputing})
	if err != nil {
		t.Fatal(err)
	}
	torchbind.NoGrad(func() {
		for _, p := range x.weights {
			p.Value.CopyInPlace(values.tensor(s, "start."+keyPrefix+p.Name))
		}
		x.a.CopyInPlace(torchbind.FromSlice(s, start, []int64{searchLayers, searchK}, torchbind.CPU))
	})
	return x
}

// One iteration, every part of it, in all modes and look-aheads.
func TestDecoderHypergradientAgainstPyTorch(t *testing.T) {
	for _, family := range decoderFamilies {
		values := openFixture(t, "search-"+family)
		for _, c := range []struct {
			ahead LookAhead
			eta   float64
		}{{SGD, 0.05}, {SGD, 0.01}, {Adam, 0.05}} {
			for _, mode := range Modes {
				lookAhead := fmt.Sprintf("%s-%v", c.ahead, c.eta)
				t.Run(family+"/"+lookAhead+"/"+string(mode), func(t *testing.T) {
					run(t, func(s *torchbind.Scope) {
						x := newDecoderSearch(t, s, family, torchbind.Float64, "softmax", SearchConfig{Mode: mode, LookAhead: c.ahead, Eta: c.eta})
						defer x.model.Close()
						checkIteration(t, s, x, values, values, lookAhead)
					})
				})
			}
		}
	}
}

// In float32, over packed weights, the search computes the same to that
// precision.
func TestDecoderHypergradientInFloat32(t *testing.T) {
	for _, family := range decoderFamilies {
		t.Run(family, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				values := openFixture(t, "search-"+family)
				x := newDecoderSearch(t, s, family, torchbind.Float32, "softmax", SearchConfig{Mode: Exact, LookAhead: SGD, Eta: 0.05})
				defer x.model.Close()
				_, _, _, _, _, d, implicit := x.hypergradient(s, values.batch(s, x.model, "t.0"), values.batch(s, x.model, "v.0"))
				torchbind.ForeachMulScalarInPlace(implicit, -x.Eta)
				near(t, "d", d[0].Float64s(), values.floats(s, "sgd-0.05.d"), tolSingle)
				near(t, "implicit part", implicit[0].Float64s(), values.floats(s, "sgd-0.05.implicit"), tolSingle)
			})
		})
	}
}

// Whole iterations: five updates of a, with W and a moved by AdamW.
func TestDecoderSearchStepsAgainstPyTorch(t *testing.T) {
	for _, family := range decoderFamilies {
		for _, ahead := range LookAheads {
			t.Run(family+"/"+string(ahead), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					values := openFixture(t, "search-"+family)
					x := newDecoderSearch(t, s, family, torchbind.Float64, "softmax", SearchConfig{Mode: Exact, LookAhead: ahead, Eta: 0.05})
					defer x.model.Close()
					checkSteps(t, s, x, values, values, "softmax."+string(ahead)+"-0.05")
				})
			})
		}
	}
}

// The exact hypergradient against central differences, with every dropout of
// GPT-2 on, and LLaMA's one.
func TestDecoderExactAgainstCentralDifferences(t *testing.T) {
	for _, family := range decoderFamilies {
		for _, form := range []string{"softmax", "none", "sigmoid"} {
			t.Run(family+"/"+form, func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					values := openFixture(t, "search-"+family)
					x := newDecoderSearch(t, s, family, torchbind.Float64, form, SearchConfig{Mode: Exact, LookAhead: SGD, Eta: 0.05})
					defer x.model.Close()
					setDropout(t, s, x, values.batch(s, x.model, "t.0"))
					checkCentralDifferences(t, s, x, values.batch(s, x.model, "t.0"), values.batch(s, x.model, "v.0"))
				})
			})
		}
	}
}

// setDropout turns on every dropout that a decoder has, one after the other, and
// makes sure that each changes the loss.
func setDropout(t *testing.T, s *torchbind.Scope, x *Search, b *Batch) {
	t.Helper()
	m := x.model
	places := [][]*float64{nil, {&m.AttentionDropout}}
	for _, l := range m.LoRAs() {
		places[0] = append(places[0], &l.Dropout)
	}
	if m.ModelType == "gpt2" {
		places = append(places, []*float64{&m.HiddenDropout}, []*float64{&m.EmbedDropout})
	}
	masks := x.dropout.State
	loss := func() float64 {
		x.dropout.State = masks
		return lossOf(s, x, b)
	}
	before := loss()
	for i, same := range places {
		for _, p := range same {
			*p = 0.2
		}
		after := loss()
		if after == before {
			t.Errorf("dropout %d of %d has no effect", i, len(places))
		}
		before = after
	}
	x.dropout.State = masks
}

// With independent masks finite differences would be noise; with saved ones they
// agree with the exact mode as well as without dropout.
func TestDecoderFiniteDifferenceSharesMasks(t *testing.T) {
	for _, family := range decoderFamilies {
		t.Run(family, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				implicits := make(map[Mode][]float64)
				for _, mode := range []Mode{Exact, FiniteDifference} {
					values := openFixture(t, "search-"+family)
					x := newDecoderSearch(t, s, family, torchbind.Float64, "softmax", SearchConfig{Mode: mode, LookAhead: SGD, Eta: 0.05})
					bt, bv := values.batch(s, x.model, "t.0"), values.batch(s, x.model, "v.0")
					setDropout(t, s, x, bt)
					_, _, _, _, _, _, implicit := x.hypergradient(s, bt, bv)
					implicits[mode] = implicit[0].Float64s()
					x.model.Close()
				}
				near(t, "fd against exact", implicits[FiniteDifference], implicits[Exact], 1e-3)
			})
		})
	}
}

// AdaLoRA as it is trained, folded and read again computes the same, in layers
// that are parts of c_attn and in those whose outputs are fewer.
func TestDecoderAdaLoRAFolds(t *testing.T) {
	for _, family := range decoderFamilies {
		t.Run(family, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				values := openFixture(t, "search-"+family)
				model := loadDecoder(t, family+"-tiny", nn.LoadConfig{DType: torchbind.Float64})
				defer model.Close()
				cfg := AdaLoRAConfig{InitRank: 6, TargetRank: 2, TInit: 2, TFinal: 3, Total: 12, DeltaT: 2, Beta1: 0.85, Beta2: 0.85, OrthWeight: 0.1}
				allocator, err := NewRankAllocator(model, nn.LoRAConfig{Targets: []string{"query", "value"}, Alpha: 8}, cfg)
				if err != nil {
					t.Fatal(err)
				}
				trainer := NewTrainer(model, TrainConfig{Steps: cfg.Total, LR: 0.05, AdamW: AdamW(0.01)}, allocator, Execution{Seed: 1})
				var losses []float64
				for i := range cfg.Total {
					losses = append(losses, trainer.Step(s, []*Batch{values.batch(s, model, fmt.Sprintf("t.%d", i%2))}).Loss)
				}
				if !(losses[cfg.Total-1] < losses[1]) {
					t.Errorf("losses %v do not fall", losses)
				}
				if ranks := allocator.Ranks(); sum(ranks) != 8 || slices.Max(ranks) == slices.Min(ranks) {
					t.Errorf("ranks %v, want 8 in all, not evenly", ranks)
				}
				b := values.batch(s, model, "v.0")
				logits := func(m *nn.Model) []float64 { return torchbind.Detach(s, m.Logits(s, b.Batch, nil)).Float64s() }
				trained := logits(model)
				model.FoldSVD(allocator.Keep())
				near(t, "logits of the folded model", logits(model), trained, 1e-12)

				dir := filepath.Join(t.TempDir(), "adapter")
				if err := peft.Write(dir, model.Adapter(family+"-tiny", nil), peft.ModelCard{}); err != nil {
					t.Fatal(err)
				}
				again := loadDecoder(t, family+"-tiny", nn.LoadConfig{DType: torchbind.Float64})
				defer again.Close()
				if err := again.LoadAdapter(dir); err != nil {
					t.Fatal(err)
				}
				near(t, "logits of the adapter", logits(again), trained, 1e-6) // its numbers are float32
			})
		})
	}
}
