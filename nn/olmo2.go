package nn

// olmo2 has norms after attention and the feed-forward layer, and none before.
var olmo2 = family{
	prefix: "model", class: "Olmo2", generator: "Olmo2ForCausalLM", read: readOlmo2, check: checkDecoder, unread: llama.unread,
	build: llamaForm{
		norms:     &[2]blockNorms{{within: "post_attention_layernorm"}, {within: "post_feedforward_layernorm"}},
		wideNorms: true,
	}.build,
}

// readOlmo2 is llamaKeys.read without biases of the feed-forward layer.
func readOlmo2(data []byte, cfg *Config) error {
	err := (llamaKeys{Positions: 2048, Eps: 1e-5, Pad: new(int64(1))}).read(data, cfg)
	cfg.MLPBias = false
	return err
}
