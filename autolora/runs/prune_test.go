package runs

import (
	"os"
	"strings"
	"testing"
)

// A prune.json without a curve, of which no adapter is the whole one, is an error.
func TestReadPruning(t *testing.T) {
	for text, want := range map[string]string{
		`{"by": "trained", "curve": [{"parameters": 8, "loss": 0.5}]}`: "",
		`{}`: `prune.json: not what a run writes: "curve" is missing`, `{"curve": []}`: `"curve" is missing`, `null`: `"curve" is missing`,
		`{"curve": 1}`: "prune.json: not what a run writes: ",
	} {
		f := ReadOnly(t.TempDir())
		if err := os.WriteFile(f.Path(PruneFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		var p Pruning
		err := f.ReadJSON(PruneFile, &p)
		if want == "" {
			if err != nil || p.By != ByTrained || p.Whole().Parameters != 8 {
				t.Errorf("%s: %+v, %v", text, p, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
