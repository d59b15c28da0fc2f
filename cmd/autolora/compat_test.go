package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// What former versions wrote is read by this one: testdata/compat/make.sh made
// it. Scores are those of then but for another CPU's rounding.
func TestFormerVersions(t *testing.T) {
	versions, err := filepath.Glob(filepath.Join("..", "..", "testdata", "compat", "*", "vocab.txt"))
	if err != nil || len(versions) == 0 {
		t.Fatal(versions, err)
	}
	for _, vocab := range versions {
		former := filepath.Dir(vocab)
		t.Run(filepath.Base(former), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(former)); err != nil {
				t.Fatal(err)
			}
			model := tinyModel(t)
			if err := os.Rename(model, filepath.Join(dir, "model")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "vocab.txt"), filepath.Join(dir, "model", "vocab.txt")); err != nil {
				t.Fatal(err)
			}
			type results struct {
				Scores     map[string]float64
				Parameters struct{ Adapter int }
				Steps      struct{ Search, Train int }
			}
			read := func(name string) (r results) {
				t.Helper()
				text, err := os.ReadFile(filepath.Join(dir, name))
				if err == nil {
					err = json.Unmarshal(text, &r)
				}
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			do := func(args ...string) string {
				t.Helper()
				got := here(t, args...)
				if got.code != 0 {
					t.Fatalf("%q: got %+v", args, got)
				}
				return got.stdout
			}

			t.Chdir(dir)
			then := read("complete/results.json")
			var now results
			if err := json.Unmarshal([]byte(do("eval", "--adapter", "complete/adapter", "--model", "model", "--dev", "table.csv", "--json")), &now); err != nil {
				t.Fatal(err)
			}
			for name, want := range then.Scores {
				if got, ok := now.Scores[name]; !ok || math.Abs(got-want) > 1e-5 {
					t.Errorf("%s of the adapter is %v, was %v", name, got, want)
				}
			}

			do("run", "--resume", "--config", "killed/config.json", "--out", "killed")
			if got := read("killed/results.json"); got.Steps.Search != 20 || got.Steps.Train != then.Steps.Train {
				t.Errorf("the killed run went on to %+v", got.Steps)
			}

			do("train", "--config", "complete/config.json", "--ranks", "complete/ranks.json", "--out", "again")
			if got := read("again/results.json"); got.Parameters != then.Parameters {
				t.Errorf("trained at the ranks of then, the adapter has %d parameters, had %d", got.Parameters.Adapter, then.Parameters.Adapter)
			}
		})
	}
}
