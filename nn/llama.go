package nn

import (
	"fmt"

	"autolora/plainjson"
	"autolora/torchbind"
)

var llama = family{
	prefix: "model", class: "Llama", generator: "LlamaForCausalLM", read: llamaKeys{Positions: 2048, Eps: 1e-6}.read, check: checkDecoder, build: llamaForm{}.build,
	unread: []string{".rotary_emb.inv_freq"}, // of transformers of old
}

// llamaKeys are keys of LLaMA's configuration, with a family's defaults where
// config.json has none.
type llamaKeys struct {
	Positions     int64   `json:"max_position_embeddings"`
	KeyValueHeads *int64  `json:"num_key_value_heads"` // nil: as many as heads
	HeadDim       *int64  `json:"head_dim"`            // nil: hidden_size / heads
	Eps           float64 `json:"rms_norm_eps"`
	Dropout       float64 `json:"attention_dropout"`
	AttentionBias bool    `json:"attention_bias"`
	MLPBias       bool    `json:"mlp_bias"`
	Tied          bool    `json:"tie_word_embeddings"`
}

// read reads a configuration of LLaMA's kind.
func (keys llamaKeys) read(data []byte, cfg *Config) error {
	cfg.HiddenAct, cfg.InitializerRange, cfg.TypeVocabSize = "silu", 0.02, 1
	if err := plainjson.Unmarshal(data, cfg); err != nil {
		return err
	}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return err
	}
	cfg.MaxPositionEmbeddings, cfg.NumKeyValueHeads, cfg.HeadDim = keys.Positions, cfg.NumAttentionHeads, 0
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
	rope, err := readRope(data)
	if err != nil {
		return err
	}
	cfg.LayerTypes = make([]LayerType, min(max(cfg.NumHiddenLayers, 0), maxLayers))
	for i := range cfg.LayerTypes {
		cfg.LayerTypes[i].Rope = &rope
	}
	if err := cfg.readActivation("hidden_act", "silu"); err != nil {
		return err
	}
	if cfg.HeadDim%2 != 0 {
		return fmt.Errorf("head_dim: got %d, want an even number", cfg.HeadDim)
	}
	return rope.check()
}

// llamaForm is what families of LLaMA's kind have of their own: RMSNorm, fewer heads
// of keys and values than of queries, and a gate in the feed-forward layer are
// common to all. The zero llamaForm is LLaMA's.
type llamaForm struct {
	headNorms bool // q_norm and k_norm, of each head
}

// build builds the body.
func (f llamaForm) build(ld *loader, cfg *Config, prefix string) *Transformer {
	c, inner, eps := cfg.HiddenSize, cfg.IntermediateSize, cfg.LayerNormEps
	heads, groups := cfg.NumAttentionHeads*cfg.HeadDim, cfg.NumKeyValueHeads*cfg.HeadDim
	t := &Transformer{config: cfg, Embedding: Embedding{Words: ld.words(cfg, prefix+".embed_tokens.weight")}}
	for i := range cfg.NumHiddenLayers {
		name := fmt.Sprintf("%s.layers.%d.", prefix, i)
		l := &Block{Activate: torchbind.SwiGLU}
		at := func(module string, rows int64) Module { return Module{name + module, rows} }
		l.AroundAttention = Residual{Before: ld.rmsNorm(name+"input_layernorm", c, eps), module: name + "attention_adapters"}
		attention := ld.attention(cfg, i,
			ld.linear(c, cfg.QKVBias, at("self_attn.q_proj", heads), at("self_attn.k_proj", groups), at("self_attn.v_proj", groups)),
			ld.linear(heads, cfg.OutBias, at("self_attn.o_proj", c)))
		if f.headNorms {
			attention.QueryNorm = ld.rmsNorm(name+"self_attn.q_norm", cfg.HeadDim, eps)
			attention.KeyNorm = ld.rmsNorm(name+"self_attn.k_norm", cfg.HeadDim, eps)
		}
		l.Attention = attention
		l.AroundFeedForward = Residual{Before: ld.rmsNorm(name+"post_attention_layernorm", c, eps), module: name + "output_adapters"}
		l.Up = ld.layer(ld.linear(c, cfg.MLPBias, at("mlp.gate_proj", inner), at("mlp.up_proj", inner)))
		l.Down = ld.layer(ld.linear(inner, cfg.MLPBias, at("mlp.down_proj", c)))
		t.Blocks = append(t.Blocks, l)
	}
	t.Norm = ld.rmsNorm(prefix+".norm", c, eps)
	return t
}
