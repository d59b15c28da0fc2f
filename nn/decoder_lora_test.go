package nn

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data"
	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// The decoders of these tests: parts of one matrix, fewer heads of values than
// of queries, and a tied head beside one of its own.
var loraDecoders = []string{"gpt2-tiny", "llama-tiny", "llama-tied", "qwen2-tiny"}

// fillAdapter gives every weight of the adapter a value, drawn from seed.
func fillAdapter(m *Model, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := torchbind.NewScope()
	defer s.Close()
	for _, p := range m.AdapterParams() {
		torchbind.NoGrad(func() {
			p.Value.CopyInPlace(torchbind.FromSlice(s, normal(rng, numEl(p.Shape), 0.3), p.Shape, torchbind.CPU))
		})
	}
}

// queriesAndValues returns the modules of query and value, layer by layer.
func queriesAndValues(t *testing.T, m *Model) []string {
	t.Helper()
	paths, err := m.Modules([]string{"query", "value"})
	if err != nil || len(paths) != 2*m.NumHiddenLayers {
		t.Fatalf("modules %q: %v", paths, err)
	}
	return paths
}

// The kinds of layers are those of every architecture: GPT-2's parts of one matrix,
// and LLaMA's gate.
func TestDecoderTargetSets(t *testing.T) {
	for name, want := range map[string]map[string]int{
		"gpt2-tiny":  {"query+value": 2, "attention": 4, "feed-forward": 2, "all-linear": 6},
		"llama-tiny": {"query+value": 2, "attention": 4, "feed-forward": 3, "all-linear": 7},
		"phi3-tiny":  {"qkv_proj": 1, "attention": 2, "feed-forward": 2, "all-linear": 4},
	} {
		run(t, func(*torchbind.Scope) {
			m := loadDecoder(t, name, LoadConfig{DType: torchbind.Float32})
			defer m.Close()
			for target, layers := range want {
				paths, err := m.Modules([]string{target})
				if err != nil || len(paths) != layers*m.NumHiddenLayers {
					t.Errorf("%s: target %s is %q (%v), want %d layers a block", name, target, paths, err, layers)
				}
				if notes := m.Translated([]string{target}); len(notes) > 0 {
					t.Errorf("%s: target %s: notes %q", name, target, notes)
				}
			}
		})
	}
}

// The value of a layer may have fewer rows than its query, and what a rank costs
// there is less.
func TestDecoderRankSizes(t *testing.T) {
	for name, want := range map[string][]int64{"gpt2-tiny": {48, 48}, "llama-tiny": {64, 48}, "llama-tied": {36, 24}, "qwen2-tiny": {32, 24}, "llama-linear": {40, 28}} {
		run(t, func(*torchbind.Scope) {
			m := loadDecoder(t, name, LoadConfig{DType: torchbind.Float32})
			defer m.Close()
			for i, path := range queriesAndValues(t, m) {
				if got, err := m.RankSize(path); got != want[i%2] || err != nil {
					t.Errorf("%s: a rank of %s costs %d (%v), want %d", name, path, got, err, want[i%2])
				}
			}
			if _, err := m.RankSize("transformer.h.0.attn.c_attn"); err == nil {
				t.Error("the whole of c_attn has a rank")
			}
		})
	}
}

// At any ranks, 0 among them, the adapter that is written, folded or merged gives
// the same logits when it is read again.
func TestDecoderRanksRoundTrip(t *testing.T) {
	for _, name := range loraDecoders {
		for _, ranks := range [][]int64{{4, 4, 4, 4}, {3, 1, 0, 5}, {0, 2, 6, 0}, {0, 0, 1, 2}, {2, 0, 0, 0}} {
			t.Run(fmt.Sprint(name, ranks), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadDecoder(t, name, LoadConfig{DType: torchbind.Float64})
					defer m.Close()
					b, _ := smallBatch(t, s, m)
					base := m.Logits(s, b, nil).Float64s()
					byPath, skipped := map[string]int64{}, []string{}
					for i, path := range queriesAndValues(t, m) {
						if byPath[path] = ranks[i]; ranks[i] == 0 {
							skipped = append(skipped, path)
						}
					}
					if err := m.AddLoRA(LoRAConfig{Ranks: byPath, Alpha: 16, Dropout: 0.1, Seed: 2}); err != nil {
						t.Fatal(err)
					}
					near(t, "logits of fresh layers", m.Logits(s, b, nil).Float64s(), base, 0)
					checkExports(t, s, m, b, skipped, base)
				})
			})
		}
	}
}

// LoRA on every kind of matrix, stored [in, out] or not.
func TestDecoderAllLinear(t *testing.T) {
	for _, name := range slices.Concat(loraDecoders, todaysDecoders, []string{"llama-bias", "mistral-tiny"}) {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := loadDecoder(t, name, LoadConfig{DType: torchbind.Float64})
				defer m.Close()
				b, _ := smallBatch(t, s, m)
				base := m.Logits(s, b, nil).Float64s()
				if err := m.AddLoRA(LoRAConfig{Targets: []string{"all-linear"}, Rank: 2, Alpha: 4}); err != nil {
					t.Fatal(err)
				}
				want := 7
				switch m.ModelType {
				case "gpt2":
					want = 6 // query, key, value, c_proj twice, c_fc
				case "phi3":
					want = 4
				}
				if got := len(m.LoRAs()); got != want*m.NumHiddenLayers {
					t.Errorf("%d LoRA layers, want %d in each of %d blocks", got, want, m.NumHiddenLayers)
				}
				checkExports(t, s, m, b, nil, base)
			})
		})
	}
}

// Without any rank a language model is its base, and has nothing to write.
func TestDecoderWithoutRanks(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := loadDecoder(t, "gpt2-tiny", LoadConfig{DType: torchbind.Float32})
		defer m.Close()
		ranks := map[string]int64{}
		for _, path := range queriesAndValues(t, m) {
			ranks[path] = 0
		}
		if err := m.AddLoRA(LoRAConfig{Ranks: ranks, Alpha: 16}); err != nil || len(m.TrainableParams()) > 0 {
			t.Errorf("%d parameters are trained, %v", len(m.TrainableParams()), err)
		}
		a := m.Adapter("gpt2-tiny", slices.Sorted(maps.Keys(ranks)))
		if len(a.Layers) != m.NumHiddenLayers {
			t.Errorf("layers %v, want c_attn of each block", a.Layers)
		}
		oneLine(t, peft.Write(filepath.Join(t.TempDir(), "adapter"), a, peft.ModelCard{}), "all ranks are 0")
	})
}

// Models that were written and read again are compared in float64: what is then
// apart is the float32 of the files, the same on every CPU. A rounded number is off
// by 6.0e-8 of itself, a sum of rounded products by so much of its terms: 16 sums
// one on the other for a factor, and 50, three for a rounded W + ΔW, for a weight.
const (
	tolFactors = 1e-6
	tolMerged  = 3e-6
)

// checkExports gives the LoRA layers of m, a float64 model, values that float32
// has, and reads again what is written of them.
func checkExports(t *testing.T, s *torchbind.Scope, m *Model, b *Batch, skipped []string, base []float64) {
	t.Helper()
	name := filepath.Base(m.Dir)
	fillAdapter(m, 9)
	before := m.Logits(s, b, nil).Float64s()
	if slices.Equal(before, base) {
		t.Fatal("LoRA has no effect")
	}
	tolerance := tolerance64 // what is stored is what is computed with
	if m.ModelType == "gpt2" {
		tolerance = tolFactors // B·alpha/rank is rounded
	}
	adapter := m.Adapter(name, skipped)
	folded, err := adapter.Fold()
	if err != nil {
		t.Fatal(err)
	}
	for form, a := range map[string]*peft.Adapter{"adapter": adapter, "folded adapter": folded} {
		if a == folded {
			tolerance = tolFactors
		}
		dir := filepath.Join(t.TempDir(), "adapter")
		if err := peft.Write(dir, a, peft.ModelCard{}); err != nil {
			t.Fatal(err)
		}
		cfg, err := peft.ReadConfig(dir)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.TaskType != "CAUSAL_LM" || cfg.FanInFanOut != (m.ModelType == "gpt2") || len(cfg.ModulesToSave) > 0 {
			t.Errorf("%s: %+v", form, cfg)
		}
		again := loadAdapted(t, name, dir, 0, false, torchbind.Float64)
		defer again.Close()
		near(t, "logits of the "+form, again.Logits(s, b, nil).Float64s(), before, tolerance)
	}
	dir := filepath.Join(t.TempDir(), "merged")
	if err := m.Write(dir, nil, safetensors.F32); err != nil {
		t.Fatal(err)
	}
	merged, err := Load(dir, LoadConfig{Output: CausalLM, DType: torchbind.Float64, Device: torchbind.CPU})
	if err != nil {
		t.Fatal(err)
	}
	defer merged.Close()
	near(t, "logits of the merged model", merged.Logits(s, b, nil).Float64s(), before, tolMerged)
}

// AdaLoRA's form on parts of c_attn, and on values of fewer rows: folded at
// ranks, 0 among them, it is plain LoRA that computes the same, here and when it
// is read again.
func TestDecoderFoldSVD(t *testing.T) {
	keep := [][]bool{
		{true, false, true, true, false},
		{false, false, false, false, false},
		{true, true, true, true, true},
		{false, false, false, false, true},
	}
	for _, name := range loraDecoders {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := loadDecoder(t, name, LoadConfig{DType: torchbind.Float64})
				defer m.Close()
				b, _ := smallBatch(t, s, m)
				base := m.Logits(s, b, nil).Float64s()
				if err := m.AddLoRA(LoRAConfig{Targets: []string{"query", "value"}, Rank: svdRank, Alpha: 16, SVD: true, Seed: 3}); err != nil {
					t.Fatal(err)
				}
				near(t, "logits of fresh layers", m.Logits(s, b, nil).Float64s(), base, 0)
				fillAdapter(m, 4)
				layers := m.LoRAs()
				for i, l := range layers {
					setE(l, func(j int) float64 {
						if !keep[i][j] {
							return 0
						}
						return float64((3*i+j)%7) - 2.5
					})
				}
				svd := m.Logits(s, b, nil).Float64s()
				if slices.Equal(base, svd) {
					t.Fatal("E has no effect")
				}
				m.FoldSVD(keep)
				var ranks []int64
				for _, l := range m.LoRAs() {
					ranks = append(ranks, l.Rank)
				}
				if !slices.Equal(ranks, []int64{3, 5, 1}) {
					t.Errorf("ranks %v, want 3, 5 and 1", ranks)
				}
				near(t, "logits of the folded model", m.Logits(s, b, nil).Float64s(), svd, tolFolded)
				dir := filepath.Join(t.TempDir(), "adapter")
				if err := peft.Write(dir, m.Adapter(name, []string{layers[1].Module}), peft.ModelCard{}); err != nil {
					t.Fatal(err)
				}
				again := loadAdapted(t, name, dir, 0, false, torchbind.Float64)
				defer again.Close()
				near(t, "logits of the adapter", again.Logits(s, b, nil).Float64s(), svd, tolFactors)
			})
		})
	}
}

// A model that was trained whole is written with the keys and shapes of the
// folder that it came from, and gives the same logits, to the bit, when it is read
// again.
func TestFullDecoderRoundTrip(t *testing.T) {
	for _, name := range slices.Concat(loraDecoders, todaysDecoders, []string{"gpt2-hub", "llama-linear", "llama-bias", "mistral-tiny"}) {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				m := loadDecoder(t, name, LoadConfig{Full: true, DType: torchbind.Float32})
				defer m.Close()
				b, y := smallBatch(t, s, m)
				params := m.TrainableParams()
				optim := torchbind.NewAdamW(m.Scope(), Values(params), torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8})
				before := torchbind.Detach(s, m.Loss(s, b, y, nil)).Item()
				optim.Apply(torchbind.Grad(s, []*torchbind.Tensor{m.Loss(s, b, y, nil)}, Values(params), nil, false), 1e-3)
				if after := m.Loss(s, b, y, nil).Item(); !(after < before) {
					t.Errorf("a step leads from loss %v to %v", before, after)
				}
				dir := filepath.Join(t.TempDir(), "model")
				if err := m.Write(dir, nil, safetensors.F32); err != nil {
					t.Fatal(err)
				}
				if got, want := shapesOf(t, dir), shapesOf(t, testdata(name)); !maps.Equal(got, want) {
					t.Errorf("tensors %v, want %v", got, want)
				}
				again, err := Load(dir, LoadConfig{Output: CausalLM, Full: true, DType: torchbind.Float32, Device: torchbind.CPU})
				if err != nil {
					t.Fatal(err)
				}
				defer again.Close()
				near(t, "logits", again.Logits(s, b, nil).Float64s(), torchbind.Detach(s, m.Logits(s, b, nil)).Float64s(), 0)
			})
		})
	}
}

// shapesOf returns the shape of every tensor of a model folder by its key: as
// transformers writes it now, without the buffers of old releases.
func shapesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	shapes := map[string]string{}
	for _, x := range tensorsOf(t, dir) {
		if name := x.Name; !gpt2.ignores(name) && !llama.ignores(name) {
			if strings.HasPrefix(name, "h.") || strings.HasPrefix(name, "w") || strings.HasPrefix(name, "ln_f") { // gpt2-hub
				name = "transformer." + name
			}
			shapes[name] = fmt.Sprint(x.Shape)
		}
	}
	return shapes
}

func tensorsOf(t *testing.T, dir string) []safetensors.Tensor {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var all []safetensors.Tensor
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		all = append(all, x)
	}
	return all
}

// The gradient of an embedding that is the head too is the sum of what a model
// with the same matrix twice gives each.
func TestTiedGradient(t *testing.T) {
	for name, words := range map[string]string{"gpt2-tiny": "transformer.wte.weight", "llama-tied": "model.embed_tokens.weight", "qwen2-tiny": "model.embed_tokens.weight"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				dir := t.TempDir()
				tensors := tensorsOf(t, testdata(name))
				at := slices.IndexFunc(tensors, func(x safetensors.Tensor) bool { return x.Name == words })
				head := tensors[at]
				head.Name = "lm_head.weight"
				if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), nil, append(tensors, head)); err != nil {
					t.Fatal(err)
				}
				writeUntied(t, name, dir)
				gradients := func(m *Model) map[string][]float64 {
					b, y := smallBatch(t, s, m)
					byName := map[string][]float64{}
					for i, g := range torchbind.Grad(s, []*torchbind.Tensor{m.Loss(s, b, y, nil)}, Values(m.Params()), nil, false) {
						byName[m.Params()[i].Name] = g.Float64s()
					}
					return byName
				}
				tied := loadDecoder(t, name, LoadConfig{Full: true, DType: torchbind.Float64})
				defer tied.Close()
				two, err := Load(dir, LoadConfig{Output: CausalLM, Full: true, DType: torchbind.Float64, Device: torchbind.CPU})
				if err != nil {
					t.Fatal(err)
				}
				defer two.Close()
				got, want := gradients(tied), gradients(two)
				if len(want) != len(got)+1 {
					t.Fatalf("%d parameters with a tied head, %d without", len(got), len(want))
				}
				asWords, asHead := want[words], want["lm_head.weight"]
				if norm(asWords) < 1e-3 || norm(asHead) < 1e-3 {
					t.Fatalf("gradients of norm %v and %v", norm(asWords), norm(asHead))
				}
				for i := range asHead {
					asHead[i] += asWords[i]
				}
				near(t, "gradient of "+words, got[words], asHead, tolerance64)
			})
		})
	}
}

// writeUntied writes the configuration of a model of testdata into dir, without
// the tie of its head.
func writeUntied(t *testing.T, name, dir string) {
	t.Helper()
	var config map[string]any
	data, err := os.ReadFile(testdata(name + "/config.json"))
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err == nil {
		config["tie_word_embeddings"] = false
		data, err = json.Marshal(config)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func norm(values []float64) float64 {
	square := 0.0
	for _, v := range values {
		square += v * v
	}
	return math.Sqrt(square)
}

// addNorms gives m the norms and scales that a family may have and none here has.
func addNorms(m *Model) {
	norm := func(size int64) *Norm {
		return &Norm{Weight: m.trained("norm", ramp(size), size), Eps: 1e-6, Plus: 1}
	}
	m.Body.Embedding.Scale = 3
	for _, l := range m.Body.Blocks {
		l.AroundAttention.Within, l.AroundFeedForward.Within = norm(m.HiddenSize), norm(m.HiddenSize)
		a := l.Attention.(*MultiHead)
		a.QueryNorm, a.KeyNorm, a.Scale = norm(m.HeadDim), norm(m.HeadDim), 0.3
	}
}

func ramp(n int64) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = 0.1 * float32(i)
	}
	return values
}

// What is read token by token gives the logits of reading the text at once, with
// adapters of every kind.
func TestDecodingWithAdapters(t *testing.T) {
	text := []int64{5, 9, 31, 7, 2, 12, 30}
	const prompt = 3
	for _, name := range slices.Concat(loraDecoders, todaysDecoders, []string{"mistral-tiny"}) {
		for kind, add := range map[string]func(m *Model) error{
			"lora": func(m *Model) error { return m.AddLoRA(LoRAConfig{Targets: []string{"all-linear"}, Rank: 2, Alpha: 4}) },
			"svd": func(m *Model) error {
				return m.AddLoRA(LoRAConfig{Targets: []string{"query", "value"}, Rank: 2, Alpha: 4, SVD: true})
			},
			"houlsby":  func(m *Model) error { return m.AddBottlenecks(BottleneckConfig{Style: Houlsby, Size: 3}) },
			"pfeiffer": func(m *Model) error { return m.AddBottlenecks(BottleneckConfig{Style: Pfeiffer, Size: 3}) },
			"norms":    func(m *Model) error { addNorms(m); return nil },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadDecoder(t, name, LoadConfig{DType: torchbind.Float64})
					defer m.Close()
					if err := add(m); err != nil {
						t.Fatal(err)
					}
					fillAdapter(m, 6)
					var got, want []float64
					torchbind.InferenceMode(func() {
						seqs := data.Batch{IDs: text, Segments: make([]int64, len(text)), Lengths: []int{len(text)}, WantPer: []int{len(text) - prompt + 1}}
						for i := prompt - 1; i < len(text); i++ {
							seqs.Want = append(seqs.Want, int64(i))
						}
						b, err := m.NewBatch(s, &seqs)
						if err != nil {
							t.Fatal(err)
						}
						want = m.Logits(s, b, nil).Float64s()
						d, scores, err := m.Decode(s, [][]int64{text[:prompt]})
						if err != nil {
							t.Fatal(err)
						}
						defer d.Close()
						got = scores.Float64s()
						for _, token := range text[prompt:] {
							if scores, err = d.Step(s, []int{0}, []int64{token}); err != nil {
								t.Fatal(err)
							}
							got = append(got, scores.Float64s()...)
						}
					})
					near(t, "logits", got, want, tolerance64)
				})
			})
		}
	}
}
