package hub

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNameOf(t *testing.T) {
	cache := t.TempDir()
	of := func(parts ...string) string {
		dir := filepath.Join(append([]string{cache}, parts...)...)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	current, earlier := of("models--org--name", "snapshots", "c0ffee"), of("models--org--name", "snapshots", "abad1dea")
	single, plain := of("models--name", "snapshots", "c0ffee"), of("models", "name")
	if err := os.WriteFile(filepath.Join(of("models--org--name", "refs"), "main"), []byte("c0ffee\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(cache, "link")
	if err := os.Symlink(current, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ model, name, revision string }{
		{"org/name", "org/name", ""},
		{"name", "name", ""},
		{"org/name@v1", "org/name", "v1"},
		{current, "org/name", ""},
		{current + "/", "org/name", ""},
		{link, "org/name", ""},
		{earlier, "org/name", "abad1dea"},
		{single, "name", "c0ffee"},
		{plain, plain, ""},
		{filepath.Dir(current), filepath.Dir(current), ""},
		{"", "", ""},
	} {
		if name, revision := NameOf(c.model); name != c.name || revision != c.revision {
			t.Errorf("%q: %q at %q, want %q at %q", c.model, name, revision, c.name, c.revision)
		}
	}
}
