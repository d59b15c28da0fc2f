package gguf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"autolora/nn/peft"
	"autolora/nn/safetensors"
)

// ramp is that of testdata/make_gguf.py.
func ramp(start int, rows, columns int64) safetensors.Tensor {
	values := make([]float32, rows*columns)
	for i := range values {
		values[i] = float32((i*7+start)%61-30) / 8
	}
	return safetensors.FromFloat32s("", []int64{rows, columns}, values)
}

var base = Base{ModelType: "llama", Blocks: 2, Heads: 4, KeyValueHeads: 2, HeadDim: 4}

// adapter is the one of testdata/make_gguf.py: of unequal ranks, two layers with an
// alpha of their own, and one left out.
func adapter() *peft.Adapter {
	a := &peft.Adapter{Config: peft.Config{TaskType: "CAUSAL_LM", R: 2, LoraAlpha: 6}}
	for i, l := range []struct {
		name       string
		rows, cols int64
		rank       int64
		alpha      float64
	}{
		{"model.layers.0.self_attn.q_proj", 16, 6, 3, 6}, {"model.layers.0.self_attn.k_proj", 8, 6, 1, 3},
		{"model.layers.0.self_attn.v_proj", 8, 6, 2, 6}, {"model.layers.0.self_attn.o_proj", 6, 16, 2, 6},
		{"model.layers.1.mlp.gate_proj", 10, 6, 1, 6}, {"model.layers.1.mlp.up_proj", 10, 6, 4, 12},
		{"model.layers.1.mlp.down_proj", 6, 10, 2, 6}, {"model.layers.1.self_attn.q_proj", 16, 6, 0, 6},
	} {
		a.Layers = append(a.Layers, peft.Layer{Name: l.name, Rank: int(l.rank), Alpha: l.alpha, A: ramp(2*i, l.rank, l.cols), B: ramp(2*i+1, l.rows, l.rank)})
	}
	return a
}

// The files are those of llama.cpp's own writer, to the byte.
func TestWriteLoRA(t *testing.T) {
	for _, c := range []struct {
		file, modelType string
		dtype           safetensors.DType
	}{
		{"llama.gguf", "llama", safetensors.F32}, {"llama.gguf", "mistral", safetensors.F32}, {"qwen3-f16.gguf", "qwen3", safetensors.F16},
	} {
		t.Run(c.modelType, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("testdata", c.file))
			if err != nil {
				t.Fatal(err)
			}
			path, base := filepath.Join(t.TempDir(), "adapter.gguf"), base
			base.ModelType = c.modelType
			if err := WriteLoRA(path, adapter(), base, c.dtype); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, want) {
				at := 0
				for at < min(len(got), len(want)) && got[at] == want[at] {
					at++
				}
				t.Errorf("%d bytes, want %d; the first that differs is %d (%v)", len(got), len(want), at, err)
			}
		})
	}
}

// What families whose rows stay have of their own is llama.cpp's name.
func TestArchitectures(t *testing.T) {
	base := base
	base.ModelType = "qwen3"
	_, same, err := lora(adapter(), base, safetensors.F32)
	if err != nil {
		t.Fatal(err)
	}
	for modelType, want := range map[string]string{"qwen2": "qwen2", "gemma2": "gemma2", "gemma3_text": "gemma3"} {
		base.ModelType = modelType
		metadata, tensors, err := lora(adapter(), base, safetensors.F32)
		if err != nil || metadata[0] != (entry{"general.architecture", want}) || !reflect.DeepEqual(tensors, same) {
			t.Errorf("%s: metadata %v (%v), want %s, and the tensors of qwen3", modelType, metadata, err, want)
		}
	}
}

// Whatever makes a layer's scale, alpha over its own rank and B together are it.
func TestScales(t *testing.T) {
	for _, alpha := range []float64{6, 0} {
		for _, root := range []bool{false, true} {
			a := adapter()
			a.Config.LoraAlpha, a.Config.UseRSLora = alpha, root
			base := base
			base.ModelType = "qwen2" // whose rows stay
			metadata, tensors, err := lora(a, base, safetensors.F32)
			if err != nil {
				t.Fatal(err)
			}
			common := metadata[slices.IndexFunc(metadata, func(e entry) bool { return e.key == "adapter.lora.alpha" })].value.(float32)
			if common == 0 {
				t.Fatal("an alpha of 0, which llama.cpp takes for none")
			}
			for i, l := range a.Layers {
				if l.Rank == 0 {
					continue
				}
				given, _ := safetensors.Float32s(l.B)
				written, _ := safetensors.Float32s(tensors[2*i+1])
				for j := range given {
					// One rounding of the scale and one of the product, of 2^-24 each.
					want, got := a.Config.Scale(l.Rank, l.Alpha)*float64(given[j]), float64(common)/float64(l.Rank)*float64(written[j])
					if d := got - want; d > 3e-7*max(want, -want) || -d > 3e-7*max(want, -want) {
						t.Fatalf("alpha %v, rsLoRA %v: %s: B[%d] times the scale is %v, want %v", alpha, root, tensors[2*i+1].Name, j, got, want)
					}
				}
			}
		}
	}
}

// What llama.cpp does not take is refused by what it is.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(a *peft.Adapter, b *Base)
		want   string
	}{
		{"another family", func(_ *peft.Adapter, b *Base) { b.ModelType = "gpt2" }, `adapters of model_type "gpt2" are not written for llama.cpp, only those of gemma2, gemma3_text, llama,`},
		{"a head", func(a *peft.Adapter, _ *Base) { a.Saved = []safetensors.Tensor{{Name: "score.weight"}} }, `the adapter has "score.weight"`},
		{"another form", func(a *peft.Adapter, _ *Base) { a.Config.Form = "use_something" }, "the adapter has use_something"},
		{"the vocabulary", func(a *peft.Adapter, _ *Base) { a.Layers[0].Name = "lm_head" }, `layer "lm_head": llama.cpp's file has LoRA on the linear layers of blocks alone`},
		{"a module that it has not", func(a *peft.Adapter, _ *Base) { a.Layers[0].Name = "model.layers.0.mlp.gate_up_proj" }, `layer "model.layers.0.mlp.gate_up_proj"`},
		{"a block that it has not", func(_ *peft.Adapter, b *Base) { b.Blocks = 1 }, `layer "model.layers.1.mlp.gate_proj": its base model has 1 blocks`},
		{"another model's heads", func(_ *peft.Adapter, b *Base) { b.HeadDim = 8 }, "lora_B has shape [16 3], want [32 3]"},
		{"no layer", func(a *peft.Adapter, _ *Base) { a.Layers = a.Layers[7:] }, "all ranks are 0"},
		{"a number too large", func(a *peft.Adapter, _ *Base) { a.Layers[1].Alpha = 1e7 }, `tensor "blk.0.attn_k.weight.lora_b": `},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := adapter(), base
			c.change(a, &b)
			path := filepath.Join(t.TempDir(), "adapter.gguf")
			err := WriteLoRA(path, a, b, safetensors.F16)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("a file is left")
			}
		})
	}
}

func ExampleWriteLoRA() {
	dir, err := os.MkdirTemp("", "gguf")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "adapter.gguf")
	if err := WriteLoRA(path, adapter(), base, safetensors.F16); err != nil {
		fmt.Println(err)
		return
	}
	file, err := os.ReadFile(path)
	fmt.Printf("%s %d %v\n", file[:4], file[4], err)
	// Output: GGUF 3 <nil>
}
