package hub

import (
	"crypto/sha256"
	"errors"
	"fmt"
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

var modelNames = []string{"config.json", "tokenizer.json", "vocab.txt", "model.safetensors"}

func TestDownloadFaults(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request, content []byte) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
	}
	tests := []struct {
		name    string
		deliver func(w http.ResponseWriter, r *http.Request, n int, content []byte)
		ranges  []string // what the store is asked for
		err     error
	}{
		{"cut twice", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			if n < 3 {
				cut(w, r, content, 300_000)
			}
			serve(w, r, content)
		}, []string{"", "bytes=300000-", "bytes=600000-"}, nil},
		{"more cuts than tries, each with some progress", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			cut(w, r, content, 100_000)
		}, []string{"", "bytes=100000-", "bytes=200000-", "bytes=300000-", "bytes=400000-", "bytes=500000-", "bytes=600000-",
			"bytes=700000-", "bytes=800000-", "bytes=900000-", "bytes=1000000-"}, nil},
		{"server without ranges", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			r.Header.Del("Range")
			if n == 1 {
				cut(w, r, content, 300_000)
			}
			serve(w, r, content)
		}, []string{"", "bytes=300000-"}, nil},
		{"range refused", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			switch n {
			case 1:
				cut(w, r, content, 300_000)
			case 2:
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			default:
				serve(w, r, content)
			}
		}, []string{"", "bytes=300000-", ""}, nil},
		{"busy", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			if n < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			serve(w, r, content)
		}, []string{"", "", ""}, nil},
		{"broken for good", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			w.WriteHeader(http.StatusBadGateway)
		}, []string{"", "", "", "", ""}, errAny},
		{"forbidden", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			w.WriteHeader(http.StatusForbidden)
		}, []string{""}, ErrAccess},
		{"wrong content", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			serve(w, r, noise(len(content), 99))
		}, []string{""}, ErrChecksum},
		{"longer than told", func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
			serve(w, r, append(slices.Clip(content), 'x'))
		}, []string{""}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newFakeHub(t)
			files := tinyModel()
			h.add("models/org/tiny", "main", commitA, files)
			h.deliver = test.deliver
			c := h.client(t)
			var done int64
			dir, err := c.Model(t.Context(), "org/tiny", "", func(p Progress) { done = p.Done })
			var ranges []string
			for _, r := range h.seen("GET store") {
				ranges = append(ranges, strings.TrimPrefix(r, "GET store model.safetensors "))
			}
			if !slices.Equal(ranges, test.ranges) {
				t.Errorf("ranges %q, want %q", ranges, test.ranges)
			}
			if test.err != nil {
				if err == nil || (test.err != errAny && !errors.Is(err, test.err)) || !strings.Contains(err.Error(), "model.safetensors") {
					t.Errorf("got %v, want %v that names the file", err, test.err)
				}
				if cached, _ := c.cachedWhole(repo{"models", "org/tiny", "main"}, Model); cached != "" {
					t.Errorf("the model counts as fetched: %s", cached)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, files, modelNames...)
			total := int64(0)
			for _, name := range modelNames {
				total += int64(len(files[name]))
			}
			if done != total {
				t.Errorf("progress ends at %d, want %d", done, total)
			}
		})
	}
}

var errAny = errors.New("any error")

// TestResumeOfAnEarlierRun starts with what a killed process left: a good part, a spoilt one, one that is too long.
func TestResumeOfAnEarlierRun(t *testing.T) {
	content := tinyModel()["model.safetensors"]
	spoilt := slices.Clone(content[:5000])
	spoilt[17] ^= 1
	tests := []struct {
		name   string
		left   []byte
		ranges []string
	}{
		{"good part", content[:5000], []string{"bytes=5000-"}},
		{"spoilt part", spoilt, []string{"bytes=5000-", ""}},
		{"all of it", content, nil},
		{"too long", append(slices.Clip(content), 'x'), []string{""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newFakeHub(t)
			files := tinyModel()
			h.add("models/org/tiny", "main", commitA, files)
			c := h.client(t)
			f, err := c.describe(t.Context(), repo{"models", "org/tiny", "main"}, commitA, "model.safetensors")
			if err != nil {
				t.Fatal(err)
			}
			blobs := filepath.Join(c.CacheDir, "models--org--tiny", "blobs")
			if err := os.MkdirAll(blobs, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(blobs, f.etag+".incomplete"), test.left, 0o644); err != nil {
				t.Fatal(err)
			}
			dir, err := c.Model(t.Context(), "org/tiny", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, files, modelNames...)
			var ranges []string
			for _, r := range h.seen("GET store") {
				ranges = append(ranges, strings.TrimPrefix(r, "GET store model.safetensors "))
			}
			if !slices.Equal(ranges, test.ranges) {
				t.Errorf("ranges %q, want %q", ranges, test.ranges)
			}
		})
	}
}

func TestSilentServer(t *testing.T) {
	h := newFakeHub(t)
	files := tinyModel()
	h.add("models/org/tiny", "main", commitA, files)
	h.deliver = func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
		if n == 1 { // some bytes, then nothing more, on a connection that stays open
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:1000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
	}
	c := h.client(t)
	c.ReadTimeout = time.Second
	dir, err := c.Model(t.Context(), "org/tiny", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, files, modelNames...)
	if got := h.seen("bytes=1000-"); len(got) != 1 {
		t.Errorf("the download was not resumed where it stood still: %q", h.seen("GET store"))
	}

	h.refuse = func(w http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	c = h.client(t)
	c.AnswerTimeout = 10 * time.Millisecond
	if _, err := c.Model(t.Context(), "org/tiny", "", nil); err == nil || !strings.Contains(err.Error(), "no answer for 10ms") {
		t.Errorf("got %v, want a time-out", err)
	}
}

// TestTokenStaysAtTheHub: the store is another origin, by its port alone.
func TestTokenStaysAtTheHub(t *testing.T) {
	h := newFakeHub(t)
	h.add("models/org/tiny", "main", commitA, tinyModel())
	var without []string
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Bearer secret" {
			without = append(without, r.URL.Path)
		}
		return false
	}
	c := h.client(t)
	c.Token = "secret"
	if _, err := c.Model(t.Context(), "org/tiny", "", nil); err != nil {
		t.Fatal(err)
	}
	if len(without) > 0 {
		t.Errorf("requests to the hub without the token: %q", without)
	}
	if len(h.storeAuth) == 0 || slices.ContainsFunc(h.storeAuth, func(v string) bool { return v != "" }) {
		t.Errorf("the store got Authorization headers %q, want one empty one", h.storeAuth)
	}
}

// TestRedirectWithinTheHub: a renamed repository answers HEAD requests by a redirect to its new name.
func TestRedirectWithinTheHub(t *testing.T) {
	h := newFakeHub(t)
	files := tinyModel()
	h.add("models/org/new", "main", commitA, files)
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/old/") {
			return false
		}
		http.Redirect(w, r, strings.Replace(r.URL.Path, "/old/", "/new/", 1), http.StatusTemporaryRedirect)
		return true
	}
	dir, err := h.client(t).Model(t.Context(), "org/old", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, files, modelNames...)
	if !strings.Contains(dir, "models--org--old") {
		t.Errorf("folder %s, want it under the name that was asked for", dir)
	}
}

func TestConcurrentFetches(t *testing.T) {
	h := newFakeHub(t)
	files := tinyModel()
	h.add("models/org/tiny", "main", commitA, files)
	c := h.client(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			other := *c // as another process: only the folder is shared
			dir, err := other.Model(t.Context(), "org/tiny", "", nil)
			if err != nil {
				t.Error(err)
				return
			}
			if err := complete(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := h.seen("GET store"); len(got) != 1 {
		t.Errorf("the weights were sent %d times, want once", len(got))
	}
	wantFiles(t, filepath.Join(c.CacheDir, "models--org--tiny", "snapshots", commitA), files, modelNames...)
	left, _ := filepath.Glob(filepath.Join(c.CacheDir, "models--org--tiny", "blobs", "*.incomplete"))
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestUnwritableCache(t *testing.T) {
	h := newFakeHub(t)
	h.add("models/org/tiny", "main", commitA, tinyModel())
	c := h.client(t)
	c.CacheDir = filepath.Join(c.CacheDir, "file", "hub")
	if err := os.WriteFile(filepath.Dir(c.CacheDir), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Model(t.Context(), "org/tiny", "", nil); err == nil || !strings.Contains(err.Error(), "HF_HOME") {
		t.Errorf("got %v, want an error that says what to set", err)
	}
}

// TestDiskFull: a file larger than the disk is refused before a byte of it is asked for; /dev/full is a disk that
// fills while it is written to.
func TestDiskFull(t *testing.T) {
	h := newFakeHub(t)
	h.add("models/org/tiny", "main", commitA, tinyModel())
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead {
			return false
		}
		w.Header().Set("X-Linked-Etag", `"`+strings.Repeat("a", 64)+`"`)
		w.Header().Set("X-Linked-Size", "4000000000000000")
		w.WriteHeader(http.StatusOK)
		return true
	}
	_, err := h.client(t).Model(t.Context(), "org/tiny", "", nil)
	if !errors.Is(err, ErrDiskFull) {
		t.Errorf("got %v, want %v", err, ErrDiskFull)
	}
	if got := h.seen("GET store"); len(got) > 0 {
		t.Errorf("asked for %q", got)
	}

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full on this system")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(noise(1000, 1)) }))
	defer server.Close()
	d := download{client: h.client(t), out: full, advance: func(int64) {}, sum: sha256.New(),
		file: file{path: "model.safetensors", url: server.URL, etag: "abc", size: 1000}}
	defer d.out.Close()
	err = d.explain(repo{"models", "org/tiny", "main"}, d.fetch(t.Context()))
	if !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "HF_HOME") {
		t.Errorf("got %v, want %v that says what to set", err, ErrDiskFull)
	}
}
