package nn

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// A model that is written in the type of its base has its bytes, and the files that
// say how it is asked.
func TestWriteInStoredType(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		stored safetensors.DType
	}{
		"bert-tiny": {"float32", safetensors.F32}, "bert-tiny-f16": {"float16", safetensors.F16}, "bert-tiny-bf16": {"bfloat16", safetensors.BF16},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(*torchbind.Scope) {
				dir := copyModel(t, name)
				files := []string{"tokenizer_config.json", "chat_template.jinja", "generation_config.json"}
				for _, file := range files {
					if err := os.WriteFile(filepath.Join(dir, file), []byte("{"+file+"}"), 0o666); err != nil {
						t.Fatal(err)
					}
				}
				setConfig(t, dir, "auto_map", map[string]string{"AutoConfig": "configuration_x.Config"})
				m := mustLoad(t, dir, LoadConfig{Labels: 3, Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU})
				defer m.Close()
				if m.Stored != c.stored {
					t.Errorf("stored as %s, want %s", m.Stored, c.stored)
				}
				written := filepath.Join(t.TempDir(), "written")
				if err := m.Write(written, []string{"a", "b", "c"}, m.Stored); err != nil {
					t.Fatal(err)
				}
				for _, file := range files {
					if got, err := os.ReadFile(filepath.Join(written, file)); string(got) != "{"+file+"}" {
						t.Errorf("%s holds %q, %v", file, got, err)
					}
				}
				var config struct {
					DType   string
					AutoMap any `json:"auto_map"`
				}
				text, err := os.ReadFile(filepath.Join(written, "config.json"))
				if err == nil {
					err = json.Unmarshal(text, &config)
				}
				if err != nil || config.DType != c.config {
					t.Errorf("config.json says %q, want %q (%v)", config.DType, c.config, err)
				}
				if config.AutoMap != nil {
					t.Errorf("config.json names Python files that are not there: %v", config.AutoMap)
				}
				base, err := safetensors.OpenCheckpoint(dir)
				if err != nil {
					t.Fatal(err)
				}
				defer base.Close()
				whole, err := safetensors.OpenCheckpoint(written)
				if err != nil {
					t.Fatal(err)
				}
				defer whole.Close()
				for _, key := range whole.Names() {
					got, _ := whole.Tensor(key)
					if want, ok := base.Tensor(key); !ok || got.DType != want.DType || !bytes.Equal(got.Data, want.Data) {
						t.Errorf("%s is %s %v, and not the base's %s %v", key, got.DType, got.Shape, want.DType, want.Shape)
					}
				}
			})
		})
	}
}
