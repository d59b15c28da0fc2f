package nn

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"autolora/nn/peft"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

func loadDecoder(t *testing.T, name string, cfg LoadConfig) *Model {
	t.Helper()
	cfg.Output, cfg.Device = CausalLM, torchbind.CPU
	m, err := Load(testdata(name), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var bothTypes = []torchbind.DType{torchbind.Float32, torchbind.Float64}

// todaysDecoders are those of which testdata/nn/make_decoders.py has everything.
var todaysDecoders = []string{"qwen3-tiny", "qwen2-window", "gemma3-tiny", "gemma3-hub", "phi3-tiny", "llama-yarn", "llama-dynamic", "smollm3-tiny", "olmo2-tiny", "gemma2-tiny"}

func TestDecodersAgainstTransformers(t *testing.T) {
	for _, name := range append(todaysDecoders, "gpt2-tiny", "llama-tiny") {
		for _, dtype := range bothTypes {
			t.Run(name+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadDecoder(t, name, LoadConfig{Full: true, DType: dtype})
					defer m.Close()
					checkTraining(t, s, m, openFixture(t, "expected-"+name), openFixture(t, "expected-"+name+"-adamw"), "")
				})
			})
		}
	}
}

// Every form of configuration, with LoRA as PEFT computes it.
func TestDecodersAgainstPEFT(t *testing.T) {
	for _, name := range append(todaysDecoders, "llama-tiny", "llama-llama3", "llama-linear", "llama-bias", "llama-tied", "qwen2-tiny", "mistral-tiny") {
		for _, dtype := range bothTypes {
			t.Run(name+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					m := loadDecoder(t, name, LoadConfig{DType: dtype, Pack: true})
					defer m.Close()
					values := openFixture(t, "expected-"+name+"-lora")
					seqs, labels := values.sequences("batch")
					if dtype == torchbind.Float64 {
						b, y := batchOf(t, s, m, seqs, labels)
						near(t, "logits without the adapter", m.Logits(s, b, nil).Float64s(), values.floats("base.logits"), tolerance64)
						near(t, "loss without the adapter", m.Loss(s, b, y, nil).Float64s(), values.floats("base.loss"), tolerance64)
					}
					if err := m.LoadAdapter(testdata(name + "-lora")); err != nil {
						t.Fatal(err)
					}
					checkTraining(t, s, m, values, values, peftPrefix)
				})
			})
		}
	}
}

// Query and value of c_attn with a LoRA each, which PEFT does not have: the
// reference is plain PyTorch.
func TestGPT2Parts(t *testing.T) {
	for _, name := range []string{"gpt2-tiny-lora", "gpt2-tiny-lora-ranks"} {
		for _, dtype := range bothTypes {
			t.Run(name+"/"+dtype.String(), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					values := openFixture(t, "expected-"+name)
					ranks := map[string]int64{}
					for _, path := range []string{"transformer.h.0.attn.c_attn.query", "transformer.h.0.attn.c_attn.value", "transformer.h.1.attn.c_attn.query", "transformer.h.1.attn.c_attn.value"} {
						if key := "init." + peftPrefix + path + ".lora_A.weight"; values.has(key) {
							_, shape := values.shaped(key)
							ranks[path] = shape[0]
						} else {
							ranks[path] = 0
						}
					}
					m := loadDecoder(t, "gpt2-tiny", LoadConfig{DType: dtype, Pack: true})
					defer m.Close()
					if err := m.AddLoRA(LoRAConfig{Ranks: ranks, Alpha: 8}); err != nil {
						t.Fatal(err)
					}
					for _, p := range m.AdapterParams() {
						p.Value.SetRequiresGrad(false)
						p.Value.CopyInPlace(torchbind.FromSlice(s, values.floats("init."+peftPrefix+p.Name), p.Shape, torchbind.CPU))
						p.Value.SetRequiresGrad(true)
					}
					before := filepath.Join(t.TempDir(), "adapter")
					if err := peft.Write(before, m.Adapter("gpt2-tiny", nil), peft.ModelCard{}); err != nil {
						t.Fatal(err)
					}
					if dtype == torchbind.Float32 {
						sameFile(t, filepath.Join(before, "adapter_model.safetensors"), testdata(name+"/adapter_model.safetensors"))
					}
					checkTraining(t, s, m, values, values, peftPrefix)
				})
			})
		}
	}
}

// PEFT's adapters on c_attn, in the form that holds query and value apart and in
// any other, and what is written of them.
func TestGPT2AdaptersOfPEFT(t *testing.T) {
	for _, name := range []string{"gpt2-tiny-lora", "gpt2-tiny-lora-ranks", "gpt2-tiny-lora-whole"} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				values := openFixture(t, "expected-"+name)
				prefix := "peft."
				if name == "gpt2-tiny-lora-whole" {
					prefix = ""
				}
				seqs, _ := values.sequences("batch")
				logits := logitsOf(t, s, &seqs)
				m := loadDecoder(t, "gpt2-tiny", LoadConfig{DType: torchbind.Float64})
				defer m.Close()
				if err := m.LoadAdapter(testdata(name)); err != nil {
					t.Fatal(err)
				}
				before := logits(m)
				near(t, "logits", before, values.floats(prefix+"logits"), tolLogits32)

				dir := filepath.Join(t.TempDir(), "adapter")
				if err := peft.Write(dir, m.Adapter("gpt2-tiny", nil), peft.ModelCard{}); err != nil {
					t.Fatal(err)
				}
				again := loadDecoder(t, "gpt2-tiny", LoadConfig{DType: torchbind.Float64})
				defer again.Close()
				if err := again.LoadAdapter(dir); err != nil {
					t.Fatal(err)
				}
				near(t, "logits of the adapter read again", logits(again), before, tolFactors)

				merged := filepath.Join(t.TempDir(), "merged")
				if err := m.Write(merged, nil, safetensors.F32); err != nil {
					t.Fatal(err)
				}
				whole, err := Load(merged, LoadConfig{Output: CausalLM, DType: torchbind.Float64, Device: torchbind.CPU})
				if err != nil {
					t.Fatal(err)
				}
				defer whole.Close()
				near(t, "logits of the merged model", logits(whole), before, tolMerged)
				if got := whole.Architectures; !slices.Equal(got, []string{"GPT2LMHeadModel"}) {
					t.Errorf("architectures %v", got)
				}
			})
		})
	}
}

// The first GPT-2 checkpoints leave "transformer." out and store masks.
func TestGPT2OfTheHub(t *testing.T) {
	for _, dtype := range bothTypes {
		run(t, func(s *torchbind.Scope) {
			m := loadDecoder(t, "gpt2-hub", LoadConfig{DType: dtype})
			defer m.Close()
			values := openFixture(t, "expected-gpt2-hub")
			seqs, labels := values.sequences("batch")
			b, y := batchOf(t, s, m, seqs, labels)
			suffix, tolerance := "", tolLogits32
			if dtype == torchbind.Float64 {
				suffix, tolerance = ".f64", tolerance64
			}
			near(t, "logits", m.Logits(s, b, nil).Float64s(), values.floats("logits"+suffix), tolerance)
			near(t, "loss", m.Loss(s, b, y, nil).Float64s(), values.floats("loss"+suffix), tolerance)
		})
	}
}

// Smoothed labels are for training: they come with dropout masks.
func TestLabelSmoothing(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		m := loadDecoder(t, "gpt2-tiny", LoadConfig{DType: torchbind.Float64, LabelSmoothing: 0.1})
		defer m.Close()
		values := openFixture(t, "expected-gpt2-tiny")
		seqs, labels := values.sequences("batch")
		b, y := batchOf(t, s, m, seqs, labels)
		near(t, "loss in training", m.Loss(s, b, y, &DropoutRNG{}).Float64s(), values.floats("loss.smoothed.f64"), tolerance64)
		near(t, "loss", m.Loss(s, b, y, nil).Float64s(), values.floats("loss.f64"), tolerance64)
	})
}

func sameFile(t *testing.T, got, want string) {
	t.Helper()
	a, err := os.ReadFile(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a, b) {
		t.Errorf("%s differs from %s", got, want)
	}
}
