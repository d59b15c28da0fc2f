package nn

import (
	"cmp"
	"errors"
	"fmt"

	"autolora/plainjson"
	"autolora/torchbind"
)

var bert = family{
	prefix: "bert", class: "Bert", read: readBERT, check: checkBERT, build: newBERT, head: bertHead,
	// heads of pre-training, a buffer, and a pooler that a head for tokens does not read
	unread: []string{"cls.", "embeddings.position_ids", "pooler."},
}

// readBERT reads BERT's and RoBERTa's keys over the defaults of transformers'
// BertConfig and RobertaConfig.
func readBERT(data []byte, cfg *Config) error {
	cfg.TypeVocabSize, cfg.LayerNormEps, cfg.HiddenAct, cfg.HiddenDropout, cfg.AttentionDropout = 2, 1e-12, "gelu", 0.1, 0.1
	cfg.InitializerRange, cfg.PositionEmbeddingType = 0.02, "absolute"
	if err := plainjson.Unmarshal(data, cfg); err != nil {
		return err
	}
	cfg.EmbedDropout = cfg.HiddenDropout
	cfg.oneHeadEach()
	return readActivation("hidden_act", &cfg.HiddenAct, "gelu", "gelu_new")
}

// oneHeadEach gives every head of queries one of keys and values, of the size that
// all together make HiddenSize.
func (c *Config) oneHeadEach() {
	c.NumKeyValueHeads = c.NumAttentionHeads
	if c.NumAttentionHeads > 0 {
		c.HeadDim = c.HiddenSize / c.NumAttentionHeads
	}
}

func checkBERT(c Config) error {
	switch {
	case c.HiddenSize%c.NumAttentionHeads != 0:
		return fmt.Errorf("num_attention_heads: %d does not divide hidden_size %d", c.NumAttentionHeads, c.HiddenSize)
	case c.PositionEmbeddingType != "absolute":
		return fmt.Errorf("position_embedding_type: got %q, want absolute", c.PositionEmbeddingType)
	case c.IsDecoder:
		return errors.New("is_decoder: got true, want an encoder")
	case c.PadTokenID >= c.VocabSize:
		return fmt.Errorf("pad_token_id: got %d, want less than vocab_size %d", c.PadTokenID, c.VocabSize)
	case c.MaxTokens() < 3:
		return fmt.Errorf("max_position_embeddings: %d leaves room for %d tokens", c.MaxPositionEmbeddings, c.MaxTokens())
	}
	return nil
}

// newBERT builds BERT, RoBERTa and ELECTRA.
func newBERT(ld *loader, cfg *Config, prefix string) *Transformer {
	c, narrow := cfg.HiddenSize, cmp.Or(cfg.EmbeddingSize, cfg.HiddenSize)
	embeddings := prefix + ".embeddings."
	t := &Transformer{config: cfg, Embedding: Embedding{
		Words:  ld.param(embeddings+"word_embeddings.weight", cfg.VocabSize, narrow),
		Places: ld.param(embeddings+"position_embeddings.weight", cfg.MaxPositionEmbeddings, narrow),
		Types:  ld.param(embeddings+"token_type_embeddings.weight", cfg.TypeVocabSize, narrow),
		Norm:   ld.norm(embeddings+"LayerNorm", narrow, cfg.LayerNormEps),
	}}
	if narrow != c {
		t.Embedding.Project = ld.layer(ld.linear(narrow, true, Module{prefix + ".embeddings_project", c}))
	}
	for i := range cfg.NumHiddenLayers {
		t.Blocks = append(t.Blocks, bertBlock(ld, cfg, prefix, i, func(at func(module string, rows int64) Module) Attention {
			return ld.attention(cfg, i,
				ld.linear(c, true, at("attention.self.query", c), at("attention.self.key", c), at("attention.self.value", c)),
				ld.linear(c, true, at("attention.output.dense", c)))
		}))
	}
	return t
}

// bertBlock builds a block of BERT's kind around its attention, which attend builds
// of modules below the block's name.
func bertBlock(ld *loader, cfg *Config, prefix string, i int, attend func(at func(module string, rows int64) Module) Attention) *Block {
	c, inner, eps := cfg.HiddenSize, cfg.IntermediateSize, cfg.LayerNormEps
	name := fmt.Sprintf("%s.encoder.layer.%d.", prefix, i)
	at := func(module string, rows int64) Module { return Module{name + module, rows} }
	l := &Block{Activate: gelu(cfg.HiddenAct), Attention: attend(at)}
	l.AroundAttention = Residual{After: ld.norm(name+"attention.output.LayerNorm", c, eps), module: name + "attention.output"}
	l.Up = ld.layer(ld.linear(c, true, at("intermediate.dense", inner)))
	l.Down = ld.layer(ld.linear(inner, true, at("output.dense", c)))
	l.AroundFeedForward = Residual{After: ld.norm(name+"output.LayerNorm", c, eps), module: name + "output"}
	return l
}

// bertHead makes BERT's head for sequences, classifier(dropout(tanh(pooler(h)))).
func bertHead(ld *loader, cfg Config, labels int64, fresh bool, trained func(name string, shape ...int64) *Param) *Head {
	h := pooled(ld, cfg, fresh, "bert.pooler.dense", true, trained)
	h.Activate = torchbind.Tanh
	return h.classify(cfg, labels, trained)
}
