package nn

import (
	"encoding/json"
	"fmt"
	"slices"
)

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
	}{
		Embed: 768, Layers: 12, Heads: 12, Positions: 1024, Vocab: 50257, Act: "gelu_new", Resid: 0.1, EmbedDropout: 0.1, Attn: 0.1,
		Eps: 1e-5, Init: 0.02, ScaleAttn: true, Tied: true,
	}
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	if err := json.Unmarshal(cfg.raw["architectures"], &cfg.Architectures); err != nil && cfg.raw["architectures"] != nil {
		return fmt.Errorf("architectures: %w", err)
	}
	switch {
	case !slices.Contains([]string{"gelu", "gelu_new", "gelu_pytorch_tanh"}, keys.Act):
		return fmt.Errorf("activation_function: got %q, want gelu or gelu_new", keys.Act)
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
	cfg.HiddenAct, cfg.LayerNormEps, cfg.InitializerRange = keys.Act, keys.Eps, keys.Init
	cfg.HiddenDropout, cfg.EmbedDropout, cfg.AttentionDropout = keys.Resid, keys.EmbedDropout, keys.Attn
	cfg.NumKeyValueHeads, cfg.HeadDim, cfg.TieWordEmbeddings = keys.Heads, keys.Embed/keys.Heads, keys.Tied
	return nil
}

// newGPT2 builds GPT-2. Its matrices are stored [in, out] (transformers'
// Conv1D), and query, key and value are one, c_attn; here they are modules of
// their own below it, "…attn.c_attn.query", so that each can have its LoRA.
func newGPT2(ld *loader, cfg *Config, prefix string) Body {
	d := newDecoder(ld, cfg, prefix+".wte.weight")
	c, inner, last := cfg.HiddenSize, cfg.IntermediateSize, cfg.NumHiddenLayers-1
	d.Places = ld.param(prefix+".wpe.weight", cfg.MaxPositionEmbeddings, c)
	for i := range cfg.NumHiddenLayers {
		module := fmt.Sprintf("%s.h.%d", prefix, i)
		l := &DecoderLayer{module: module, AttentionNorm: ld.norm(module+".ln_1", c, cfg.LayerNormEps)}
		attn := ld.conv1D(module+".attn.c_attn", 3*c, c)
		q, k, v := Module{attn.Modules[0].Path + ".query", c}, Module{attn.Modules[0].Path + ".key", c}, Module{attn.Modules[0].Path + ".value", c}
		if i < last {
			l.QKV = ld.layer(attn.rows(0, q, k, v))
		} else {
			l.Query, l.KeyValue = ld.layer(attn.rows(0, q)), ld.layer(attn.rows(c, k, v))
		}
		l.Out = ld.layer(ld.conv1D(module+".attn.c_proj", c, c))
		l.OutputNorm = ld.norm(module+".ln_2", c, cfg.LayerNormEps)
		l.Up = ld.layer(ld.conv1D(module+".mlp.c_fc", inner, c))
		l.Down = ld.layer(ld.conv1D(module+".mlp.c_proj", c, inner))
		d.Layers = append(d.Layers, l)
	}
	d.Norm = ld.norm(prefix+".ln_f", c, cfg.LayerNormEps)
	return d
}
