package nn

import "autolora/torchbind"

// family is what differs between the supported values of model_type.
type family struct {
	prefix string // of the body's keys in a checkpoint with a head
	class  string // of transformers' class names
	// generator is the class that generates; "" where the body is an Encoder.
	generator string
	// read reads config.json over the family's defaults.
	read func(data []byte, cfg *Config) error
	// build makes the body out of a checkpoint.
	build func(ld *loader, cfg *Config, prefix string) Body
	// targets are what the family calls the modules that --target names by the
	// common words; nil where they are called so.
	targets map[string]string

	positionOffset bool // positions count from pad_token_id + 1
	pooler         bool // the head for sequences reads BERT's pooler, else it is RoBERTa's of two layers
}

// families lists the supported values of model_type.
var families = map[string]family{
	"bert":        {prefix: "bert", class: "Bert", read: readEncoder, build: newEncoder, pooler: true},
	"roberta":     {prefix: "roberta", class: "Roberta", read: readEncoder, build: newEncoder, positionOffset: true},
	"xlm-roberta": {prefix: "roberta", class: "XLMRoberta", read: readEncoder, build: newEncoder, positionOffset: true},
	"gpt2":        {prefix: "transformer", class: "GPT2", generator: "GPT2LMHeadModel", read: readGPT2, build: newGPT2},
	"llama":       {prefix: "model", class: "Llama", generator: "LlamaForCausalLM", read: readLlama, build: newLlama, targets: llamaTargets},
	"mistral":     {prefix: "model", class: "Mistral", generator: "MistralForCausalLM", read: readMistral, build: newLlama, targets: llamaTargets},
	"qwen2":       {prefix: "model", class: "Qwen2", generator: "Qwen2ForCausalLM", read: readQwen2, build: newLlama, targets: llamaTargets},
}

// Body is a Transformer without its head: an Encoder or a Decoder.
type Body interface {
	// segments returns the computation of the last hidden states of the rows that
	// b wants, [M, C]. What the segments share lives in s.
	segments(s *torchbind.Scope, b *Batch) []Segment
	// linears returns the linear layers of the blocks, in the order of
	// computation.
	linears() []*Linear
	// sites returns the places of bottleneck adapters, in the order of
	// computation.
	sites() []site
}

// site is a place for a bottleneck adapter.
type site struct {
	module    string // what AdapterHub calls it
	at        **Bottleneck
	attention bool // after attention, where only Houlsby's stands; else after the feed-forward layer
}

// Output is what a model makes of its hidden states.
type Output int

const (
	SequenceClassification Output = iota // K scores of each sequence
	Regression                           // one number of each sequence
	TokenClassification                  // K scores of every wanted row
	CausalLM                             // a score for every token of the vocabulary, of every wanted row
)

// taskType returns PEFT's name.
func (o Output) taskType() string {
	switch o {
	case TokenClassification:
		return "TOKEN_CLS"
	case CausalLM:
		return "CAUSAL_LM"
	}
	return "SEQ_CLS"
}
