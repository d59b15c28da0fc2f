package nn

import "autolora/torchbind"

var roberta = family{
	prefix: "roberta", class: "Roberta", read: readRoBERTa, check: checkBERT, build: newBERT, head: robertaHead, positionOffset: true,
	unread: []string{"lm_head.", "embeddings.position_ids", "pooler."},
}

// xlmRoberta is roberta with another vocabulary.
var xlmRoberta = func() family {
	f := roberta
	f.class = "XLMRoberta"
	return f
}()

// readRoBERTa is readBERT with RoBERTa's default of the padding's id.
func readRoBERTa(data []byte, cfg *Config) error {
	cfg.PadTokenID = 1
	return readBERT(data, cfg)
}

// robertaHead makes RoBERTa's head for sequences,
// out_proj(dropout(tanh(dense(dropout(h))))), whose layers are both trained.
func robertaHead(_ *loader, cfg Config, labels int64, _ bool, trained func(name string, shape ...int64) *Param) *Head {
	h := twoLayers(cfg, labels, "classifier.dense", "classifier.out_proj", trained)
	h.InputDropout, h.Activate = h.Dropout, torchbind.Tanh
	return h
}
