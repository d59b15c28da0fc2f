package peft

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"autolora/nn/safetensors"
)

// goldens are the adapters that testdata/make_goldens.py had PEFT save, and what
// PEFT itself made of them after loading.
var goldens = []struct {
	family, name string
}{
	{"bert", "plain"},
	{"bert", "patterns"},
	{"bert", "rslora"},
	{"bert", "one_layer"},
	{"roberta", "unequal"},
	{"roberta", "alphas"},
	{"roberta", "tagger"},
}

// deltaTolerance allows for float32 sums of at most 8 products below 10 in
// another order, relative to their size.
const deltaTolerance = 4e-6

func TestReadEqualsPEFT(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.family+"/"+g.name, func(t *testing.T) {
			a, err := Read(filepath.Join("testdata", g.family, g.name))
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Config.Unknown) > 0 {
				t.Errorf("unknown keys %q", a.Config.Unknown)
			}
			checkGolden(t, a, filepath.Join("testdata", g.family, g.name+".golden.safetensors"))
		})
	}
}

// checkGolden compares an adapter's ranks, alphas, scales and delta weights with
// those in PEFT's model.
func checkGolden(t *testing.T, a *Adapter, path string) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var golden struct {
		Layers map[string]struct {
			Rank         int
			Alpha, Scale float64
		}
	}
	if err := json.Unmarshal([]byte(f.Metadata()["golden"]), &golden); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, l := range a.Layers {
		want, ok := golden.Layers[l.Name]
		if !ok && l.Rank == 0 {
			continue
		}
		found++
		scale := a.Config.Scale(l.Rank, l.Alpha)
		if !ok || l.Rank != want.Rank || l.Alpha != want.Alpha || math.Abs(scale-want.Scale) > 1e-15 {
			t.Errorf("%s: rank %d, alpha %v, scale %v, PEFT has %+v", l.Name, l.Rank, l.Alpha, scale, want)
			continue
		}
		deltas, _ := f.Tensor(l.Name)
		checkDelta(t, l, scale, deltas)
	}
	if found != len(golden.Layers) {
		t.Errorf("%d layers, PEFT has %d", found, len(golden.Layers))
	}
}

// checkDelta compares scale·B·A with PEFT's delta weight.
func checkDelta(t *testing.T, l Layer, scale float64, golden safetensors.Tensor) {
	t.Helper()
	a, b, want := floats(t, l.A), floats(t, l.B), floats(t, golden)
	in, out := int(l.A.Shape[1]), int(l.B.Shape[0])
	if len(want) != in*out {
		t.Fatalf("%s: delta of %d, PEFT has %v", l.Name, in*out, golden.Shape)
	}
	for i := range out {
		for j := range in {
			sum := 0.0
			for k := range l.Rank {
				sum += float64(b[i*l.Rank+k]) * float64(a[k*in+j])
			}
			got := scale * sum
			if math.Abs(got-float64(want[i*in+j])) > deltaTolerance*(1+math.Abs(got)) {
				t.Fatalf("%s: delta[%d, %d] = %v, PEFT has %v", l.Name, i, j, got, want[i*in+j])
			}
		}
	}
}

func floats(t *testing.T, x safetensors.Tensor) []float32 {
	t.Helper()
	v, err := safetensors.Float32s(x)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What PEFT wrote, read and written again, must mean the same.
func TestRewriteEqualsPEFT(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.family+"/"+g.name, func(t *testing.T) {
			a, err := Read(filepath.Join("testdata", g.family, g.name))
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "adapter")
			if err := Write(dir, a, ModelCard{}); err != nil {
				t.Fatal(err)
			}
			b, err := Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, b, filepath.Join("testdata", g.family, g.name+".golden.safetensors"))
			sameTensors(t, b.Saved, a.Saved)
			// PEFT's own file has the same tensors in the same order, so even its bytes.
			got, want := readFile(t, filepath.Join(dir, weightsName)), readFile(t, filepath.Join("testdata", g.family, g.name, weightsName))
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs from PEFT's", weightsName)
			}
		})
	}
}

func TestReadOldSpellings(t *testing.T) {
	plain, err := Read("testdata/bert/plain")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"adapter_name", "no_prefix"} {
		t.Run(name, func(t *testing.T) {
			a, err := Read(filepath.Join("testdata/old", name))
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, a, "testdata/bert/plain.golden.safetensors")
			sameTensors(t, a.Saved, plain.Saved)
		})
	}
}

func sameTensors(t *testing.T, got, want []safetensors.Tensor) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d tensors, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Name != want[i].Name || got[i].DType != want[i].DType || !slices.Equal(got[i].Shape, want[i].Shape) || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Errorf("tensor %q %v, want %q %v with the same data", got[i].Name, got[i].Shape, want[i].Name, want[i].Shape)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRealPEFT loads rewritten and folded adapters in real PEFT and compares
// their logits with those of PEFT's own files. It needs a Python with torch,
// transformers and peft, named by AUTOLORA_PYTHON.
func TestRealPEFT(t *testing.T) {
	python := os.Getenv("AUTOLORA_PYTHON")
	if python == "" {
		t.Skip("AUTOLORA_PYTHON does not name a Python with peft installed")
	}
	unchanged := func(a *Adapter) (*Adapter, error) { return a, nil }
	tests := []struct {
		family, name, input, form string
		change                    func(a *Adapter) (*Adapter, error)
	}{
		{"bert", "patterns", "inputs.jsonl", "as trained", unchanged},
		{"bert", "patterns", "inputs.jsonl", "folded", (*Adapter).Fold},
		{"bert", "rslora", "inputs.jsonl", "folded", (*Adapter).Fold},
		{"roberta", "unequal", "inputs.jsonl", "as trained", unchanged},
		{"roberta", "alphas", "inputs.jsonl", "as trained", unchanged},
		{"roberta", "tagger", "tag_inputs.jsonl", "as trained", unchanged},
	}
	for _, tt := range tests {
		t.Run(tt.family+"/"+tt.name+"/"+tt.form, func(t *testing.T) {
			a, err := Read(filepath.Join("testdata", tt.family, tt.name))
			if err != nil {
				t.Fatal(err)
			}
			if a, err = tt.change(a); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "adapter")
			if err := Write(dir, a, ModelCard{}); err != nil {
				t.Fatal(err)
			}
			runCheck(t, python, dir, tt.family, tt.input, tt.name+".logits.jsonl")
		})
	}
	t.Run("all ranks 0", func(t *testing.T) {
		a, err := Read("testdata/roberta/unequal")
		if err != nil {
			t.Fatal(err)
		}
		for i := range a.Layers {
			a.Layers[i].Rank = 0
		}
		dir := filepath.Join(t.TempDir(), "adapter")
		if err := Write(dir, a, ModelCard{}); err != nil {
			t.Fatal(err)
		}
		runCheck(t, python, dir, "roberta", "inputs.jsonl", "head_only.logits.jsonl")
	})
}

func runCheck(t *testing.T, python, dir, family, input, logits string) {
	t.Helper()
	cmd := exec.Command(python, "../../scripts/check_peft.py", dir, filepath.Join("testdata", family, "base"),
		filepath.Join("testdata", family, input), "--logits", filepath.Join("testdata", family, logits))
	cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("check_peft.py: %v\n%s", err, out)
	}
}
