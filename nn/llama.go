package nn

import (
	"cmp"
	"fmt"

	"autolora/plainjson"
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
	Pad           *int64  `json:"pad_token_id"`

	gelu    bool    // GELU in its tanh form, under hidden_activation, and not SiLU
	theta   float64 // of rotary embeddings; 0: defaultTheta
	partial bool    // a part of a head may be turned
}

// read reads a configuration of LLaMA's kind.
func (keys llamaKeys) read(data []byte, cfg *Config) error {
	cfg.InitializerRange, cfg.TypeVocabSize, cfg.Gated = 0.02, 1, true
	if err := cmp.Or(plainjson.Unmarshal(data, cfg), plainjson.Unmarshal(data, &keys)); err != nil {
		return err
	}
	if err := cfg.readDecoderHead(data, keys.Pad); err != nil {
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
	rope, err := readRope(data, cfg, cmp.Or(keys.theta, defaultTheta))
	if err != nil {
		return err
	}
	cfg.LayerTypes = make([]LayerType, min(max(cfg.NumHiddenLayers, 0), maxLayers))
	act, key := "silu", "hidden_act"
	if keys.gelu {
		act, key = "gelu_new", "hidden_activation"
	}
	cfg.HiddenAct = act
	if err := plainjson.Unmarshal(cfg.raw[key], &cfg.HiddenAct); err != nil && cfg.raw[key] != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if err := readActivation(key, &cfg.HiddenAct, act); err != nil {
		return err
	}
	switch {
	case cfg.HeadDim%2 != 0:
		return fmt.Errorf("head_dim: got %d, want an even number", cfg.HeadDim)
	case rope.Partial != 1 && !keys.partial:
		return fmt.Errorf("partial_rotary_factor: got %v, want 1", rope.Partial)
	}
	return cfg.turn(&rope)
}

// llamaForm is what families of LLaMA's kind have of their own: RMSNorm, fewer heads
// of keys and values than of queries, and a gate in the feed-forward layer are
// common to all. The zero llamaForm is LLaMA's.
type llamaForm struct {
	// norms are the names of the norms around attention and around the feed-forward
	// layer; nil: LLaMA's.
	norms     *[2]blockNorms
	plus      float64 // what norms add to their weights
	headNorms bool    // q_norm and k_norm, of each head
	wideNorms bool    // q_norm and k_norm, of all heads as one
	// fused says that query, key and value are one module, and so are the gate and
	// what it is multiplied by.
	fused bool
}

// blockNorms are the names of the norms of a Residual; "": none.
type blockNorms struct{ before, within string }

var llamaNorms = [2]blockNorms{{before: "input_layernorm"}, {before: "post_attention_layernorm"}}

// build builds the body.
func (f llamaForm) build(ld *loader, cfg *Config, prefix string) *Transformer {
	c, inner, eps := cfg.HiddenSize, cfg.IntermediateSize, cfg.LayerNormEps
	heads, groups := cfg.NumAttentionHeads*cfg.HeadDim, cfg.NumKeyValueHeads*cfg.HeadDim
	t := &Transformer{config: cfg, Embedding: Embedding{Words: ld.words(cfg, prefix+".embed_tokens.weight")}}
	norm := func(name string, size int64) *Norm {
		n := ld.rmsNorm(name, size, eps)
		n.Plus = f.plus
		return n
	}
	norms := cmp.Or(f.norms, &llamaNorms)
	for i := range cfg.NumHiddenLayers {
		name := fmt.Sprintf("%s.layers.%d.", prefix, i)
		l := &Block{Activate: gated(cfg.HiddenAct)}
		at := func(module string, rows int64) Module { return Module{name + module, rows} }
		around := func(names blockNorms, adapters string) Residual {
			r := Residual{module: name + adapters}
			if names.before != "" {
				r.Before = norm(name+names.before, c)
			}
			if names.within != "" {
				r.Within = norm(name+names.within, c)
			}
			return r
		}
		l.AroundAttention = around(norms[0], "attention_adapters")
		qkv := []Module{at("self_attn.q_proj", heads), at("self_attn.k_proj", groups), at("self_attn.v_proj", groups)}
		up := []Module{at("mlp.gate_proj", inner), at("mlp.up_proj", inner)}
		if f.fused {
			qkv, up = []Module{at("self_attn.qkv_proj", heads+2*groups)}, []Module{at("mlp.gate_up_proj", 2*inner)}
		}
		attention := ld.attention(cfg, i, ld.linear(c, cfg.QKVBias, qkv...), ld.linear(heads, cfg.OutBias, at("self_attn.o_proj", c)))
		switch {
		case f.headNorms:
			attention.QueryNorm, attention.KeyNorm = norm(name+"self_attn.q_norm", cfg.HeadDim), norm(name+"self_attn.k_norm", cfg.HeadDim)
		case f.wideNorms:
			attention.QueryNorm, attention.KeyNorm = norm(name+"self_attn.q_norm", heads), norm(name+"self_attn.k_norm", groups)
		}
		l.Attention = attention
		l.AroundFeedForward = around(norms[1], "output_adapters")
		l.Up = ld.layer(ld.linear(c, cfg.MLPBias, up...))
		l.Down = ld.layer(ld.linear(inner, cfg.MLPBias, at("mlp.down_proj", c)))
		t.Blocks = append(t.Blocks, l)
	}
	t.Norm = norm(prefix+".norm", c)
	return t
}
