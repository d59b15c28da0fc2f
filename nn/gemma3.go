package nn

import (
	"errors"
	"fmt"
	"math"

	"autolora/plainjson"
	"autolora/torchbind"
)

// gemma3 is Gemma 3 without its vision tower.
var gemma3 = family{
	prefix: "model", class: "Gemma3Text", generator: "Gemma3ForCausalLM", read: readGemma3, check: checkDecoder, build: newGemma3,
	unread: llama.unread,
}

// readGemma3 is llamaKeys.read with Gemma's windows, in all blocks but each sixth,
// a rotary embedding of their own there, and its scale of attention.
func readGemma3(data []byte, cfg *Config) error {
	keyValueHeads, headDim, window := int64(4), int64(256), int64(4096)
	defaults := llamaKeys{Positions: 131072, KeyValueHeads: &keyValueHeads, HeadDim: &headDim, Eps: 1e-6, Tied: true, Pad: new(int64), gelu: true}
	if err := defaults.read(data, cfg); err != nil {
		return err
	}
	keys := struct {
		Scalar     float64  `json:"query_pre_attn_scalar"`
		Window     *int64   `json:"sliding_window"`
		Pattern    int      `json:"sliding_window_pattern"`
		LogitCap   *float64 `json:"final_logit_softcapping"`
		AllVisible bool     `json:"use_bidirectional_attention"`
		Theta      float64  `json:"rope_theta"`
		LocalTheta float64  `json:"rope_local_base_freq"`
	}{Scalar: 256, Window: &window, Pattern: 6, Theta: 1e6, LocalTheta: 1e4}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return err
	}
	switch {
	case !(keys.Scalar > 0) || math.IsInf(keys.Scalar, 0):
		return fmt.Errorf("query_pre_attn_scalar: got %v, want more than 0", keys.Scalar)
	case keys.Pattern < 1:
		return fmt.Errorf("sliding_window_pattern: got %d, want at least 1", keys.Pattern)
	case keys.LogitCap != nil:
		return fmt.Errorf("final_logit_softcapping: got %v, want null: soft caps are not computed here", *keys.LogitCap)
	case keys.AllVisible:
		return errors.New("use_bidirectional_attention: got true, want false: a Gemma 3 that sees the tokens after is not computed here")
	case keys.Window == nil:
		keys.Window = new(int64)
	}
	cfg.AttentionScale = 1 / math.Sqrt(keys.Scalar)
	if err := readWindows(data, cfg, *keys.Window, func(block int) bool { return (block+1)%keys.Pattern != 0 }); err != nil {
		return err
	}
	return readRopes(data, cfg, keys.Theta, keys.LocalTheta, false)
}

// newGemma3 builds Gemma 3: norms before and after each layer, and embeddings times
// √C in the type of the weights.
func newGemma3(ld *loader, cfg *Config, prefix string) *Transformer {
	t := llamaForm{
		norms: &[2]blockNorms{
			{"input_layernorm", "post_attention_layernorm"}, {"pre_feedforward_layernorm", "post_feedforward_layernorm"},
		},
		plus: 1, headNorms: true,
	}.build(ld, cfg, prefix)
	s := torchbind.NewScope()
	defer s.Close()
	scale := torchbind.FromSlice(s, []float32{float32(math.Sqrt(float64(cfg.HiddenSize)))}, []int64{1}, torchbind.CPU)
	t.Embedding.Scale = torchbind.To(s, scale, ld.dtype, torchbind.CPU).Item()
	return t
}
