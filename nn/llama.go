package nn

import (
	"encoding/json"
	"errors"
	"fmt"

	"autolora/torchbind"
)

// llamaTargets are the LLaMA family's names of the common modules.
var llamaTargets = map[string]string{"query": "q_proj", "key": "k_proj", "value": "v_proj"}

// readLlama reads LLaMA's keys over the defaults of transformers' LlamaConfig.
func readLlama(data []byte, cfg *Config) error {
	keys := struct {
		KeyValueHeads *int64  `json:"num_key_value_heads"`
		HeadDim       *int64  `json:"head_dim"`
		Eps           float64 `json:"rms_norm_eps"`
		Dropout       float64 `json:"attention_dropout"`
		AttentionBias bool    `json:"attention_bias"`
		MLPBias       bool    `json:"mlp_bias"`
		Tied          bool    `json:"tie_word_embeddings"`
	}{Eps: 1e-6}
	cfg.HiddenAct, cfg.InitializerRange, cfg.MaxPositionEmbeddings, cfg.TypeVocabSize = "silu", 0.02, 2048, 1
	if err := json.Unmarshal(data, cfg); err != nil {
		return err
	}
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	cfg.NumKeyValueHeads, cfg.HeadDim = cfg.NumAttentionHeads, 0
	if keys.KeyValueHeads != nil {
		cfg.NumKeyValueHeads = *keys.KeyValueHeads
	}
	if cfg.NumAttentionHeads > 0 {
		cfg.HeadDim = cfg.HiddenSize / cfg.NumAttentionHeads
	}
	if keys.HeadDim != nil {
		cfg.HeadDim = *keys.HeadDim
	}
	cfg.LayerNormEps, cfg.AttentionDropout, cfg.HiddenDropout, cfg.TieWordEmbeddings = keys.Eps, keys.Dropout, 0, keys.Tied
	cfg.QKVBias, cfg.OutBias, cfg.MLPBias = keys.AttentionBias, keys.AttentionBias, keys.MLPBias
	var err error
	if cfg.Rope, err = readRope(data); err != nil {
		return err
	}
	switch {
	case cfg.HiddenAct != "silu":
		return fmt.Errorf("hidden_act: got %q, want silu", cfg.HiddenAct)
	case cfg.HeadDim%2 != 0:
		return fmt.Errorf("head_dim: got %d, want an even number", cfg.HeadDim)
	}
	return cfg.Rope.check()
}

// readMistral is readLlama with Mistral's sliding window.
func readMistral(data []byte, cfg *Config) error {
	window := int64(4096) // MistralConfig's
	keys := struct {
		Window *int64 `json:"sliding_window"`
	}{&window}
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	if keys.Window != nil { // null: none
		cfg.SlidingWindow = *keys.Window
	}
	return readLlama(data, cfg)
}

// readQwen2 is readLlama with Qwen2's biases.
func readQwen2(data []byte, cfg *Config) error {
	var keys struct {
		Window bool `json:"use_sliding_window"`
	}
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	if keys.Window {
		return errors.New("use_sliding_window: got true, want false: a window in some of the layers is not computed here")
	}
	if err := readLlama(data, cfg); err != nil {
		return err
	}
	cfg.QKVBias, cfg.OutBias = true, false
	return nil
}

// newLlama builds LLaMA, Mistral and Qwen2: RMSNorm, rotary embeddings, fewer
// heads of keys and values than of queries, SwiGLU.
func newLlama(ld *loader, cfg *Config, prefix string) Body {
	d := newDecoder(ld, cfg, prefix+".embed_tokens.weight")
	c, inner, last := cfg.HiddenSize, cfg.IntermediateSize, cfg.NumHiddenLayers-1
	heads, groups := cfg.NumAttentionHeads*cfg.HeadDim, cfg.NumKeyValueHeads*cfg.HeadDim
	for i := range cfg.NumHiddenLayers {
		module := fmt.Sprintf("%s.layers.%d", prefix, i)
		l := &DecoderLayer{module: module, AttentionNorm: ld.rmsNorm(module+".input_layernorm", c, cfg.LayerNormEps)}
		q, k, v := Module{module + ".self_attn.q_proj", heads}, Module{module + ".self_attn.k_proj", groups}, Module{module + ".self_attn.v_proj", groups}
		if i < last {
			l.QKV = ld.linear(c, cfg.QKVBias, q, k, v)
		} else {
			l.Query, l.KeyValue = ld.linear(c, cfg.QKVBias, q), ld.linear(c, cfg.QKVBias, k, v)
		}
		l.Out = ld.linear(heads, cfg.OutBias, Module{module + ".self_attn.o_proj", c})
		l.OutputNorm = ld.rmsNorm(module+".post_attention_layernorm", c, cfg.LayerNormEps)
		l.Up = ld.linear(c, cfg.MLPBias, Module{module + ".mlp.gate_proj", inner}, Module{module + ".mlp.up_proj", inner})
		l.Down = ld.linear(inner, cfg.MLPBias, Module{module + ".mlp.down_proj", c})
		d.Layers = append(d.Layers, l)
	}
	d.Norm = ld.rmsNorm(prefix+".norm", c, cfg.LayerNormEps)
	turns := cfg.Rope.frequencies(cfg.HeadDim)
	d.frequencies = torchbind.FromSlice(ld.scope, turns, []int64{int64(len(turns))}, ld.device)
	return d
}
