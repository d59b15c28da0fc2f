package nn

import (
	"errors"

	"autolora/plainjson"
)

var qwen2 = family{
	prefix: "model", class: "Qwen2", generator: "Qwen2ForCausalLM", read: readQwen2, check: checkDecoder, build: newLlama,
	unread: llama.unread,
}

// readQwen2 is readLlama with Qwen2's biases.
func readQwen2(data []byte, cfg *Config) error {
	var keys struct {
		Window bool `json:"use_sliding_window"`
	}
	if err := plainjson.Unmarshal(data, &keys); err != nil {
		return err
	}
	if keys.Window {
		return errors.New("use_sliding_window: got true, want false: a window in some of the layers is not computed here")
	}
	if err := readLlama(data, cfg); err != nil {
		return err
	}
	cfg.QKVBias, cfg.OutBias = true, false
	return nil
}
