package nn

import (
	"cmp"
	"fmt"

	"autolora/plainjson"
)

var electra = family{
	prefix: "electra", class: "Electra", read: readELECTRA, check: checkELECTRA, build: newBERT, head: electraHead,
	// what tells replaced tokens, and what replaced them
	unread: []string{"discriminator_predictions.", "generator_predictions.", "generator_lm_head.", "embeddings.position_ids"},
}

// readELECTRA is readBERT with embeddings of a size of their own.
func readELECTRA(data []byte, cfg *Config) error {
	keys := struct {
		EmbeddingSize int64 `json:"embedding_size"`
	}{128}
	err := cmp.Or(plainjson.Unmarshal(data, &keys), readBERT(data, cfg))
	cfg.EmbeddingSize = keys.EmbeddingSize
	return err
}

func checkELECTRA(c Config) error {
	if c.EmbeddingSize < 1 || c.EmbeddingSize > c.HiddenSize*16 {
		return fmt.Errorf("embedding_size: got %d for hidden_size %d", c.EmbeddingSize, c.HiddenSize)
	}
	return checkBERT(c)
}

// electraHead makes ELECTRA's head for sequences,
// out_proj(dropout(gelu(dense(dropout(h))))).
func electraHead(_ *loader, cfg Config, labels int64, _ bool, trained func(name string, shape ...int64) *Param) *Head {
	h := twoLayers(cfg, labels, "classifier.dense", "classifier.out_proj", trained)
	h.InputDropout, h.Activate = h.Dropout, gelu("gelu")
	return h
}
