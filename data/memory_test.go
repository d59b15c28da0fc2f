package data

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestBytesPerRow holds what the rows of a file take in memory, beside their texts, to what examples are.
func TestBytesPerRow(t *testing.T) {
	const rows, text = 50_000, 60
	var lines strings.Builder
	for i := range rows {
		fmt.Fprintf(&lines, "{\"text\": \"%0*d\", \"label\": %d}\n", text, i, i%2)
	}
	file := filepath.Join(t.TempDir(), "train.jsonl")
	if err := os.WriteFile(file, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	lines.Reset()
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	before := inUse()
	s, err := FileTask{Kind: Classification, Train: file, Text: []string{"text"}, Label: "label"}.Load()
	if err != nil {
		t.Fatal(err)
	}
	const most = 200 // a text of 60 bytes in 64, an example in 96
	if got := (inUse() - before) / rows; got > most {
		t.Errorf("%d bytes a row, want at most %d", got, most)
	}
	runtime.KeepAlive(s)
}
