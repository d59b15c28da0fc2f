package nn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Config is what config.json of a Hugging Face folder says of a model; the field
// names are its keys, or those of BERT and LLaMA where other families call the
// same thing otherwise (GPT-2's n_embd is HiddenSize).
type Config struct {
	ModelType             string            `json:"model_type"`
	Architectures         []string          `json:"architectures"`
	HiddenSize            int64             `json:"hidden_size"`
	NumHiddenLayers       int               `json:"num_hidden_layers"`
	NumAttentionHeads     int64             `json:"num_attention_heads"`
	IntermediateSize      int64             `json:"intermediate_size"`
	VocabSize             int64             `json:"vocab_size"`
	MaxPositionEmbeddings int64             `json:"max_position_embeddings"`
	TypeVocabSize         int64             `json:"type_vocab_size"`
	LayerNormEps          float64           `json:"layer_norm_eps"`
	HiddenAct             string            `json:"hidden_act"`
	HiddenDropout         float64           `json:"hidden_dropout_prob"`
	AttentionDropout      float64           `json:"attention_probs_dropout_prob"`
	ClassifierDropout     *float64          `json:"classifier_dropout"` // nil: HiddenDropout
	InitializerRange      float64           `json:"initializer_range"`
	PadTokenID            int64             `json:"pad_token_id"`
	PositionEmbeddingType string            `json:"position_embedding_type"`
	IsDecoder             bool              `json:"is_decoder"`
	ProblemType           string            `json:"problem_type"`
	ID2Label              map[string]string `json:"id2label"`

	DecoderConfig `json:"-"` // of families that generate; its own reader fills it

	raw map[string]json.RawMessage // every key, for the writer of merged models
}

// maxConfigSize bounds config.json, which is a few kilobytes.
const maxConfigSize = 16 << 20

// ReadConfig reads dir/config.json.
func ReadConfig(dir string) (Config, error) {
	path := filepath.Join(dir, "config.json")
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("model folder %s: no config.json in it; want a Hugging Face folder with config.json, *.safetensors and a tokenizer", dir)
	}
	if err == nil && info.Size() > maxConfigSize {
		return Config{}, fmt.Errorf("%s: %d bytes, want a model's configuration", path, info.Size())
	}
	data, err := os.ReadFile(path)
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
	if err := json.Unmarshal(data, &cfg.raw); err != nil {
		return Config{}, fmt.Errorf("not a model configuration: %w", err)
	}
	if err := json.Unmarshal(cfg.raw["model_type"], &cfg.ModelType); err != nil && cfg.raw["model_type"] != nil {
		return Config{}, fmt.Errorf("not a model configuration: model_type: %w", err)
	}
	f, ok := families[cfg.ModelType]
	if !ok {
		return Config{}, fmt.Errorf("unknown architecture: model_type %q, want one of %s", cfg.ModelType, strings.Join(slices.Sorted(maps.Keys(families)), ", "))
	}
	if err := f.read(data, &cfg); err != nil {
		return Config{}, fmt.Errorf("not a model configuration: %w", err)
	}
	if err := cfg.check(); err != nil {
		return Config{}, err
	}
	if cfg.Generates() {
		return cfg, cfg.checkDecoder()
	}
	return cfg, cfg.checkEncoder()
}

// readEncoder reads BERT's and RoBERTa's keys over the defaults of transformers'
// BertConfig and RobertaConfig.
func readEncoder(data []byte, cfg *Config) error {
	cfg.TypeVocabSize, cfg.LayerNormEps, cfg.HiddenAct, cfg.HiddenDropout, cfg.AttentionDropout = 2, 1e-12, "gelu", 0.1, 0.1
	cfg.InitializerRange, cfg.PositionEmbeddingType, cfg.PadTokenID = 0.02, "absolute", -1
	if err := json.Unmarshal(data, cfg); err != nil {
		return err
	}
	if cfg.PadTokenID < 0 {
		cfg.PadTokenID = 0
		if cfg.ModelType != "bert" {
			cfg.PadTokenID = 1
		}
	}
	return nil
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
		{"embd_pdrop", c.EmbedDropout},
	} {
		if !(f.value >= 0 && f.value < 1) {
			return fmt.Errorf("%s: got %v, want at least 0 and less than 1", f.key, f.value)
		}
	}
	switch {
	case c.NumHiddenLayers > 1000:
		return fmt.Errorf("num_hidden_layers: got %d, want at most 1000", c.NumHiddenLayers)
	case !(c.LayerNormEps > 0 && c.LayerNormEps < 1):
		return fmt.Errorf("layer_norm_eps: got %v, want a small positive number", c.LayerNormEps)
	}
	return nil
}

func (c Config) checkEncoder() error {
	switch {
	case c.HiddenSize%c.NumAttentionHeads != 0:
		return fmt.Errorf("num_attention_heads: %d does not divide hidden_size %d", c.NumAttentionHeads, c.HiddenSize)
	case !slices.Contains([]string{"gelu", "gelu_new", "gelu_pytorch_tanh"}, c.HiddenAct):
		return fmt.Errorf("hidden_act: got %q, want gelu or gelu_new", c.HiddenAct)
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

// Generates reports whether the model writes text.
func (c Config) Generates() bool { return families[c.ModelType].generator != "" }

// MaxTokens returns the length of the longest sequence the positions allow.
func (c Config) MaxTokens() int64 { return c.MaxPositionEmbeddings - c.firstPosition() }

// firstPosition returns the position id of a sequence's first token.
func (c Config) firstPosition() int64 {
	if families[c.ModelType].positionOffset {
		return c.PadTokenID + 1
	}
	return 0
}

// HeadDropout returns the dropout before the classification head.
func (c Config) HeadDropout() float64 {
	if c.ClassifierDropout != nil {
		return *c.ClassifierDropout
	}
	return c.HiddenDropout
}

// LabelNames returns the label names of id2label in order; nil if it has none or
// not exactly the ids 0 to n-1.
func (c Config) LabelNames() []string {
	labels := make([]string, len(c.ID2Label))
	for id, label := range c.ID2Label {
		i, err := strconv.Atoi(id)
		if err != nil || i < 0 || i >= len(labels) {
			return nil
		}
		labels[i] = label
	}
	if len(labels) == 0 {
		return nil
	}
	return labels
}

// Architecture returns transformers' class name of this model with a head for
// an output.
func (c Config) Architecture(output Output) string {
	f := families[c.ModelType]
	switch output {
	case TokenClassification:
		return f.class + "ForTokenClassification"
	case CausalLM:
		return f.generator
	}
	return f.class + "ForSequenceClassification"
}
