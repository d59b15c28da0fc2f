package nn

import (
	"fmt"

	"autolora/plainjson"
)

// readWindows gives those blocks a window whose type config.json's layer_types says
// is sliding_attention, or, where it has no such list, those for which slides is
// true.
func readWindows(data []byte, cfg *Config, window int64, slides func(block int) bool) error {
	const full, sliding = "full_attention", "sliding_attention"
	var keys struct {
		Types []string `json:"layer_types"`
	}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return err
	}
	if keys.Types != nil && len(keys.Types) != len(cfg.LayerTypes) {
		return fmt.Errorf("layer_types: got %d for num_hidden_layers %d", len(keys.Types), cfg.NumHiddenLayers)
	}
	for i := range cfg.LayerTypes {
		has := keys.Types == nil && slides(i)
		if keys.Types != nil {
			if has = keys.Types[i] == sliding; !has && keys.Types[i] != full {
				return fmt.Errorf("layer_types: got %q, want %s or %s", keys.Types[i], full, sliding)
			}
		}
		if !has {
			continue
		}
		if window < 1 {
			return fmt.Errorf("sliding_window: got %d, want at least 1 for a block of %s", window, sliding)
		}
		cfg.LayerTypes[i].Window = window
	}
	return nil
}
