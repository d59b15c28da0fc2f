package peft

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/nn/safetensors"
)

// writeRaw writes a folder with the given config and tensors, as they are.
func writeRaw(t *testing.T, config string, tensors []safetensors.Tensor) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := safetensors.Write(filepath.Join(dir, weightsName), nil, tensors); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReadErrors(t *testing.T) {
	const (
		module = prefix + "encoder.layer.1.query"
		keyA   = module + ".lora_A.weight"
		keyB   = module + ".lora_B.weight"
		plain  = `"r": 2, "target_modules": ["query"]`
	)
	a, b := matrix(keyA, 2, 3), matrix(keyB, 4, 2)
	tests := []struct {
		name, fields string
		tensors      []safetensors.Tensor
		want         string
	}{
		{"B missing", plain, []safetensors.Tensor{a}, `layer "encoder.layer.1.query" has lora_A and no lora_B`},
		{"A missing", plain, []safetensors.Tensor{b}, `layer "encoder.layer.1.query" has lora_B and no lora_A`},
		{"both missing", `"r": 2, "target_modules": ["encoder.layer.1.query", "encoder.layer.2.query"]`, []safetensors.Tensor{a, b},
			`has neither lora_A nor lora_B of "encoder.layer.2.query", which target_modules in adapter_config.json names`},
		{"all missing", plain, nil, "has no LoRA factors"},
		{"rank of another layer", `"r": 2, "target_modules": ["query"], "rank_pattern": {"query": 3}`, []safetensors.Tensor{a, b}, "lora_A has shape [2 3], want [3 in] for rank 3"},
		{"B transposed", plain, []safetensors.Tensor{a, matrix(keyB, 2, 4)}, "lora_B has shape [2 4], want [out 2] for rank 2"},
		{"A with three dimensions", plain, []safetensors.Tensor{matrix(keyA, 2, 3, 1), b}, "lora_A has shape [2 3 1]"},
		{"not a target", `"r": 2, "target_modules": ["value"]`, []safetensors.Tensor{a, b}, `layer "encoder.layer.1.query" is not chosen by target_modules`},
		{"excluded", plain + `, "exclude_modules": ["query"]`, []safetensors.Tensor{a, b}, "is not chosen by target_modules"},
		{"A in two spellings", plain, []safetensors.Tensor{a, b, matrix("encoder.layer.1.query.lora_A.weight", 2, 3)}, "has lora_A twice, in two spellings"},
		{"a head in two spellings", plain + `, "modules_to_save": ["head"]`, []safetensors.Tensor{a, b, matrix("head.bias", 1), matrix(prefix+"head.bias", 1)}, `"head.bias" is there twice`},
		{"an unknown tensor", plain + `, "task_type": "SEQ_CLS"`, []safetensors.Tensor{a, b, matrix(prefix+"head.bias", 1)},
			"neither LoRA factors of linear layers nor in modules_to_save (classifier, score): " + prefix + "head.bias"},
		{"a DoRA vector", plain, []safetensors.Tensor{a, b, matrix(module+".lora_magnitude_vector", 1)}, "neither LoRA factors"},
		{"an embedding", plain, []safetensors.Tensor{a, b, matrix(module+".lora_embedding_A", 1)}, "embeddings are not adapted here: merge the adapter"},
		{"a vocabulary with more tokens", `"r": 2, "target_modules": ["query"]`, []safetensors.Tensor{a, b, matrix(prefix+"lm_head.weight", 5, 3)},
			"nor in modules_to_save (none): " + prefix + "lm_head.weight; embeddings are not"},
		{"the base's own head", plain + `, "modules_to_save": ["head"]`, []safetensors.Tensor{a, b, matrix(prefix+"head.original_module.bias", 1)}, "neither LoRA factors"},
		{"a bad config", `"r": 0`, nil, "adapter_config.json: r is 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := writeRaw(t, `{"peft_type": "LORA", `+tt.fields+`}`, tt.tensors)
			got, err := Read(dir)
			if err == nil {
				t.Fatalf("read %+v", got)
			}
			if msg := err.Error(); !strings.HasPrefix(msg, "read "+dir) || !strings.Contains(msg, tt.want) || strings.Contains(msg, "\n") {
				t.Errorf("error %q\nwant one line with the folder and %q", msg, tt.want)
			}
		})
	}
}

func TestReadManyUnknown(t *testing.T) {
	var tensors []safetensors.Tensor
	for _, name := range strings.Fields("a b c d e f g") {
		tensors = append(tensors, matrix(name, 1))
	}
	_, err := Read(writeRaw(t, `{"peft_type": "LORA"}`, tensors))
	if err == nil || !strings.HasSuffix(err.Error(), ": a, b, c, d, e and 2 more") {
		t.Errorf("error %v, want five names and a count", err)
	}
}

func TestReadMissingFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), configName) {
		t.Errorf("empty folder: %v, want fs.ErrNotExist for %s", err, configName)
	}
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(`{"peft_type": "LORA"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), weightsName) {
		t.Errorf("no weights: %v, want fs.ErrNotExist for %s", err, weightsName)
	}
	if err := os.WriteFile(filepath.Join(dir, pickleName), []byte("PK"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "only in adapter_model.bin, a pickle, which is never read") {
		t.Errorf("only a pickle: %v", err)
	}
	if err := os.Rename(filepath.Join(dir, pickleName), filepath.Join(dir, weightsName)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, weightsName), []byte("PK\x03\x04 and so on"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "is a PyTorch pickle file") {
		t.Errorf("pickle under the name of safetensors: %v", err)
	}
}

// A list may name modules that this model does not have.
func TestReadToleratesOtherTargets(t *testing.T) {
	dir := writeRaw(t, `{"peft_type": "LORA", "r": 2, "target_modules": ["query", "q_proj", "attention.wq"], "rank_pattern": null}`, []safetensors.Tensor{
		matrix("layer.10.query.lora_A.weight", 2, 3), matrix("layer.10.query.lora_B.weight", 4, 2),
		matrix("layer.9.query.lora_A.weight", 2, 3), matrix("layer.9.query.lora_B.weight", 4, 2),
	})
	a, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range a.Layers {
		names = append(names, l.Name)
	}
	if want := []string{"layer.9.query", "layer.10.query"}; !slices.Equal(names, want) {
		t.Errorf("layers %q, want %q", names, want)
	}
}

// Expressions that are Python's and not Go's decide as they do in PEFT; where one is
// not known here at all, the tensors in the file do.
func TestReadPythonPatterns(t *testing.T) {
	tensors := func(ranks ...int64) []safetensors.Tensor {
		var all []safetensors.Tensor
		for i, r := range ranks {
			module := prefix + "encoder.layer." + string(rune('0'+i)) + ".query"
			all = append(all, matrix(module+".lora_A.weight", r, 3), matrix(module+".lora_B.weight", 4, r))
		}
		return all
	}
	for _, tt := range []struct {
		name, fields string
		ranks        []int64
		alphas       []float64 // by the layer's number
		want         string    // of an error
	}{
		{"lookahead", `"r": 2, "target_modules": ".*\\.(?!7\\b)\\d+\\.(query|value)"`, []int64{2, 2}, []float64{8, 8}, ""},
		{"lookahead that leaves a layer out", `"r": 2, "target_modules": ".*\\.(?!1\\b)\\d+\\.query"`, []int64{2, 2}, nil, `layer "encoder.layer.1.query" is not chosen`},
		{"lookbehind", `"r": 2, "target_modules": ".*(?<!value)(?<=query)"`, []int64{2}, []float64{8}, ""},
		{"reference back", `"r": 2, "target_modules": ".*(?P<e>e)r(?P=e)?.*|.*query"`, []int64{2}, []float64{8}, ""},
		{"atomic group", `"r": 2, "target_modules": "(?>encoder)\\.layer\\.\\d\\.query"`, []int64{2}, []float64{8}, ""},
		{"possessive", `"r": 2, "target_modules": "encoder\\.layer\\.\\d++\\.query"`, []int64{2, 2}, []float64{8, 8}, ""},
		{"exclude possessive", `"r": 2, "target_modules": "all-linear", "exclude_modules": "x*+y"`, []int64{2}, []float64{8}, ""},
		{"rank and alpha with lookahead", `"r": 2, "target_modules": ["query"], "rank_pattern": {"encoder(?!\\.layer\\.0).*query": 3}, "alpha_pattern": {".*(?<=1\\.)query": 5}`,
			[]int64{2, 3}, []float64{8, 5}, ""},
		{"rank possessive", `"r": 2, "target_modules": ["query"], "rank_pattern": {"layer\\.1++\\.query": 3}`, []int64{2, 3}, []float64{8, 8}, ""},
		{"alpha possessive", `"r": 2, "target_modules": ["query"], "alpha_pattern": {"layer\\.1++\\.query": 3}`, []int64{2}, nil, `alpha_pattern: key "layer\\.1++\\.query": regular expression that is not known here`},
		{"goes back for ever", `"r": 2, "target_modules": "(?=e)(.|..|.)*!(?!x)"`, []int64{2}, nil, "goes back and tries again for more than 1s: write plain module names"},
		{"goes back for ever for a rank", `"r": 2, "target_modules": ["query"], "rank_pattern": {"(?=e)(.|..|.)*!(?!x)": 3}`, []int64{2}, nil, "goes back and tries again for more than 1s"},
		{"goes back for ever for alpha", `"r": 2, "target_modules": ["query"], "alpha_pattern": {"(?=e)(.|..|.)*!(?!x)": 3}`, []int64{2}, nil, "goes back and tries again for more than 1s"},
		{"many groups", `"r": 2, "target_modules": "` + strings.Repeat("(.*)*", 3000) + `"`, []int64{2}, []float64{8}, ""},
		{"many groups for alpha", `"r": 2, "target_modules": ["query"], "alpha_pattern": {"` + strings.Repeat("(.*)*", 300) + `": 3}`, []int64{2}, nil, "more than 200 groups"},
		{"very long for alpha", `"r": 2, "target_modules": ["query"], "alpha_pattern": {"` + strings.Repeat("a", 20000) + `": 3}`, []int64{2}, nil, "more than 16384 bytes"},
		{"numbers as text", `"r": "2", "lora_alpha": "16", "lora_dropout": "0.1", "target_modules": ["query"], "rank_pattern": {"layer.1.query": "3"}, "use_rslora": "false"`,
			[]int64{2, 3}, []float64{16, 16}, ""},
		{"whole numbers with a point", `"r": 2.0, "lora_alpha": 16.0, "target_modules": ["query"], "layers_to_transform": [0.0], "layers_pattern": "layer"`, []int64{2}, []float64{16}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := Read(writeRaw(t, `{"peft_type": "LORA", `+tt.fields+`}`, tensors(tt.ranks...)))
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error %v, want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, l := range a.Layers {
				if int64(l.Rank) != tt.ranks[i] || l.Alpha != tt.alphas[i] {
					t.Errorf("layer %s: rank %d, alpha %v; want %d, %v", l.Name, l.Rank, l.Alpha, tt.ranks[i], tt.alphas[i])
				}
			}
		})
	}
}
