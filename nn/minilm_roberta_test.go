package nn

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autolora/data"
	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// MiniLM written as a RoBERTa checkpoint, as testdata/nn/minilm_as_roberta.py
// does: real weights through RoBERTa's positions, segments and head.
func TestMiniLMAsRoBERTa(t *testing.T) {
	source := miniLM(t)
	dir := t.TempDir()
	file, err := safetensors.Open(filepath.Join(source, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var tensors []safetensors.Tensor
	for _, name := range file.Names() {
		x, _ := file.Tensor(name)
		switch rest, pooler := strings.CutPrefix(name, "pooler."); {
		case name == "embeddings.position_ids":
			continue
		case pooler:
			x.Name = "classifier." + rest
		default:
			x.Name = "roberta." + name
		}
		switch row := 4 * 384; {
		case strings.HasSuffix(name, "position_embeddings.weight"): // row 0 is padding's
			x.Data = append(make([]byte, row), x.Data...)
			x.Shape = []int64{x.Shape[0] + 1, x.Shape[1]}
		case strings.HasSuffix(name, "token_type_embeddings.weight"):
			x.Data, x.Shape = x.Data[:row], []int64{1, x.Shape[1]}
		}
		tensors = append(tensors, x)
	}
	tensors = append(tensors,
		safetensors.FromFloat32s("classifier.out_proj.weight", []int64{2, 384}, noise(2*384, 1, 0.3)),
		safetensors.FromFloat32s("classifier.out_proj.bias", []int64{2}, noise(2, 2, 0.3)))
	if err := safetensors.Write(filepath.Join(dir, "model.safetensors"), nil, tensors); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(source, "config.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]any{"model_type": "roberta", "max_position_embeddings": 513, "type_vocab_size": 1, "pad_token_id": 0} {
		setConfig(t, dir, key, value)
	}

	text, err := os.ReadFile(testdata("minilm.json"))
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string][]struct{ IDs, Segments []int64 }
	if err := json.Unmarshal(text, &texts); err != nil {
		t.Fatal(err)
	}
	var seqs data.Batch
	for _, row := range texts["sst2"] {
		seqs.IDs = append(seqs.IDs, row.IDs...)
		seqs.Segments = append(seqs.Segments, row.Segments...)
		seqs.Lengths = append(seqs.Lengths, len(row.IDs))
	}
	want := openFixture(t, "expected-minilm")
	run(t, func(s *torchbind.Scope) {
		m, err := Load(dir, LoadConfig{Labels: 2, Head: HeadStored, DType: torchbind.Float32, Device: torchbind.CPU})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		b, err := m.NewBatch(s, &seqs)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "logits", m.Logits(s, b, nil).Float64s(), want.floats("sst2.roberta.logits.f64"), tolMiniLM)
	})
}

// miniLM returns the folder of the real weights, which `make test` fetches.
func miniLM(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "third_party", "models", "all-MiniLM-L6-v2")
	if _, err := os.Stat(filepath.Join(dir, "model.safetensors")); err != nil {
		t.Skip("the MiniLM weights are not in third_party/models: run `make test`, or scripts/fetch_model.sh")
	}
	return dir
}
