package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// fakeHub answers as the hub does: listings, HEAD requests with the sums, large files by a redirect to another host.
type fakeHub struct {
	*httptest.Server
	store *httptest.Server // holds the large files

	mu        sync.Mutex
	revisions map[string]string            // "models/org/name@main" → commit
	files     map[string]map[string][]byte // "models/org/name@commit" → path → content
	requests  []string                     // "METHOD path", of both servers
	storeAuth []string                     // Authorization headers that the store got

	// refuse, if set, may answer a request to the hub itself and then returns true.
	refuse func(w http.ResponseWriter, r *http.Request) bool
	// deliver, if set, sends a large file in place of the store; n counts from 1 over all files.
	deliver func(w http.ResponseWriter, r *http.Request, n int, content []byte)
	sent    int
}

func newFakeHub(t *testing.T) *fakeHub {
	h := &fakeHub{revisions: map[string]string{}, files: map[string]map[string][]byte{}}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serveHub))
	h.store = httptest.NewServer(http.HandlerFunc(h.serveStore))
	t.Cleanup(h.Server.Close)
	t.Cleanup(h.store.Close)
	return h
}

// add puts files at a commit that the revision points to.
func (h *fakeHub) add(repo, revision, commit string, files map[string][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revisions[repo+"@"+revision] = commit
	h.revisions[repo+"@"+commit] = commit
	h.files[repo+"@"+commit] = files
}

// client returns a client of the hub with an empty cache folder.
func (h *fakeHub) client(t *testing.T) *Client {
	return &Client{
		Endpoint: h.URL, CacheDir: t.TempDir(), HTTP: h.Client(), pause: time.Millisecond,
		AnswerTimeout: 30 * time.Second, ReadTimeout: 30 * time.Second,
	}
}

func large(path string) bool {
	return slices.Contains([]string{".safetensors", ".parquet", ".bin"}, filepath.Ext(path))
}

func (h *fakeHub) serveHub(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, r.Method+" "+r.URL.Path)
	h.mu.Unlock()
	if h.refuse != nil && h.refuse(w, r) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/"); ok {
		name, revision, _ := strings.Cut(rest, "/revision/")
		commit, ok := h.revisions[name+"@"+revision]
		if !ok {
			w.Header().Set("X-Error-Code", "RepoNotFound")
			if _, known := h.revisions[name+"@main"]; known {
				w.Header().Set("X-Error-Code", "RevisionNotFound")
			}
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		type sibling struct {
			Name string `json:"rfilename"`
		}
		var siblings []sibling
		for path := range h.files[name+"@"+commit] {
			siblings = append(siblings, sibling{path})
		}
		slices.SortFunc(siblings, func(a, b sibling) int { return strings.Compare(a.Name, b.Name) })
		json.NewEncoder(w).Encode(map[string]any{"sha": commit, "siblings": siblings})
		return
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/resolve/")
	commit, path, _ := strings.Cut(rest, "/")
	if !strings.HasPrefix(name, "datasets/") {
		name = "models/" + name
	}
	content, ok := h.files[name+"@"+commit][path]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	if large(path) {
		w.Header().Set("X-Linked-Etag", fmt.Sprintf(`"%x"`, sha256.Sum256(content)))
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(content)))
		http.Redirect(w, r, h.store.URL+"/"+name+"@"+commit+"?path="+path, http.StatusFound)
		return
	}
	w.Header().Set("Etag", fmt.Sprintf(`W/"%x"`, gitSum(content)))
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
}

func (h *fakeHub) serveStore(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, r.Method+" store "+r.URL.Query().Get("path")+" "+r.Header.Get("Range"))
	h.storeAuth = append(h.storeAuth, r.Header.Get("Authorization"))
	h.sent++
	n := h.sent
	content := h.files[strings.TrimPrefix(r.URL.Path, "/")][r.URL.Query().Get("path")]
	h.mu.Unlock()
	if h.deliver != nil {
		h.deliver(w, r, n, content)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
}

// seen returns the requests that contain the text.
func (h *fakeHub) seen(text string) (found []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.requests {
		if strings.Contains(r, text) {
			found = append(found, r)
		}
	}
	return found
}

func gitSum(content []byte) [sha1.Size]byte {
	return sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(content)), content...))
}

func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// tinyModel is a repository with more files than a model needs.
func tinyModel() map[string][]byte {
	return map[string][]byte{
		"config.json":               []byte(`{"model_type": "bert"}`),
		"tokenizer.json":            []byte(`{"version": "1.0"}`),
		"vocab.txt":                 []byte("[PAD]\n"),
		"model.safetensors":         noise(1<<20, 1),
		"pytorch_model.bin":         noise(1000, 2),
		"onnx/model.onnx":           noise(1000, 3),
		"openvino/model.safetensor": noise(1000, 4),
		"README.md":                 []byte("# tiny"),
	}
}

// wantFiles checks that dir holds exactly these files of the repository.
func wantFiles(t *testing.T, dir string, files map[string][]byte, names ...string) {
	t.Helper()
	var got []string
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			got = append(got, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Fatalf("%s holds %q, want %q", dir, got, names)
	}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		if string(content) != string(files[name]) {
			t.Errorf("%s: %d bytes that differ from the hub's %d", name, len(content), len(files[name]))
		}
	}
}

// cut sends the first n bytes of what is asked for and then drops the connection.
func cut(w http.ResponseWriter, r *http.Request, content []byte, n int) {
	from := 0
	if rng := r.Header.Get("Range"); rng != "" {
		fmt.Sscanf(rng, "bytes=%d-", &from)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	}
	w.Write(content[from:min(from+n, len(content))])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}
