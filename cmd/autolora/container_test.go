package main

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An archive of make dist takes along every library that fetch_libtorch.sh fetches, and marks those that only CUDA needs;
// the image is made of an archive and of nothing else.
func TestPacked(t *testing.T) {
	packed := map[string][]string{} // patterns of libraries, by what has them
	for line := range strings.Lines(readRoot(t, "scripts/dist_files.txt")) {
		words := append(strings.Fields(line), "")
		if strings.HasPrefix(words[0], "third_party/lib/") && words[1] == "lib" {
			packed[words[2]] = append(packed[words[2]], path.Base(words[0]))
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
	libraries := regexp.MustCompile(`\blib[\w-]+\.so[.\d]*`)
	for archive, names := range map[string][]string{
		"":     {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"},
		"cuda": libraries.FindAllString(submatch("scripts/fetch_libtorch.sh", `\nCUDA_LIBS="([^"]*)"`), -1),
	} {
		if names == nil {
			t.Fatal("fetch_libtorch.sh fetches no library of CUDA")
		}
		for _, name := range names {
			if !slices.ContainsFunc(packed[archive], func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }) {
				t.Errorf("dist_files.txt: nothing takes %s into the archive %q", name, archive)
			}
		}
	}

	var copied []string
	for line := range strings.Lines(readRoot(t, "Dockerfile")) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == "COPY" && !strings.HasPrefix(words[1], "--from=") {
			copied = append(copied, words[1:len(words)-1]...)
		}
	}
	if kept := submatch(".dockerignore", `\n!(.*)\n$`); !slices.Equal(copied, []string{kept + "/${ARCHIVE}"}) {
		t.Errorf("Dockerfile copies %q, .dockerignore keeps %q", copied, kept)
	}
	submatch("Dockerfile", `\nARG BASE_IMAGE=debian:(12\.\d+)-slim\n`)
}
