package nn

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data"
	"autolora/nn/adapterhub"
	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// textOf returns the logits that m has for the text NAME.ids of the fixture of
// testdata/nn/make_brought.py: [1, K], or of every token [T, V].
func textOf(t *testing.T, m *Model, name string) []float64 {
	t.Helper()
	ids, _ := openFixture(t, "expected-brought").ints(name + ".ids")
	seqs := data.Batch{IDs: ids, Segments: make([]int64, len(ids)), Lengths: []int{len(ids)}}
	if m.Output == CausalLM {
		for i := range ids {
			seqs.Want = append(seqs.Want, int64(i))
		}
		seqs.WantPer = []int{len(ids)}
	}
	s := torchbind.NewScope()
	defer s.Close()
	b, err := m.NewBatch(s, &seqs)
	if err != nil {
		t.Fatal(err)
	}
	return m.Logits(s, b, nil).Float64s()
}

// rename gives tensors of a copied model other names.
func rename(t *testing.T, dir string, name func(string) string) {
	t.Helper()
	rewrite(t, dir, func(m map[string]safetensors.Tensor) {
		renamed := make(map[string]safetensors.Tensor, len(m))
		for old, x := range m {
			x.Name = name(old)
			renamed[x.Name] = x
		}
		clear(m)
		maps.Copy(m, renamed)
	})
}

// A head that config.json ties to the embedding, and that is stored: as another
// matrix, it is used, also after writing; as the only one, it is both.
func TestTiedHeads(t *testing.T) {
	const head = "lm_head.weight"
	for name, words := range map[string]string{"gpt2-tiny": "transformer.wte.weight", "llama-tied": "model.embed_tokens.weight"} {
		prefix, bare, _ := strings.Cut(words, ".")
		another := func(m map[string]safetensors.Tensor) {
			shape := m[words].Shape
			m[head] = safetensors.FromFloat32s(head, shape, noise(int(shape[0]*shape[1]), 9000, 0.35))
		}
		for _, c := range []struct {
			name   string
			change func(t *testing.T, dir string)
			own    bool // the head is another matrix
		}{
			{"another head", func(t *testing.T, dir string) { rewrite(t, dir, another) }, true},
			{"another head, without the prefix", func(t *testing.T, dir string) {
				rewrite(t, dir, another)
				rename(t, dir, func(key string) string { return strings.TrimPrefix(key, prefix+".") })
			}, true},
			{"the same head", func(t *testing.T, dir string) {
				rewrite(t, dir, func(m map[string]safetensors.Tensor) {
					m[head] = safetensors.Tensor{Name: head, DType: m[words].DType, Shape: m[words].Shape, Data: m[words].Data}
				})
			}, false},
			{"the head alone", func(t *testing.T, dir string) {
				rename(t, dir, func(key string) string { return strings.Replace(key, words, head, 1) })
			}, false},
			{"the embedding without the prefix", func(t *testing.T, dir string) {
				rename(t, dir, func(key string) string { return strings.Replace(key, words, bare, 1) })
			}, false},
			{"an alias for the head, not tied", func(t *testing.T, dir string) {
				setConfig(t, dir, "tie_word_embeddings", false)
				alias(t, dir, head, words)
			}, false},
			{"an alias for the embedding, not tied", func(t *testing.T, dir string) {
				setConfig(t, dir, "tie_word_embeddings", false)
				rename(t, dir, func(key string) string { return strings.Replace(key, words, head, 1) })
				alias(t, dir, words, head)
			}, false},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					cfg := LoadConfig{Output: CausalLM, DType: torchbind.Float32, Device: torchbind.CPU}
					dir := copyModel(t, name)
					c.change(t, dir)
					m := mustLoad(t, dir, cfg)
					defer m.Close()
					got := textOf(t, m, name)
					if c.own {
						near(t, "logits", got, openFixture(t, "expected-brought").floats(name+".logits"), tolLogits32)
					} else {
						base := mustLoad(t, testdata(name), cfg)
						defer base.Close()
						near(t, "logits", got, textOf(t, base, name), 0)
					}
					if noted := len(m.Notes) > 0; noted != c.own {
						t.Errorf("notes %q", m.Notes)
					}
					written := filepath.Join(t.TempDir(), "written")
					if err := m.Write(written, nil, safetensors.F32); err != nil {
						t.Fatal(err)
					}
					again := mustLoad(t, written, cfg)
					defer again.Close()
					near(t, "logits after writing", textOf(t, again, name), got, 0)
					if c.own && again.TieWordEmbeddings {
						t.Error("the written model ties its head")
					}
				})
			})
		}
	}
}

// alias writes into the metadata of a copied model that lost is kept.
func alias(t *testing.T, dir, lost, kept string) {
	t.Helper()
	path := filepath.Join(dir, "model.safetensors")
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []safetensors.Tensor
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		all = append(all, x)
	}
	if err := safetensors.Write(path, map[string]string{"format": "pt", lost: kept}, all); err != nil {
		t.Fatal(err)
	}
}

// In RoBERTa a padding token counts for no position, also one within a text.
func TestPaddingWithinText(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := mustLoad(t, testdata("roberta-tiny"), LoadConfig{Labels: 2, Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU})
		defer m.Close()
		near(t, "logits", textOf(t, m, "roberta-tiny"), openFixture(t, "expected-brought").floats("roberta-tiny.logits"), tolLogits32)
		b, err := m.NewBatch(s, &data.Batch{IDs: []int64{0, 1, 9, 2, 1, 0, 1, 2}, Segments: make([]int64, 8), Lengths: []int{5, 3}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := b.Positions.Int64s(), []int64{2, 1, 3, 4, 1, 2, 1, 3}; !slices.Equal(got, want) {
			t.Errorf("positions %v, want %v", got, want)
		}
	})
}

// Adapters as PEFT writes them by default: LoRA on the pooler, a pooler among the
// saved modules, and no head of their own.
func TestBroughtAdapters(t *testing.T) {
	for _, name := range []string{"bert-tiny-all-linear", "bert-tiny-dense", "bert-tiny-saved-pooler"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				cfg := LoadConfig{Labels: 3, Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU}
				m := mustLoad(t, testdata("bert-tiny"), cfg)
				defer m.Close()
				if err := m.LoadAdapter(testdata(name)); err != nil {
					t.Fatal(err)
				}
				want := openFixture(t, "expected-brought").floats(name + ".logits")
				near(t, "logits", textOf(t, m, name), want, tolLogits32)

				dir := filepath.Join(t.TempDir(), "adapter")
				if err := writeAdapter(dir, m); err != nil {
					t.Fatal(err)
				}
				cfg.Head = HeadFresh
				again := mustLoad(t, testdata("bert-tiny"), cfg)
				defer again.Close()
				if err := again.LoadAdapter(dir); err != nil {
					t.Fatal(err)
				}
				near(t, "logits of the adapter written and read", textOf(t, again, name), want, tolLogits32)

				merged := filepath.Join(t.TempDir(), "merged")
				if err := m.Write(merged, []string{"a", "b", "c"}, safetensors.F32); err != nil {
					t.Fatal(err)
				}
				cfg.Head = HeadStored
				whole := mustLoad(t, merged, cfg)
				defer whole.Close()
				near(t, "logits of the merged model", textOf(t, whole, name), want, tolLogits32)

				// Without a head in the model, that of the adapter is wanted.
				cfg.Head = HeadFresh
				fresh := mustLoad(t, testdata("bert-tiny"), cfg)
				defer fresh.Close()
				if err := fresh.LoadAdapter(testdata(name)); (err == nil) == (name == "bert-tiny-dense") {
					t.Errorf("over a fresh head: %v", err)
				}
			})
		})
	}
}

// A BERT without a pooler gets a fresh one with a fresh head: trained, in the
// adapter, and in the merged model.
func TestNoPooler(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		dir := copyModel(t, "bert-tiny")
		rewrite(t, dir, func(m map[string]safetensors.Tensor) {
			delete(m, "bert.pooler.dense.weight")
			delete(m, "bert.pooler.dense.bias")
		})
		cfg := LoadConfig{Labels: 3, Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU}
		_, err := Load(dir, cfg)
		oneLine(t, err, `"bert.pooler.dense.weight": missing`)

		rewrite(t, dir, func(m map[string]safetensors.Tensor) {
			delete(m, "classifier.weight")
			delete(m, "classifier.bias")
		})
		setConfig(t, dir, "architectures", []string{"BertForMaskedLM"})
		load := func(seed uint64, full bool) *Model {
			return mustLoad(t, dir, LoadConfig{Labels: 3, Seed: seed, Full: full, DType: torchbind.Float32, Device: torchbind.CPU})
		}
		m, other := load(1, false), load(2, false)
		defer m.Close()
		defer other.Close()
		if len(m.HeadParams()) != 4 || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "no pooler") {
			t.Errorf("%d parameters of the head, notes %q", len(m.HeadParams()), m.Notes)
		}
		before := textOf(t, m, "bert-tiny-dense")
		if slices.Equal(before, textOf(t, other, "bert-tiny-dense")) {
			t.Fatal("two seeds give one head")
		}
		if err := m.AddLoRA(LoRAConfig{Targets: []string{"query"}, Rank: 2, Alpha: 2}); err != nil {
			t.Fatal(err)
		}
		for _, p := range m.HeadParams() {
			set(p, noise(int(numEl(p.Shape)), 5, 0.3))
		}
		want := textOf(t, m, "bert-tiny-dense")

		adapter := filepath.Join(t.TempDir(), "adapter")
		if err := writeAdapter(adapter, m); err != nil {
			t.Fatal(err)
		}
		stored, err := peft.Read(adapter)
		if err != nil || !slices.Contains(stored.Config.ModulesToSave, "pooler") {
			t.Errorf("modules to save %q, %v", stored.Config.ModulesToSave, err)
		}
		if err := other.LoadAdapter(adapter); err != nil {
			t.Fatal(err)
		}
		near(t, "logits of the adapter", textOf(t, other, "bert-tiny-dense"), want, 0)

		merged := filepath.Join(t.TempDir(), "merged")
		if err := m.Write(merged, []string{"a", "b", "c"}, safetensors.F32); err != nil {
			t.Fatal(err)
		}
		whole := mustLoad(t, merged, cfg)
		defer whole.Close()
		near(t, "logits of the merged model", textOf(t, whole, "bert-tiny-dense"), want, 0)

		full := load(3, true)
		defer full.Close()
		if n := len(full.TrainableParams()); n != len(full.Params()) {
			t.Errorf("%d of %d parameters are trained", n, len(full.Params()))
		}

		bottlenecks, again := load(4, false), load(5, false)
		defer bottlenecks.Close()
		defer again.Close()
		if err := bottlenecks.AddBottlenecks(BottleneckConfig{Style: Houlsby, Size: 4}); err != nil {
			t.Fatal(err)
		}
		hub := filepath.Join(t.TempDir(), "hub")
		if err := adapterhub.Write(hub, bottlenecks.BottleneckAdapter("base", []string{"a", "b", "c"}), peft.ModelCard{}); err != nil {
			t.Fatal(err)
		}
		if err := again.LoadAdapter(hub); err != nil {
			t.Fatal(err)
		}
		near(t, "logits of bottleneck adapters", textOf(t, again, "bert-tiny-dense"), textOf(t, bottlenecks, "bert-tiny-dense"), 0)

		// An adapter of a model with a pooler has none.
		if err := again.LoadAdapter(testdata("bert-tiny-all-linear")); err == nil || !strings.Contains(err.Error(), `"bert.pooler.dense.weight" is missing`) {
			t.Errorf("an adapter without a pooler: %v", err)
		}
	})
}

// What else there is in checkpoints, and what is said of it.
func TestBroughtCheckpoints(t *testing.T) {
	one := func(name string, dtype safetensors.DType, shape ...int64) safetensors.Tensor {
		return safetensors.Tensor{Name: name, DType: dtype, Shape: shape, Data: make([]byte, numEl(shape)*dtype.Bits()/8)}
	}
	adding := func(tensors ...safetensors.Tensor) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			rewrite(t, dir, func(m map[string]safetensors.Tensor) {
				for _, x := range tensors {
					m[x.Name] = x
				}
			})
		}
	}
	renaming := func(name func(string) string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { rename(t, dir, name) }
	}
	quantized := func(config any) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { setConfig(t, dir, "quantization_config", config) }
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string)
		note   string
		want   string // of an error; else the logits are bert-tiny's
	}{
		{"question answering", adding(one("qa_outputs.weight", safetensors.F32, 2, 32), one("qa_outputs.bias", safetensors.F32, 2)), "qa_outputs", ""},
		{"heads of several tasks", adding(one("mc_head.weight", safetensors.F32, 1), one("score.weight", safetensors.F32, 1), one("cls.predictions.bias", safetensors.F32, 120)), "mc_head, score", ""},
		{"beside a bare body", func(t *testing.T, dir string) {
			adding(one("qa_outputs.weight", safetensors.F32, 2, 32))(t, dir)
			rename(t, dir, func(key string) string { return strings.TrimPrefix(key, "bert.") })
		}, "qa_outputs", ""},
		{"within a bare body", func(t *testing.T, dir string) {
			adding(one("encoder.layer.9.weight", safetensors.F32, 1))(t, dir)
			rename(t, dir, func(key string) string { return strings.TrimPrefix(key, "bert.") })
		}, "", `"encoder.layer.9.weight": unexpected`},
		{"DistributedDataParallel", renaming(func(key string) string { return "module." + key }), "", ""},
		{"torch.compile", renaming(func(key string) string { return "_orig_mod." + key }), "", ""},
		{"both", renaming(func(key string) string { return "module._orig_mod." + key }), "", ""},
		{"compiled layers", renaming(func(key string) string {
			return strings.Replace(key, "bert.encoder.layer.1.", "bert.encoder.layer.1._orig_mod.", 1)
		}), "", ""},
		{"a tensor under two names", adding(one("module."+someWeight, safetensors.F32, 64, 32)), "", "the same tensor twice"},
		{"ZeRO-3", adding(one(someWeight, safetensors.F32, 0)), "", `"` + someWeight + `": shape [0], want [64 32]: it is empty: DeepSpeed's ZeRO-3`},
		{"LoRA within", renaming(func(key string) string {
			return strings.Replace(key, "self.query.weight", "self.query.base_layer.weight", 1)
		}), "", "merge_and_unload"},
		{"bitsandbytes of neither kind", quantized(map[string]any{"quant_method": "bitsandbytes"}), "", "quantised with bitsandbytes, and such weights are not read"},
		{"GPTQ", quantized(map[string]any{"quant_method": "gptq", "bits": 4}), "", "quantised with GPTQ"},
		{"a method that is not known", quantized(map[string]any{"quant_method": "rot13"}), "", "quantised with rot13"},
		{"no quantisation", quantized(map[string]any{}), "", ""},
		{"AWQ without a word in config.json", renaming(func(key string) string { return strings.Replace(key, "output.dense.weight", "output.dense.qweight", 1) }), "", "qweight\": the model is quantised"},
		{"4 bits without a word in config.json", adding(one(someWeight, safetensors.U8, 1024, 1), one(someWeight+".absmax", safetensors.F32, 32)), "", "absmax\": the model is quantised"},
		{"fp8 without a word in config.json", adding(one(someWeight, "F8_E4M3", 64, 32)), "", "dtype F8_E4M3, want F32, F16 or BF16: the model is quantised"},
		{"several labels at once", func(t *testing.T, dir string) { setConfig(t, dir, "problem_type", "multi_label_classification") }, "", "multi_label_classification"},
		{"several numbers", func(t *testing.T, dir string) { setConfig(t, dir, "problem_type", "regression") }, "", "problem_type regression"},
		{"multiple choice", func(t *testing.T, dir string) { setConfig(t, dir, "architectures", []string{"BertForMultipleChoice"}) }, "", "the head is that of BertForMultipleChoice"},
		{"settings as text", func(t *testing.T, dir string) {
			setConfig(t, dir, "hidden_size", "32")
			setConfig(t, dir, "num_hidden_layers", 2.0)
			setConfig(t, dir, "layer_norm_eps", "1e-12")
			setConfig(t, dir, "is_decoder", "False")
		}, "", ""},
		{"a word for a number", func(t *testing.T, dir string) { setConfig(t, dir, "hidden_size", "large") }, "", "hidden_size: got a text, want an integer"},
		{"a list for a number", func(t *testing.T, dir string) { setConfig(t, dir, "num_attention_heads", []int{4}) }, "", "num_attention_heads: got a list, want an integer"},
		{"labels that are lists", func(t *testing.T, dir string) { setConfig(t, dir, "id2label", map[string]any{"0": []int{1}}) }, "", "id2label: label 0 is [1], want its name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				dir := copyModel(t, "bert-tiny")
				c.change(t, dir)
				m, err := Load(dir, LoadConfig{Labels: 3, Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU})
				if c.want != "" {
					oneLine(t, err, c.want)
					for _, word := range []string{"Go value", "unmarshal", "struct"} {
						if err != nil && strings.Contains(err.Error(), word) {
							t.Errorf("error %q", err)
						}
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				base := tiny(t, torchbind.Float32)
				defer base.Close()
				near(t, "logits", textOf(t, m, "bert-tiny-dense"), textOf(t, base, "bert-tiny-dense"), 0)
				if notes := strings.Join(m.Notes, "; "); (notes == "") != (c.note == "") || !strings.HasSuffix(notes, c.note) {
					t.Errorf("notes %q, want %q", notes, c.note)
				}
			})
		})
	}
}

// Label names in the forms that config.json has them in.
func TestLabelNames(t *testing.T) {
	for id2label, want := range map[string][]string{
		`{"0": "no", "1": "yes"}`:          {"no", "yes"},
		`{"1": "yes", "0": "no"}`:          {"no", "yes"},
		`["no", "yes"]`:                    {"no", "yes"},
		`{"0": 1, "1": 2.5}`:               {"1", "2.5"},
		`{"0": false, "1": true}`:          {"false", "true"},
		`{"0": "False", "1": "True"}`:      {"False", "True"}, // which elsewhere in the file are settings
		`["1.0", "2.0"]`:                   {"1.0", "2.0"},
		`{"0": "LABEL_0", "1": "LABEL_1"}`: nil, // nobody named them
		`{"0": "LABEL_0", "1": "yes"}`:     {"LABEL_0", "yes"},
		`{"0": "no", "2": "yes"}`:          nil,
		`{"a": "no"}`:                      nil,
		`{}`:                               nil,
		`null`:                             nil,
	} {
		text, err := os.ReadFile(filepath.Join(testdata("bert-tiny"), "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		before, rest, _ := strings.Cut(string(text), `"id2label": {`)
		_, after, _ := strings.Cut(rest, "}")
		cfg, err := ParseConfig([]byte(before + `"id2label": ` + id2label + after))
		if err != nil || !slices.Equal(cfg.LabelNames(), want) {
			t.Errorf("%s: %q, %v; want %q", id2label, cfg.LabelNames(), err, want)
		}
	}
}

func TestStoredOutputs(t *testing.T) {
	for name, want := range map[string]int{
		"bert-tiny": 3, "bert-tiny-tokens": 5, "bert-tiny-regression": 1, "roberta-tiny": 2, "bert-encoder": 0, "bert-pretraining": 0, "gpt2-tiny": 0,
	} {
		if got, err := StoredOutputs(testdata(name)); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", name, got, err, want)
		}
	}
	dir := copyModel(t, "roberta-tiny")
	rename(t, dir, func(key string) string { return "module." + key })
	if got, err := StoredOutputs(dir); got != 2 || err != nil {
		t.Errorf("wrapped: %d, %v", got, err)
	}
}

// A target called as in another architecture is the same part of a block here.
func TestTranslatedTargets(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		for _, c := range []struct{ model, target, want string }{
			{"bert-tiny", "q_proj", "attention.self.query"},
			{"bert-tiny", "c_attn", "attention.self.query, attention.self.key, attention.self.value"},
			{"bert-tiny", "o_proj", "attention.output.dense"},
			{"bert-tiny", "gate_proj", "intermediate.dense"},
			{"bert-tiny", "down_proj", "output.dense"},
			{"bert-tiny", "query", ""},
			{"bert-tiny", "dense", ""},
			{"bert-tiny", "nothing", ""},
			{"llama-tied", "query", ""}, // a word for every architecture
			{"llama-tied", "attention.self.query", "self_attn.q_proj"},
			{"llama-tied", "query_key_value", "self_attn.q_proj, self_attn.k_proj, self_attn.v_proj"},
			{"llama-tied", "c_fc", "mlp.gate_proj, mlp.up_proj"},
			{"llama-tied", "v_proj", ""},
			{"gpt2-tiny", "v_proj", "attn.c_attn.value"},
			{"gpt2-tiny", "fc2", "mlp.c_proj"},
			{"gpt2-tiny", "c_proj", ""},
			{"phi3-tiny", "query+value", "a part, which has no LoRA of its own, of self_attn.qkv_proj"},
			{"phi3-tiny", "k_proj", "of self_attn.qkv_proj"},
			{"phi3-tiny", "c_attn", "for self_attn.qkv_proj"},
			{"phi3-tiny", "up_proj", "for mlp.gate_up_proj"},
			{"phi3-tiny", "qkv_proj", ""},
		} {
			output := outputOf(c.model, false)
			m := mustLoad(t, testdata(c.model), LoadConfig{Labels: 3, Output: output, DType: torchbind.Float32, Device: torchbind.CPU})
			notes := m.Translated([]string{c.target})
			if c.want == "" && len(notes) > 0 || c.want != "" && (len(notes) != 1 || !strings.HasSuffix(notes[0], " "+c.want)) {
				t.Errorf("%s, %s: notes %q, want %q", c.model, c.target, notes, c.want)
			}
			m.Close()
		}
	})
}

// An adapter without a task, or of features, serves any head; its LoRA on layers of
// the head is in the head, as PEFT computes it.
func TestAdaptersOfNoTask(t *testing.T) {
	for _, c := range []struct {
		model, layer, task string
		output             Output
	}{
		{"bert-tiny", "classifier", "", SequenceClassification},
		{"bert-tiny-tokens", "classifier", "", TokenClassification},
		{"roberta-tiny", "classifier.dense", "", SequenceClassification},
		{"roberta-tiny", "classifier.out_proj", "", SequenceClassification},
		{"roberta-tiny", "classifier.out_proj", "FEATURE_EXTRACTION", SequenceClassification},
	} {
		t.Run(c.model+" "+c.layer+" "+c.task, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				const rank, alpha = 2, 3
				labels, err := StoredOutputs(testdata(c.model))
				if err != nil {
					t.Fatal(err)
				}
				cfg := LoadConfig{Output: c.output, Labels: int64(labels), Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU}
				m := mustLoad(t, testdata(c.model), cfg)
				defer m.Close()
				place := slices.IndexFunc(m.HeadParams(), func(p *Param) bool { return p.Name == c.layer+".weight" })
				shape := m.HeadParams()[place].Shape
				out, in := shape[0], shape[1]
				a, b := noise(int(rank*in), 1, 0.3), noise(int(out*rank), 2, 0.3)
				adapter := &peft.Adapter{
					Config: peft.Config{TaskType: c.task, BaseModel: "base", R: rank, LoraAlpha: alpha},
					Layers: []peft.Layer{{Name: c.layer, Rank: rank, Alpha: alpha,
						A: safetensors.FromFloat32s("", []int64{rank, in}, a), B: safetensors.FromFloat32s("", []int64{out, rank}, b)}},
				}
				dir := filepath.Join(t.TempDir(), "adapter")
				if err := peft.Write(dir, adapter, peft.ModelCard{}); err != nil {
					t.Fatal(err)
				}
				changed := copyModel(t, c.model)
				rewrite(t, changed, func(m map[string]safetensors.Tensor) {
					w, err := safetensors.Float32s(m[c.layer+".weight"])
					if err != nil {
						t.Fatal(err)
					}
					for i := range out {
						for j := range in {
							for r := range int64(rank) {
								w[i*in+j] += alpha / float32(rank) * b[i*rank+r] * a[r*in+j]
							}
						}
					}
					m[c.layer+".weight"] = safetensors.FromFloat32s(c.layer+".weight", []int64{out, in}, w)
				})
				want := mustLoad(t, changed, cfg)
				defer want.Close()
				if err := m.LoadAdapter(dir); err != nil {
					t.Fatal(err)
				}
				same := func(m *Model) {
					t.Helper()
					for i, p := range want.HeadParams() {
						near(t, p.Name, m.HeadParams()[i].Value.Float64s(), p.Value.Float64s(), 1e-6)
					}
				}
				same(m)

				again, written := mustLoad(t, testdata(c.model), cfg), filepath.Join(t.TempDir(), "written")
				defer again.Close()
				if err := writeAdapter(written, m); err != nil {
					t.Fatal(err)
				}
				if err := again.LoadAdapter(written); err != nil {
					t.Fatal(err)
				}
				same(again)

				cfg.Head = HeadFresh
				fresh := mustLoad(t, testdata(c.model), cfg)
				defer fresh.Close()
				oneLine(t, fresh.LoadAdapter(dir), "neither the adapter nor the model has it")
			})
		})
	}
}
