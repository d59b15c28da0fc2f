package nn

var qwen3 = family{
	prefix: "model", class: "Qwen3", generator: "Qwen3ForCausalLM", read: readQwen3, check: checkDecoder, build: llamaForm{headNorms: true}.build,
	unread: llama.unread,
}

// readQwen3 is llamaKeys.read with Qwen's windows.
func readQwen3(data []byte, cfg *Config) error {
	headDim := int64(128)
	if err := (llamaKeys{Positions: 32768, HeadDim: &headDim, Eps: 1e-6}).read(data, cfg); err != nil {
		return err
	}
	return readQwenWindows(data, cfg)
}
