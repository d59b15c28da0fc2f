package hub_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"autolora/data/hub"
)

// A hub with one model, which is fetched once; after that its name needs no network.
func Example() {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	files := map[string]string{"config.json": `{"model_type": "bert"}`, "tokenizer.json": "{}", "model.safetensors": "weights", "README.md": "# Tiny"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/models/org/tiny/revision/main" {
			fmt.Fprintf(w, `{"sha": %q, "siblings": [`, commit)
			fmt.Fprint(w, `{"rfilename": "config.json"}, {"rfilename": "tokenizer.json"}, {"rfilename": "model.safetensors"}, {"rfilename": "README.md"}]}`)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/org/tiny/resolve/"+commit+"/")
		text := files[name]
		w.Header().Set("Etag", fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(text)))) // by which the file is checked
		fmt.Fprint(w, text)
	}))
	cache, err := os.MkdirTemp("", "hub")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(cache)

	client := &hub.Client{Endpoint: server.URL, CacheDir: cache}
	if _, err := client.Model(context.Background(), "org/tiny", "", nil); err != nil {
		log.Fatal(err)
	}
	server.Close()

	dir, err := client.Resolve(context.Background(), hub.Model, "org/tiny", nil)
	if err != nil {
		log.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		log.Fatal(err)
	}
	for _, path := range found {
		content, err := os.ReadFile(path)
		fmt.Println(filepath.Base(path), len(content), err)
	}
	// Output:
	// config.json 22 <nil>
	// model.safetensors 7 <nil>
	// tokenizer.json 2 <nil>
}
