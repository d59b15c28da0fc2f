package nn

import (
	"cmp"

	"autolora/plainjson"
)

var phi3 = family{
	prefix: "model", class: "Phi3", generator: "Phi3ForCausalLM", read: readPhi3, check: checkDecoder, build: llamaForm{fused: true}.build,
	unread: llama.unread,
}

// readPhi3 is llamaKeys.read with Phi-3's dropout and window, and no biases.
func readPhi3(data []byte, cfg *Config) error {
	var keys struct {
		Dropout float64 `json:"resid_pdrop"`
		Window  int64   `json:"sliding_window"`
	}
	defaults := llamaKeys{Positions: 4096, Eps: 1e-5, Pad: new(int64(32000)), partial: true}
	if err := cmp.Or(defaults.read(data, cfg), plainjson.Unmarshal(data, &keys)); err != nil {
		return err
	}
	cfg.HiddenDropout, cfg.QKVBias, cfg.OutBias, cfg.MLPBias = keys.Dropout, false, false, false
	return readWindows(data, cfg, keys.Window, func(int) bool { return keys.Window != 0 })
}
