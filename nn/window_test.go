package nn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// configOf returns the text of a tiny configuration of a family, with more keys.
func configOf(modelType, more string) []byte {
	return fmt.Appendf(nil, `{"model_type": %q, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1,
		"intermediate_size": 24, "vocab_size": 40, "max_position_embeddings": 64%s}`, modelType, more)
}

// Which blocks have a window, in each form that configurations have.
func TestWindows(t *testing.T) {
	for _, c := range []struct {
		modelType, more string
		want            []int64
	}{
		{"llama", `, "sliding_window": 4`, []int64{0, 0, 0, 0}},
		{"mistral", ``, []int64{4096, 4096, 4096, 4096}},
		{"mistral", `, "sliding_window": 4`, []int64{4, 4, 4, 4}},
		{"mistral", `, "sliding_window": null`, []int64{0, 0, 0, 0}},
		{"qwen2", `, "sliding_window": 4, "use_sliding_window": false, "max_window_layers": 1`, []int64{0, 0, 0, 0}},
		{"qwen2", `, "sliding_window": 4, "use_sliding_window": true`, []int64{0, 0, 0, 0}},
		{"qwen2", `, "sliding_window": 4, "use_sliding_window": true, "max_window_layers": 3`, []int64{0, 0, 0, 4}},
		{"qwen2", `, "sliding_window": null, "use_sliding_window": true, "max_window_layers": 0`, []int64{0, 0, 0, 0}},
		{"gemma3_text", `, "sliding_window": 4, "sliding_window_pattern": 3`, []int64{4, 4, 0, 4}},
		{"gemma3_text", `, "_sliding_window_pattern": 6, "layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"]`, []int64{0, 0, 0, 0}},
		{"phi3", `, "sliding_window": null`, []int64{0, 0, 0, 0}},
		{"phi3", `, "sliding_window": 4`, []int64{4, 4, 4, 4}},
		{"smollm3", `, "sliding_window": 4, "no_rope_layers": [1, 0, 1, 0]`, []int64{0, 0, 0, 0}},
		{"smollm3", `, "sliding_window": 4, "use_sliding_window": true, "no_rope_layer_interval": 2`, []int64{0, 4, 0, 4}},
		{"smollm3", `, "sliding_window": 4, "use_sliding_window": true, "no_rope_layers": [0, 1, 1, 1, 0]`, []int64{4, 0, 0, 0}},
		{"qwen3", `, "sliding_window": 4, "use_sliding_window": true, "max_window_layers": 0,
			"layer_types": ["full_attention", "sliding_attention", "full_attention", "sliding_attention"]`, []int64{0, 4, 0, 4}},
	} {
		t.Run(c.modelType+c.more, func(t *testing.T) {
			cfg, err := ParseConfig(configOf(c.modelType, c.more))
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, l := range cfg.LayerTypes {
				got = append(got, l.Window)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("windows %v, want %v", got, c.want)
			}
		})
	}
}

// Configurations of a known family that this program does not compute.
func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ modelType, more, want string }{
		{"mistral", `, "sliding_window": -1`, "sliding_window: got -1, want at least 1 for a block of sliding_attention"},
		{"qwen3", `, "layer_types": ["full_attention"]`, "layer_types: got 1 for num_hidden_layers 4"},
		{"qwen2", `, "layer_types": ["full_attention", "chunked_attention", "full_attention", "full_attention"]`,
			`layer_types: got "chunked_attention", want full_attention or sliding_attention`},
		{"qwen2", `, "layer_types": ["full_attention", "sliding_attention", "full_attention", "full_attention"]`,
			"sliding_window: got 0, want at least 1 for a block of sliding_attention"},
		{"gemma3_text", `, "final_logit_softcapping": 30`, "final_logit_softcapping: got 30, want null: soft caps are not computed here"},
		{"gemma3_text", `, "use_bidirectional_attention": true`, "use_bidirectional_attention: got true, want false"},
		{"gemma3_text", `, "query_pre_attn_scalar": 0`, "query_pre_attn_scalar: got 0, want more than 0"},
		{"gemma3_text", `, "sliding_window": null`, "sliding_window: got 0, want at least 1"},
		{"gemma3_text", `, "sliding_window_pattern": 0`, "sliding_window_pattern: got 0, want at least 1"},
		{"gemma3_text", `, "rope_parameters": {"rope_theta": 10}`, "rope_parameters: want full_attention and sliding_attention"},
		{"gemma3_text", `, "rope_local_base_freq": 0`, "rope_theta: got 0, want a number of at least 1"},
		{"gemma3_text", `, "hidden_activation": "silu"`, `hidden_activation: got "silu", want gelu_new`},
		{"smollm3", `, "no_rope_layers": [1, 0, 1]`, "no_rope_layers: got 3 for num_hidden_layers 4"},
		{"smollm3", `, "no_rope_layer_interval": 0`, "no_rope_layer_interval: got 0, want at least 1"},
		{"smollm3", `, "use_sliding_window": true, "sliding_window": -1`, "sliding_window: got -1, want at least 1"},
		{"qwen3_moe", ``, `unknown architecture: model_type "qwen3_moe" (Qwen3-MoE, a mixture of experts), want one of bert, `},
		{"gemma3", ``, "its text model alone is gemma3_text"},
		{"some_vl", `, "vision_config": {}`, `model_type "some_vl" (a model with a vision tower), want one of`},
		{"llama", `, "hidden_act": "gelu"`, `hidden_act: got "gelu", want silu`},
	} {
		t.Run(c.modelType+c.more, func(t *testing.T) {
			_, err := ParseConfig(configOf(c.modelType, c.more))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q in one line", err, c.want)
			}
		})
	}
}
