package data

import (
	"bytes"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzReader checks what must hold for any bytes: no panic, cells of valid UTF-8 on lines that go up, and
// memory within a multiple of the input, which is the cost of a line: a row, its cells, its parsed object.
func fuzzReader(f *testing.F, file string, header []string, base uint64) {
	fuzz(f, file, readers[filepath.Ext(file)], &tableSpec{columns: []column{{name: "text"}, {name: "label", optional: true}}, header: header}, base)
}

// fuzzSentences is fuzzReader for files of words and tags.
func fuzzSentences(f *testing.F, file string, read reader, base uint64) {
	tags := tagColumn
	tags.optional = true
	fuzz(f, file, read, &tableSpec{columns: []column{wordColumn, tags}, lists: true}, base)
}

func fuzz(f *testing.F, file string, read reader, spec *tableSpec, base uint64) {
	f.Fuzz(func(t *testing.T, b []byte) {
		before := allocs()
		last := 0
		err := read(file, b, spec, func(line int, cells []cell) error {
			if line <= last {
				t.Fatalf("line %d after %d", line, last)
			}
			last = line
			for _, text := range slices.Concat([]string{cells[0].text, cells[1].text}, cells[0].texts(), cells[1].texts()) {
				if cells[0].kind == missing || !utf8.ValidString(text) {
					t.Fatalf("line %d: cells %+v", line, cells)
				}
			}
			return nil
		})
		if err != nil && (!strings.HasPrefix(err.Error(), file+": ") || strings.Contains(err.Error(), "\n")) {
			t.Fatalf("error %q: want one line with the file's name", err)
		}
		const perByte = 1000
		if got := allocs() - before; got > base+perByte*uint64(len(b)) {
			t.Fatalf("allocated %d bytes for %d", got, len(b))
		}
	})
}

// allocs is what the program has allocated so far; unlike runtime.ReadMemStats it does not stop the world.
func allocs() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func FuzzTSV(f *testing.F) {
	f.Add([]byte("text\tlabel\nfine\t1\nbad \"\t0\n"))
	f.Add([]byte("\ufeffid\ttext\tlabel\r\n1\ta\tb\r\n\r\n2\tc\td"))
	f.Add([]byte("text\nshort\tlong\n"))
	f.Add([]byte("text\tlabel\n\xff\t1\n"))
	f.Add([]byte("id\ttext\n1\t\"a \"\"b\"\"\tc\"\n"))
	f.Add([]byte(fixture(f, "glue/CoLA/train.tsv")))
	fuzzReader(f, "fuzz.tsv", nil, 1<<20)
}

func FuzzTSVWithoutHeader(f *testing.F) {
	f.Add([]byte("1\tfine\n0\tbad\n"))
	f.Add([]byte("\t\t\n"))
	fuzzReader(f, "fuzz.tsv", []string{"label", "text"}, 1<<20)
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("text,label\n\"a, \"\"b\"\"\nc\",1\n"))
	f.Add([]byte("\ufefftext,label\r\nfine,1\r\n"))
	f.Add([]byte("text,label\n\"not closed,1\n"))
	f.Add([]byte("text,label\na \"b\" c,1,\xff\n"))
	fuzzReader(f, "fuzz.csv", nil, 1<<20)
}

func FuzzJSONL(f *testing.F) {
	f.Add([]byte("{\"text\": \"fine\", \"label\": 1}\n\n{\"text\": \"b\\u0061d\", \"label\": null, \"more\": [1, {}]}\n"))
	f.Add([]byte("{\"text\": 1e5, \"label\": true}\n"))
	f.Add([]byte("{\"text\": \"\\ud800\"}\n[[[[\n"))
	f.Add([]byte("null"))
	f.Add([]byte("[\n{\"text\": \"fine\"},\n{\"text\": 1}]"))
	f.Add([]byte("{\"data\": [{\"text\": \"fine\"}, {}]}\n"))
	fuzzReader(f, "fuzz.jsonl", nil, 1<<20)
}

func FuzzParquet(f *testing.F) {
	names, err := filepath.Glob("parquet/testdata/*.parquet")
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range names {
		f.Add([]byte(fixture(f, filepath.Join("..", name))))
	}
	// Package parquet bounds a column by its own limit, here for two columns and the slices that grow.
	f.Add([]byte(fixture(f, "nulls.parquet")))
	fuzzReader(f, "fuzz.parquet", nil, 2*6*(4<<20))
}

func FuzzCoNLL(f *testing.F) {
	f.Add([]byte(madeUp))
	f.Add([]byte("-DOCSTART- -X- O\n\nIL-2 NN B-DNA\n# NN O\n\n\xff NN O\n"))
	f.Add([]byte("\ufeff# id = 1\r\n1\tIt\tO\r\n\r\n2\tis\t\n"))
	f.Add([]byte("words\nalone\n\n"))
	fuzzSentences(f, "fuzz.conll", readCoNLL, 1<<20)
}

func FuzzJSONLLists(f *testing.F) {
	f.Add([]byte("{\"tokens\": [\"IL-2\", 2000], \"tags\": [\"B-DNA\", 0]}\n{\"tokens\": [], \"ner_tags\": null}\n"))
	f.Add([]byte("{\"tokens\": [[\"a\"], null], \"tags\": {}}\n"))
	fuzzSentences(f, "fuzz.jsonl", readJSON, 1<<20)
}

func FuzzParquetLists(f *testing.F) {
	names, err := filepath.Glob("parquet/testdata/lists*.parquet")
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range names {
		f.Add([]byte(fixture(f, filepath.Join("..", name))))
	}
	fuzzSentences(f, "fuzz.parquet", readParquet, 2*6*(4<<20))
}

// FuzzWriteCoNLL writes the words of any text and reads them again.
func FuzzWriteCoNLL(f *testing.F) {
	f.Add("IL-2/gene expression")
	f.Add("# #x/-DOCSTART- ###MEDLINE:1")
	f.Add("a\tb \ufeff/\r")
	f.Fuzz(func(t *testing.T, text string) {
		var words, tags [][]string
		for sentence := range strings.SplitSeq(text, "/") {
			words = append(words, strings.Split(sentence, " "))
			tags = append(tags, slices.Repeat([]string{"B-x"}, len(words[len(words)-1])))
		}
		var b bytes.Buffer
		if WriteCoNLL(&b, words, tags) != nil {
			return
		}
		at := 0
		err := readCoNLL("fuzz.conll", b.Bytes(), &tableSpec{columns: []column{wordColumn, tagColumn}, lists: true}, func(line int, cells []cell) error {
			if !slices.Equal(cells[0].texts(), words[at]) || !slices.Equal(cells[1].texts(), tags[at]) {
				t.Fatalf("sentence %d: got %q, want %q", at, cells[0].texts(), words[at])
			}
			at++
			return nil
		})
		if err != nil || at != len(words) {
			t.Fatalf("%d of %d sentences, %v", at, len(words), err)
		}
	})
}

func FuzzOrderState(f *testing.F) {
	config := OrderConfig{Indices: []int{4, 5, 6, 7, 8}, Size: 2, Seed: 1, Stream: "train"}
	o, err := NewOrder(config)
	if err != nil {
		f.Fatal(err)
	}
	for range 4 {
		state, err := o.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(state)
		o.Next()
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := NewOrder(config)
		if err != nil {
			t.Fatal(err)
		}
		if o.UnmarshalBinary(b) != nil {
			return
		}
		for range 4 {
			if n := len(o.Next()); n < 1 || n > 2 {
				t.Fatalf("batch of %d", n)
			}
		}
	})
}
