package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The tokenizer that scripts/gemma3_to_hf.py makes of Gemma 3's pieces and scores, on
// the texts of testdata/nn/make_real_decoders.py.
func TestGemma3(t *testing.T) {
	root := filepath.Join("..", "..")
	dir := filepath.Join(root, "third_party", "models", "gemma-3-270m")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("needs gemma-3-270m (scripts/fetch_gemma3.sh): %v", err)
	}
	var golden struct {
		Texts []struct {
			Prompt, Text string
			IDs          []int32
			Greedy       []int64
		}
	}
	data, err := os.ReadFile(filepath.Join(root, "testdata", "nn", "gemma3.json"))
	if err == nil {
		err = json.Unmarshal(data, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	tok := mustLoad(t, dir)
	for _, want := range golden.Texts {
		if got, _, err := tok.Encode(want.Prompt, nil, 0); err != nil || !slices.Equal(got.IDs, want.IDs) {
			t.Errorf("%q: ids %v, %v; want %v", want.Prompt, got.IDs, err, want.IDs)
		}
		if got, err := tok.Decode(want.Greedy, false); err != nil || got != want.Text {
			t.Errorf("%q: text %q, %v; want %q", want.Prompt, got, err, want.Text)
		}
	}
}
