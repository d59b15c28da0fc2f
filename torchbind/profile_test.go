package torchbind_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"autolora/torchbind"
	"autolora/torchbind/torchtest"
)

// traced returns the names of the events in a Chrome trace, by category.
func traced(t *testing.T, path string) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var trace struct {
		Events []struct {
			Name     string `json:"name"`
			Category string `json:"cat"`
		} `json:"traceEvents"`
	}
	if err := json.Unmarshal(content, &trace); err != nil {
		t.Fatalf("the trace is no JSON: %v", err)
	}
	names := map[string][]string{}
	for _, e := range trace.Events {
		names[e.Category] = append(names[e.Category], e.Name)
	}
	return names
}

func TestProfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.json")
	torchtest.Run(t, func(s *torchbind.Scope) { profileProduct(t, s, path, torchbind.CPU) })
	names := traced(t, path)
	if !slices.Contains(names["cpu_op"], "aten::mm") && !slices.Contains(names["cpu_op"], "aten::matmul") {
		t.Errorf("operators %v: want a matrix product", names["cpu_op"])
	}
	if got := names["user_annotation"]; !slices.Contains(got, "first") || !slices.Contains(got, "second") {
		t.Errorf("annotations %v: want both spans", got)
	}
}

func TestCUDAProfile(t *testing.T) {
	device := torchtest.CUDA(t)
	path := filepath.Join(t.TempDir(), "trace.json")
	torchtest.Run(t, func(s *torchbind.Scope) { profileProduct(t, s, path, device) })
	if names := traced(t, path); len(names["kernel"]) == 0 {
		t.Error("the trace has no kernel of the device")
	}
}

func profileProduct(t *testing.T, s *torchbind.Scope, path string, device torchbind.Device) {
	t.Helper()
	a := torchbind.FromSlice(s, []float32{1, 2, 3, 4}, []int64{2, 2}, device)
	product := func() error { torchbind.MatMul(s, a, a); return nil }
	if err := torchbind.Profile(path, device, []torchbind.Span{{Name: "first", Run: product}, {Name: "second", Run: product}}); err != nil {
		t.Fatal(err)
	}
}

// A span that fails leaves no file and no recording behind.
func TestProfileFails(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "trace.json")
	torchtest.Run(t, func(s *torchbind.Scope) {
		broken := errors.New("broken")
		if err := torchbind.Profile(path, torchbind.CPU, []torchbind.Span{{Name: "fails", Run: func() error { return broken }}}); err != broken {
			t.Errorf("error %v, want the span's", err)
		}
		wrong := func() error {
			a := torchbind.FromSlice(s, []float32{1, 2}, []int64{2}, torchbind.CPU)
			b := torchbind.FromSlice(s, []float32{1, 2, 3}, []int64{3}, torchbind.CPU)
			torchbind.Add(s, a, b)
			return nil
		}
		var op *torchbind.Error
		if err := torchbind.Profile(path, torchbind.CPU, []torchbind.Span{{Name: "fails", Run: wrong}}); !errors.As(err, &op) {
			t.Errorf("error %v, want libtorch's", err)
		}
		if left, _ := os.ReadDir(folder); len(left) != 0 {
			t.Errorf("%v are left behind", left)
		}
		profileProduct(t, s, path, torchbind.CPU)
	})
	if err := torchbind.Profile(filepath.Join(folder, "absent", "trace.json"), torchbind.CPU, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that the folder does not exist", err)
	}
}
