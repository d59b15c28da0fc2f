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

func open(t *testing.T, name string) reference {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "nn", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// withModel runs fn with a model of testdata/nn, and fails on leaks.
func withModel(t *testing.T, name string, dtype torchbind.DType, fn func(m *nn.Model)) {
	t.Helper()
	before := torchbind.Live()
	err := torchbind.Run(func(*torchbind.Scope) error {
		m, err := nn.Load(filepath.Join("..", "..", "testdata", "nn", name), nn.LoadConfig{Output: nn.CausalLM, DType: dtype, Device: torchbind.CPU})
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

func TestAgainstTransformersAndLoRA(t *testing.T) {
	for _, f := range []struct{ file, model string }{{"generate-gpt2", "gpt2-generate"}, {"generate-llama", "llama-tiny"}} {
		ref := open(t, f.file)
		if len(ref.Cases) == 0 {
			t.Fatalf("%s has no cases", f.file)
		}
		for _, dtype := range []torchbind.DType{torchbind.Float32, torchbind.Float64} {
			withModel(t, f.model, dtype, func(m *nn.Model) {
				for _, c := range ref.Cases {
					for _, batch := range []int{1, 3, len(ref.Prompts)} {
						cfg := c.config()
						t.Run(fmt.Sprintf("%s/%v/%s/%+v/batches of %d", f.model, dtype, c.By, cfg, batch), func(t *testing.T) {
							texts, _, err := Generate(context.Background(), m, ref.Prompts, batch, cfg, nil)
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
									if w.Score != nil && !(math.Abs(float64(got.Score)-*w.Score) < 1e-5*max(1, math.Abs(*w.Score))) { // a sum in float32
										t.Errorf("prompt %d, text %d: score %v, want %v", i, k, got.Score, *w.Score)
									}
								}
							}
						})
					}
				}
			})
		}
	}
}

// The keys and values that are kept give what reading every text from its start
// does.
func TestKeptKeysAndValues(t *testing.T) {
	for _, name := range []string{"gpt2-generate", "llama-tiny", "llama-linear", "mistral-tiny"} {
		withModel(t, name, torchbind.Float64, func(m *nn.Model) {
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
