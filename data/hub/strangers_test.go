package hub

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mirror whose ETags are no sums of the files could give one file for another.
func TestETagsAreSums(t *testing.T) {
	for _, etag := range []string{"", "65f1c0de-3e8", "abc", "d41d8cd98f00b204e9800998ecf8427e", strings.Repeat("g", 40), strings.Repeat("a", 41), "../" + strings.Repeat("a", 37)} {
		h := newFakeHub(t)
		h.add("models/org/tiny", "main", commitA, tinyModel())
		h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/api/") {
				return false
			}
			w.Header().Set("Etag", `"`+etag+`"`)
			w.Write([]byte("{}"))
			return true
		}
		c := h.client(t)
		if _, err := c.Model(t.Context(), "org/tiny", "", nil); err == nil || !strings.Contains(err.Error(), "is no sum of the file") {
			t.Errorf("ETag %q: got %v", etag, err)
		}
		if left, _ := filepath.Glob(filepath.Join(c.CacheDir, "*")); len(left) > 0 {
			t.Errorf("ETag %q: left %q", etag, left)
		}
	}
}

// Who answers in the place of the hub, with a page for people, is found out at the first answer.
func TestElsewhere(t *testing.T) {
	page := func(status int) func(w http.ResponseWriter, r *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			io.WriteString(w, "<html><body>Please sign in</body></html>")
		}
	}
	portal := httptest.NewServer(http.HandlerFunc(page(http.StatusOK)))
	defer portal.Close()
	toPortal := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, portal.URL, http.StatusFound) }
	for _, test := range []struct {
		name     string
		from     string // of the path that is answered so
		answer   func(w http.ResponseWriter, r *http.Request)
		requests int
	}{
		{"a page for the listing", "/api/", page(http.StatusOK), 1},
		{"a redirect of the listing", "/api/", toPortal, 1},
		{"a page for a file", "/org/", page(http.StatusOK), 2},
		{"a redirect of a file", "/org/", toPortal, 2},
		{"a proxy that forbids", "/api/", page(http.StatusForbidden), 1},
		{"a proxy that forbids a file", "/org/", page(http.StatusForbidden), 2},
		{"a proxy that wants a password", "/api/", page(http.StatusProxyAuthRequired), 1},
		{"a network that wants to be signed in to", "/api/", page(http.StatusNetworkAuthenticationRequired), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newFakeHub(t)
			h.add("models/org/tiny", "main", commitA, tinyModel())
			h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasPrefix(r.URL.Path, test.from) {
					return false
				}
				test.answer(w, r)
				return true
			}
			c := h.client(t)
			_, err := c.Model(t.Context(), "org/tiny", "", nil)
			if !errors.Is(err, errElsewhere) || strings.ContainsAny(err.Error(), "<\n") || !strings.Contains(err.Error(), h.URL) {
				t.Errorf("got %v", err)
			}
			if n := len(h.seen("")); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
			if left, _ := filepath.Glob(filepath.Join(c.CacheDir, "*")); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		})
	}
}

// A sum of another kind than git's is no sum of the file either, and git's holds where the size is not told.
func TestSumsWithoutSizes(t *testing.T) {
	for _, test := range []struct {
		name string
		sum  func(content []byte) [sha1.Size]byte
		ok   bool
	}{
		{"git's", gitSum, true},
		{"of the content alone", func(content []byte) [sha1.Size]byte { return sha1.Sum(content) }, false},
		{"of another file", func([]byte) [sha1.Size]byte { return gitSum([]byte("{}")) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := tinyModel()
			h := newFakeHub(t)
			h.add("models/org/tiny", "main", commitA, files)
			h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
				name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
				if strings.HasPrefix(r.URL.Path, "/api/") {
					return false
				}
				w.Header().Set("Etag", fmt.Sprintf(`"%x"`, test.sum(files[name])))
				w.(http.Flusher).Flush() // no Content-Length
				if r.Method == http.MethodGet {
					w.Write(files[name])
				}
				return true
			}
			dir, err := h.client(t).Model(t.Context(), "org/tiny", "", nil)
			if test.ok {
				if err != nil {
					t.Fatal(err)
				}
				wantFiles(t, dir, files, "config.json", "tokenizer.json", "vocab.txt", "model.safetensors")
			} else if err == nil || !strings.Contains(err.Error(), ErrChecksum.Error()) {
				t.Errorf("got %v, want %v", err, ErrChecksum)
			}
		})
	}
}

// What others may have put into the cache leads no write out of it.
func TestLinksInTheCache(t *testing.T) {
	files := tinyModel()
	config := fmt.Sprintf("%x", gitSum(files["config.json"]))
	for _, test := range []struct {
		name  string
		plant func(t *testing.T, cache, victim string)
		ok    bool
	}{
		{"repository", func(t *testing.T, cache, victim string) { symlink(t, victim, cache, "models--org--tiny") }, false},
		{"blobs", func(t *testing.T, cache, victim string) { symlink(t, victim, cache, "models--org--tiny", "blobs") }, false},
		{"snapshots", func(t *testing.T, cache, victim string) { symlink(t, victim, cache, "models--org--tiny", "snapshots") }, false},
		{"snapshot", func(t *testing.T, cache, victim string) {
			symlink(t, victim, cache, "models--org--tiny", "snapshots", commitA)
		}, false},
		{"refs", func(t *testing.T, cache, victim string) { symlink(t, victim, cache, "models--org--tiny", "refs") }, false},
		{"locks", func(t *testing.T, cache, victim string) { symlink(t, victim, cache, ".locks") }, false},
		{"lock", func(t *testing.T, cache, victim string) {
			symlink(t, filepath.Join(victim, "mine"), cache, ".locks", "models--org--tiny", config+".lock")
		}, false},
		{"incomplete", func(t *testing.T, cache, victim string) {
			symlink(t, filepath.Join(victim, "mine"), cache, "models--org--tiny", "blobs", config+".incomplete")
		}, false},
		{"blob", func(t *testing.T, cache, victim string) { // is replaced
			symlink(t, filepath.Join(victim, "mine"), cache, "models--org--tiny", "blobs", config)
		}, true},
		{"ref", func(t *testing.T, cache, victim string) {
			symlink(t, filepath.Join(victim, "mine"), cache, "models--org--tiny", "refs", "main")
		}, true},
		{"blob of another size", func(t *testing.T, cache, victim string) {
			symlink(t, "x", cache, "models--org--tiny", "blobs", "x") // makes the folder
			if err := os.WriteFile(filepath.Join(cache, "models--org--tiny", "blobs", config), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newFakeHub(t)
			h.add("models/org/tiny", "main", commitA, files)
			c, victim := h.client(t), t.TempDir()
			if err := os.WriteFile(filepath.Join(victim, "mine"), []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			test.plant(t, c.CacheDir, victim)
			dir, err := c.Model(t.Context(), "org/tiny", "", nil)
			if test.ok && err != nil || !test.ok && (err == nil || !strings.Contains(err.Error(), " is a link")) {
				t.Errorf("got %v", err)
			}
			if err == nil {
				wantFiles(t, dir, files, "config.json", "tokenizer.json", "vocab.txt", "model.safetensors")
			}
			left, _ := os.ReadDir(victim)
			if text, err := os.ReadFile(filepath.Join(victim, "mine")); err != nil || string(text) != "mine" || len(left) != 1 {
				t.Errorf("left %q, %v: %q", text, err, left)
			}
		})
	}
	t.Run("the cache itself", func(t *testing.T) {
		h := newFakeHub(t)
		h.add("models/org/tiny", "main", commitA, files)
		c := h.client(t)
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(c.CacheDir, link); err != nil {
			t.Fatal(err)
		}
		c.CacheDir = link
		if _, err := c.Model(t.Context(), "org/tiny", "", nil); err != nil {
			t.Error(err)
		}
	})
}

// symlink makes a link below dir, and the folders that it is in.
func symlink(t *testing.T, target, dir string, names ...string) {
	t.Helper()
	path := filepath.Join(append([]string{dir}, names...)...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// Passwords and tokens are sent, and are in no message.
func TestSecrets(t *testing.T) {
	const secret = "hunter2"
	for _, endpoint := range []string{
		"http://user:hunter2@127.0.0.1:9", "http://hunter2@127.0.0.1:9/", "ftp://user:hunter2@mirror", "user:hunter2@mirror", "http://user:hunter2@mirror:port",
		"http://mirror/?token=hunter2", "http://user:hun%zzhunter2@mirror", "http://user:hunter2@",
	} {
		t.Setenv("HF_HOME", t.TempDir())
		t.Setenv("HF_ENDPOINT", endpoint)
		t.Setenv("HF_HUB_OFFLINE", "0")
		t.Setenv("HF_TOKEN", secret)
		c, err := NewClientFromEnv()
		if err == nil {
			c.pause = 1
			_, err = c.Model(t.Context(), "org/tiny", "", nil)
		}
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}

	h := newFakeHub(t)
	h.add("models/org/tiny", "main", commitA, tinyModel())
	var got []string
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		got = append(got, user+":"+password)
		return false
	}
	t.Setenv("HF_ENDPOINT", strings.Replace(h.URL, "http://", "http://user:hunter2@", 1))
	c, err := NewClientFromEnv()
	if err == nil {
		_, err = c.Model(t.Context(), "org/tiny", "", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, sent := range got {
		if sent != "user:hunter2" {
			t.Errorf("sent %q", sent)
		}
	}
	for _, sent := range h.storeAuth {
		if sent != "" {
			t.Errorf("sent %q to another host", sent)
		}
	}

	// A place that the hub redirects to, signed in its query, cannot be reached.
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || strings.HasPrefix(r.URL.Path, "/api/") {
			return false
		}
		http.Redirect(w, r, "http://user:hunter2@127.0.0.1:9/blob?X-Amz-Signature=hunter2", http.StatusFound)
		return true
	}
	c.CacheDir = t.TempDir()
	if _, err := c.Model(t.Context(), "org/tiny", "", nil); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("redirect: %v", err)
	}
}

func TestAnotherCommit(t *testing.T) {
	h := newFakeHub(t)
	h.add("models/org/tiny", "main", commitB, tinyModel())
	h.revisions["models/org/tiny@"+commitA] = commitB
	if _, err := h.client(t).Model(t.Context(), "org/tiny", commitA, nil); err == nil || !strings.Contains(err.Error(), "another than was asked for") {
		t.Errorf("got %v", err)
	}
}

// A file without size and end is given up, and nothing of it stays.
func TestNoEnd(t *testing.T) {
	h := newFakeHub(t)
	h.add("models/org/tiny", "main", commitA, tinyModel())
	h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/model.safetensors") {
			return false
		}
		w.Header().Set("Etag", `"`+strings.Repeat("a", 40)+`"`)
		w.(http.Flusher).Flush() // no Content-Length
		for r.Method == http.MethodGet {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				break
			}
		}
		return true
	}
	c := h.client(t)
	c.untold = 1 << 20
	if _, err := c.Model(t.Context(), "org/tiny", "", nil); err == nil || !strings.Contains(err.Error(), "model.safetensors: the file goes on and on") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.CacheDir, "*", "blobs", "*.incomplete")); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}
