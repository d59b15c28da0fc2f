package gguf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"autolora/nn/peft"
	"autolora/nn/safetensors"
)

// Base is what has to be known of the model that an adapter is for.
type Base struct {
	ModelType                     string // of config.json
	Blocks                        int
	Heads, KeyValueHeads, HeadDim int64
}

// architecture is what llama.cpp calls a family.
type architecture struct {
	name string
	// paired says that llama.cpp has the rows of a head's queries and keys in the order
	// of LLaMA's own files, where those that are turned together are neighbours, and
	// not half a head apart (LlamaModel.permute in its conversion).
	paired bool
}

var architectures = map[string]architecture{
	"llama": {"llama", true}, "mistral": {"llama", true}, "qwen2": {name: "qwen2"}, "qwen3": {name: "qwen3"}, "gemma2": {name: "gemma2"}, "gemma3_text": {name: "gemma3"},
}

// modules has the linear layers of a block by Hugging Face's names.
var modules = map[string]string{
	"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
	"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}

var blockModule = regexp.MustCompile(`^(?:model\.)?layers\.(\d+)\.(.+)$`)

// WriteLoRA writes an adapter of base to path, its factors in dtype: F32, F16 or BF16.
//
// llama.cpp takes one alpha for all layers and divides it by each layer's own rank,
// so unequal ranks stay as they are. What a layer's scale is beyond that, by an alpha
// of its own or by rsLoRA's root, is multiplied into B. An adapter of an architecture
// that is not known here, or with anything but LoRA on the linear layers of blocks, is
// an error.
func WriteLoRA(path string, a *peft.Adapter, base Base, dtype safetensors.DType) error {
	metadata, tensors, err := lora(a, base, dtype)
	if err != nil {
		return err
	}
	return write(path, metadata, tensors)
}

func lora(a *peft.Adapter, base Base, dtype safetensors.DType) ([]entry, []safetensors.Tensor, error) {
	arch, ok := architectures[base.ModelType]
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("adapters of model_type %q are not written for llama.cpp, only those of %s: export the merged model, and convert that",
			base.ModelType, strings.Join(slices.Sorted(maps.Keys(architectures)), ", "))
	case a.Config.Form != "":
		return nil, nil, fmt.Errorf("the adapter has %s, and llama.cpp takes LoRA alone: export the merged model, and convert that", a.Config.Form)
	case len(a.Saved) > 0:
		return nil, nil, fmt.Errorf("the adapter has %q, and llama.cpp takes LoRA alone, without heads or embeddings: export another format", a.Saved[0].Name)
	}
	// llama.cpp takes an alpha of 0 for none.
	alpha := cmp.Or(float32(a.Config.LoraAlpha), 1)
	metadata := []entry{
		{"general.architecture", arch.name}, {"general.type", "adapter"}, {"adapter.type", "lora"}, {"adapter.lora.alpha", alpha},
	}
	var tensors []safetensors.Tensor
	for _, l := range a.Layers {
		if l.Rank == 0 {
			continue
		}
		factors, err := arch.factors(&a.Config, l, base, alpha)
		if err != nil {
			return nil, nil, err
		}
		for _, t := range factors {
			if t, err = safetensors.Convert(t, dtype); err != nil {
				return nil, nil, err
			}
			tensors = append(tensors, t)
		}
	}
	if tensors == nil {
		return nil, nil, errors.New("all ranks are 0: there is nothing to write")
	}
	return metadata, tensors, nil
}

// factors returns what llama.cpp has of a layer, in float32.
func (arch architecture) factors(c *peft.Config, l peft.Layer, base Base, alpha float32) ([]safetensors.Tensor, error) {
	m := blockModule.FindStringSubmatch(l.Name)
	if m == nil || modules[m[2]] == "" {
		return nil, fmt.Errorf("layer %q: llama.cpp's file has LoRA on the linear layers of blocks alone (%s): export the merged model, and convert that",
			l.Name, strings.Join(slices.Sorted(maps.Keys(modules)), ", "))
	}
	if block, err := strconv.Atoi(m[1]); err != nil || block >= base.Blocks {
		return nil, fmt.Errorf("layer %q: its base model has %d blocks: another model is given than its own", l.Name, base.Blocks)
	}
	heads := map[string]int64{"attn_q": base.Heads, "attn_k": base.KeyValueHeads}[modules[m[2]]]
	if rows := l.B.Shape[0]; heads > 0 && rows != heads*base.HeadDim {
		return nil, fmt.Errorf("layer %q: lora_B has shape %v, want [%d %d] for the %d heads of %d of its base model: another model is given than its own",
			l.Name, l.B.Shape, heads*base.HeadDim, l.Rank, heads, base.HeadDim)
	}
	b, err := safetensors.Float32s(l.B)
	if err != nil {
		return nil, err
	}
	if scale := float32(c.Scale(l.Rank, l.Alpha) * float64(l.Rank) / float64(alpha)); scale != 1 {
		for i := range b {
			b[i] *= scale
		}
	}
	if arch.paired && heads > 0 {
		b = pair(b, int(heads), int(base.HeadDim), l.Rank)
	}
	name := fmt.Sprintf("blk.%s.%s.weight.lora_", m[1], modules[m[2]])
	l.A.Name = name + "a"
	return []safetensors.Tensor{l.A, safetensors.FromFloat32s(name+"b", l.B.Shape, b)}, nil
}

// pair puts beside each of the first D/2 rows of a head that which lies D/2 after it.
// rows is [heads·D, r].
func pair(rows []float32, heads, d, r int) []float32 {
	out := make([]float32, 0, len(rows))
	for row := range heads * d {
		head, i := row/d, row%d
		from := head*d + i/2 + i%2*(d/2)
		out = append(out, rows[from*r:(from+1)*r]...)
	}
	return out
}
