package nn

import (
	"errors"
	"fmt"
	"math"

	"autolora/plainjson"
	"autolora/torchbind"
)

// gemma2 has soft caps on the scores of attention and on those of tokens.
var gemma2 = family{
	prefix: "model", class: "Gemma2", generator: "Gemma2ForCausalLM", read: readGemma2, check: checkDecoder, build: gemmaForm{}.build,
	unread: llama.unread,
}

// readGemma2 is gemmaKeys.read with windows in every other block, from the first.
func readGemma2(data []byte, cfg *Config) error {
	keys := gemmaKeys{ScoreCap: new(50.0), LogitCap: new(30.0), positions: 8192}
	if err := keys.read(data, cfg); err != nil {
		return err
	}
	return readWindows(data, cfg, *keys.Window, func(block int) bool { return block%2 == 0 })
}

// gemmaKeys are keys of Gemma's configuration that LLaMA's has not, with a family's
// defaults where config.json has none.
type gemmaKeys struct {
	Scalar     float64  `json:"query_pre_attn_scalar"`
	Window     *int64   `json:"sliding_window"`
	ScoreCap   *float64 `json:"attn_logit_softcapping"`  // nil: none
	LogitCap   *float64 `json:"final_logit_softcapping"` // nil: none
	AllVisible bool     `json:"use_bidirectional_attention"`

	positions int64
}

// read is llamaKeys.read with Gemma's scale of attention and soft caps. Afterwards
// Window has that of config.json, 0 for null.
func (keys *gemmaKeys) read(data []byte, cfg *Config) error {
	keyValueHeads, headDim := int64(4), int64(256)
	defaults := llamaKeys{Positions: keys.positions, KeyValueHeads: &keyValueHeads, HeadDim: &headDim, Eps: 1e-6, Tied: true, Pad: new(int64), gelu: true}
	if err := defaults.read(data, cfg); err != nil {
		return err
	}
	keys.Scalar, keys.Window = 256, new(int64(4096))
	if err := plainjson.Unmarshal(data, keys); err != nil {
		return err
	}
	for _, c := range []struct {
		key   string
		value *float64
		cap   *float64
	}{{"attn_logit_softcapping", keys.ScoreCap, &cfg.ScoreCap}, {"final_logit_softcapping", keys.LogitCap, &cfg.LogitCap}} {
		if c.value == nil {
			continue
		}
		if *c.cap = *c.value; !(*c.cap > 0) || math.IsInf(*c.cap, 0) {
			return fmt.Errorf("%s: got %v, want more than 0, or null for none", c.key, *c.cap)
		}
	}
	switch {
	case !(keys.Scalar > 0) || math.IsInf(keys.Scalar, 0):
		return fmt.Errorf("query_pre_attn_scalar: got %v, want more than 0", keys.Scalar)
	case keys.AllVisible:
		return errors.New("use_bidirectional_attention: got true, want false: a Gemma that sees the tokens after is not computed here")
	case keys.Window == nil:
		keys.Window = new(int64)
	}
	cfg.AttentionScale = 1 / math.Sqrt(keys.Scalar)
	return nil
}

// gemmaForm is what Gemma 2 and Gemma 3 do not share.
type gemmaForm struct {
	headNorms bool // q_norm and k_norm, of each head
}

// build builds the body: norms of 1 + w before and after each layer, and embeddings
// times √C in the type of the weights.
func (f gemmaForm) build(ld *loader, cfg *Config, prefix string) *Transformer {
	t := llamaForm{
		norms: &[2]blockNorms{
			{"input_layernorm", "post_attention_layernorm"}, {"pre_feedforward_layernorm", "post_feedforward_layernorm"},
		},
		plus: 1, headNorms: f.headNorms,
	}.build(ld, cfg, prefix)
	s := torchbind.NewScope()
	defer s.Close()
	scale := torchbind.FromSlice(s, []float32{float32(math.Sqrt(float64(cfg.HiddenSize)))}, []int64{1}, torchbind.CPU)
	t.Embedding.Scale = torchbind.To(s, scale, ld.dtype, torchbind.CPU).Item()
	return t
}
