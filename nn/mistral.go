package nn

import "autolora/plainjson"

var mistral = family{
	prefix: "model", class: "Mistral", generator: "MistralForCausalLM", read: readMistral, check: checkDecoder, build: newLlama,
	unread: llama.unread,
}

// readMistral is readLlama with Mistral's sliding window.
func readMistral(data []byte, cfg *Config) error {
	window := int64(4096) // MistralConfig's
	keys := struct {
		Window *int64 `json:"sliding_window"`
	}{&window}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return err
	}
	if keys.Window != nil { // null: none
		cfg.SlidingWindow = *keys.Window
	}
	return readLlama(data, cfg)
}
