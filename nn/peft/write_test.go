package peft

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"autolora/nn/safetensors"
)

const layerPrefix = "roberta.encoder.layer."

// matrix is an F32 tensor of the given shape with a ramp of values.
func matrix(name string, shape ...int64) safetensors.Tensor {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i) - 1
	}
	return safetensors.FromFloat32s(name, shape, values)
}

func testLayer(name string, rank int, alpha float64) Layer {
	return Layer{Name: layerPrefix + name, Rank: rank, Alpha: alpha, A: matrix("", int64(rank), 3), B: matrix("", 2, int64(rank))}
}

// testAdapter has two blocks, ranks 8, 3, 0 and 10 and a head.
func testAdapter() *Adapter {
	return &Adapter{
		Config: Config{TaskType: "SEQ_CLS", BaseModel: "roberta-base", R: 8, LoraAlpha: 16, LoraDropout: 0.1},
		Layers: []Layer{
			testLayer("0.attention.self.query", 8, 16),
			testLayer("0.attention.self.value", 3, 16),
			{Name: layerPrefix + "10.attention.self.query"},
			testLayer("10.attention.self.value", 10, 5.5),
		},
		Saved: []safetensors.Tensor{matrix("classifier.dense.weight", 3, 3), matrix("classifier.out_proj.bias", 2)},
	}
}

func TestWriteConfigFile(t *testing.T) {
	const head = `{
  "alpha_pattern": %s,
  "base_model_name_or_path": "roberta-base",
  "bias": "none",
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "lora_alpha": %s,
  "lora_dropout": 0.1,
  "modules_to_save": [
    "classifier",
    "score"
  ],
  "peft_type": "LORA",
  "r": %s,
  "rank_pattern": %s,
  "revision": null,
  "target_modules": %s,
  "task_type": "SEQ_CLS",
  "use_dora": false,
  "use_rslora": false
}`
	const targets = `[
    "roberta.encoder.layer.0.attention.self.query",
    "roberta.encoder.layer.0.attention.self.value",
    "roberta.encoder.layer.10.attention.self.value"
  ]`
	folded, err := testAdapter().Fold()
	if err != nil {
		t.Fatal(err)
	}
	headOnly := testAdapter()
	headOnly.Layers = headOnly.Layers[2:3]
	tests := []struct {
		name    string
		adapter *Adapter
		want    string
	}{
		{"as trained", testAdapter(), fmt.Sprintf(head, `{
    "roberta.encoder.layer.10.attention.self.value": 5.5
  }`, "16", "8", `{
    "roberta.encoder.layer.0.attention.self.value": 3,
    "roberta.encoder.layer.10.attention.self.value": 10
  }`, targets)},
		{"folded", folded, fmt.Sprintf(head, `{
    "roberta.encoder.layer.0.attention.self.query": 8,
    "roberta.encoder.layer.0.attention.self.value": 3
  }`, "10", "10", `{
    "roberta.encoder.layer.0.attention.self.query": 8,
    "roberta.encoder.layer.0.attention.self.value": 3
  }`, targets)},
		{"all ranks 0", headOnly, fmt.Sprintf(head, "{}", "16", "8", "{}", `"dummy-target-modules"`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new", "adapter")
			if err := Write(dir, tt.adapter, ModelCard{}); err != nil {
				t.Fatal(err)
			}
			if got := string(readFile(t, filepath.Join(dir, configName))); got != tt.want {
				t.Errorf("config\n%s\nwant\n%s", got, tt.want)
			}
			if got, want := filesIn(t, dir), []string{cardName, configName, weightsName}; !slices.Equal(got, want) {
				t.Errorf("files %q, want %q", got, want)
			}
			if got := filesIn(t, filepath.Dir(dir)); !slices.Equal(got, []string{"adapter"}) {
				t.Errorf("left %q beside the adapter", got)
			}
		})
	}
}

func TestWriteThenRead(t *testing.T) {
	want := testAdapter()
	want.Metadata = map[string]string{"autolora": "1"}
	dir := filepath.Join(t.TempDir(), "adapter")
	if err := Write(dir, want, ModelCard{}); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.Delete(slices.Clone(want.Layers), 2, 3) // without the one of rank 0
	if len(got.Layers) != len(kept) {
		t.Fatalf("%d layers, want %d", len(got.Layers), len(kept))
	}
	for i, w := range kept {
		g := got.Layers[i]
		if g.Name != w.Name || g.Rank != w.Rank || g.Alpha != w.Alpha || string(g.A.Data) != string(w.A.Data) || string(g.B.Data) != string(w.B.Data) {
			t.Errorf("layer %q rank %d alpha %v, want %q %d %v with the same factors", g.Name, g.Rank, g.Alpha, w.Name, w.Rank, w.Alpha)
		}
	}
	sameTensors(t, got.Saved, want.Saved)
	if got.Metadata["format"] != "pt" || got.Metadata["autolora"] != "1" {
		t.Errorf("metadata %v", got.Metadata)
	}
	if want.Metadata["format"] != "" {
		t.Error("Write changed the adapter's metadata")
	}
}

// A form beyond LoRA is a setting and the names of its tensors.
func TestFormBeyondLoRA(t *testing.T) {
	const setting, name = "use_dora", "lora_magnitude_vector"
	config := []byte(`{"peft_type": "LORA", "use_dora": true}`)
	if _, err := ParseConfig(config); err == nil {
		t.Error("a form that is not known is read")
	}
	forms[setting] = []string{name}
	defer delete(forms, setting)
	want := testAdapter()
	want.Config.Form = setting
	for i := range want.Layers {
		if l := &want.Layers[i]; l.Rank > 0 {
			l.More = []safetensors.Tensor{safetensors.FromFloat32s(name, []int64{2}, []float32{1, float32(i)})}
		}
	}
	dir := filepath.Join(t.TempDir(), "adapter")
	if err := Write(dir, want, ModelCard{}); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Config.Form != setting {
		t.Errorf("form %q, want %q", got.Config.Form, setting)
	}
	for _, l := range got.Layers {
		i := slices.IndexFunc(want.Layers, func(w Layer) bool { return w.Name == l.Name })
		if !reflect.DeepEqual(l.More, want.Layers[i].More) {
			t.Errorf("%s has %v, want %v", l.Name, l.More, want.Layers[i].More)
		}
	}
	want.Layers[0].More = nil
	dir = filepath.Join(t.TempDir(), "lacking")
	if err := Write(dir, want, ModelCard{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "has no "+name) {
		t.Errorf("error %v, want that %s is missing", err, name)
	}
}

func TestFold(t *testing.T) {
	a := testAdapter()
	a.Config.UseRSLora = true
	folded, err := a.Fold()
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range folded.Layers {
		if l.Rank == 0 {
			continue
		}
		if s := folded.Config.Scale(l.Rank, l.Alpha); s != 1 {
			t.Errorf("%s: scale %v after folding", l.Name, s)
		}
		scale := float32(a.Config.Scale(l.Rank, a.Layers[i].Alpha))
		before, after := floats(t, a.Layers[i].B), floats(t, l.B)
		for j := range before {
			if after[j] != before[j]*scale {
				t.Fatalf("%s: B[%d] = %v, want %v", l.Name, j, after[j], before[j]*scale)
			}
		}
	}
	if c := folded.Config; c.R != 10 || c.LoraAlpha != 10 || c.UseRSLora {
		t.Errorf("config %+v, want r and lora_alpha 10 without rslora", c)
	}
	if !a.Config.UseRSLora || a.Layers[0].Alpha != 16 {
		t.Error("Fold changed the adapter that it was given")
	}
}

func TestWriteErrors(t *testing.T) {
	tests := []struct {
		name   string
		change func(a *Adapter)
		want   string
	}{
		{"nothing to write", func(a *Adapter) { a.Layers, a.Saved = nil, nil }, "nothing to write"},
		{"no global rank", func(a *Adapter) { a.Config.R = 0 }, "r is 0, want a positive rank"},
		{"unknown task type", func(a *Adapter) { a.Config.TaskType, a.Saved = "X", nil }, `task_type is "X"`},
		{"negative rank", func(a *Adapter) { a.Layers[0].Rank = -1 }, "self.query\": rank -1"},
		{"A not of the rank", func(a *Adapter) { a.Layers[0].A = matrix("", 7, 3) }, `lora_A has shape [7 3], want [8 in] for rank 8`},
		{"B not of the rank", func(a *Adapter) { a.Layers[0].B = matrix("", 8, 2) }, `lora_B has shape [8 2], want [out 8] for rank 8`},
		{"a factor of integers", func(a *Adapter) { a.Layers[0].A.DType = safetensors.I32 }, "factor has dtype I32"},
		{"a layer twice", func(a *Adapter) { a.Layers[1].Name = a.Layers[0].Name }, "given twice"},
		{"a saved tensor of no module", func(a *Adapter) { a.Saved[0].Name = "bert.pooler.dense.weight" }, `"bert.pooler.dense.weight" lies in none of the modules to save (classifier, score)`},
		{"a layer inside the head", func(a *Adapter) { a.Layers[0].Name = "classifier.dense" }, `layer "classifier.dense": rank 8 cannot be expressed`},
		{"names that match each other", func(a *Adapter) { a.Layers[3].Name = "x." + a.Layers[1].Name }, "its name is matched by another layer's"},
		{"a name that matches one of rank 0", func(a *Adapter) { a.Layers[2].Name = "x." + a.Layers[1].Name }, "rank 0 cannot be expressed"},
		{"a saved tensor with wrong data", func(a *Adapter) { a.Saved[0].Data = nil }, "0 bytes of data, want 36"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := testAdapter()
			tt.change(a)
			parent := t.TempDir()
			dir := filepath.Join(parent, "adapter")
			err := Write(dir, a, ModelCard{})
			if err == nil || !strings.HasPrefix(err.Error(), "write ") || !strings.Contains(err.Error(), dir+": ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v\nwant the folder and %q", err, tt.want)
			}
			if left := filesIn(t, parent); len(left) != 0 {
				t.Errorf("left %q behind", left)
			}
		})
	}
}

func TestWriteFolder(t *testing.T) {
	tests := []struct {
		name  string
		files []string // already in the folder; nil for no folder
		ok    bool
	}{
		{"new", nil, true},
		{"there", []string{configName}, false},
		{"there and empty", []string{}, false},
		{"not an adapter", []string{"thesis.tex"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "adapter")
			if tt.files != nil {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := Write(dir, testAdapter(), ModelCard{})
			want := []string{cardName, configName, weightsName}
			if !tt.ok {
				want = tt.files
				if !errors.Is(err, fs.ErrExist) {
					t.Errorf("error %v, want fs.ErrExist", err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if got := filesIn(t, dir); !slices.Equal(got, want) {
				t.Errorf("folder has %q, want %q", got, want)
			}
			if got := filesIn(t, parent); !slices.Equal(got, []string{"adapter"}) {
				t.Errorf("left %q beside the folder", got)
			}
		})
	}
	t.Run("a file in the way", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{path, filepath.Join(path, "adapter")} {
			if err := Write(dir, testAdapter(), ModelCard{}); err == nil {
				t.Errorf("%s: no error", dir)
			}
		}
	})
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
