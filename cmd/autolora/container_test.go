package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Dockerfile.cuda copies what exists and what .dockerignore lets through, builds with go.mod's Go on the Debian that the
// image has, and takes along every library that fetch_libtorch.sh fetches.
func TestDockerfile(t *testing.T) {
	dockerfile := readRoot(t, "Dockerfile.cuda")
	var sources, libraries []string
	for line := range strings.Lines(dockerfile) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "COPY" {
			continue
		}
		for _, source := range words[1 : len(words)-1] {
			switch {
			case strings.HasPrefix(source, "--from="):
			case path.IsAbs(source): // of another stage
				libraries = append(libraries, path.Base(source))
			default:
				sources = append(sources, source)
			}
		}
	}

	var kept []string // by .dockerignore
	for line := range strings.Lines(readRoot(t, ".dockerignore")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			kept = append(kept, name)
		}
	}
	packages, err := filepath.Glob(filepath.Join("..", "..", "*", "*.go"))
	if err != nil || len(packages) == 0 {
		t.Fatal(packages, err)
	}
	for _, file := range packages {
		if folder := filepath.Base(filepath.Dir(file)); !slices.Contains(sources, folder) {
			t.Errorf("Dockerfile.cuda: no COPY takes %s", folder)
		}
	}
	slices.Sort(kept)
	whole := slices.DeleteFunc(slices.Sorted(slices.Values(sources)), func(source string) bool { // a part of another, for a layer of its own
		return slices.ContainsFunc(sources, func(of string) bool { return strings.HasPrefix(source, of+"/") })
	})
	if !slices.Equal(whole, kept) {
		t.Errorf("Dockerfile.cuda copies %q, .dockerignore keeps %q", whole, kept)
	}
	for _, source := range sources {
		if _, err := os.Stat(filepath.Join("..", "..", source)); err != nil {
			t.Errorf("Dockerfile.cuda: COPY: %v", err)
		}
	}

	submatch := func(file, pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(readRoot(t, file))
		if m == nil {
			t.Fatalf("%s: nothing matches %s", file, pattern)
		}
		return m[1]
	}
	if image, want := submatch("Dockerfile.cuda", `\nARG GO_IMAGE=golang:(\d+\.\d+)\.\d+-bookworm\n`), submatch("go.mod", `\ngo (\d+\.\d+)`); image != want {
		t.Errorf("Dockerfile.cuda builds with Go %s, go.mod says %s", image, want)
	}
	submatch("Dockerfile.cuda", `\nARG BASE_IMAGE=debian:(12\.\d+)-slim\n`) // bookworm too

	fetched := regexp.MustCompile(`\blib\w+`).FindAllString(submatch("scripts/fetch_libtorch.sh", `\nCUDA_LIBS="([^"]*)"`), -1)
	for _, name := range append(fetched, "libtorch_cpu", "libc10", "libgomp", "libcudart", "libcupti") {
		copied := func(pattern string) bool {
			ok, err := path.Match(pattern, name+".so.1")
			return ok && err == nil
		}
		if !slices.ContainsFunc(libraries, copied) {
			t.Errorf("Dockerfile.cuda: no COPY takes %s", name)
		}
	}
}
