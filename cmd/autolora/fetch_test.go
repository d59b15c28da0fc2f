package main

import (
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeHub serves repositories as the Hugging Face hub does, and returns its
// address. Repositories are named "models/x" or "datasets/x".
func fakeHub(t *testing.T, repos map[string]map[string]string) string {
	t.Helper()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/api/"); ok {
			name, _, _ := strings.Cut(rest, "/revision/")
			files, ok := repos[name]
			if !ok {
				w.Header().Set("X-Error-Code", "RepoNotFound")
				http.Error(w, "not found", http.StatusNotFound)
				return
			}
			var siblings []map[string]string
			for path := range files {
				siblings = append(siblings, map[string]string{"rfilename": path})
			}
			json.NewEncoder(w).Encode(map[string]any{"sha": commit, "siblings": siblings})
			return
		}
		name, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/resolve/"+commit+"/")
		if !strings.HasPrefix(name, "datasets/") {
			name = "models/" + name
		}
		text, ok := repos[name][path]
		if !ok {
			w.Header().Set("X-Error-Code", "EntryNotFound")
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		w.Header().Set("X-Repo-Commit", commit)
		w.Header().Set("Etag", fmt.Sprintf(`"%x"`, sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(text), text))))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// filesOf returns the contents of the files in a folder.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

func TestFetch(t *testing.T) {
	hub := fakeHub(t, map[string]map[string]string{
		"models/someone/tiny": filesOf(t, tinyModel(t)),
		"datasets/nyu-mll/glue": {
			"sst2/train-00000-of-00001.parquet": "PAR1 train", "sst2/validation-00000-of-00001.parquet": "PAR1 dev",
			"rte/train-00000-of-00001.parquet": "PAR1 rte",
		},
	})
	for _, tc := range []struct {
		name   string
		args   []string
		folder string // the end of what is printed
		files  []string
		failed string
	}{
		{"model", []string{"fetch", "model", "someone/tiny"}, "snapshots/0123456789abcdef0123456789abcdef01234567", []string{"config.json", "model.safetensors", "vocab.txt"}, ""},
		{"GLUE task", []string{"fetch", "data", "SST-2"}, "/sst2", []string{"train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"}, ""},
		{"part of a data set", []string{"fetch", "data", "nyu-mll/glue", "--subset", "rte"}, "/rte", []string{"train-00000-of-00001.parquet"}, ""},
		{"unknown model", []string{"fetch", "model", "someone/else"}, "", nil, "not found"},
		{"unknown part", []string{"fetch", "data", "nyu-mll/glue", "--subset", "axb"}, "", nil, "axb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := program(t, tc.args...)
			cmd.Env = append(cmd.Env, "HF_HUB_OFFLINE=0", "HF_ENDPOINT="+hub, "HF_HOME="+t.TempDir())
			got := run(t, cmd)
			if tc.failed != "" {
				if got.code != exitFailed || !strings.Contains(got.stderr, tc.failed) || got.stdout != "" {
					t.Errorf("exit code %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
				}
				return
			}
			folder := strings.TrimSuffix(got.stdout, "\n")
			if got.code != exitDone || !strings.HasSuffix(folder, tc.folder) {
				t.Fatalf("exit code %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
			}
			for _, name := range tc.files {
				if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
					t.Error(err)
				}
			}
			if !strings.HasPrefix(got.stderr, "fetch   ") {
				t.Errorf("no progress on stderr: %q", got.stderr)
			}
		})
	}
}

// TestModelFromTheHub gives a command a name in place of a folder.
func TestModelFromTheHub(t *testing.T) {
	dir := tinyModel(t)
	input := filepath.Join(t.TempDir(), "in.jsonl")
	writeFile(t, input, "{\"text\": \"a good film\"}\n")
	predict := func(model string, env ...string) outcome {
		cmd := program(t, "predict", "--model", model, "--input", input, "--max-length", "16", "--threads", "1")
		cmd.Env = append(cmd.Env, env...)
		return run(t, cmd)
	}
	home := t.TempDir()
	endpoint := "HF_ENDPOINT=" + fakeHub(t, map[string]map[string]string{"models/someone/tiny": filesOf(t, dir)})
	want := predict(dir)
	first := predict("someone/tiny", "HF_HUB_OFFLINE=0", endpoint, "HF_HOME="+home)
	again := predict("someone/tiny", "HF_HUB_OFFLINE=1", "HF_HOME="+home)
	if want.code != exitDone || first.stdout != want.stdout || again.stdout != want.stdout {
		t.Errorf("from a folder %+v, from the hub %+v, from the cache %+v", want, first, again)
	}
	if !strings.Contains(first.stderr, "fetch   ") || strings.Contains(again.stderr, "fetch   ") {
		t.Errorf("progress of the first time %q, of the second %q", first.stderr, again.stderr)
	}
}
