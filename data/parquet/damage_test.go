package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	parquetgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

func TestRejected(t *testing.T) {
	whole := read(t, "required.parquet")
	replaced := func(old, new string) []byte {
		if !bytes.Contains(whole, []byte(old)) {
			t.Fatalf("the file does not contain %q", old)
		}
		return bytes.ReplaceAll(whole, []byte(old), []byte(new))
	}
	longFooter := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(longFooter[len(longFooter)-8:], 1<<31)
	tests := []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "not a parquet file: it does not begin with PAR1"},
		{"text", []byte("sentence\tlabel\nfine\t1\n"), "not a parquet file: it does not begin with PAR1"},
		{"magic alone", []byte("PAR1"), "not a parquet file: it does not begin with PAR1"},
		{"encrypted", []byte("PARE\x00\x00\x00\x00PARE"), "the parquet file is encrypted"},
		{"half a file", whole[:len(whole)/2], "the parquet file is cut off: it does not end with PAR1"},
		{"last byte missing", whole[:len(whole)-1], "the parquet file is cut off: it does not end with PAR1"},
		{"footer longer than the file", longFooter, "the parquet file is damaged: a footer of 2147483648 bytes in a file of 1060"},
		{"no footer", []byte("PAR1\x00\x00\x00\x00PAR1"), "the parquet file is damaged: footer: EOF"},
		{"empty footer", []byte("PAR1\x00\x01\x00\x00\x00PAR1"), "the parquet file is damaged: footer: missing required field: 1:FIELD<I32>"},
		{"renamed in the schema only", replaced("\x05label", "\x05labex"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := Open(test.b)
			if test.want == "" {
				if err == nil {
					_, err = f.Column("label")
				}
				if err == nil {
					t.Fatal("no error")
				}
				return
			}
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestRejectedColumns(t *testing.T) {
	const want = ": want strings, integers, floats or booleans"
	tests := []struct{ file, column, want string }{
		{"other_types", "missing", `no column "missing"`},
		{"other_types", "list", `column "list": it is a list or a struct` + want},
		{"other_types", "struct", `column "struct": it is a list or a struct` + want},
		{"other_types", "date", `column "date": it holds decimals, dates or times` + want},
		{"other_types", "time", `column "time": it holds decimals, dates or times` + want},
		{"other_types", "decimal", `column "decimal": it has the type FIXED_LEN_BYTE_ARRAY` + want},
		{"other_types", "fixed", `column "fixed": it has the type FIXED_LEN_BYTE_ARRAY` + want},
		{"brotli", "text", `column "text", row group 0: page: decompress brotli: not supported: write the file with zstd, snappy, gzip or none`},
	}
	for _, test := range tests {
		t.Run(test.file+"/"+test.column, func(t *testing.T) {
			_, err := open(t, test.file+".parquet").Column(test.column)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
	label, err := open(t, "other_types.parquet").Column("label")
	if err != nil || len(label) != 2 || text(label[0]) != "1" {
		t.Errorf("the column behind the nested ones: %v, %v", label, err)
	}
}

func TestRejectedLists(t *testing.T) {
	const want = ": want a list of strings, integers, floats or booleans"
	tests := []struct{ file, column, want string }{
		{"nested", "missing", `no column "missing"`},
		{"nested", "label", `column "label": it is no list` + want},
		{"nested", "lists", `column "lists": it is a list of lists` + want},
		{"nested", "wide", `column "wide": it is a struct or a list of structs` + want},
		{"nested", "dates", `column "dates": it holds decimals, dates or times` + want},
		{"other_types", "struct", `column "struct": it is a struct or a list of structs` + want},
	}
	for _, test := range tests {
		t.Run(test.file+"/"+test.column, func(t *testing.T) {
			_, err := open(t, test.file+".parquet").Lists(test.column)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
	label, err := open(t, "nested.parquet").Column("label")
	if err != nil || len(label) != 2 || text(label[0]) != "1" {
		t.Errorf("the column behind the nested ones: %v, %v", label, err)
	}
}

// TestLevels has levels that no writer makes.
func TestLevels(t *testing.T) {
	tests := []struct {
		name                   string
		repetition, definition []byte
		open                   bool
		want                   string // lists, or the error
	}{
		{"lists", []byte{0, 1, 0, 0, 0}, []byte{3, 2, 1, 0, 3}, false, "[[x <null>] [] null [x]]"},
		{"goes on from the page before", []byte{1, 0}, []byte{3, 3}, true, "[[x x] [x]]"},
		{"begins inside a list", []byte{1, 0}, []byte{3, 3}, false, "its repetition levels make no lists"},
		{"goes on after an empty list", []byte{0, 1}, []byte{1, 3}, false, "its repetition levels make no lists"},
		{"goes on after a null", []byte{0, 1}, []byte{0, 3}, false, "its repetition levels make no lists"},
		{"an empty list inside a list", []byte{0, 1}, []byte{3, 1}, false, "its repetition levels make no lists"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := columnReader{open: test.open, element: 2, present: 3} // an optional list of optional elements
			x := parquetgo.ByteArrayValue([]byte("x"))
			if test.open {
				r.lists, r.values = []list{{}}, []Value{x}
			}
			before := len(r.values)
			r.values = append(r.values, slices.Repeat([]Value{x}, bytes.Count(test.definition, []byte{r.present}))...)
			err := r.spread(before, test.repetition, test.definition)
			var lists []string
			for _, l := range r.rows() {
				if l == nil {
					lists = append(lists, "null")
				} else {
					lists = append(lists, fmt.Sprint(l))
				}
			}
			got := fmt.Sprint(lists)
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestChecksum flips a bit that nothing but the checksum can see.
func TestChecksum(t *testing.T) {
	b := bytes.Clone(read(t, "small_pages.parquet"))
	at := bytes.Index(b, []byte("meaningful"))
	if at < 0 {
		t.Fatal("the text is not in the file")
	}
	b[at] ^= 1
	f, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	for _, name := range f.Columns() {
		_, err := f.Column(name)
		failed = errors.Join(failed, err)
	}
	if failed == nil || !strings.Contains(failed.Error(), "a page has a wrong checksum") {
		t.Errorf("got %v, want a wrong checksum", failed)
	}
}

// TestDecompressClaims has pages that hold more or less than their header says.
func TestDecompressClaims(t *testing.T) {
	big := make([]byte, 1<<20)
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(big); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		codec format.CompressionCodec
		b     []byte
	}{
		{format.Snappy, snappy.Encode(nil, big)},
		{format.Zstd, encoder.EncodeAll(big, nil)},
		{format.Gzip, zipped.Bytes()},
		{format.Uncompressed, big},
	} {
		t.Run(test.codec.String(), func(t *testing.T) {
			if got, err := decompress(test.codec, test.b, len(big)); err != nil || !bytes.Equal(got, big) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			for _, size := range []int{0, 1, len(big) - 1, len(big) + 1} {
				if _, err := decompress(test.codec, test.b, size); err == nil {
					t.Errorf("no error for a size of %d", size)
				}
			}
			if _, err := decompress(test.codec, []byte("no such thing"), 5); err == nil {
				t.Error("no error for garbage")
			}
		})
	}
}

// readAll reads every column and returns the bytes that this allocated.
func readAll(b []byte) (allocated uint64) {
	before := allocs()
	if f, err := Open(b); err == nil {
		for _, name := range f.Columns() {
			_, _ = f.Column(name)
			_, _ = f.Lists(name)
		}
	}
	return allocs() - before
}

// allocs is what the program has allocated so far; unlike runtime.ReadMemStats it does not stop the world.
func allocs() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// allowance is what reading all columns of a file, as values and as lists, may allocate: each has its limit for
// pages, and as much again for the values they become and the growth of slices.
func allowance(b []byte) uint64 {
	columns := 1
	if f, err := Open(b); err == nil {
		columns += len(f.Columns())
	}
	return uint64(6 * columns * newLimit(len(b)))
}

// TestDamage changes some bytes of good files, in 8,000 copies: whatever comes of it, no panic, and no more memory
// than 64 MiB, all columns together. Under the race detector, which takes ten times as long, make test has an eighth of them.
func TestDamage(t *testing.T) {
	names, err := filepath.Glob("testdata/*.parquet")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	rounds := 8000/len(names) + 1
	if testing.Short() {
		rounds /= 8
	}
	const most = 64 << 20
	rng := rand.New(rand.NewPCG(1, 2))
	for _, name := range names {
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			for round := range rounds {
				b := bytes.Clone(good)
				for range 1 + rng.IntN(3) {
					b[rng.IntN(len(b))] = byte(rng.IntN(256))
				}
				if round%10 == 0 {
					b = append(b[:rng.IntN(len(b))], good[len(good)-8:]...)
				}
				if got := readAll(b); got > most {
					t.Fatalf("round %d: allocated %d bytes for a file of %d", round, got, len(b))
				}
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	names, err := filepath.Glob("testdata/*.parquet")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := readAll(b); got > allowance(b) {
			t.Fatalf("allocated %d bytes for a file of %d", got, len(b))
		}
	})
}
