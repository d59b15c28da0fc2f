package nn

import (
	"cmp"
	"fmt"

	"autolora/plainjson"
)

var gpt2 = family{
	prefix: "transformer", class: "GPT2", generator: "GPT2LMHeadModel", read: readGPT2, check: checkDecoder, build: newGPT2,
	tokenHead: tokenHead("classifier"), unread: []string{".attn.bias", ".attn.masked_bias"}, // masks, of transformers of old
}

// readGPT2 reads GPT-2's keys over the defaults of transformers' GPT2Config.
func readGPT2(data []byte, cfg *Config) error {
	keys := struct {
		Embed        int64   `json:"n_embd"`
		Layers       int     `json:"n_layer"`
		Heads        int64   `json:"n_head"`
		Inner        *int64  `json:"n_inner"`
		Positions    int64   `json:"n_positions"`
		Vocab        int64   `json:"vocab_size"`
		Act          string  `json:"activation_function"`
		Resid        float64 `json:"resid_pdrop"`
		EmbedDropout float64 `json:"embd_pdrop"`
		Attn         float64 `json:"attn_pdrop"`
		Eps          float64 `json:"layer_norm_epsilon"`
		Init         float64 `json:"initializer_range"`
		ScaleAttn    bool    `json:"scale_attn_weights"`
		ByLayer      bool    `json:"scale_attn_by_inverse_layer_idx"`
		Cross        bool    `json:"add_cross_attention"`
		Tied         bool    `json:"tie_word_embeddings"`
		Pad          *int64  `json:"pad_token_id"`
	}{
		Embed: 768, Layers: 12, Heads: 12, Positions: 1024, Vocab: 50257, Act: "gelu_new", Resid: 0.1, EmbedDropout: 0.1, Attn: 0.1,
		Eps: 1e-5, Init: 0.02, ScaleAttn: true, Tied: true,
	}
	if err := cmp.Or(plainjson.Unmarshal(data, cfg), plainjson.Unmarshal(data, &keys)); err != nil { // of cfg's keys those of heads
		return err
	}
	if err := cfg.readDecoderHead(data, keys.Pad); err != nil {
		return err
	}
	cfg.HiddenAct = keys.Act
	if err := readActivation("activation_function", &cfg.HiddenAct, "gelu", "gelu_new"); err != nil {
		return err
	}
	switch {
	case !keys.ScaleAttn || keys.ByLayer || keys.Cross:
		return fmt.Errorf("scale_attn_weights, scale_attn_by_inverse_layer_idx and add_cross_attention are %v, %v and %v, want true, false and false",
			keys.ScaleAttn, keys.ByLayer, keys.Cross)
	case keys.Heads < 1 || keys.Embed%keys.Heads != 0:
		return fmt.Errorf("n_head: %d does not divide n_embd %d", keys.Heads, keys.Embed)
	}
	cfg.HiddenSize, cfg.NumHiddenLayers, cfg.NumAttentionHeads, cfg.VocabSize = keys.Embed, keys.Layers, keys.Heads, keys.Vocab
	cfg.MaxPositionEmbeddings, cfg.IntermediateSize, cfg.TypeVocabSize = keys.Positions, 4*keys.Embed, 1
	if keys.Inner != nil {
		cfg.IntermediateSize = *keys.Inner
	}
	cfg.LayerNormEps, cfg.InitializerRange = keys.Eps, keys.Init
	cfg.HiddenDropout, cfg.EmbedDropout, cfg.AttentionDropout = keys.Resid, keys.EmbedDropout, keys.Attn
	cfg.NumKeyValueHeads, cfg.HeadDim, cfg.TieWordEmbeddings = keys.Heads, keys.Embed/keys.Heads, keys.Tied
	return nil
}

// newGPT2 builds GPT-2. Its matrices are stored [in, out] (transformers'
// Conv1D), and query, key and value are one, c_attn; here they are modules of
// their own below it, "…attn.c_attn.query", so that each can have its LoRA.
func newGPT2(ld *loader, cfg *Config, prefix string) *Transformer {
	c, inner, eps := cfg.HiddenSize, cfg.IntermediateSize, cfg.LayerNormEps
	t := &Transformer{config: cfg, Embedding: Embedding{
		Words: ld.words(cfg, prefix+".wte.weight"), Places: ld.param(prefix+".wpe.weight", cfg.MaxPositionEmbeddings, c),
	}}
	for i := range cfg.NumHiddenLayers {
		name := fmt.Sprintf("%s.h.%d.", prefix, i)
		l := &Block{Activate: gelu(cfg.HiddenAct)}
		l.AroundAttention = Residual{Before: ld.norm(name+"ln_1", c, eps), module: name + "attention_adapters"}
		qkv := name + "attn.c_attn"
		l.Attention = ld.attention(cfg, i,
			ld.conv1D(qkv, c, Module{qkv + ".query", c}, Module{qkv + ".key", c}, Module{qkv + ".value", c}),
			ld.conv1D(name+"attn.c_proj", c, Module{name + "attn.c_proj", c}))
		l.AroundFeedForward = Residual{Before: ld.norm(name+"ln_2", c, eps), module: name + "output_adapters"}
		l.Up = ld.layer(ld.conv1D(name+"mlp.c_fc", c, Module{name + "mlp.c_fc", inner}))
		l.Down = ld.layer(ld.conv1D(name+"mlp.c_proj", inner, Module{name + "mlp.c_proj", c}))
		t.Blocks = append(t.Blocks, l)
	}
	t.Norm = ld.norm(prefix+".ln_f", c, eps)
	return t
}
