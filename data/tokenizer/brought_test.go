package tokenizer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data"
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

// A tokenizer may have tokens for which the model has no row, such as one that was
// added and never trained: only a text that has it is an error.
func TestEncoderKnowsRows(t *testing.T) {
	tok := mustLoad(t, folder(t, filepath.Join("testdata", "bert"), "tokenizer.json"))
	plain, err := NewEncoder(tok, 16, 512, tok.Size())
	if err != nil {
		t.Fatal(err)
	}
	enc, err := plain.Encode(data.Example{Text: "the film"})
	if err != nil {
		t.Fatal(err)
	}
	largest := int(slices.Max(enc.IDs))
	for rows, want := range map[int]string{largest + 1: "", largest: fmt.Sprintf("has the id %d, and the model's embedding only %d rows", largest, largest)} {
		e, err := NewEncoder(tok, 16, 512, rows)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Encode(data.Example{Text: "the film"})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d rows: error %v, want %q", rows, err, want)
		}
	}
}
