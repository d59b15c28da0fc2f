package autolora

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"autolora/data"
	"autolora/nn"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// tolRecomputed is for two ways to compute one number in float64 that differ in
// the order of sums. First derivatives by LoRA layers and adapters do not: there
// it is 0.
const tolRecomputed = 1e-10

// recomputing turns gradient checkpointing on in the searches of the other tests.
var recomputing bool

// Whole searches against independent references with gradient checkpointing too. Of what
// else is proved of the search TestRecomputedSearch says that it is the same with it.
func TestReferencesWithGradientCheckpointing(t *testing.T) {
	recomputing = true
	defer func() { recomputing = false }()
	t.Run("hypergradient", TestHypergradientAgainstPyTorch)
	t.Run("steps", TestSearchStepsAgainstPyTorch)
	t.Run("presets", TestPresetSearchesAgainstPyTorch)
	t.Run("divergence", TestAlphaFirstDivergence)
	t.Run("decoders/steps", TestDecoderSearchStepsAgainstPyTorch)
}

// recomputeModels are models of every family and every kind of output.
var recomputeModels = []struct {
	name   string
	output nn.Output
	labels int64
}{
	{"bert-tiny", nn.SequenceClassification, 3},
	{"bert-tiny-regression", nn.Regression, 1},
	{"bert-tiny-tokens", nn.TokenClassification, 5},
	{"roberta-tiny", nn.SequenceClassification, 2},
	{"roberta-tiny-tokens", nn.TokenClassification, 5},
	{"gpt2-tiny", nn.CausalLM, 0},
	{"llama-tiny", nn.CausalLM, 0},
	{"llama-tied", nn.CausalLM, 0},
	{"qwen3-tiny", nn.CausalLM, 0},
	{"gemma3-tiny", nn.CausalLM, 0},
	{"phi3-tiny", nn.CausalLM, 0},
	{"smollm3-tiny", nn.CausalLM, 0},
	{"olmo2-tiny", nn.CausalLM, 0},
	{"distilbert-tiny", nn.SequenceClassification, 3},
	{"electra-tiny", nn.SequenceClassification, 3},
	{"modernbert-mean", nn.Regression, 1},
	{"modernbert-tiny-tokens", nn.TokenClassification, 5},
	{"deberta-tiny", nn.SequenceClassification, 3},
	{"deberta-tiny-tokens", nn.TokenClassification, 5},
}

// loadRecomputed returns a model with every dropout on.
func loadRecomputed(t *testing.T, name string, output nn.Output, labels int64, full bool) *nn.Model {
	t.Helper()
	p := 0.2
	model, err := nn.Load(fixturePath(name), nn.LoadConfig{
		Output: output, Labels: labels, Head: nn.HeadFresh, Seed: 3, Dropout: &p, Full: full, LabelSmoothing: 0.1, DType: torchbind.Float64, Device: torchbind.CPU,
	})
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// madeUpBatch returns a batch of three sequences that seed draws.
func madeUpBatch(t *testing.T, s *torchbind.Scope, m *nn.Model, seed uint64) *Batch {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	var q data.Batch
	rows := 0
	for _, length := range []int{7, 3, 5} {
		for i := range length {
			if (m.Output == nn.TokenClassification || m.Output == nn.CausalLM) && i%2 == 0 {
				q.Want = append(q.Want, int64(len(q.IDs)))
			}
			q.IDs = append(q.IDs, rng.Int64N(m.VocabSize))
		}
		q.Lengths = append(q.Lengths, length)
		if q.Want != nil {
			q.WantPer = append(q.WantPer, (length+1)/2)
		}
	}
	q.Segments = make([]int64, len(q.IDs))
	packed, err := m.NewBatch(s, &q)
	if err != nil {
		t.Fatal(err)
	}
	if rows = len(q.Want); q.Want == nil {
		rows = len(q.Lengths)
	}
	b := &Batch{Batch: packed, Size: rows, Weight: float64(rows)}
	if m.Output == nn.Regression {
		b.Labels = torchbind.FromSlice(s, []float64{0.3, -1.2, 0.8}, []int64{3}, torchbind.CPU)
		return b
	}
	labels := make([]int64, rows)
	for i := range labels {
		labels[i] = rng.Int64N(m.Labels())
	}
	b.Labels = torchbind.FromSlice(s, labels, []int64{int64(rows)}, torchbind.CPU)
	return b
}

// scatter gives tensors values that rng draws.
func scatter(s *torchbind.Scope, rng *rand.Rand, size float64, ts ...*torchbind.Tensor) {
	for _, v := range ts {
		data := make([]float64, v.NumEl())
		for i := range data {
			data[i] = size * rng.NormFloat64()
		}
		torchbind.NoGrad(func() { v.CopyInPlace(torchbind.FromSlice(s, data, v.Shape(), torchbind.CPU)) })
	}
}

// nearTensors is near for tensors.
func nearTensors(t *testing.T, s *torchbind.Scope, name string, got, want []*torchbind.Tensor, tolerance float64) {
	t.Helper()
	flat := func(ts []*torchbind.Tensor) (all []float64) {
		for _, v := range ts {
			all = append(all, torchbind.Detach(s, v).Float64s()...)
		}
		return all
	}
	near(t, name, flat(got), flat(want), tolerance)
}

// All parts of an iteration and whole iterations, with and without gradient
// checkpointing, with every dropout: of every family and kind of output the exact mode
// and a finite difference, of an encoder and a decoder every mode, order and form.
func TestRecomputedSearch(t *testing.T) {
	configs := map[string]SearchConfig{
		"exact":                {Mode: Exact, LookAhead: SGD},
		"exact-adam":           {Mode: Exact, LookAhead: Adam},
		"exact-ahead":          {Mode: Exact, LookAhead: SGD, At: AtLookAhead},
		"exact-ahead-adam":     {Mode: Exact, LookAhead: Adam, At: AtLookAhead, Factor: 1},
		"exact-alpha-first":    {Mode: Exact, LookAhead: SGD, Order: AlphaFirst},
		"exact-unroll":         {Mode: Exact, LookAhead: SGD, Unroll: 2},
		"fd":                   {Mode: FiniteDifference, LookAhead: SGD},
		"fd-adam-ahead-fresh":  {Mode: FiniteDifference, LookAhead: Adam, At: AtLookAhead, FDMasks: IndependentMasks},
		"first-order":          {Mode: FirstOrder, LookAhead: SGD},
		"first-order-adam-one": {Mode: FirstOrder, LookAhead: Adam, Order: AlphaFirst, Unroll: 2},
	}
	for _, m := range recomputeModels {
		all := m.name == "bert-tiny" || m.name == "llama-tiny"
		for name, cfg := range configs {
			if !all && name != "exact" && name != "fd-adam-ahead-fresh" {
				continue
			}
			for i, form := range AlphaForms {
				if i > 0 && (!all || name != "exact") {
					continue
				}
				t.Run(m.name+"/"+name+"/"+string(form), func(t *testing.T) {
					run(t, func(s *torchbind.Scope) {
						var both [2]*Search
						for i := range both {
							cfg := cfg
							cfg.K, cfg.Form, cfg.Scale, cfg.LoRADropout, cfg.Eta, cfg.LRWeights, cfg.LRAlpha = 3, form, 1, 0.1, 0.05, 1e-2, 1e-2
							cfg.AdamW, cfg.AdamWA, cfg.Unroll = AdamW(0.01), AdamW(0.001), max(1, cfg.Unroll)
							model := loadRecomputed(t, m.name, m.output, m.labels, false)
							defer model.Close()
							x, err := NewSearch(model, nn.LoRAConfig{Targets: []string{"query", "value", "all-linear"}, Alpha: 8}, cfg, Execution{Seed: 5, GradientCheckpointing: i == 1})
							if err != nil {
								t.Fatal(err)
							}
							rng := rand.New(rand.NewPCG(1, 1))
							scatter(s, rng, 0.1, nn.Values(x.weights)...)
							scatter(s, rng, 0.5, x.a)
							both[i] = x
						}
						checkRecomputedSearch(t, s, both[0], both[1])
					})
				})
			}
		}
	}
}

func checkRecomputedSearch(t *testing.T, s *torchbind.Scope, whole, recomputed *Search) {
	t.Helper()
	tolerance := map[Mode]float64{Exact: tolRecomputed}[whole.Mode]
	train, val := madeUpBatch(t, s, whole.model, 1), madeUpBatch(t, s, whole.model, 2)
	masks := *whole.dropout
	lossT, lossV, g, ahead, u, d, implicit := whole.hypergradient(s, train, val)
	lossT2, lossV2, g2, ahead2, u2, d2, implicit2 := recomputed.hypergradient(s, train, val)
	near(t, "losses", []float64{lossT2, lossV2}, []float64{lossT, lossV}, tolerance)
	for _, part := range []struct {
		name      string
		got, want []*torchbind.Tensor
	}{{"g", g2, g}, {"W'", ahead2, ahead}, {"u", u2, u}, {"d", d2, d}, {"implicit part", implicit2, implicit}} {
		nearTensors(t, s, part.name, part.got, part.want, tolerance)
	}
	if *whole.dropout != *recomputed.dropout {
		t.Errorf("dropout goes on from %v, want %v", recomputed.dropout, whole.dropout)
	}

	*whole.dropout, *recomputed.dropout = masks, masks
	for i := range 4 {
		seed := uint64(10 * i)
		train, val := madeUpBatch(t, s, whole.model, seed), madeUpBatch(t, s, whole.model, seed+1)
		updateA := (i+1)%whole.Unroll == 0
		want, got := whole.Iterate(s, train, val, updateA), recomputed.Iterate(s, train, val, updateA)
		near(t, "training loss", []float64{got.TrainLoss}, []float64{want.TrainLoss}, tolerance)
		if updateA {
			near(t, "validation loss, ‖d‖ and ‖implicit part‖", []float64{got.ValLoss, got.Direct, got.Implicit}, []float64{want.ValLoss, want.Direct, want.Implicit}, tolerance)
		}
	}
	nearTensors(t, s, "a", only(recomputed.a), only(whole.a), tolerance)
	for i, p := range whole.weights {
		nearTensors(t, s, p.Name, only(recomputed.weights[i].Value), only(p.Value), tolerance)
	}
}

// Three steps of every kind of training, of two batches each, with and without
// gradient checkpointing.
func TestRecomputedTraining(t *testing.T) {
	methods := map[string]func(m *nn.Model) (*RankAllocator, error){
		"full": func(*nn.Model) (*RankAllocator, error) { return nil, nil },
		"lora": func(m *nn.Model) (*RankAllocator, error) {
			return nil, m.AddLoRA(nn.LoRAConfig{Targets: []string{"all-linear"}, Rank: 3, Alpha: 8, Dropout: 0.1})
		},
		"houlsby": func(m *nn.Model) (*RankAllocator, error) {
			return nil, m.AddBottlenecks(nn.BottleneckConfig{Style: nn.Houlsby, Size: 4})
		},
		"pfeiffer": func(m *nn.Model) (*RankAllocator, error) {
			return nil, m.AddBottlenecks(nn.BottleneckConfig{Style: nn.Pfeiffer, Size: 4})
		},
		"adalora": func(m *nn.Model) (*RankAllocator, error) {
			return NewRankAllocator(m, nn.LoRAConfig{Targets: []string{"query", "value"}, Alpha: 8, Dropout: 0.1}, AdaLoRAConfig{
				InitRank: 4, TargetRank: 2, TInit: 1, TFinal: 1, Total: 6, DeltaT: 1, Beta1: 0.85, Beta2: 0.85, OrthWeight: 0.1,
			})
		},
	}
	for _, c := range recomputeModels {
		for name, adapt := range methods {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					var both [2]*Trainer
					for i := range both {
						model := loadRecomputed(t, c.name, c.output, c.labels, name == "full")
						defer model.Close()
						allocator, err := adapt(model)
						if err != nil {
							t.Fatal(err)
						}
						if name != "full" {
							scatter(s, rand.New(rand.NewPCG(1, 1)), 0.1, nn.Values(model.TrainableParams())...)
						}
						// The gradient of a key's bias is rounding alone, which AdamW would divide by an ε of 1e-8.
						optim := torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-4, WeightDecay: 0.01}
						both[i] = NewTrainer(model, TrainConfig{Steps: 3, LR: 1e-2, AdamW: optim}, allocator, Execution{Seed: 7, GradientCheckpointing: i == 1})
					}
					whole, recomputed := both[0], both[1]
					tolerance := map[string]float64{"full": tolRecomputed}[name]
					for i := range uint64(3) {
						batches := []*Batch{madeUpBatch(t, s, whole.model, i), madeUpBatch(t, s, whole.model, i+50)}[:1+i%2]
						want, got := whole.Step(s, batches), recomputed.Step(s, batches)
						near(t, "loss and norm", []float64{got.Loss, got.GradNorm}, []float64{want.Loss, want.GradNorm}, tolerance)
						if !slices.Equal(got.Ranks, want.Ranks) || *whole.dropout != *recomputed.dropout {
							t.Fatalf("ranks %v and masks %v, want %v and %v", got.Ranks, recomputed.dropout, want.Ranks, whole.dropout)
						}
					}
					for i, p := range whole.model.TrainableParams() {
						nearTensors(t, s, p.Name, only(recomputed.optim.Params[i]), only(p.Value), tolerance)
					}
				})
			})
		}
	}
}

// What is trained near the end of a model alone needs no derivative below.
func TestRecomputedFromTheLowest(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		for _, c := range []struct {
			target string
			lowest int
		}{{"query", 1}, {"bert.encoder.layer.1.attention.self.query", 2}, {"", 3}} {
			m := loadRecomputed(t, "bert-tiny", nn.SequenceClassification, 3, false)
			defer m.Close()
			if c.target != "" {
				if err := m.AddLoRA(nn.LoRAConfig{Targets: []string{c.target}, Rank: 2, Alpha: 4}); err != nil {
					t.Fatal(err)
				}
			}
			params := m.TrainableParams()
			b := madeUpBatch(t, s, m, 1)
			r := &recomputation{objective: objective{model: m, weights: params, dropout: m.Dropout(1), work: &Work{}}, batch: b, values: nn.Values(params)}
			_, g := r.gradient(s, r.values)
			want := torchbind.Grad(s, only(m.Loss(s, b.Batch, b.Labels, m.Dropout(1))), nn.Values(params), nil, false)
			nearTensors(t, s, "g with LoRA on "+c.target, g, want, 0)
			if r.lowest != c.lowest {
				t.Errorf("with LoRA on %q the lowest segment is %d, want %d", c.target, r.lowest, c.lowest)
			}
		}
	})
}

// deepModel returns a LLaMA of so many layers with made-up weights.
func deepModel(t *testing.T, layers int) *nn.Model {
	t.Helper()
	const c, inner, vocab = 64, 128, 50
	dir := t.TempDir()
	config := fmt.Sprintf(`{"model_type": "llama", "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": %d,
		"num_attention_heads": 2, "vocab_size": %d, "max_position_embeddings": 256, "tie_word_embeddings": true, "attention_dropout": 0.1}`, c, inner, layers, vocab)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var tensors []safetensors.Tensor
	add := func(name string, shape ...int64) {
		size := int64(1)
		for _, d := range shape {
			size *= d
		}
		data := make([]float32, size)
		for i := range data {
			data[i] = 0.05 * float32(rng.NormFloat64())
		}
		tensors = append(tensors, safetensors.FromFloat32s("model."+name+".weight", shape, data))
	}
	add("embed_tokens", vocab, c)
	for i := range layers {
		for _, m := range []struct {
			name    string
			out, in int64
		}{{"self_attn.q_proj", c, c}, {"self_attn.k_proj", c, c}, {"self_attn.v_proj", c, c}, {"self_attn.o_proj", c, c},
			{"mlp.gate_proj", inner, c}, {"mlp.up_proj", inner, c}, {"mlp.down_proj", c, inner}} {
			add(fmt.Sprintf("layers.%d.%s", i, m.name), m.out, m.in)
		}
		add(fmt.Sprintf("layers.%d.input_layernorm", i), c)
		add(fmt.Sprintf("layers.%d.post_attention_layernorm", i), c)
	}
	add("norm", c)
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), nil, tensors); err != nil {
		t.Fatal(err)
	}
	model, err := nn.Load(dir, nn.LoadConfig{Output: nn.CausalLM, DType: torchbind.Float32, Device: torchbind.CPU})
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// With gradient checkpointing a layer more costs the memory of a few of its
// inputs; without, that of all that it computes.
func TestRecomputationMemory(t *testing.T) {
	// In a process of its own, in which every large tensor has pages of its own: so
	// its peak is that of the tensors, without the holes that malloc leaves.
	const threshold = "MALLOC_MMAP_THRESHOLD_"
	if os.Getenv(threshold) == "" {
		self := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		self.Env = append(os.Environ(), threshold+"=65536")
		output, err := self.CombinedOutput()
		if t.Logf("%s", output); err != nil {
			t.Error(err)
		}
		return
	}
	const tokens, sequences, few, many = 256, 8, 2, 12
	const input = sequences * tokens * 64 * 4 // bytes of x_l
	// perLayer returns what a layer more adds to the peak of an exact iteration, in inputs of a block.
	perLayer := func(t *testing.T, mode Mode, checkpointing bool) float64 {
		peak := func(layers int) (bytes int64) {
			run(t, func(s *torchbind.Scope) {
				model := deepModel(t, layers)
				defer model.Close()
				x, err := NewSearch(model, nn.LoRAConfig{Targets: []string{"query", "value"}, Alpha: 8}, SearchConfig{
					K: 4, Form: Softmax, Scale: 1, Mode: mode, LookAhead: SGD, Eta: 0.1,
					AdamW: AdamW(0), AdamWA: AdamW(0), LRWeights: 1e-3, LRAlpha: 1e-3,
				}, Execution{Seed: 1, GradientCheckpointing: checkpointing})
				if err != nil {
					t.Fatal(err)
				}
				var q data.Batch
				for i := range sequences {
					for j := range tokens {
						q.IDs = append(q.IDs, int64((i*7+j*3)%50))
					}
					q.Lengths, q.Want, q.WantPer = append(q.Lengths, tokens), append(q.Want, int64(len(q.IDs)-1)), append(q.WantPer, 1)
				}
				q.Segments = make([]int64, len(q.IDs))
				packed, err := model.NewBatch(s, &q)
				if err != nil {
					t.Fatal(err)
				}
				b := &Batch{Batch: packed, Labels: torchbind.FromSlice(s, make([]int64, sequences), []int64{sequences}, torchbind.CPU), Size: sequences, Weight: sequences}
				if err := torchbind.ResetPeakMemory(); err != nil {
					t.Skip(err)
				}
				before := residentBytes(t)
				_ = s.Do(func(s *torchbind.Scope) error {
					if step := x.Iterate(s, b, b, true); !step.Finite() {
						t.Errorf("step %+v", step)
					}
					return nil
				})
				peak, err := torchbind.PeakMemory()
				if err != nil {
					t.Skip(err)
				}
				bytes = peak - before
			})
			return bytes
		}
		peak(few) // what libtorch allocates once
		return float64(peak(many)-peak(few)) / (many - few) / input
	}
	for _, c := range []struct {
		mode        Mode
		least, most float64 // without and with gradient checkpointing
	}{{Exact, 20, 4}, {FirstOrder, 8, 2}} {
		whole, recomputed := perLayer(t, c.mode, false), perLayer(t, c.mode, true)
		t.Logf("%s: a layer more costs the memory of %.1f inputs of a block, with gradient checkpointing %.1f", c.mode, whole, recomputed)
		if whole < c.least || recomputed > c.most {
			t.Errorf("%s: a layer more costs the memory of %.1f inputs of a block, with gradient checkpointing %.1f: want at least %v, and at most %v",
				c.mode, whole, recomputed, c.least, c.most)
		}
	}
}
