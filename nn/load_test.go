package nn

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autolora/data"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// copyModel copies a model of testdata into a folder of the test.
func copyModel(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	entries, err := os.ReadDir(testdata(name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(testdata(name), e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, e.Name()), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// rewrite changes the tensors of a copied model.
func rewrite(t *testing.T, dir string, change func(map[string]safetensors.Tensor)) {
	t.Helper()
	path := filepath.Join(dir, "model.safetensors")
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	tensors := make(map[string]safetensors.Tensor)
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		x.Data = append([]byte(nil), x.Data...)
		tensors[name] = x
	}
	f.Close()
	change(tensors)
	var list []safetensors.Tensor
	for _, x := range tensors {
		list = append(list, x)
	}
	if err := safetensors.Write(path, nil, list); err != nil {
		t.Fatal(err)
	}
}

func setConfig(t *testing.T, dir, key string, value any) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config := make(map[string]any)
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	if value == nil {
		delete(config, key)
	} else {
		config[key] = value
	}
	if data, err = json.Marshal(config); err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const someWeight = "bert.encoder.layer.1.intermediate.dense.weight"

// Every way in which a folder is not the model it claims to be.
func TestLoadErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string)
		want   string
	}{
		{"missing tensor", func(t *testing.T, dir string) {
			rewrite(t, dir, func(m map[string]safetensors.Tensor) { delete(m, someWeight) })
		}, `"` + someWeight + `": missing`},
		{"extra tensor", func(t *testing.T, dir string) {
			rewrite(t, dir, func(m map[string]safetensors.Tensor) {
				m["bert.encoder.layer.2.x"] = safetensors.FromFloat32s("bert.encoder.layer.2.x", []int64{1}, []float32{1})
			})
		}, `"bert.encoder.layer.2.x": unexpected`},
		{"misshapen tensor", func(t *testing.T, dir string) {
			rewrite(t, dir, func(m map[string]safetensors.Tensor) {
				m[someWeight] = safetensors.FromFloat32s(someWeight, []int64{64, 31}, make([]float32, 64*31))
			})
		}, `"` + someWeight + `": shape [64 31], want [64 32]`},
		{"integer weights", func(t *testing.T, dir string) {
			rewrite(t, dir, func(m map[string]safetensors.Tensor) {
				m[someWeight] = safetensors.Tensor{Name: someWeight, DType: safetensors.I32, Shape: []int64{64, 32}, Data: make([]byte, 64*32*4)}
			})
		}, "dtype I32, want F32, F16 or BF16"},
		{"labels that do not fit the head", func(t *testing.T, dir string) {
			rewrite(t, dir, func(m map[string]safetensors.Tensor) {
				m["classifier.bias"] = safetensors.FromFloat32s("classifier.bias", []int64{2}, make([]float32, 2))
			})
		}, `"classifier.bias": shape [2], want [3]`},
		{"no weights", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "model.safetensors")) }, "model.safetensors"},
		{"truncated weights", func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 20_000); err != nil {
				t.Fatal(err)
			}
		}, "missing"},
		{"pickle in place of weights", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("PK\x03\x04archive/data.pkl"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "pickle"},
		{"no config", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "config.json")) }, "no config.json"},
		{"unknown architecture", func(t *testing.T, dir string) { setConfig(t, dir, "model_type", "t5") }, `unknown architecture: model_type "t5"`},
		{"heads that do not divide", func(t *testing.T, dir string) { setConfig(t, dir, "num_attention_heads", 5) }, "does not divide"},
		{"huge size", func(t *testing.T, dir string) { setConfig(t, dir, "hidden_size", 1<<40) }, "hidden_size"},
		{"unknown activation", func(t *testing.T, dir string) { setConfig(t, dir, "hidden_act", "relu") }, "hidden_act"},
		{"relative positions", func(t *testing.T, dir string) { setConfig(t, dir, "position_embedding_type", "relative_key") }, "position_embedding_type"},
		{"broken config", func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{\"model_type\": "), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "not a model configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyModel(t, "bert-tiny")
			c.change(t, dir)
			run(t, func(s *torchbind.Scope) {
				_, err := Load(dir, LoadConfig{Labels: 3, Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU})
				oneLine(t, err, c.want)
			})
		})
	}
}

// A head is not drawn for sizes that the weights do not have, for it may be too large for
// any memory; and what a stored one lacks is told of before its units change.
func TestHeadsThatDoNotFit(t *testing.T) {
	huge, lacking := copyModel(t, "roberta-tiny"), copyModel(t, "bert-tiny-regression")
	setConfig(t, huge, "hidden_size", 3<<22)
	rewrite(t, lacking, func(m map[string]safetensors.Tensor) { delete(m, "classifier.bias") })
	run(t, func(*torchbind.Scope) {
		_, err := Load(huge, LoadConfig{Labels: 2, Head: HeadFresh, DType: torchbind.Float32, Device: torchbind.CPU})
		oneLine(t, err, "the weights are not those of config.json's model")
		_, err = Load(lacking, LoadConfig{
			Output: Regression, Labels: 1, Head: HeadStored, Units: Units{Mean: 300, Scale: 20}, DType: torchbind.Float32, Device: torchbind.CPU,
		})
		oneLine(t, err, `"classifier.bias": missing`)
	})
}

// Every name of transformers for an activation that there is gives what its
// ACT2FN[name](tensor([-1.25, 1.5])) is in float64; others are refused, those of
// SiLU by an encoder too.
func TestActivations(t *testing.T) {
	const ulps, constant = 1e-15, 2e-12 // gelu_fast has ten digits of √(2/π)
	for _, c := range []struct {
		act       string
		values    []float64
		tolerance float64
	}{
		{"gelu", []float64{-0.13206221708356905, 1.399789198096713}, ulps},
		{"gelu_python", []float64{-0.13206221708356913, 1.399789198096713}, ulps},
		{"gelu_new", []float64{-0.13228579703028537, 1.3995715769802328}, ulps},
		{"gelu_pytorch_tanh", []float64{-0.13228579703028542, 1.3995715769802328}, ulps},
		{"gelu_python_tanh", []float64{-0.13228579703028537, 1.3995715769802328}, ulps},
		{"gelu_fast", []float64{-0.13228579703119192, 1.3995715769793464}, constant},
		{"gelu_accurate", []float64{-0.13228579703028537, 1.3995715769802328}, ulps},
	} {
		for model, key := range map[string]string{"bert-tiny": "hidden_act", "gpt2-tiny": "activation_function"} {
			dir := copyModel(t, model)
			setConfig(t, dir, key, c.act)
			cfg, err := ReadConfig(dir)
			if err != nil {
				t.Errorf("%s of %s: %v", c.act, model, err)
				continue
			}
			run(t, func(s *torchbind.Scope) {
				x := torchbind.FromSlice(s, []float64{-1.25, 1.5}, []int64{2}, torchbind.CPU)
				for i, got := range gelu(cfg.HiddenAct)(s, x).Float64s() {
					if math.Abs(got-c.values[i]) > c.tolerance {
						t.Errorf("%s of %s: got %v, want %v", c.act, model, got, c.values[i])
					}
				}
			})
		}
	}
	for _, c := range []struct{ model, key, act, want string }{
		{"llama-tiny", "hidden_act", "swish", ""},
		{"llama-tiny", "hidden_act", "gelu", `hidden_act: got "gelu", want silu or swish`},
		{"bert-tiny", "hidden_act", "silu", `hidden_act: got "silu", want gelu or gelu_python or gelu_new`},
		{"bert-tiny", "hidden_act", "quick_gelu", `hidden_act: got "quick_gelu"`},
		{"gpt2-tiny", "activation_function", "gelu_10", `activation_function: got "gelu_10"`},
	} {
		dir := copyModel(t, c.model)
		setConfig(t, dir, c.key, c.act)
		cfg, err := ReadConfig(dir)
		if c.want != "" {
			oneLine(t, err, c.want)
		} else if err != nil || cfg.HiddenAct != "silu" {
			t.Errorf("%s of %s: %q, %v", c.act, c.model, cfg.HiddenAct, err)
		}
	}
}

// Heads: stored, fresh, and absent.
func TestHeadSources(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		load := func(dir string, cfg LoadConfig) (*Model, error) {
			cfg.Seed, cfg.DType, cfg.Device = 5, torchbind.Float32, torchbind.CPU
			return Load(testdata(dir), cfg)
		}
		for _, c := range []struct {
			dir    string
			labels int64
			source HeadSource
			want   string // "" is no error
		}{
			{"bert-tiny", 3, HeadIfStored, ""},
			{"bert-tiny", 5, HeadFresh, ""},
			{"bert-tiny", 5, HeadIfStored, "its head has 3 outputs, want 5"},
			{"bert-encoder", 2, HeadIfStored, ""}, // keys without a prefix
			{"bert-pretraining", 2, HeadIfStored, ""},
			{"bert-encoder", 2, HeadStored, `"classifier.weight": missing`},
			{"roberta-tiny", 2, HeadStored, ""},
			{"bert-tiny-tokens", 5, HeadStored, ""},
			{"roberta-tiny-tokens", 5, HeadIfStored, ""},
			{"roberta-tiny-tokens", 2, HeadIfStored, "its head has 5 outputs, want 2"},
		} {
			m, err := load(c.dir, LoadConfig{Labels: c.labels, Head: c.source, Output: outputOf(c.dir, false)})
			if err == nil {
				m.Close()
			}
			if c.want == "" && err != nil {
				t.Errorf("%s, %d labels: %v", c.dir, c.labels, err)
			} else if c.want != "" {
				oneLine(t, err, c.want)
			}
		}

		// A new head of tokens needs no pooler, and may leave one unused.
		for _, dir := range []string{"bert-tiny", "bert-tiny-tokens", "bert-encoder", "bert-pretraining", "roberta-tiny"} {
			m, err := load(dir, LoadConfig{Labels: 7, Head: HeadFresh, Output: TokenClassification})
			if err != nil {
				t.Errorf("new head of tokens: %v", err)
				continue
			}
			if got := NumEl(m.Head.Params()); got != 7*m.HiddenSize+7 {
				t.Errorf("%s: a head of tokens has %d parameters, want %d", dir, got, 7*m.HiddenSize+7)
			}
			m.Close()
		}

		// A stored head of the other kind is said so, also where its shapes fit.
		for _, c := range []struct {
			dir    string
			labels int64
			output Output
			want   string
		}{
			{"bert-tiny", 3, TokenClassification, "the head is that of BertForSequenceClassification, want that of BertForTokenClassification"},
			{"roberta-tiny", 2, TokenClassification, "the head is that of RobertaForSequenceClassification"},
			{"bert-tiny-tokens", 5, SequenceClassification, "the head is that of BertForTokenClassification"},
			{"bert-tiny", 2, SequenceClassification, "its head has 3 outputs, want 2"},
			{"roberta-tiny", 3, SequenceClassification, "its head has 2 outputs, want 3"},
			{"bert-tiny-tokens", 4, TokenClassification, "its head has 5 outputs, want 4"},
		} {
			for _, source := range []HeadSource{HeadStored, HeadIfStored} {
				_, err := load(c.dir, LoadConfig{Labels: c.labels, Head: source, Output: c.output})
				oneLine(t, err, c.want)
			}
		}
	})
}

// The encoder alone and the pre-training checkpoint have bert-tiny-regression's
// encoder: with the same fresh head, the same logits.
func TestEncoderUnderOtherNames(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		seqs, _ := openFixture(t, "expected-bert-tiny-regression").sequences("batch")
		var logits [][]float64
		for _, dir := range []string{"bert-tiny-regression", "bert-encoder", "bert-pretraining"} {
			m, err := Load(testdata(dir), LoadConfig{Labels: 4, Head: HeadFresh, Seed: 3, DType: torchbind.Float32, Device: torchbind.CPU})
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.NewBatch(s, &seqs)
			if err != nil {
				t.Fatal(err)
			}
			logits = append(logits, m.Logits(s, b, nil).Float64s())
			m.Close()
		}
		near(t, "bert-encoder", logits[1], logits[0], 0)
		near(t, "bert-pretraining", logits[2], logits[0], 0)
	})
}

// Batches that do not fit the model are errors, not reads beyond a tensor.
func TestNewBatchErrors(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := tiny(t, torchbind.Float32)
		defer m.Close()
		wanting := func(want []int64, per ...int) data.Batch { // of 2 and 3 tokens
			return data.Batch{IDs: []int64{2, 3, 2, 9, 3}, Segments: make([]int64, 5), Lengths: []int{2, 3}, Want: want, WantPer: per}
		}
		for _, c := range []struct {
			name string
			seqs data.Batch
			want string
		}{
			{"token id", data.Batch{IDs: []int64{1, 120}, Segments: []int64{0, 0}, Lengths: []int{2}}, "token id 120"},
			{"segment", data.Batch{IDs: []int64{1, 2}, Segments: []int64{0, 2}, Lengths: []int{2}}, "segment id 2"},
			{"too long", data.Batch{IDs: make([]int64, 41), Segments: make([]int64, 41), Lengths: []int{41}}, "want 1 to 40"},
			{"empty sequence", data.Batch{IDs: []int64{1}, Segments: []int64{0}, Lengths: []int{1, 0}}, "0 tokens"},
			{"lengths", data.Batch{IDs: []int64{1, 2}, Segments: []int64{0, 0}, Lengths: []int{1}}, "2 tokens"},
			{"no sequences", data.Batch{}, "0 sequences"},
			{"no wanted rows", wanting(nil, 0, 0), "wants 0 rows of 2 sequences"},
			{"wanted rows of other sequences", wanting([]int64{0}, 1), "2 sequences wants 1 rows of 1 sequences"},
			{"wanted row of the next sequence", wanting([]int64{1, 2}, 2, 0), "sequence 0 of the batch wants row 2, want its rows 0 to 1"},
			{"wanted row of the sequence before", wanting([]int64{0, 1}, 1, 1), "sequence 1 of the batch wants row 1, want its rows 2 to 4"},
			{"wanted row twice", wanting([]int64{3, 3}, 0, 2), "sequence 1 of the batch wants row 3, want its rows 2 to 4"},
			{"wanted row beyond the batch", wanting([]int64{5}, 0, 1), "wants row 5, want its rows 2 to 4"},
			{"wanted row before the batch", wanting([]int64{-1}, 1, 0), "wants row -1, want its rows 0 to 1"},
			{"more wanted rows than said", wanting([]int64{0, 1}, 1, 0), "1 rows more"},
			{"fewer wanted rows than said", wanting([]int64{0, 3}, 1, 2), "sequence 1 of the batch wants 2 rows, and 1 are left"},
			{"negative number of wanted rows", wanting([]int64{0}, -1, 2), "wants -1 rows"},
		} {
			_, err := m.NewBatch(s, &c.seqs)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want %q", c.name, err, c.want)
			}
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	for _, name := range []string{"bert-tiny", "roberta-tiny", "bert-encoder"} {
		data, err := os.ReadFile(filepath.Join(testdata(name), "config.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"model_type": "bert"}`))
	f.Add([]byte(`{"model_type": "bert", "hidden_size": -1, "num_attention_heads": 0}`))
	f.Add([]byte(`{"model_type": "roberta", "pad_token_id": 9223372036854775807}`))
	f.Add([]byte(`{"id2label": {"0": "a", "7": "b"}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := ParseConfig(data)
		if err != nil {
			return
		}
		if cfg.HiddenSize%cfg.NumAttentionHeads != 0 || cfg.MaxTokens() < 1 || cfg.firstPosition()+cfg.MaxTokens() > cfg.MaxPositionEmbeddings {
			t.Errorf("accepted %+v", cfg)
		}
		cfg.LabelNames()
	})
}
