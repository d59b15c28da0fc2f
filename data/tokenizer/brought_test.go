package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// Folders whose settings say more than tokenizer.json, and what transformers makes of
// them; see testdata/brought.py.
func TestBroughtFolders(t *testing.T) {
	var golden struct {
		Folders []struct {
			Name     string
			Files    map[string]string
			Texts    [][]string
			IDs      [][]int32
			Segments [][]uint8
		}
	}
	text, err := os.ReadFile("testdata/brought.json")
	if err == nil {
		err = json.Unmarshal(text, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range golden.Folders {
		t.Run(folder.Name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range folder.Files {
				write(t, dir, file, text)
			}
			tok := mustLoad(t, dir)
			for i, texts := range folder.Texts {
				var pair *string
				if len(texts) > 1 {
					pair = &texts[1]
				}
				got, _, err := tok.Encode(texts[0], pair, 0)
				if err != nil {
					t.Fatal(err)
				}
				segments := got.Segments
				if segments == nil {
					segments = make([]uint8, len(got.IDs))
				}
				if !slices.Equal(got.IDs, folder.IDs[i]) || !slices.Equal(segments, folder.Segments[i]) {
					t.Errorf("%q: ids %v, segments %v\nwant %v, %v", texts, got.IDs, segments, folder.IDs[i], folder.Segments[i])
				}
			}
		})
	}
}
