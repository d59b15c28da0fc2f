package generate

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"autolora/data/datatest"
	"autolora/nn"
	"autolora/torchbind"
)

// reference is a file of testdata/nn: what transformers and LoRA's own decoder
// generate. testdata/nn/make_generate.py says how it was made.
type reference struct {
	Prompts [][]int64
	Cases   []referenceCase
}

type referenceCase struct {
	By       string
	Settings struct {
		Beams     int     `json:"num_beams"`
		LoRABeams int     `json:"beam"`
		Max       int     `json:"max_new_tokens"`
		EvalLen   int     `json:"eval_len"`
		End       []int64 `json:"eos_token_id"`
		Penalty   float64 `json:"length_penalty"`
		NGram     int     `json:"no_repeat_ngram_size"`
		Early     any     `json:"early_stopping"`
	}
	Outputs [][]struct {
		IDs   []int64
		Score *float64
	}
}

func (c referenceCase) config() Config {
	s := c.Settings
	cfg := Config{Beams: s.Beams, MaxNewTokens: s.Max, End: s.End, LengthPenalty: s.Penalty, NoRepeatNGram: s.NGram}
	if c.By == "lora" {
		cfg.Beams, cfg.MaxNewTokens, cfg.Rules = s.LoRABeams, s.EvalLen, LoRA
	}
	if s.Early != nil {
		cfg.EarlyStopping = EarlyStopping(fmt.Sprint(s.Early))
	}
	return cfg
}

func openReference(t *testing.T, name string) reference {
	t.Helper()
	data, err := os.ReadFile(testdata(name + ".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// withModel runs fn with the model of a folder, and fails on leaks.
func withModel(t *testing.T, dir string, dtype torchbind.DType, fn func(m *nn.Model)) {
	t.Helper()
	before := torchbind.Live()
	err := torchbind.Run(func(*torchbind.Scope) error {
		m, err := nn.Load(dir, nn.LoadConfig{Output: nn.CausalLM, DType: dtype, Device: torchbind.CPU})
		if err != nil {
			return err
		}
		defer m.Close()
		fn(m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := torchbind.Live() - before; n != 0 {
		t.Errorf("%d tensors leaked", n)
	}
}

// testdata returns the folder of a tiny model.
func testdata(name string) string { return filepath.Join("..", "..", "testdata", "nn", name) }

func TestAgainstTransformersAndLoRA(t *testing.T) {
	for _, f := range []struct{ file, model string }{
		{"generate-gpt2", "gpt2-generate"}, {"generate-llama", "llama-tiny"}, {"generate-qwen3", "qwen3-tiny"},
		{"generate-gemma3", "gemma3-tiny"}, {"generate-phi3", "phi3-tiny"}, {"generate-smollm3", "smollm3-tiny"}, {"generate-olmo2", "olmo2-tiny"},
		{"generate-dynamic", "llama-dynamic"}, {"generate-gemma2", "gemma2-tiny"},
	} {
		ref := openReference(t, f.file)
		batches := map[torchbind.DType][]int{torchbind.Float32: {1, len(ref.Prompts)}, torchbind.Float64: {3}}
		for dtype, sizes := range batches {
			withModel(t, testdata(f.model), dtype, func(m *nn.Model) {
				for _, batch := range sizes {
					t.Run(fmt.Sprintf("%s/%v/batches of %d", f.model, dtype, batch), func(t *testing.T) { ref.check(t, m, batch) })
				}
			})
		}
	}
}

// tolScore is for sums of up to 12 log-probabilities in float32, there and here, each
// 14 roundings of 6.0e-8 off.
const tolScore = 1e-5

// check compares what m generates with every case of the reference.
func (r reference) check(t *testing.T, m *nn.Model, batch int) {
	if len(r.Cases) == 0 {
		t.Fatal("the file has no cases")
	}
	for _, c := range r.Cases {
		t.Run(fmt.Sprintf("%s %+v", c.By, c.Settings), func(t *testing.T) {
			texts, _, err := Generate(context.Background(), m, r.Prompts, batch, c.config(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range c.Outputs {
				if len(texts[i]) < len(want) {
					t.Fatalf("prompt %d: %d texts, want %d", i, len(texts[i]), len(want))
				}
				for k, w := range want {
					got := texts[i][k]
					if !slices.Equal(got.IDs, w.IDs) {
						t.Errorf("prompt %d, text %d: %v, want %v", i, k, got.IDs, w.IDs)
					}
					if w.Score != nil && !(math.Abs(float64(got.Score)-*w.Score) < tolScore*max(1, math.Abs(*w.Score))) {
						t.Errorf("prompt %d, text %d: score %v, want %v", i, k, got.Score, *w.Score)
					}
				}
			}
		})
	}
}

// A model that is broken is told of with the number of the prompt that showed it, also
// where others are written before.
func TestBrokenWeights(t *testing.T) {
	withModel(t, testdata("gpt2-generate"), torchbind.Float32, func(m *nn.Model) {
		for _, p := range m.Params() {
			if p.Name == "transformer.wpe.weight" { // from the second place on
				torchbind.NoGrad(func() {
					s := torchbind.NewScope()
					defer s.Close()
					p.Value.CopyInPlace(torchbind.FromSlice(s, append(make([]float64, p.Shape[1]), slices.Repeat([]float64{math.NaN()}, int((p.Shape[0]-1)*p.Shape[1]))...), p.Shape, torchbind.CPU))
				})
			}
		}
		_, _, err := Generate(context.Background(), m, [][]int64{{5}, {9, 9}}, 1, Config{Beams: 1, MaxNewTokens: 1}, nil)
		if want := "prompt 2: the model's output is not a number: its weights are broken"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

// stories260K is a trained LLaMA, of the shared folder.
func TestStories260K(t *testing.T) {
	dir := datatest.Unpack(t, "models/stories260K.tar.xz")
	withModel(t, filepath.Join(dir, "stories260K"), torchbind.Float32, func(m *nn.Model) {
		ref := openReference(t, "generate-stories260K")
		ref.check(t, m, len(ref.Prompts))
	})
}

// realText is what testdata/nn/make_real_decoders.py stores of a text.
type realText struct {
	IDs, Greedy []int64
	First       []float64
	Top         [][2]float64 // ids and logits
}

// The weights are real, and where the scripts put them.
func TestRealWeights(t *testing.T) {
	var smollm2 realText
	readJSON(t, testdata("smollm2.json"), &smollm2)
	var gemma3 struct{ Texts []realText }
	readJSON(t, testdata("gemma3.json"), &gemma3)
	for _, c := range []struct {
		folder, script string
		texts          []realText
	}{
		{"SmolLM2-135M", "scripts/fetch_smollm2.sh", []realText{smollm2}},
		{"gemma-3-270m", "scripts/fetch_gemma3.sh", gemma3.Texts},
	} {
		t.Run(c.folder, func(t *testing.T) {
			dir := filepath.Join("..", "..", "third_party", "models", c.folder)
			if _, err := os.Stat(dir); err != nil {
				t.Skipf("needs %s (%s): %v", c.folder, c.script, err)
			}
			withModel(t, dir, torchbind.Float32, func(m *nn.Model) { checkReal(t, m, c.texts) })
		})
	}
}

func readJSON(t *testing.T, path string, to any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checkReal checks the logits after texts, up to 25 of 18 or 30 blocks, and what is
// written after them.
func checkReal(t *testing.T, m *nn.Model, texts []realText) {
	var prompts [][]int64
	longest := 0
	for _, text := range texts {
		prompts, longest = append(prompts, text.IDs), max(longest, len(text.Greedy))
	}
	err := torchbind.Run(func(s *torchbind.Scope) (err error) {
		torchbind.InferenceMode(func() {
			d, all, e := m.Decode(s, prompts)
			if err = e; err != nil {
				return
			}
			defer d.Close()
			scores := all.Float64s()
			for i, text := range texts {
				logits := scores[int64(i)*m.VocabSize:][:m.VocabSize]
				for id, want := range text.First {
					text.Top = append(text.Top, [2]float64{float64(id), want})
				}
				for _, want := range text.Top {
					if got := logits[int(want[0])]; math.Abs(got-want[1]) > 2e-4 {
						t.Errorf("text %d: logit %v: got %v, want %v", i, want[0], got, want[1])
					}
				}
			}
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	written, _, err := Generate(context.Background(), m, prompts, len(prompts), Config{Beams: 1, MaxNewTokens: longest}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		if got := written[i][0].IDs; !slices.Equal(got, text.Greedy) {
			t.Errorf("text %d: greedy: %v, want %v", i, got, text.Greedy)
		}
	}
}

// The keys and values that are kept give what reading every text from its start
// does.
func TestKeptKeysAndValues(t *testing.T) {
	for _, name := range []string{"gpt2-generate", "llama-tiny", "llama-linear", "mistral-tiny", "qwen3-tiny", "gemma3-tiny", "phi3-tiny"} {
		withModel(t, testdata(name), torchbind.Float64, func(m *nn.Model) {
			prompts := [][]int64{{5, 9, 3}, {7}, {1, 2, 3, 4, 5, 6, 7}}
			steps := []struct {
				from   []int
				tokens []int64
			}{{[]int{0, 0, 1, 2}, []int64{4, 8, 8, 1}}, {[]int{1, 0, 2, 2, 3}, []int64{2, 2, 6, 7, 9}}, {[]int{4, 2}, []int64{11, 12}}, {[]int{0, 0}, []int64{3, 3}}}
			err := torchbind.Run(func(s *torchbind.Scope) (err error) {
				torchbind.InferenceMode(func() {
					texts := prompts
					d, scores, e := m.Decode(s, prompts)
					if err = e; err != nil {
						return
					}
					defer d.Close()
					check := func() {
						for i, text := range texts {
							whole, all, e := m.Decode(s, [][]int64{text})
							if e != nil {
								t.Fatal(e)
							}
							whole.Close()
							want := all.Float64s()
							for k, got := range torchbind.Narrow(s, scores, 0, int64(i), 1).Float64s() {
								if math.Abs(got-want[k]) > 1e-12 {
									t.Fatalf("%s: text %v: score %d is %v, want %v", name, text, k, got, want[k])
								}
							}
							if d.Len(i) != len(text) {
								t.Errorf("%s: row %d has %d tokens, want %d", name, i, d.Len(i), len(text))
							}
						}
					}
					check()
					for _, step := range steps {
						if scores, err = d.Step(s, step.from, step.tokens); err != nil {
							return
						}
						old := texts
						texts = nil
						for i, f := range step.from {
							texts = append(texts, append(slices.Clone(old[f]), step.tokens[i]))
						}
						check()
					}
				})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
