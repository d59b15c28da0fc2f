package nn

import "autolora/plainjson"

var qwen2 = family{
	prefix: "model", class: "Qwen2", generator: "Qwen2ForCausalLM", read: readQwen2, check: checkDecoder, build: llamaForm{}.build,
	unread: llama.unread,
}

// readQwen2 is llamaKeys.read with Qwen2's windows and biases.
func readQwen2(data []byte, cfg *Config) error {
	if err := (llamaKeys{Positions: 32768, Eps: 1e-6}).read(data, cfg); err != nil {
		return err
	}
	cfg.QKVBias, cfg.OutBias = true, false
	return readQwenWindows(data, cfg)
}

// readQwenWindows reads which blocks of a Qwen have a window: if any, those from
// max_window_layers on, unless they are listed.
func readQwenWindows(data []byte, cfg *Config) error {
	window := int64(4096)
	keys := struct {
		Use    bool   `json:"use_sliding_window"`
		Window *int64 `json:"sliding_window"`
		First  int    `json:"max_window_layers"`
	}{false, &window, 28}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return err
	}
	if !keys.Use || keys.Window == nil {
		return readWindows(data, cfg, 0, func(int) bool { return false })
	}
	return readWindows(data, cfg, *keys.Window, func(block int) bool { return block >= keys.First })
}
