package nn

import (
	"fmt"
	"maps"
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
	"gemma2":      gemma2,
	"gemma3_text": gemma3,
	"distilbert":  distilBERT,
	"electra":     electra,
	"modernbert":  modernBERT,
	"deberta-v2":  debertaV2,
	"phi3":        phi3,
	"smollm3":     smollm3,
	"olmo2":       olmo2,
}

// relatives says what models are that one would take for some of families, by their
// model_type.
var relatives = map[string]string{
	"albert":          "ALBERT, whose blocks share their weights",
	"deberta":         "DeBERTa 1, with another attention than DeBERTa-v2",
	"gemma":           "Gemma 1",
	"gemma3":          "Gemma 3 with a vision tower; its text model alone is gemma3_text",
	"gemma3n":         "Gemma 3n, with vision and sound",
	"gemma3n_text":    "Gemma 3n, with embeddings of its own in each block",
	"gemma4":          "Gemma 4, with vision and sound",
	"gemma4_text":     "Gemma 4",
	"llama4":          "Llama 4, a mixture of experts with vision",
	"llama4_text":     "Llama 4, a mixture of experts",
	"ministral3":      "Ministral 3",
	"mistral3":        "Mistral with a vision tower",
	"mixtral":         "Mixtral, a mixture of experts",
	"mllama":          "Llama 3.2 with a vision tower",
	"olmo":            "OLMo 1",
	"olmo3":           "OLMo 3, OLMo 2 with windows",
	"olmoe":           "OLMoE, a mixture of experts",
	"phi":             "Phi-1 or Phi-2",
	"phi4_multimodal": "Phi-4 with vision and sound",
	"phi4mm":          "Phi-4 with vision and sound",
	"phimoe":          "Phi-3.5-MoE, a mixture of experts",
	"qwen2_5_vl":      "Qwen2.5 with a vision tower",
	"qwen2_moe":       "Qwen2-MoE, a mixture of experts",
	"qwen2_vl":        "Qwen2 with a vision tower",
	"qwen3_5":         "Qwen3.5, with vision and linear attention",
	"qwen3_5_text":    "Qwen3.5, with linear attention",
	"qwen3_moe":       "Qwen3-MoE, a mixture of experts",
	"qwen3_next":      "Qwen3-Next, a mixture of experts with linear attention",
	"qwen3_vl":        "Qwen3 with a vision tower",
	"smolvlm":         "SmolVLM, with a vision tower",
	"vaultgemma":      "VaultGemma, Gemma 2 without norms after its layers",
}

// unknown returns an error about a model_type that is none of families; vision says
// that its model sees pictures.
func unknown(modelType string, vision bool) error {
	what := relatives[modelType]
	if what == "" && vision {
		what = "a model with a vision tower"
	}
	if what != "" {
		what = " (" + what + ")"
	}
	return fmt.Errorf("unknown architecture: model_type %q%s, want one of %s", modelType, what, strings.Join(slices.Sorted(maps.Keys(families)), ", "))
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
