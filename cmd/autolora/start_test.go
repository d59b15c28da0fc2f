package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"autolora/autolora/runs"
)

// What needs no tensor does not open libtorch, which takes ten times as long as
// the rest of a start. Here the library is rubbish: what opens it fails, in one
// line.
func TestStartWithoutLibtorch(t *testing.T) {
	dir, libraries := textFiles(t), t.TempDir()
	writeFile(t, filepath.Join(libraries, "libautolora_torch.so"), "rubbish")
	adapter := filepath.Join("..", "..", "testdata", "compat", "0.1.0", "complete", "adapter")
	tags := filepath.Join(dir, "tags.conll")
	writeFile(t, tags, "a O O\nfilm B-x B-x\n")
	for seed := range 2 {
		runFolder(t, filepath.Join(dir, "runs", fmt.Sprint(seed)), runs.MethodLoRA, seed, 0.8)
	}
	started := func(args ...string) outcome {
		cmd := program(t, args...)
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+libraries, "LIBTORCH=")
		return run(t, cmd)
	}
	for _, args := range [][]string{
		{"--help"},
		{"run", "--help"},
		{"version"},
		{"completion", "bash"},
		{"__complete", "run", "--ta"},
		{"score", "tagging", "--input", tags},
		{"score", "e2e", "--hypotheses", filepath.Join(dir, "outputs.txt"), "--references", filepath.Join(dir, "blocks.txt"), "--metric", withoutMETEOR},
		{"report", filepath.Join(dir, "runs")},
		{"info", tags},
		{"export", "--format", "peft", "--adapter", adapter, "--out", filepath.Join(dir, "peft")},
		{"export", "--format", "folded", "--adapter", adapter, "--out", filepath.Join(dir, "folded")},
	} {
		if got := started(args...); got.code != 0 {
			t.Errorf("%q: got %+v", args, got)
		}
	}
	got := started("export", "--format", "gguf", "--adapter", adapter, "--model", filepath.Join("..", "..", "testdata", "nn", "bert-tiny"), "--out", filepath.Join(dir, "gguf"))
	if want := `adapters of model_type "bert" are not written for llama.cpp`; got.code != exitFailed || !strings.Contains(got.stderr, want) {
		t.Errorf("got %+v, want an error with %q", got, want)
	}
	got = started("info")
	if want := "autolora: libautolora_torch.so cannot be opened: "; got.code != exitFailed || !strings.HasPrefix(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("got %+v, want one line that begins with %q", got, want)
	}
}
