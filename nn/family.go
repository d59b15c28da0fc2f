package nn

import (
	"slices"
	"strings"
)

// family is what differs between the supported values of model_type. Each is a
// file, and an entry of families.
type family struct {
	prefix string // of the body's keys in a checkpoint with a head
	class  string // of transformers' class names
	// generator is the class that generates; "" where the model is an encoder. What
	// generates has causal attention.
	generator string
	// read reads config.json over the family's defaults.
	read func(data []byte, cfg *Config) error
	// check checks what read has read, beyond what every family has.
	check func(cfg Config) error
	// build makes the body out of a checkpoint.
	build     func(ld *loader, cfg *Config, prefix string) *Transformer
	head      headMaker // for sequences; nil: scoreHead
	tokenHead headMaker // for tokens; nil: of one layer, "score" in a decoder and else "classifier"
	// unread are the beginnings and, after a dot, the ends of keys that a checkpoint
	// may have and the model does not.
	unread []string

	positionOffset bool // positions count from pad_token_id + 1
}

// ignores reports whether a key may be left unread.
func (f family) ignores(key string) bool {
	key = strings.TrimPrefix(key, f.prefix+".")
	return slices.ContainsFunc(f.unread, func(part string) bool {
		return strings.HasPrefix(key, part) || strings.HasPrefix(part, ".") && strings.HasSuffix(key, part)
	})
}

// families lists the supported values of model_type.
var families = map[string]family{
	"bert":        bert,
	"roberta":     roberta,
	"xlm-roberta": xlmRoberta,
	"gpt2":        gpt2,
	"llama":       llama,
	"mistral":     mistral,
	"qwen2":       qwen2,
	"qwen3":       qwen3,
	"gemma3_text": gemma3,
	"distilbert":  distilBERT,
	"electra":     electra,
	"modernbert":  modernBERT,
	"deberta-v2":  debertaV2,
	"phi3":        phi3,
	"smollm3":     smollm3,
	"olmo2":       olmo2,
}

// Output is what a model makes of its hidden states.
type Output int

const (
	SequenceClassification Output = iota // K scores of each sequence
	Regression                           // one number of each sequence
	TokenClassification                  // K scores of every wanted row
	MultiLabel                           // K scores of each sequence, which may have any number of the labels
	CausalLM                             // a score for every token of the vocabulary, of every wanted row
)

// TaskType returns PEFT's name.
func (o Output) TaskType() string {
	switch o {
	case TokenClassification:
		return "TOKEN_CLS"
	case CausalLM:
		return "CAUSAL_LM"
	}
	return "SEQ_CLS"
}
