package nn

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"autolora/foreign"
	"autolora/plainjson"
)

// Config is what config.json of a Hugging Face folder says of a model; the field
// names are its keys, or those of BERT and LLaMA where other families call the
// same thing otherwise (GPT-2's n_embd is HiddenSize).
type Config struct {
	ModelType             string   `json:"model_type"`
	Architectures         []string `json:"architectures"`
	HiddenSize            int64    `json:"hidden_size"`
	NumHiddenLayers       int      `json:"num_hidden_layers"`
	NumAttentionHeads     int64    `json:"num_attention_heads"`
	IntermediateSize      int64    `json:"intermediate_size"`
	VocabSize             int64    `json:"vocab_size"`
	MaxPositionEmbeddings int64    `json:"max_position_embeddings"`
	TypeVocabSize         int64    `json:"type_vocab_size"`
	LayerNormEps          float64  `json:"layer_norm_eps"`
	HiddenAct             string   `json:"hidden_act"`
	HiddenDropout         float64  `json:"hidden_dropout_prob"`
	AttentionDropout      float64  `json:"attention_probs_dropout_prob"`
	ClassifierDropout     *float64 `json:"classifier_dropout"` // nil: HiddenDropout
	InitializerRange      float64  `json:"initializer_range"`
	PadTokenID            int64    `json:"pad_token_id"`
	PositionEmbeddingType string   `json:"position_embedding_type"`
	IsDecoder             bool     `json:"is_decoder"`
	ProblemType           string   `json:"problem_type"`

	// What follows has other keys in each family, whose reader fills it in.
	NumKeyValueHeads int64   `json:"-"` // G, heads of keys and values
	HeadDim          int64   `json:"-"` // D
	EmbedDropout     float64 `json:"-"` // after the embeddings
	NormBias         bool    `json:"-"` // ModernBERT's
	EmbeddingSize    int64   `json:"-"` // of what is projected to HiddenSize; 0: HiddenSize, and nothing is

	SegmentTypes              int64     `json:"-"` // segments that have embeddings in DeBERTa; 0: none have
	Placed                    bool      `json:"-"` // positions have embeddings in DeBERTa
	Pooler                    Pooler    `json:"-"` // of families that give it in config.json
	Relative                  *Relative `json:"-"` // positions of DeBERTa; nil: none
	TieWordEmbeddings         bool      `json:"-"` // the embedding is the vocabulary's head too
	QKVBias, OutBias, MLPBias bool      `json:"-"`
	Gated                     bool      `json:"-"` // the feed-forward layer multiplies what it activates by as much
	Padding                   *int64    `json:"-"` // pad_token_id of a decoder, which ends no text; nil: it has none
	AttentionScale            float64   `json:"-"` // of the scores; 0: 1/√D
	// ScoreCap and LogitCap are soft caps c of the scores of attention and of a
	// language model's: x becomes c·tanh(x/c). 0: none.
	ScoreCap, LogitCap float64 `json:"-"`
	// LayerTypes are those of the blocks, in order; nil: all tokens are seen, and no
	// rotary embeddings.
	LayerTypes []LayerType `json:"-"`

	// ID2Label has the names of the head's outputs by their numbers.
	ID2Label map[string]string `json:"-"`

	// Quantized is the form in which the checkpoint has matrices; "": none of them is
	// quantised.
	Quantized Quantization `json:"-"`

	family family
	raw    map[string]json.RawMessage // every key, for the writer of merged models
}

// Pooler says what a head has before its last layer: a part of the pre-trained model.
type Pooler struct {
	Dropout float64 // before it
	Act     string  // after its matrix
	Bias    bool
	Mean    bool // it reads the mean of a sequence's tokens, and not the first
}

// LayerType says which tokens of a text the attention of a block sees.
type LayerType struct {
	Window int64 // tokens that a token sees, itself the last, or in an encoder the one in the middle; 0: all
	Rope   *Rope // of queries and keys; nil: none
}

// maxLayers bounds num_hidden_layers.
const maxLayers = 1000

// maxConfigSize bounds config.json, which is a few kilobytes.
const maxConfigSize = 16 << 20

// ReadConfig reads dir/config.json.
func ReadConfig(dir string) (Config, error) {
	path := filepath.Join(dir, "config.json")
	data, err := foreign.ReadFile(path, maxConfigSize)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("model folder %s: no config.json in it; want a Hugging Face folder with config.json, *.safetensors and a tokenizer", dir)
	}
	if err != nil {
		return Config{}, fmt.Errorf("read model configuration: %w", err)
	}
	cfg, err := ParseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// ParseConfig reads the text of a config.json and checks that this program
// computes such a model.
func ParseConfig(data []byte) (Config, error) {
	var cfg Config
	if err := plainjson.Unmarshal(data, &cfg.raw); err != nil {
		return Config{}, fmt.Errorf("not a model configuration: %w", err)
	}
	if err := plainjson.Unmarshal(cfg.raw["model_type"], &cfg.ModelType); err != nil && cfg.raw["model_type"] != nil {
		return Config{}, fmt.Errorf("not a model configuration: model_type: %w", err)
	}
	var ok bool
	if cfg.family, ok = families[cfg.ModelType]; !ok {
		return Config{}, unknown(cfg.ModelType, cfg.raw["vision_config"] != nil)
	}
	var err error
	if cfg.Quantized, err = readQuantization(cfg.raw[quantizationKey]); err != nil {
		return Config{}, err
	}
	if err := cfg.family.read(plainjson.Loosen(data), &cfg); err != nil {
		return Config{}, fmt.Errorf("not a model configuration: %w", err)
	}
	if cfg.ID2Label, err = readLabelNames(cfg.raw["id2label"]); err != nil {
		return Config{}, fmt.Errorf("not a model configuration: %w", err)
	}
	for _, l := range cfg.LayerTypes {
		if l.Rope != nil {
			cfg.MaxPositionEmbeddings = max(cfg.MaxPositionEmbeddings, l.Rope.reach())
		}
	}
	if err := cfg.check(); err != nil {
		return Config{}, err
	}
	return cfg, cfg.family.check(cfg)
}

// check checks what every family has.
func (c Config) check() error {
	const limit = 1 << 24
	for _, f := range []struct {
		key   string
		value int64
	}{
		{"hidden_size", c.HiddenSize}, {"num_hidden_layers", int64(c.NumHiddenLayers)}, {"num_attention_heads", c.NumAttentionHeads},
		{"intermediate_size", c.IntermediateSize}, {"vocab_size", c.VocabSize}, {"max_position_embeddings", c.MaxPositionEmbeddings},
		{"type_vocab_size", c.TypeVocabSize},
	} {
		if f.value < 1 || f.value > limit {
			return fmt.Errorf("%s: got %d, want 1 to %d", f.key, f.value, limit)
		}
	}
	for _, f := range []struct {
		key   string
		value float64
	}{
		{"hidden_dropout_prob", c.HiddenDropout}, {"attention_probs_dropout_prob", c.AttentionDropout}, {"classifier_dropout", c.HeadDropout()},
		{"embd_pdrop", c.EmbedDropout}, {"pooler_dropout", c.Pooler.Dropout},
	} {
		if !(f.value >= 0 && f.value < 1) {
			return fmt.Errorf("%s: got %v, want at least 0 and less than 1", f.key, f.value)
		}
	}
	switch {
	case c.NumHiddenLayers > maxLayers:
		return fmt.Errorf("num_hidden_layers: got %d, want at most %d", c.NumHiddenLayers, maxLayers)
	case !(c.LayerNormEps > 0 && c.LayerNormEps < 1):
		return fmt.Errorf("layer_norm_eps: got %v, want a small positive number", c.LayerNormEps)
	}
	return nil
}

// readDecoderHead reads what heads for labels need of a decoder, as transformers
// does: where a text ends, and what drops out before a head for tokens.
func (c *Config) readDecoderHead(data []byte, pad *int64) error {
	keys := struct {
		Dropout *float64 `json:"hidden_dropout"`
	}{}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return err
	}
	c.Padding = pad
	if c.ClassifierDropout == nil {
		c.ClassifierDropout = cmp.Or(keys.Dropout, new(0.1))
	}
	return nil
}

// checkDecoder checks what every family that generates has.
func checkDecoder(c Config) error {
	switch {
	case c.NumKeyValueHeads < 1 || c.NumAttentionHeads%c.NumKeyValueHeads != 0:
		return fmt.Errorf("num_key_value_heads: got %d, want a divisor of num_attention_heads %d", c.NumKeyValueHeads, c.NumAttentionHeads)
	case c.HeadDim < 1 || c.HeadDim > c.HiddenSize*16:
		return fmt.Errorf("head_dim: got %d for hidden_size %d", c.HeadDim, c.HiddenSize)
	case c.MaxPositionEmbeddings < 3:
		return fmt.Errorf("max_position_embeddings: got %d, want at least 3", c.MaxPositionEmbeddings)
	}
	return nil
}

// activations has transformers' names (ACT2FN) of each activation that there is,
// the one that Config.HiddenAct has first: exact GELU, its tanh form, and SiLU.
// What has two names differs by rounding alone.
var activations = [][]string{
	{"gelu", "gelu_python"},
	{"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"},
	{"silu", "swish"},
	{"tanh"},
}

// readActivation makes act, which is that of a key, the first of its names if it is
// one of these, and returns an error if not.
func readActivation(key string, act *string, of ...string) error {
	var all []string
	for _, names := range activations {
		if !slices.Contains(of, names[0]) {
			continue
		}
		if slices.Contains(names, *act) {
			*act = names[0]
			return nil
		}
		all = append(all, names...)
	}
	return fmt.Errorf("%s: got %q, want %s", key, *act, strings.Join(all, " or "))
}

// Generates reports whether the model writes text.
func (c Config) Generates() bool { return c.family.generator != "" }

// HasHead reports whether the checkpoint of this configuration says that it has a
// head for labels, of whole texts or of tokens.
func (c Config) HasHead() bool {
	return slices.ContainsFunc([]Output{SequenceClassification, TokenClassification}, func(o Output) bool {
		return slices.Contains(c.Architectures, c.Architecture(o))
	})
}

// MaxTokens returns the length of the longest sequence the positions allow.
func (c Config) MaxTokens() int64 { return c.MaxPositionEmbeddings - c.firstPosition() }

// firstPosition returns the position id of a sequence's first token.
func (c Config) firstPosition() int64 {
	if c.family.positionOffset {
		return c.PadTokenID + 1
	}
	return 0
}

// HeadDropout returns the dropout before the classification head, of a decoder the
// one for tokens.
func (c Config) HeadDropout() float64 {
	if c.ClassifierDropout != nil {
		return *c.ClassifierDropout
	}
	return c.HiddenDropout
}

// readLabelNames reads id2label as it is written: an object or a list, of texts, which
// stay what they are where they look like numbers, or of other plain values.
func readLabelNames(data json.RawMessage) (map[string]string, error) {
	if data == nil {
		return nil, nil
	}
	var values map[string]json.RawMessage
	var list []json.RawMessage
	if plainjson.Unmarshal(data, &list) == nil {
		values = map[string]json.RawMessage{}
		for i, name := range list {
			values[strconv.Itoa(i)] = name
		}
	} else if err := plainjson.Unmarshal(data, &values); err != nil {
		return nil, fmt.Errorf("id2label: %w", err)
	}
	names := map[string]string{}
	for id, value := range values {
		name := string(value) // a number or a truth value is its own name
		switch value[0] {
		case '"':
			if err := plainjson.Unmarshal(value, &name); err != nil {
				return nil, fmt.Errorf("id2label: %w", err)
			}
		case '{', '[':
			return nil, fmt.Errorf("id2label: label %s is %.40s, want its name", id, value)
		}
		names[id] = name
	}
	return names, nil
}

// LabelNames returns the label names of id2label in order; nil if it has none, not
// exactly the ids 0 to n-1, or only LABEL_0 and so on: transformers writes those,
// two of them at times whatever the head has, where nobody has named the labels.
func (c Config) LabelNames() []string {
	labels, named := make([]string, len(c.ID2Label)), false
	for id, label := range c.ID2Label {
		i, err := strconv.Atoi(id)
		if err != nil || i < 0 || i >= len(labels) {
			return nil
		}
		labels[i] = label
		named = named || label != "LABEL_"+id
	}
	if !named {
		return nil
	}
	return labels
}

// CheckHead returns an error if the head that a checkpoint of this configuration
// has is of another kind than output says: of another task, or one whose scores
// mean something else.
func (c Config) CheckHead(output Output) error {
	want := c.Architecture(output)
	for _, kind := range []string{"ForSequenceClassification", "ForTokenClassification", "ForMultipleChoice"} {
		if is := c.family.class + kind; is != want && slices.Contains(c.Architectures, is) {
			return fmt.Errorf("the head is that of %s, want that of %s", is, want)
		}
	}
	return c.CheckProblem(output)
}

// CheckProblem returns an error if problem_type, which says what the scores of
// texts mean, is another than that of output.
func (c Config) CheckProblem(output Output) error {
	switch {
	case output == TokenClassification || output == CausalLM:
		return nil
	case c.SeveralLabels() && output != MultiLabel:
		return errors.New("the head gives a text any number of labels (problem_type multi_label_classification), want one label each: choose a task of multi-label")
	case c.ProblemType == "single_label_classification" && output == MultiLabel:
		return errors.New("the head gives a text one label (problem_type single_label_classification), want any number of them")
	case c.ProblemType == "regression" && (output == SequenceClassification || output == MultiLabel):
		return errors.New("the head predicts several numbers (problem_type regression), want labels: that is not supported")
	}
	return nil
}

// SeveralLabels reports whether the checkpoint's head gives a text any number of
// labels.
func (c Config) SeveralLabels() bool { return c.ProblemType == "multi_label_classification" }

// Architecture returns transformers' class name of this model with a head for
// an output.
func (c Config) Architecture(output Output) string {
	switch output {
	case TokenClassification:
		return c.family.class + "ForTokenClassification"
	case CausalLM:
		return c.family.generator
	}
	return c.family.class + "ForSequenceClassification"
}
