package nn

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// raw returns a stored tensor's bytes.
func (f fixture) raw(name string) []byte {
	f.t.Helper()
	t, ok := f.file.Tensor(name)
	if !ok {
		f.t.Fatalf("fixture has no %q", name)
	}
	return t.Data
}

// same fails unless a tensor has the bytes of a stored one, in its own type.
func (f fixture) same(what string, got *torchbind.Tensor, name string) {
	f.t.Helper()
	if want := f.raw(name); !slices.Equal(got.Bytes(), want) {
		f.t.Errorf("%s: other bytes than %s", what, name)
	}
}

// equal is same but for the signs of zeros.
func (f fixture) equal(what string, got *torchbind.Tensor, name string) {
	f.t.Helper()
	stored, _ := f.file.Tensor(name)
	if want, err := safetensors.Float32s(stored); err != nil || !slices.Equal(got.Float32s(), want) {
		f.t.Errorf("%s: other numbers than %s (%v)", what, name, err)
	}
}

// Codes, scales and numbers are bitsandbytes' own, to the last bit.
func TestQuantizeAgainstBitsandbytes(t *testing.T) {
	run(t, func(s *torchbind.Scope) {
		values := openFixture(t, "expected-quantised")
		table := torchbind.Codebook(s, torchbind.NF4, torchbind.CPU)
		for _, name := range []string{"whole", "odd", "edges"} {
			numbers, shape := values.shaped(name + ".w")
			w := torchbind.To(s, torchbind.FromSlice(s, numbers, shape, torchbind.CPU), torchbind.Float32, torchbind.CPU)
			four := torchbind.Quantize(s, w, table, nf4Block)
			values.same(name, four.Codes, name+".nf4")
			values.same(name, four.Scales, name+".absmax")
			values.same(name, torchbind.NewQuantized(shape[1], four).Dequantize(s, torchbind.Float32), name+".values")

			var rows []int64 // that are not zero: bitsandbytes divides by 0 there
			for i := range shape[0] {
				if slices.ContainsFunc(numbers[i*shape[1]:(i+1)*shape[1]], func(v float64) bool { return v != 0 }) {
					rows = append(rows, i)
				}
			}
			eight := torchbind.Quantize(s, w, nil, 0)
			some := func(t *torchbind.Tensor) *torchbind.Tensor {
				return torchbind.IndexSelect(s, t, 0, indices(s, rows, torchbind.CPU))
			}
			values.same(name, some(eight.Codes), name+".int8")
			values.same(name, some(eight.Scales), name+".SCB")
			dense := torchbind.NewQuantized(shape[1], eight).Dequantize(s, torchbind.Float32)
			values.same(name, some(dense), name+".rows")
			if dense.Float64s()[shape[1]] != 0 && name == "edges" {
				t.Error("a row of zeros is something else")
			}
		}
	})
}

// Models that bitsandbytes has quantised: the numbers of their matrices to the last
// bit, and transformers' logits with these numbers.
func TestBitsandbytesCheckpoints(t *testing.T) {
	for name, labels := range map[string]int64{"llama-nf4": 0, "llama-fp4": 0, "gpt2-nf4": 0, "bert-int8": 3} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *torchbind.Scope) {
				values := openFixture(t, "expected-"+name)
				cfg := LoadConfig{Labels: labels, Output: outputOf(name, false), Head: HeadStored, Device: torchbind.CPU}
				for dtype, suffix := range map[torchbind.DType]string{torchbind.Float32: "", torchbind.BFloat16: ".bf16"} {
					cfg.DType = dtype
					m := mustLoad(t, testdata(name), cfg)
					checked := 0
					for _, p := range m.Params() {
						dense := p.Dense(s, dtype)
						for i, key := range p.Keys() {
							if stored := "weight." + key + suffix; values.has(stored) {
								part := dense // which bitsandbytes has [out, in], also where GPT-2 has not
								if !p.Transposed {
									part = p.Stored(s, dense, i)
								}
								if name == "llama-fp4" { // of its two zeros one is negative in bitsandbytes' products, and not in its table
									values.equal(key, part, stored)
								} else {
									values.same(key, part, stored)
								}
								checked++
							}
						}
						if p.quantized == nil && blockNumber.MatchString(p.Name) && len(p.Shape) == 2 {
							t.Errorf("%s is not held as it is stored", p.Name)
						}
					}
					if want := countPrefix(values, "weight.") / 2; checked != want || checked < 4 {
						t.Errorf("compared %d matrices, want %d", checked, want)
					}
					if m.Stored != safetensors.BF16 {
						t.Errorf("stored as %s", m.Stored)
					}
					m.Close()
				}

				cfg.DType = torchbind.Float64
				m := mustLoad(t, testdata(name), cfg)
				defer m.Close()
				seqs, _ := values.sequences("batch")
				logits := logitsOf(t, s, &seqs)
				near(t, "logits", logits(m), values.floats("logits.f64"), tolerance64)

				// Written, it is the model of the same numbers that is not quantised.
				dir := filepath.Join(t.TempDir(), "dense")
				if err := m.Write(dir, nil, safetensors.F32); err != nil {
					t.Fatal(err)
				}
				written, err := ReadConfig(dir)
				if err != nil || written.Quantized != "" {
					t.Fatalf("quantised as %q, %v", written.Quantized, err)
				}
				full := mustLoad(t, dir, cfg)
				defer full.Close()
				if !slices.Equal(logits(full), logits(m)) {
					t.Error("the model that was written computes something else")
				}
			})
		})
	}
}

// What is quantised here: matrices of blocks, and nothing else.
func TestQuantize(t *testing.T) {
	for _, name := range []string{"llama-tiny", "gpt2-tiny", "phi3-tiny", "bert-tiny", "deberta-tiny", "modernbert-tiny"} {
		for _, form := range []Quantization{Int8, NF4} {
			t.Run(name+"/"+string(form), func(t *testing.T) {
				run(t, func(s *torchbind.Scope) {
					cfg := LoadConfig{Labels: 3, Output: outputOf(name, false), Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU, Pack: true}
					full := mustLoad(t, testdata(name), cfg)
					defer full.Close()
					cfg.Quantize = form
					m := mustLoad(t, testdata(name), cfg)
					defer m.Close()
					for i, p := range m.Params() {
						weight := full.Params()[i].Value
						held := strings.HasSuffix(p.Name, ".weight") && blockNumber.MatchString(p.Name) && len(p.Shape) == 2
						if (p.quantized != nil) != held || held && p.Value != nil {
							t.Errorf("%s: held in %s is %v, want %v", p.Name, form, p.quantized != nil, held)
							continue
						}
						// A step of NF4 is at most 0.31 of a block's largest, half of it at the ends;
						// of 8 bits 1/127 of a row's.
						largest := 0.0
						for _, v := range weight.Float64s() {
							largest = max(largest, v, -v)
						}
						bound := map[bool]float64{true: 0.16 * largest}[held]
						if form == Int8 {
							bound *= 0.5 / 127 / 0.16 * 1.001
						}
						got, want := p.Dense(s, torchbind.Float32).Float64s(), weight.Float64s()
						for j := range want {
							if d := got[j] - want[j]; max(d, -d) > bound {
								t.Fatalf("%s: number %d is %v, want %v within %v", p.Name, j, got[j], want[j], bound)
							}
						}
					}
				})
			})
		}
	}
}

func TestQuantizedErrors(t *testing.T) {
	// changed returns a copy of a model in which a tensor is another; nil takes it out.
	changed := func(model, name string, change func(*safetensors.Tensor)) string {
		dir := copyModel(t, model)
		path := filepath.Join(dir, "model.safetensors")
		f, err := safetensors.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var tensors []safetensors.Tensor
		for _, n := range f.Names() {
			tensor, _ := f.Tensor(n)
			tensor.Data = slices.Clone(tensor.Data)
			if n == name {
				if change == nil {
					continue
				}
				change(&tensor)
			}
			tensors = append(tensors, tensor)
		}
		if err := safetensors.Write(path, nil, tensors); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	const nf4, eight = "model.layers.0.mlp.down_proj.weight", "bert.encoder.layer.1.output.dense."
	state := func(text string) func(*safetensors.Tensor) {
		return func(t *safetensors.Tensor) { t.Data, t.Shape = []byte(text), []int64{int64(len(text))} }
	}
	shorter := func(t *safetensors.Tensor) { t.Data, t.Shape = t.Data[:4], []int64{4 * 8 / t.DType.Bits()} }
	for _, c := range []struct {
		name, model, tensor string
		change              func(*safetensors.Tensor)
		load                LoadConfig
		want                string
	}{
		{"another form", "llama-nf4", "", nil, LoadConfig{Quantize: Int8}, "its weights are in nf4 already"},
		{"every weight trained", "llama-nf4", "", nil, LoadConfig{Full: true}, "full fine-tuning trains every weight"},
		{"every weight trained in 8 bits", "llama-tiny", "", nil, LoadConfig{Full: true, Quantize: Int8}, "full fine-tuning trains every weight"},
		{"no such form", "llama-tiny", "", nil, LoadConfig{Quantize: "q4_k"}, `got "q4_k", want one of [none int8 nf4]`},
		{"no scales", "llama-nf4", nf4 + ".absmax", nil, LoadConfig{}, `"` + nf4 + `.absmax": `},
		{"few scales", "llama-nf4", nf4 + ".absmax", shorter, LoadConfig{}, "U8 [4], want U8 and 20 numbers"},
		{"no numbers", "llama-nf4", nf4 + ".quant_map", nil, LoadConfig{}, `"` + nf4 + `.quant_map", without which it means nothing, is missing`},
		{"numbers that are none", "llama-nf4", nf4 + ".quant_map", func(t *safetensors.Tensor) {
			binary.LittleEndian.PutUint32(t.Data, math.Float32bits(float32(math.NaN())))
		}, LoadConfig{}, `"` + nf4 + `.quant_map": it has numbers that are none`},
		{"no scales of scales", "llama-nf4", nf4 + ".nested_absmax", nil, LoadConfig{}, `.nested_absmax", without which`},
		{"few numbers of scales", "llama-nf4", nf4 + ".nested_quant_map", shorter, LoadConfig{}, "want F32 and 256 numbers"},
		{"few codes", "llama-nf4", nf4, shorter, LoadConfig{}, `"` + nf4 + `": 4 bytes, want 640`},
		{"no state", "llama-nf4", nf4 + ".quant_state.bitsandbytes__nf4", nil, LoadConfig{}, "the model is quantised, and such weights are not read"},
		{"a damaged state", "llama-nf4", nf4 + ".quant_state.bitsandbytes__nf4", state("{"), LoadConfig{}, "quant_state"},
		{"another shape", "llama-nf4", nf4 + ".quant_state.bitsandbytes__nf4", state(`{"blocksize": 64, "shape": [40, 32]}`), LoadConfig{}, "shape [40 32], want [32 40]"},
		{"blocks of nothing", "llama-nf4", nf4 + ".quant_state.bitsandbytes__nf4", state(`{"blocksize": 0, "shape": [32, 40]}`), LoadConfig{}, "blocks of 0"},
		{"a GPU's order", "bert-int8", eight + "weight_format", func(t *safetensors.Tensor) { t.Data[0] = 2 }, LoadConfig{}, "the order of a GPU of old"},
		{"few scales of rows", "bert-int8", eight + "SCB", shorter, LoadConfig{}, "want F32 and 32 numbers"},
		{"8 bits without scales", "bert-int8", eight + "SCB", nil, LoadConfig{}, "the model is quantised, and such weights are not read"},
		{"8 bits of another shape", "bert-int8", eight + "weight", func(t *safetensors.Tensor) { t.Shape = []int64{64, 32} }, LoadConfig{}, "shape [64 32], want [32 64]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(*torchbind.Scope) {
				dir := testdata(c.model)
				if c.tensor != "" {
					dir = changed(c.model, c.tensor, c.change)
				}
				c.load.Labels, c.load.Output, c.load.Head, c.load.DType, c.load.Device = 3, outputOf(c.model, false), HeadStored, torchbind.Float32, torchbind.CPU
				m, err := Load(dir, c.load)
				if err == nil {
					m.Close()
				}
				oneLine(t, err, c.want)
			})
		})
	}
}
