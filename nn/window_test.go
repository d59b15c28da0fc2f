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
		{"gemma2", ``, []int64{4096, 0, 4096, 0}},
		{"gemma2", `, "sliding_window": 4, "layer_types": ["full_attention", "full_attention", "sliding_attention", "full_attention"]`, []int64{0, 0, 4, 0}},
		{"gemma3_text", `, "sliding_window": 4, "sliding_window_pattern": 3`, []int64{4, 4, 0, 4}},
		{"gemma3_text", `, "_sliding_window_pattern": 6, "layer_types": ["full_attention", "full_attention", "full_attention", "full_attention"]`, []int64{0, 0, 0, 0}},
		{"phi3", `, "sliding_window": null`, []int64{0, 0, 0, 0}},
		{"phi3", `, "sliding_window": 4`, []int64{4, 4, 4, 4}},
		{"smollm3", `, "sliding_window": 4, "no_rope_layers": [1, 0, 1, 0]`, []int64{0, 0, 0, 0}},
		{"smollm3", `, "sliding_window": 4, "use_sliding_window": true, "no_rope_layer_interval": 2`, []int64{0, 4, 0, 4}},
		{"smollm3", `, "sliding_window": 4, "use_sliding_window": true, "no_rope_layers": [0, 1, 1, 1, 0]`, []int64{4, 0, 0, 0}},
		{"qwen3", `, "sliding_window": 4, "use_sliding_window": true, "max_window_layers": 0,
			"layer_types": ["full_attention", "sliding_attention", "full_attention", "sliding_attention"]`, []int64{0, 4, 0, 4}},
		{"modernbert", ``, []int64{0, 129, 129, 0}}, // to both sides, and the token itself
		{"modernbert", `, "local_attention": 6, "global_attn_every_n_layers": 2`, []int64{0, 7, 0, 7}},
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

// What Gemma's soft caps are where config.json has them, null or nothing.
func TestSoftCaps(t *testing.T) {
	for _, c := range []struct {
		modelType, more string
		want            [2]float64 // of attention, of tokens
	}{
		{"gemma2", ``, [2]float64{50, 30}},
		{"gemma2", `, "attn_logit_softcapping": 20, "final_logit_softcapping": null`, [2]float64{20, 0}},
		{"gemma3_text", ``, [2]float64{}},
		{"gemma3_text", `, "attn_logit_softcapping": 20, "final_logit_softcapping": 25.5`, [2]float64{0, 25.5}},
		{"llama", `, "attn_logit_softcapping": 20, "final_logit_softcapping": 30`, [2]float64{}},
	} {
		cfg, err := ParseConfig(configOf(c.modelType, c.more))
		if got := [2]float64{cfg.ScoreCap, cfg.LogitCap}; err != nil || got != c.want {
			t.Errorf("%s%s: soft caps %v (%v), want %v", c.modelType, c.more, got, err, c.want)
		}
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
		{"gemma2", `, "attn_logit_softcapping": 0`, "attn_logit_softcapping: got 0, want more than 0, or null for none"},
		{"gemma3_text", `, "final_logit_softcapping": -30`, "final_logit_softcapping: got -30, want more than 0, or null for none"},
		{"gemma2", `, "use_bidirectional_attention": true`, "use_bidirectional_attention: got true, want false"},
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
		{"modernbert", `, "classifier_pooling": "max"`, `classifier_pooling: got "max", want cls or mean`},
		{"modernbert", `, "local_attention": 1`, "local_attention: got 1, want at least 2"},
		{"modernbert", `, "global_attn_every_n_layers": 0`, "global_attn_every_n_layers: got 0, want at least 1"},
		{"modernbert", `, "num_attention_heads": 16`, "num_attention_heads: got 16 for hidden_size 16, want heads of an even size"},
		{"modernbert", `, "hidden_activation": "relu"`, `hidden_activation: got "relu", want gelu`},
		{"electra", `, "embedding_size": 0`, "embedding_size: got 0 for hidden_size 16"},
		{"distilbert", `, "n_heads": 5`, "num_attention_heads: 5 does not divide hidden_size 768"},
		{"distilbert", `, "seq_classif_dropout": 1`, "classifier_dropout: got 1, want at least 0 and less than 1"},
		{"deberta-v2", `, "layer_norm_eps": []`, "not a model configuration: layer_norm_eps: got a list, want a number"},
		{"deberta-v2", ``, "relative_attention: got false, want true"},
		{"deberta-v2", `, "relative_attention": true, "pos_att_type": "p2p"`, `pos_att_type: got "p2p", want c2p or p2c`},
		{"deberta-v2", `, "relative_attention": true, "pos_att_type": 3`, "pos_att_type: got 3, want a list of c2p and p2c"},
		{"deberta-v2", `, "relative_attention": true, "position_buckets": 256`, "position_buckets: got 256, want 2 at least, and less than twice max_relative_positions 64"},
		{"deberta-v2", `, "relative_attention": true, "embedding_size": 8`, "embedding_size: got 8, want 16: a DeBERTa with other sizes is not computed here"},
		{"deberta-v2", `, "relative_attention": true, "conv_kernel_size": 4`, "conv_kernel_size and conv_groups: got 4 and 1, want an odd number, and 1"},
		{"deberta-v2", `, "relative_attention": true, "conv_kernel_size": 3, "conv_act": "relu"`, `conv_act: got "relu"`},
		{"deberta", ``, `unknown architecture: model_type "deberta" (DeBERTa 1, with another attention than DeBERTa-v2), want one of`},
		{"albert", ``, `unknown architecture: model_type "albert" (ALBERT, whose blocks share their weights), want one of`},
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
