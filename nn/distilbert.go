package nn

import (
	"cmp"
	"fmt"

	"autolora/plainjson"
	"autolora/torchbind"
)

var distilBERT = family{
	prefix: "distilbert", class: "DistilBert", read: readDistilBERT, check: checkBERT, build: newDistilBERT, head: distilBERTHead, tokenHead: plainTokenHead,
	unread: []string{"vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "embeddings.position_ids"},
}

// readDistilBERT reads DistilBERT's keys over the defaults of transformers'
// DistilBertConfig.
func readDistilBERT(data []byte, cfg *Config) error {
	keys := struct {
		Dim             int64   `json:"dim"`
		Layers          int     `json:"n_layers"`
		Heads           int64   `json:"n_heads"`
		Inner           int64   `json:"hidden_dim"`
		Positions       int64   `json:"max_position_embeddings"`
		Vocab           int64   `json:"vocab_size"`
		Act             string  `json:"activation"`
		Dropout         float64 `json:"dropout"`
		Attention       float64 `json:"attention_dropout"`
		SequenceDropout float64 `json:"seq_classif_dropout"`
	}{
		Dim: 768, Layers: 6, Heads: 12, Inner: 3072, Positions: 512, Vocab: 30522, Act: "gelu", Dropout: 0.1, Attention: 0.1, SequenceDropout: 0.2,
	}
	cfg.InitializerRange = 0.02
	if err := cmp.Or(plainjson.Unmarshal(data, cfg), plainjson.Unmarshal(data, &keys)); err != nil {
		return err
	}
	cfg.HiddenSize, cfg.NumHiddenLayers, cfg.NumAttentionHeads, cfg.IntermediateSize = keys.Dim, keys.Layers, keys.Heads, keys.Inner
	cfg.MaxPositionEmbeddings, cfg.VocabSize, cfg.HiddenAct = keys.Positions, keys.Vocab, keys.Act
	cfg.HiddenDropout, cfg.EmbedDropout, cfg.AttentionDropout, cfg.ClassifierDropout = keys.Dropout, keys.Dropout, keys.Attention, &keys.SequenceDropout
	cfg.LayerNormEps, cfg.TypeVocabSize, cfg.PositionEmbeddingType = 1e-12, 1, "absolute"
	cfg.oneHeadEach()
	return readActivation("activation", &cfg.HiddenAct, "gelu", "gelu_new")
}

// newDistilBERT builds DistilBERT: a BERT without segments, and with no dropout after
// attention.
func newDistilBERT(ld *loader, cfg *Config, prefix string) *Transformer {
	c, inner, eps := cfg.HiddenSize, cfg.IntermediateSize, cfg.LayerNormEps
	embeddings := prefix + ".embeddings."
	t := &Transformer{config: cfg, Embedding: Embedding{
		Words:  ld.param(embeddings+"word_embeddings.weight", cfg.VocabSize, c),
		Places: ld.param(embeddings+"position_embeddings.weight", cfg.MaxPositionEmbeddings, c),
		Norm:   ld.norm(embeddings+"LayerNorm", c, eps),
	}}
	for i := range cfg.NumHiddenLayers {
		name := fmt.Sprintf("%s.transformer.layer.%d.", prefix, i)
		at := func(module string, rows int64) Module { return Module{name + module, rows} }
		l := &Block{Activate: gelu(cfg.HiddenAct)}
		l.Attention = ld.attention(cfg, i,
			ld.linear(c, true, at("attention.q_lin", c), at("attention.k_lin", c), at("attention.v_lin", c)),
			ld.linear(c, true, at("attention.out_lin", c)))
		l.AroundAttention = Residual{After: ld.norm(name+"sa_layer_norm", c, eps), module: name + "attention_adapters", dropout: noDropout}
		l.Up = ld.layer(ld.linear(c, true, at("ffn.lin1", inner)))
		l.Down = ld.layer(ld.linear(inner, true, at("ffn.lin2", c)))
		l.AroundFeedForward = Residual{After: ld.norm(name+"output_layer_norm", c, eps), module: name + "output_adapters"}
		t.Blocks = append(t.Blocks, l)
	}
	return t
}

// distilBERTHead makes DistilBERT's head for sequences,
// classifier(dropout(relu(pre_classifier(h)))).
func distilBERTHead(_ *loader, cfg Config, labels int64, _ bool, trained func(name string, shape ...int64) *Param) *Head {
	h := twoLayers(cfg, labels, "pre_classifier", "classifier", trained)
	h.Activate = torchbind.ReLU
	return h
}
