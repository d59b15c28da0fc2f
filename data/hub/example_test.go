package hub_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"autolora/data/hub"
)

// A model that is in the cache, under whatever program fetched it, needs no
// request.
func ExampleClient_Resolve() {
	cache, err := os.MkdirTemp("", "hub")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(cache)
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for name, text := range map[string]string{
		"refs/main":                                  commit,
		"snapshots/" + commit + "/config.json":       "{}",
		"snapshots/" + commit + "/tokenizer.json":    "{}",
		"snapshots/" + commit + "/model.safetensors": "",
	} {
		path := filepath.Join(cache, "models--org--tiny", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}

	client := &hub.Client{CacheDir: cache, Offline: true}
	for _, model := range []string{"org/tiny", "org/other"} {
		dir, err := client.Resolve(context.Background(), model, nil)
		fmt.Println(filepath.Base(dir), err != nil)
	}
	// Output:
	// 0123456789abcdef0123456789abcdef01234567 false
	// . true
}
