package nn

import (
	"cmp"
	"fmt"
	"slices"

	"autolora/plainjson"
)

var modernBERT = family{
	prefix: "model", class: "ModernBert", read: readModernBERT, check: checkBERT, build: newModernBERT, head: modernBERTHead, tokenHead: modernBERTHead,
	unread: []string{"decoder."},
}

// readModernBERT reads ModernBERT's keys over the defaults of transformers'
// ModernBertConfig.
func readModernBERT(data []byte, cfg *Config) error {
	keys := struct {
		Act           string   `json:"hidden_activation"`
		Eps           float64  `json:"norm_eps"`
		Dropout       float64  `json:"mlp_dropout"`
		Attention     float64  `json:"attention_dropout"`
		Embed         float64  `json:"embedding_dropout"`
		Head          *float64 `json:"classifier_dropout"`
		AttentionBias bool     `json:"attention_bias"`
		MLPBias       bool     `json:"mlp_bias"`
		Local         int64    `json:"local_attention"`
		Pattern       int      `json:"global_attn_every_n_layers"`
		GlobalTheta   float64  `json:"global_rope_theta"`
		LocalTheta    float64  `json:"local_rope_theta"`
		NormBias      bool     `json:"norm_bias"`
		HeadBias      bool     `json:"classifier_bias"`
		HeadAct       string   `json:"classifier_activation"`
		Pooling       string   `json:"classifier_pooling"`
	}{
		Act: "gelu", Eps: 1e-5, Head: new(float64), Local: 128, Pattern: 3, GlobalTheta: 160000, LocalTheta: 10000, HeadAct: "gelu", Pooling: "cls",
	}
	cfg.InitializerRange = 0.02
	if err := cmp.Or(plainjson.Unmarshal(data, cfg), plainjson.Unmarshal(data, &keys)); err != nil {
		return err
	}
	cfg.LayerNormEps, cfg.TypeVocabSize, cfg.PositionEmbeddingType, cfg.Gated = keys.Eps, 1, "absolute", true
	cfg.HiddenDropout, cfg.AttentionDropout, cfg.EmbedDropout, cfg.ClassifierDropout = keys.Dropout, keys.Attention, keys.Embed, keys.Head
	cfg.QKVBias, cfg.OutBias, cfg.MLPBias = keys.AttentionBias, keys.AttentionBias, keys.MLPBias
	cfg.NormBias, cfg.Pooler = keys.NormBias, Pooler{Bias: keys.HeadBias, Act: keys.HeadAct, Mean: keys.Pooling == "mean"}
	cfg.oneHeadEach()
	if err := readActivation("classifier_activation", &cfg.Pooler.Act, "gelu", "gelu_new"); err != nil {
		return err
	}
	cfg.HiddenAct = keys.Act
	switch err := readActivation("hidden_activation", &cfg.HiddenAct, "gelu", "gelu_new"); {
	case err != nil:
		return err
	case cfg.HeadDim%2 != 0:
		return fmt.Errorf("num_attention_heads: got %d for hidden_size %d, want heads of an even size", cfg.NumAttentionHeads, cfg.HiddenSize)
	case keys.Pooling != "cls" && keys.Pooling != "mean":
		return fmt.Errorf("classifier_pooling: got %q, want cls or mean", keys.Pooling)
	case keys.Local < 2:
		return fmt.Errorf("local_attention: got %d, want at least 2", keys.Local)
	case keys.Pattern < 1:
		return fmt.Errorf("global_attn_every_n_layers: got %d, want at least 1", keys.Pattern)
	}
	cfg.LayerTypes = make([]LayerType, min(max(cfg.NumHiddenLayers, 0), maxLayers))
	// half of local_attention to either side, and the token itself
	if err := readWindows(data, cfg, keys.Local/2*2+1, func(block int) bool { return block%keys.Pattern != 0 }); err != nil {
		return err
	}
	return readRopes(data, cfg, keys.GlobalTheta, keys.LocalTheta, true)
}

// newModernBERT builds ModernBERT: norms before each layer but the first, which the
// embeddings' own precedes, rotary embeddings, windows and a gate.
func newModernBERT(ld *loader, cfg *Config, prefix string) *Transformer {
	c, inner := cfg.HiddenSize, cfg.IntermediateSize
	norm := func(name string) *Norm {
		if cfg.NormBias {
			return ld.norm(name, c, cfg.LayerNormEps)
		}
		return ld.plainNorm(name, c, cfg.LayerNormEps, ld.param)
	}
	t := &Transformer{config: cfg, Embedding: Embedding{
		Words: ld.param(prefix+".embeddings.tok_embeddings.weight", cfg.VocabSize, c), Norm: norm(prefix + ".embeddings.norm"),
	}}
	for i := range cfg.NumHiddenLayers {
		name := fmt.Sprintf("%s.layers.%d.", prefix, i)
		l := &Block{Activate: gated(cfg.HiddenAct), inner: &cfg.HiddenDropout}
		l.AroundAttention = Residual{module: name + "attention_adapters", dropout: &cfg.AttentionDropout}
		if i > 0 {
			l.AroundAttention.Before = norm(name + "attn_norm")
		}
		l.Attention = ld.attention(cfg, i,
			ld.linear(c, cfg.QKVBias, Module{name + "attn.Wqkv", 3 * c}),
			ld.linear(c, cfg.OutBias, Module{name + "attn.Wo", c}))
		l.AroundFeedForward = Residual{Before: norm(name + "mlp_norm"), module: name + "output_adapters", dropout: noDropout}
		l.Up = ld.layer(ld.linear(c, cfg.MLPBias, Module{name + "mlp.Wi", 2 * inner}))
		l.Down = ld.layer(ld.linear(inner, cfg.MLPBias, Module{name + "mlp.Wo", c}))
		t.Blocks = append(t.Blocks, l)
	}
	t.Norm = norm(prefix + ".final_norm")
	return t
}

// modernBERTHead makes ModernBERT's head for sequences and for tokens,
// classifier(dropout(norm(gelu(dense(h))))).
func modernBERTHead(ld *loader, cfg Config, labels int64, fresh bool, trained func(name string, shape ...int64) *Param) *Head {
	h := pooled(ld, cfg, fresh, "head.dense", cfg.Pooler.Bias, trained)
	param := ld.headParam
	if h.trained {
		param = func(name string, shape ...int64) *Param {
			return ld.fresh(name, slices.Repeat([]float32{1}, int(shape[0])), shape...)
		}
	}
	h.Activate, h.Norm = gelu(cfg.Pooler.Act), ld.plainNorm("head.norm", cfg.HiddenSize, cfg.LayerNormEps, param)
	if cfg.NormBias {
		if h.trained {
			param = trained
		}
		h.Norm.Bias = param("head.norm.bias", cfg.HiddenSize)
	}
	return h.classify(cfg, labels, trained)
}
