package data

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	parquetgo "github.com/parquet-go/parquet-go"
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

// TestEqualRows reads a small parquet file of many equal rows: the text that they share is in memory once.
func TestEqualRows(t *testing.T) {
	type row struct {
		Text  string `parquet:"text,dict"`
		Label int64  `parquet:"label,dict"`
	}
	const n = 50_000
	text := strings.Repeat("good film ", 1000)
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{text, int64(i % 2)}
	}
	var b bytes.Buffer
	w := parquetgo.NewGenericWriter[row](&b, parquetgo.Compression(&parquetgo.Zstd))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := write(t, "train.parquet", b.String())
	before := allocs()
	s, err := FileTask{Kind: Classification, Train: file, Text: []string{"text"}, Label: "label"}.Load()
	if err != nil || s.Train.Len() != n || s.Train.Examples[n-1].Text != text {
		t.Fatal(s, err)
	}
	if got := (allocs() - before) / n; got > 400 { // the texts themselves are 10,000 bytes a row
		t.Errorf("%d bytes a row in a file of %d", got, b.Len())
	}
}
