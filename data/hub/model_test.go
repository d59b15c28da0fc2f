package hub

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data"
)

func TestModelLayout(t *testing.T) {
	h := newFakeHub(t)
	files := tinyModel()
	h.add("models/org/tiny", "main", commitA, files)
	c := h.client(t)
	var last Progress
	dir, err := c.Model(t.Context(), "org/tiny", "", func(p Progress) {
		if p.Done < last.Done || p.Total < last.Total {
			t.Errorf("progress went back from %+v to %+v", last, p)
		}
		last = p
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(c.CacheDir, "models--org--tiny", "snapshots", commitA); dir != want {
		t.Errorf("folder %s, want %s", dir, want)
	}
	wantFiles(t, dir, files, "config.json", "tokenizer.json", "vocab.txt", "model.safetensors")
	if ref, err := os.ReadFile(filepath.Join(c.CacheDir, "models--org--tiny", "refs", "main")); err != nil || string(ref) != commitA {
		t.Errorf("refs/main is %q (%v), want %q", ref, err, commitA)
	}
	target, err := os.Readlink(filepath.Join(dir, "config.json"))
	if err != nil || !strings.HasPrefix(target, "../../blobs/") {
		t.Errorf("config.json links to %q (%v), want ../../blobs/...", target, err)
	}
	want := int64(0)
	for _, name := range []string{"config.json", "tokenizer.json", "vocab.txt", "model.safetensors"} {
		want += int64(len(files[name]))
	}
	if last.Done != want || last.Total != want {
		t.Errorf("last progress %+v, want %d of %d", last, want, want)
	}
	if bad := h.seen("pytorch_model.bin"); len(bad) > 0 {
		t.Errorf("the pickle was asked for: %q", bad)
	}
}

func TestModelFetchesOnlyWhatIsNew(t *testing.T) {
	h := newFakeHub(t)
	files := tinyModel()
	h.add("models/org/tiny", "main", commitA, files)
	c := h.client(t)
	if _, err := c.Model(t.Context(), "org/tiny", "", nil); err != nil {
		t.Fatal(err)
	}
	next := tinyModel()
	next["config.json"] = []byte(`{"model_type": "roberta"}`)
	h.add("models/org/tiny", "main", commitB, next)
	dir, err := c.Model(t.Context(), "org/tiny", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(dir) != commitB {
		t.Errorf("folder %s, want the new commit's", dir)
	}
	wantFiles(t, dir, next, "config.json", "tokenizer.json", "vocab.txt", "model.safetensors")
	if got := h.seen("store model.safetensors"); len(got) != 1 {
		t.Errorf("the weights were sent %d times, want once: %q", len(got), got)
	}
	// The old commit is still there, and by its own name costs no request.
	before := len(h.seen(""))
	old, err := c.Model(t.Context(), "org/tiny", commitA, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, old, files, "config.json", "tokenizer.json", "vocab.txt", "model.safetensors")
	if n := len(h.seen("")); n != before {
		t.Errorf("a cached commit cost %d requests", n-before)
	}
}

func TestModelFileChoice(t *testing.T) {
	tests := []struct {
		name   string
		listed []string
		want   []string
		err    error
		says   string
	}{
		{"single", []string{"config.json", "model.safetensors", "model.fp16.safetensors", "tokenizer.json", "tf_model.h5"},
			[]string{"config.json", "tokenizer.json", "model.safetensors"}, nil, ""},
		{"single before shards", []string{"config.json", "model.safetensors", "model-00001-of-00001.safetensors", "model.safetensors.index.json"},
			[]string{"config.json", "model.safetensors"}, nil, ""},
		{"sentencepiece", []string{"config.json", "model.safetensors", "tokenizer.model"}, []string{"config.json", "tokenizer.model", "model.safetensors"}, nil, ""},
		{"DeBERTa's", []string{"config.json", "model.safetensors", "spm.model"}, []string{"config.json", "spm.model", "model.safetensors"}, nil, ""},
		{"shards", []string{"config.json", "consolidated.safetensors", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "vocab.json", "merges.txt"},
			[]string{"config.json", "vocab.json", "merges.txt", "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}, nil, ""},
		{"adapter", []string{"adapter_config.json", "adapter_model.safetensors", "README.md"},
			[]string{"adapter_config.json", "adapter_model.safetensors"}, nil, ""},
		{"all of a tokenizer", slices.Concat([]string{"config.json", "model.safetensors", OriginFile}, data.TokenizerFiles),
			slices.Concat([]string{"config.json", OriginFile}, data.TokenizerFiles, []string{"model.safetensors"}), nil, ""},
		{"weights in a folder", []string{"config.json", "onnx/model.safetensors"}, nil, ErrNoSafetensors, "none at all"},
		{"pickle", []string{"config.json", "pytorch_model.bin"}, nil, ErrNoSafetensors, "only pytorch_model.bin"},
		{"no config", []string{"model.safetensors"}, nil, ErrNotFound, "config.json"},
		{"nothing", nil, nil, ErrNotFound, "config.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := modelFiles(test.listed)
			if !errors.Is(err, test.err) || !slices.Equal(got, test.want) {
				t.Fatalf("got %q, %v; want %q, %v", got, err, test.want, test.err)
			}
			if err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
		})
	}
}

func TestModelShards(t *testing.T) {
	h := newFakeHub(t)
	files := map[string][]byte{
		"config.json":                      []byte(`{}`),
		"vocab.txt":                        []byte("[PAD]\n"),
		"model.safetensors.index.json":     []byte(`{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}`),
		"model-00001-of-00002.safetensors": noise(1000, 1),
		"model-00002-of-00002.safetensors": noise(1000, 2),
	}
	h.add("models/big", "main", commitA, files)
	c := h.client(t)
	dir, err := c.Resolve(t.Context(), Model, "big", nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"config.json", "vocab.txt", "model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
	wantFiles(t, dir, files, names...)

	delete(files, "model-00002-of-00002.safetensors")
	if _, err := h.client(t).Resolve(t.Context(), Model, "big", nil); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "model-00002-of-00002.safetensors") {
		t.Errorf("a repository without its second shard: %v", err)
	}
	// A shard that was removed from the cache makes the model incomplete: it is fetched again.
	files["model-00002-of-00002.safetensors"] = noise(1000, 2)
	if err := os.Remove(filepath.Join(dir, "model-00002-of-00002.safetensors")); err != nil {
		t.Fatal(err)
	}
	if dir, err = c.Resolve(t.Context(), Model, "big", nil); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, files, names...)
}

func TestResolve(t *testing.T) {
	h := newFakeHub(t)
	h.add("models/org/tiny", "main", commitA, tinyModel())
	h.add("models/org/tiny", "refs/pr/1", commitB, tinyModel())
	c := h.client(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "weights.bin")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Resolve(t.Context(), Model, folder, nil); got != folder || err != nil {
		t.Errorf("a folder: %q, %v", got, err)
	}
	for _, name := range []string{"org/tiny", "org/tiny@main", "org/tiny@refs/pr/1"} {
		first, err := c.Resolve(t.Context(), Model, name, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := len(h.seen(""))
		second, err := c.Resolve(t.Context(), Model, name, nil)
		if err != nil || second != first {
			t.Errorf("%s again: %q, %v; want %q", name, second, err, first)
		}
		if n := len(h.seen("")); n != before {
			t.Errorf("%s again cost %d requests, want none", name, n-before)
		}
	}
	offline := *c
	offline.Offline = true
	if dir, err := offline.Resolve(t.Context(), Model, "org/tiny", nil); err != nil || filepath.Base(dir) != commitA {
		t.Errorf("offline, cached: %q, %v", dir, err)
	}
	empty := *h.client(t)
	empty.Offline = true

	bad := []struct {
		name, model string
		client      *Client
		err         error
		says        string
	}{
		{"file", file, c, nil, "want a folder"},
		{"missing path", "./no/such/folder", c, nil, "no such folder"},
		{"absolute path", filepath.Join(folder, "none"), c, nil, "no such folder"},
		{"path out of the cache", "..", &empty, nil, "want a folder"},
		{"name out of the cache", "../../x", c, nil, "not a name on the hub"},
		{"revision out of the cache", "org/tiny@../../x", c, nil, "not a revision"},
		{"empty", "", c, nil, "not a name on the hub"},
		{"offline", "org/tiny", &empty, ErrOffline, "HF_HUB_OFFLINE"},
		{"unknown", "org/unknown", c, ErrNotFound, "HF_TOKEN"},
		{"unknown revision", "org/tiny@v9", c, ErrNotFound, `revision "v9"`},
	}
	for _, test := range bad {
		t.Run(test.name, func(t *testing.T) {
			dir, err := test.client.Resolve(t.Context(), Model, test.model, nil)
			if test.model == ".." {
				if err != nil || dir != ".." { // a folder like any other
					t.Errorf("got %q, %v", dir, err)
				}
				return
			}
			if err == nil || (test.err != nil && !errors.Is(err, test.err)) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q, %v; want an error %v that says %q", dir, err, test.err, test.says)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("error has several lines: %q", err)
			}
		})
	}
}

func TestAccessErrors(t *testing.T) {
	tests := []struct {
		name, code string
		status     int
		token      string
		err        error
		says       string
	}{
		{"gated", "GatedRepo", http.StatusForbidden, "", ErrAccess, "set HF_TOKEN"},
		{"gated, token without rights", "GatedRepo", http.StatusForbidden, "secret", ErrAccess, "token in use"},
		{"unauthorized", "", http.StatusUnauthorized, "", ErrAccess, "set HF_TOKEN"},
		{"unknown, as the hub tells strangers", "RepoNotFound", http.StatusUnauthorized, "", ErrNotFound, "check the name"},
		{"server error", "", http.StatusInternalServerError, "", nil, "500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newFakeHub(t)
			h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("X-Error-Code", test.code)
				w.WriteHeader(test.status)
				return true
			}
			c := h.client(t)
			c.Token = test.token
			_, err := c.Model(t.Context(), "org/tiny", "", nil)
			if err == nil || (test.err != nil && !errors.Is(err, test.err)) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v that says %q", err, test.err, test.says)
			}
			if test.token != "" && strings.Contains(err.Error(), test.token) {
				t.Errorf("the error shows the token: %v", err)
			}
			if entries, _ := os.ReadDir(c.CacheDir); len(entries) > 0 {
				t.Errorf("something was left in the cache: %v", entries)
			}
			want := 1
			if test.status >= 500 {
				want = tries
			}
			if n := len(h.seen("")); n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	h := newFakeHub(t)
	c := h.client(t)
	h.Server.Close()
	_, err := c.Resolve(t.Context(), Model, "org/tiny", nil)
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "HF_ENDPOINT") {
		t.Errorf("got %v, want %v that says what to set", err, ErrUnreachable)
	}
}

func TestUnsafeListing(t *testing.T) {
	for _, name := range []string{"../config.json", "/etc/config.json", "a/../../config.json", `..\config.json`, "a//config.json", "./config.json", "a/../config.json", "\x1b[2Jconfig.json", "config.json\n", "\u009bconfig.json"} {
		h := newFakeHub(t)
		h.add("models/org/tiny", "main", commitA, map[string][]byte{name: nil, "model.safetensors": nil})
		if _, err := h.client(t).Model(t.Context(), "org/tiny", "", nil); err == nil || !strings.Contains(err.Error(), "unsafe file name") {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestNewClientFromEnv(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "token"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  map[string]string
		want Client
		err  string
	}{
		{"defaults", map[string]string{"HOME": "/u"}, Client{Endpoint: defaultEndpoint, CacheDir: "/u/.cache/huggingface/hub"}, ""},
		{"xdg", map[string]string{"HOME": "/u", "XDG_CACHE_HOME": "/x"}, Client{Endpoint: defaultEndpoint, CacheDir: "/x/huggingface/hub"}, ""},
		{"no shell", map[string]string{"HOME": "/u", "HF_HOME": "~/hf"}, Client{Endpoint: defaultEndpoint, CacheDir: "/u/hf/hub"}, ""},
		{"a variable", map[string]string{"HOME": "/u", "HF_HUB_CACHE": "$HOME/models"}, Client{Endpoint: defaultEndpoint, CacheDir: "/u/models"}, ""},
		{"home and its token", map[string]string{"HF_HOME": home}, Client{Endpoint: defaultEndpoint, CacheDir: home + "/hub", Token: "from-file"}, ""},
		{"token", map[string]string{"HF_HOME": home, "HF_TOKEN": "t"}, Client{Endpoint: defaultEndpoint, CacheDir: home + "/hub", Token: "t"}, ""},
		{"all", map[string]string{"HF_HOME": home, "HF_TOKEN": "t", "HF_HUB_CACHE": "/c", "HF_ENDPOINT": "http://mirror:8080/", "HF_HUB_OFFLINE": "true"},
			Client{Endpoint: "http://mirror:8080", CacheDir: "/c", Token: "t", Offline: true}, ""},
		{"offline 0", map[string]string{"HF_HOME": home, "HF_HUB_OFFLINE": "0"}, Client{Endpoint: defaultEndpoint, CacheDir: home + "/hub", Token: "from-file"}, ""},
		{"bad endpoint", map[string]string{"HF_HOME": home, "HF_ENDPOINT": "mirror"}, Client{}, "HF_ENDPOINT"},
		{"bad timeout", map[string]string{"HF_HOME": home, "HF_HUB_ETAG_TIMEOUT": "soon"}, Client{}, "HF_HUB_ETAG_TIMEOUT"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE",
				"HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"} {
				t.Setenv(name, test.env[name])
			}
			got, err := NewClientFromEnv()
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got %v, want an error that says %q", err, test.err)
				}
				return
			}
			if err != nil || *got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	h := newFakeHub(t)
	h.add("models/org/tiny", "main", commitA, tinyModel())
	ctx, cancel := context.WithCancel(t.Context())
	h.deliver = func(w http.ResponseWriter, r *http.Request, n int, content []byte) {
		w.Write(content[:1000])
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	}
	c := h.client(t)
	if _, err := c.Model(ctx, "org/tiny", "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, err := os.Stat(filepath.Join(c.CacheDir, "models--org--tiny", "snapshots")); !os.IsNotExist(err) {
		t.Errorf("a snapshot was left: %v", err)
	}
}

// An adapter by its name: only its files, whatever else the repository holds.
func TestResolveAdapter(t *testing.T) {
	h := newFakeHub(t)
	h.add("models/org/lora", "main", commitA, map[string][]byte{
		"adapter_config.json": []byte("{}"), "adapter_model.safetensors": []byte("weights"), "config.json": []byte("{}"),
		"training_args.bin": []byte("PK"), "tokenizer.json": []byte("{}"), "README.md": []byte("a card"), OriginFile: []byte("{}"),
	})
	h.add("models/org/pickle", "main", commitA, map[string][]byte{"adapter_config.json": []byte("{}"), "adapter_model.bin": []byte("PK")})
	h.add("models/org/model", "main", commitA, map[string][]byte{"config.json": []byte("{}"), "model.safetensors": []byte("weights")})
	c := h.client(t)
	dir, err := c.Resolve(t.Context(), Adapter, "org/lora", nil)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"adapter_config.json", "adapter_model.safetensors", OriginFile}; err != nil || !slices.Equal(names, want) {
		t.Errorf("fetched %v, %v; want %v", names, err, want)
	}
	asked := len(h.requests)
	c.Offline = true
	if again, err := c.Resolve(t.Context(), Adapter, "org/lora@main", nil); again != dir || err != nil || len(h.requests) != asked {
		t.Errorf("from the cache %s, %v, %d requests; want %s and none", again, err, len(h.requests)-asked, dir)
	}
	c.Offline = false
	weights := filepath.Join(dir, "adapter_model.safetensors")
	blob, err := filepath.EvalSymlinks(weights)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), Adapter, "org/lora", nil); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(weights); string(text) != "weights" {
		t.Errorf("after its blob was removed: %q, %v", text, err)
	}
	for name, want := range map[string]string{
		"org/pickle": "never pickle", "org/model": "no adapter_config.json", "org/none": `adapter "org/none" is neither a folder nor in the cache`,
		"a/b/c": `adapter "a/b/c": no such folder`,
	} {
		if _, err := c.Resolve(t.Context(), Adapter, name, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", name, err, want)
		}
	}
	// A folder of that name goes first.
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("org/lora", 0o777); err != nil {
		t.Fatal(err)
	}
	if dir, err := c.Resolve(t.Context(), Adapter, "org/lora", nil); dir != "org/lora" || err != nil {
		t.Errorf("folder %s, %v", dir, err)
	}
}

// A configuration comes without the weights, which come when they are wanted.
func TestResolveConfig(t *testing.T) {
	h := newFakeHub(t)
	files := tinyModel()
	h.add("models/org/tiny", "main", commitA, files)
	c := h.client(t)
	dir, err := c.Resolve(t.Context(), Config, "org/tiny", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, files, "config.json")
	if whole, err := c.Resolve(t.Context(), Model, "org/tiny", nil); whole != dir || err != nil {
		t.Errorf("the whole model is in %s (%v), want %s", whole, err, dir)
	}
	wantFiles(t, dir, files, "config.json", "tokenizer.json", "vocab.txt", "model.safetensors")
}
