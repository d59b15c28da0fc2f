// Package datatest reads what tests compare with: stored values, and data and models that are too large for the repository
// or not ours to ship.
package datatest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Unpack unpacks an archive of the developers' folder, or those members of it, into a new folder, and returns it. Where
// the archive is not there the test is skipped. The folder is that of AUTOLORA_SHARED, else shared beside the checkout.
func Unpack(tb testing.TB, archive string, members ...string) string {
	tb.Helper()
	archive = filepath.Join(shared(tb), filepath.FromSlash(archive))
	if _, err := os.Stat(archive); err != nil {
		tb.Skipf("needs the developers' folder (AUTOLORA_SHARED): %v", err)
	}
	if _, err := exec.LookPath("xz"); err != nil {
		tb.Skipf("cannot unpack %s: %v", archive, err)
	}
	dir := tb.TempDir()
	if out, err := exec.Command("tar", append([]string{"-xJf", archive, "-C", dir}, members...)...).CombinedOutput(); err != nil {
		tb.Fatalf("unpack %s: %v: %s", archive, err, bytes.TrimSpace(out))
	}
	return dir
}

// Golden unpacks a part of the outputs of the official scoring scripts, and returns its folder.
func Golden(tb testing.TB, part string) string {
	tb.Helper()
	return filepath.Join(Unpack(tb, "metrics/golden.tar.xz", "dev/"+part), "dev", filepath.FromSlash(part))
}

// ReadJSON reads the stored values of a package's test, JSON in a file.json.gz, into v.
func ReadJSON(tb testing.TB, path string, v any) {
	tb.Helper()
	file, err := os.Open(filepath.FromSlash(path))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	if err := json.NewDecoder(text).Decode(v); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
}

func shared(tb testing.TB) string {
	if dir := os.Getenv("AUTOLORA_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd() // of a test, its package's folder
	if err != nil {
		tb.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	return filepath.Join(filepath.Dir(dir), "shared")
}
