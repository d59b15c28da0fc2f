package nn

import (
	"cmp"
	"fmt"

	"autolora/plainjson"
)

var smollm3 = family{
	prefix: "model", class: "SmolLM3", generator: "SmolLM3ForCausalLM", read: readSmolLM3, check: checkDecoder, build: llamaForm{}.build,
	unread: llama.unread,
}

// readSmolLM3 is llamaKeys.read with SmolLM3's blocks without rotary embeddings,
// each fourth where they are not listed, which alone have windows, if there are any.
func readSmolLM3(data []byte, cfg *Config) error {
	keyValueHeads := int64(4)
	defaults := llamaKeys{Positions: 32768, KeyValueHeads: &keyValueHeads, Eps: 1e-6, Tied: true, Pad: new(int64(128004)), theta: 2e6}
	keys := struct {
		Turned   []int `json:"no_rope_layers"` // 0: without, whatever its name says
		Interval int   `json:"no_rope_layer_interval"`
		Use      bool  `json:"use_sliding_window"`
		Window   int64 `json:"sliding_window"`
	}{Interval: 4}
	if err := cmp.Or(defaults.read(data, cfg), plainjson.Unmarshal(data, &keys)); err != nil {
		return err
	}
	switch {
	case keys.Turned != nil && len(keys.Turned) < len(cfg.LayerTypes):
		return fmt.Errorf("no_rope_layers: got %d for num_hidden_layers %d", len(keys.Turned), cfg.NumHiddenLayers)
	case keys.Interval < 1:
		return fmt.Errorf("no_rope_layer_interval: got %d, want at least 1", keys.Interval)
	}
	for i := range cfg.LayerTypes {
		if keys.Turned != nil && keys.Turned[i] == 0 || keys.Turned == nil && (i+1)%keys.Interval == 0 {
			cfg.LayerTypes[i].Rope = nil
		}
	}
	return readWindows(data, cfg, keys.Window, func(block int) bool {
		return keys.Use && keys.Window != 0 && cfg.LayerTypes[block].Rope == nil
	})
}
