package nn

import "autolora/plainjson"

var mistral = family{
	prefix: "model", class: "Mistral", generator: "MistralForCausalLM", read: readMistral, check: checkDecoder, build: llamaForm{}.build,
	unread: llama.unread,
}

// readMistral is llamaKeys.read with Mistral's sliding window.
func readMistral(data []byte, cfg *Config) error {
	window := int64(4096) // MistralConfig's
	keys := struct {
		Window *int64 `json:"sliding_window"`
	}{&window}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return err
	}
	if err := (llamaKeys{Positions: 131072, Eps: 1e-6}).read(data, cfg); err != nil || keys.Window == nil { // null: none
		return err
	}
	return readWindows(data, cfg, *keys.Window, func(int) bool { return *keys.Window != 0 })
}
