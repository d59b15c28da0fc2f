package nn

import (
	"errors"
	"fmt"

	"autolora/plainjson"
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
	cfg.EmbedDropout, cfg.NumKeyValueHeads = cfg.HiddenDropout, cfg.NumAttentionHeads
	if cfg.NumAttentionHeads > 0 {
		cfg.HeadDim = cfg.HiddenSize / cfg.NumAttentionHeads
	}
	return cfg.readActivation("hidden_act", "gelu", "gelu_new")
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

// newBERT builds BERT and RoBERTa.
func newBERT(ld *loader, cfg *Config, prefix string) *Transformer {
	c, inner, eps := cfg.HiddenSize, cfg.IntermediateSize, cfg.LayerNormEps
	embeddings := prefix + ".embeddings."
	t := &Transformer{config: cfg, Embedding: Embedding{
		Words:  ld.param(embeddings+"word_embeddings.weight", cfg.VocabSize, c),
		Places: ld.param(embeddings+"position_embeddings.weight", cfg.MaxPositionEmbeddings, c),
		Types:  ld.param(embeddings+"token_type_embeddings.weight", cfg.TypeVocabSize, c),
		Norm:   ld.norm(embeddings+"LayerNorm", c, eps),
	}}
	for i := range cfg.NumHiddenLayers {
		name := fmt.Sprintf("%s.encoder.layer.%d.", prefix, i)
		l := &Block{Activate: gelu(cfg.HiddenAct)}
		at := func(module string, rows int64) Module { return Module{name + module, rows} }
		l.Attention = ld.attention(cfg, i,
			ld.linear(c, true, at("attention.self.query", c), at("attention.self.key", c), at("attention.self.value", c)),
			ld.linear(c, true, at("attention.output.dense", c)))
		l.AroundAttention = Residual{After: ld.norm(name+"attention.output.LayerNorm", c, eps), module: name + "attention.output"}
		l.Up = ld.layer(ld.linear(c, true, at("intermediate.dense", inner)))
		l.Down = ld.layer(ld.linear(inner, true, at("output.dense", c)))
		l.AroundFeedForward = Residual{After: ld.norm(name+"output.LayerNorm", c, eps), module: name + "output"}
		t.Blocks = append(t.Blocks, l)
	}
	return t
}

// bertHead makes BERT's head for sequences, classifier(dropout(tanh(pooler(h)))).
// The pooler is part of the pre-trained model and frozen with it, as in PEFT. A
// checkpoint may lack it, where pre-training did without; beside a fresh classifier
// it is then fresh too, and trained.
func bertHead(ld *loader, cfg Config, labels int64, fresh bool, trained func(name string, shape ...int64) *Param) *Head {
	c, module := cfg.HiddenSize, "bert.pooler.dense"
	h := &Head{pooler: true, Dropout: cfg.HeadDropout()}
	param := ld.headParam
	if _, stored := ld.find(module + ".weight"); !stored && fresh {
		param, h.trained = trained, true
		ld.notes = append(ld.notes, "the checkpoint has no pooler: the head has one of its own")
	}
	h.Dense = newLinear(param(module+".weight", c, c), param(module+".bias", c), Module{module, c})
	h.Out, h.OutB = trained("classifier.weight", labels, c), trained("classifier.bias", labels)
	return h
}
