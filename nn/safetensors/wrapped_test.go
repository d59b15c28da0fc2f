package safetensors

import (
	"path/filepath"
	"testing"
)

func TestUnwrapped(t *testing.T) {
	for name, want := range map[string]string{
		"bert.encoder.layer.0.output.dense.weight":                        "bert.encoder.layer.0.output.dense.weight",
		"module.bert.pooler.dense.bias":                                   "bert.pooler.dense.bias",
		"_orig_mod.model.norm.weight":                                     "model.norm.weight",
		"module._orig_mod.lm_head.weight":                                 "lm_head.weight",
		"_orig_mod.module.lm_head.weight":                                 "lm_head.weight",
		"model.layers.3._orig_mod.mlp.up_proj.weight":                     "model.layers.3.mlp.up_proj.weight",
		"_fsdp_wrapped_module.h.0._checkpoint_wrapped_module.ln_1.weight": "h.0.ln_1.weight",
		"module":                     "module",
		"head.module.weight":         "head.module.weight",
		"base_model.model._orig_mod": "base_model.model",
	} {
		if got := Unwrapped(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestAlias(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	metadata := map[string]string{"format": "pt", "left.out": "kept", "kept": "other", "lost": "nowhere"}
	if err := Write(path, metadata, []Tensor{FromFloat32s("kept", []int64{1}, []float32{1}), FromFloat32s("other", []int64{1}, []float32{2})}); err != nil {
		t.Fatal(err)
	}
	c, err := OpenCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, want := range map[string]string{"left.out": "kept", "kept": "", "lost": "", "format": "", "none": ""} {
		if got, ok := c.Alias(name); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
}
