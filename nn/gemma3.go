package nn

import (
	"cmp"
	"fmt"

	"autolora/plainjson"
)

// gemma3 is Gemma 3 without its vision tower.
var gemma3 = family{
	prefix: "model", class: "Gemma3Text", generator: "Gemma3ForCausalLM", read: readGemma3, check: checkDecoder, build: gemmaForm{headNorms: true}.build,
	unread: llama.unread,
}

// readGemma3 is gemmaKeys.read with windows in all blocks but each sixth, and a rotary
// embedding of their own there.
func readGemma3(data []byte, cfg *Config) error {
	shared := gemmaKeys{positions: 131072}
	keys := struct {
		Pattern    int     `json:"sliding_window_pattern"`
		Theta      float64 `json:"rope_theta"`
		LocalTheta float64 `json:"rope_local_base_freq"`
	}{Pattern: 6, Theta: 1e6, LocalTheta: 1e4}
	if err := cmp.Or(shared.read(data, cfg), plainjson.Unmarshal(data, &keys)); err != nil {
		return err
	}
	cfg.ScoreCap = 0 // transformers reads attn_logit_softcapping, and does not compute it
	if keys.Pattern < 1 {
		return fmt.Errorf("sliding_window_pattern: got %d, want at least 1", keys.Pattern)
	}
	if err := readWindows(data, cfg, *shared.Window, func(block int) bool { return (block+1)%keys.Pattern != 0 }); err != nil {
		return err
	}
	return readRopes(data, cfg, keys.Theta, keys.LocalTheta, false)
}
