package nn

import (
	"fmt"

	"autolora/plainjson"
	"autolora/torchbind"
)

var llama = family{
	prefix: "model", class: "Llama", generator: "LlamaForCausalLM", read: readLlama, check: checkDecoder, build: newLlama,
	unread: []string{".rotary_emb.inv_freq"}, // of transformers of old
}

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
	if err := plainjson.Unmarshal(data, cfg); err != nil {
		return err
	}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
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
	if err := cfg.readActivation("hidden_act", "silu"); err != nil {
		return err
	}
	if cfg.HeadDim%2 != 0 {
		return fmt.Errorf("head_dim: got %d, want an even number", cfg.HeadDim)
	}
	return cfg.Rope.check()
}

// newLlama builds LLaMA, Mistral and Qwen2: RMSNorm, rotary embeddings, fewer
// heads of keys and values than of queries, SwiGLU.
func newLlama(ld *loader, cfg *Config, prefix string) *Transformer {
	c, inner, eps := cfg.HiddenSize, cfg.IntermediateSize, cfg.LayerNormEps
	heads, groups := cfg.NumAttentionHeads*cfg.HeadDim, cfg.NumKeyValueHeads*cfg.HeadDim
	t := &Transformer{config: cfg, Embedding: Embedding{Words: ld.words(cfg, prefix+".embed_tokens.weight")}}
	frequencies := ld.frequencies(cfg.Rope, cfg.HeadDim)
	for i := range cfg.NumHiddenLayers {
		name := fmt.Sprintf("%s.layers.%d.", prefix, i)
		l := &Block{Activate: torchbind.SwiGLU}
		at := func(module string, rows int64) Module { return Module{name + module, rows} }
		l.AroundAttention = Residual{Before: ld.rmsNorm(name+"input_layernorm", c, eps), module: name + "attention_adapters"}
		attention := ld.attention(cfg, i,
			ld.linear(c, cfg.QKVBias, at("self_attn.q_proj", heads), at("self_attn.k_proj", groups), at("self_attn.v_proj", groups)),
			ld.linear(heads, cfg.OutBias, at("self_attn.o_proj", c)))
		attention.frequencies = frequencies
		l.Attention = attention
		l.AroundFeedForward = Residual{Before: ld.rmsNorm(name+"post_attention_layernorm", c, eps), module: name + "output_adapters"}
		l.Up = ld.layer(ld.linear(c, cfg.MLPBias, at("mlp.gate_proj", inner), at("mlp.up_proj", inner)))
		l.Down = ld.layer(ld.linear(inner, cfg.MLPBias, at("mlp.down_proj", c)))
		t.Blocks = append(t.Blocks, l)
	}
	t.Norm = ld.rmsNorm(prefix+".norm", c, eps)
	return t
}
