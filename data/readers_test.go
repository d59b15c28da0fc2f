package data

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write puts a file into a temporary folder and returns its path.
func write(t testing.TB, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// rows reads a table into one string a row: the line, then the cells, <null> for one that is not there.
func rows(file string, columns ...column) ([]string, error) {
	var out []string
	err := readTable(file, sha256.New(), tableSpec{columns: columns}, func(line int, cells []cell) error {
		row := fmt.Sprint(line)
		for _, c := range cells {
			if c.kind == missing {
				c.text = "<null>"
			}
			row += "|" + c.String()
		}
		out = append(out, row)
		return nil
	})
	return out, err
}

func TestReaders(t *testing.T) {
	text, label := column{name: "text"}, column{name: "label"}
	maybe := column{name: "label", optional: true}
	tests := []struct {
		name, file, content string
		columns             []column
		want                []string
	}{
		{"tsv", "a.tsv", "text\tlabel\nfine\t1\nbad\t0\n", []column{text, label}, []string{"2|fine|1", "3|bad|0"}},
		{"tsv, no line end at the end", "a.tsv", "text\tlabel\nfine\t1", []column{text, label}, []string{"2|fine|1"}},
		{"tsv, other order and more columns", "a.tsv", "id\tlabel\ttext\n7\t1\tfine\n", []column{text, label}, []string{"2|fine|1"}},
		{"tsv, byte order mark and CRLF", "a.tsv", "\ufefftext\tlabel\r\nfine\t1\r\n", []column{text, label}, []string{"2|fine|1"}},
		{"tsv, quotes are characters", "a.tsv", "text\tlabel\n\"a \"\"b\t1\n\"\t0\n\"c\"\t1\n", []column{text, label},
			[]string{`2|"a ""b|1`, `3|"|0`, `4|"c"|1`}},
		{"tsv, empty lines and empty cells", "a.tsv", "text\tlabel\n\n\t1\n\nx\t\n", []column{text, label}, []string{"3||1", "5|x|"}},
		{"tsv, CR inside a line", "a.tsv", "text\tlabel\na\rb\t1\n", []column{text, label}, []string{"2|a\rb|1"}},
		{"tsv, empty cells too many", "a.tsv", "text\tlabel\nfine\t1\t\t\n", []column{text, label}, []string{"2|fine|1"}},
		{"tsv, no optional column", "a.TSV", "text\nfine\n", []column{text, maybe}, []string{"2|fine|<null>"}},
		{"csv", "a.csv", "text,label\nfine,1\n", []column{text, label}, []string{"2|fine|1"}},
		{"csv, quotes", "a.csv", "text,label\n\"a, \"\"b\"\"\nc\",1\nnext,0\n", []column{text, label}, []string{"2|a, \"b\"\nc|1", "4|next|0"}},
		{"csv, byte order mark and CRLF", "a.csv", "\ufefftext,label\r\nfine,1\r\n", []column{text, label}, []string{"2|fine|1"}},
		{"csv, no optional column", "a.csv", "text\nfine\n", []column{text, maybe}, []string{"2|fine|<null>"}},
		{"jsonl", "a.jsonl", `{"text": "fine", "label": 1}` + "\n" + `{"label": "x", "text": "b\u0061d\n", "more": [1]}` + "\n",
			[]column{text, label}, []string{"1|fine|1", "2|bad\n|x"}},
		{"jsonl, kinds of values", "a.ndjson", `{"text":-1.50e3,"label":true}`, []column{text, label}, []string{"1|-1.50e3|true"}},
		{"jsonl, empty lines", "a.json", "\n \r\n{\"text\":\"fine\"}\n\n", []column{text, maybe}, []string{"3|fine|<null>"}},
		{"jsonl, null", "a.jsonl", `{"text":"fine","label":null}`, []column{text, maybe}, []string{"1|fine|<null>"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := rows(write(t, test.file, test.content), test.columns...)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestReaderErrors(t *testing.T) {
	long := strings.Repeat("x", 100)
	tests := []struct {
		name, file, content string
		want                string // after the file's name
	}{
		{"unknown end", "a.xml", "<text/>", `: unknown kind of file ".xml": want .tsv, .csv, .jsonl or .parquet`},
		{"no end", "a", "text", `: unknown kind of file "": want .tsv, .csv, .jsonl or .parquet`},
		{"empty tsv", "a.tsv", "", ": the file is empty"},
		{"empty csv", "a.csv", "", ": the file is empty"},
		{"empty jsonl", "a.jsonl", "", ": the file is empty"},
		{"empty parquet", "a.parquet", "", ": the file is empty"},
		{"tsv of empty lines", "a.tsv", "\n\n", ": the file is empty"},
		{"csv of empty lines", "a.csv", "\n\n", ": the file is empty"},
		{"jsonl of empty lines", "a.jsonl", "\n \n", ": the file is empty"},
		{"tsv with a short row", "a.tsv", "id\ttext\tlabel\n1\tfine\t1\n2\tbad\n", `: line 3: 2 cells, want 3 ("id", "text", "label")`},
		{"tsv with a long row", "a.tsv", "text\tlabel\nfine\t1\tmore\n", `: line 2: 3 cells, want 2 ("text", "label")`},
		{"csv with a short row", "a.csv", "text,label\nfine\n", `: line 2: 1 cells, want 2 ("text", "label")`},
		{"csv with a long row", "a.csv", "text,label\n\"a\nb\",1,2\n", `: line 2: 3 cells, want 2 ("text", "label")`},
		{"tsv without the column", "a.tsv", "sentence\tlabel\nfine\t1\n", `: no column "text": it has "sentence", "label"`},
		{"csv without the column", "a.csv", "sentence,label\nfine,1\n", `: no column "text": it has "sentence", "label"`},
		{"jsonl without the key", "a.jsonl", `{"sentence": "fine", "label": 1}`, `: line 1: no "text": it has "label", "sentence"`},
		{"parquet without the column", "a.parquet", fixture(t, "hub/cola/train-00000-of-00001.parquet"), `: no column "text": it has "sentence", "label", "idx"`},
		{"column names cut short", "a.tsv", long + strings.Repeat("\tc", 30) + "\n",
			`: no column "text": it has "` + long[:40] + `…"` + strings.Repeat(`, "c"`, 19) + " and 11 more"},
		{"column twice", "a.tsv", "text\ttext\tlabel\na\tb\t1\n", `: there are several columns "text": want one`},
		{"tsv, not UTF-8", "a.tsv", "text\tlabel\nfine\t1\nna\xefve\t0\n", ": line 3: byte 3 is not UTF-8 (0xef): convert the file to UTF-8"},
		{"csv, not UTF-8", "a.csv", "text,label\nna\xefve,0\n", ": line 2: byte 3 is not UTF-8 (0xef): convert the file to UTF-8"},
		{"jsonl, not UTF-8", "a.jsonl", "{\"text\": \"na\xefve\", \"label\": 1}", ": line 1: byte 13 is not UTF-8 (0xef): convert the file to UTF-8"},
		{"UTF-16", "a.tsv", "\xff\xfet\x00e\x00x\x00t\x00", ": line 1: byte 1 is not UTF-8 (0xff): convert the file to UTF-8"},
		{"csv, quote inside a cell", "a.csv", "text,label\na \"b\" c,1\n", `: line 2: column 3: bare " in non-quoted-field`},
		{"csv, quote not closed", "a.csv", "text,label\n\"a,1\n", `: line 2: column 6: extraneous or missing " in quoted-field`},
		{"jsonl, not JSON", "a.jsonl", "{\"text\": \"a\", \"label\": 1}\ntext\n", `: line 2: invalid character 'e' in literal true (expecting 'r'): want one object a line, {"text": ...}`},
		{"jsonl, a list", "a.jsonl", `[{"text": "a"}]`, `: line 1: not a JSON object: want one object a line, {"text": ...}`},
		{"jsonl, null line", "a.jsonl", `null`, `: line 1: not a JSON object: want one object a line, {"text": ...}`},
		{"jsonl, two objects in a line", "a.jsonl", `{} {}`, `: line 1: invalid character '{' after top-level value: want one object a line, {"text": ...}`},
		{"jsonl, null", "a.jsonl", `{"text": null, "label": 1}`, `: line 1: "text" is null: want a value`},
		{"jsonl, a list as a text", "a.jsonl", `{"text": ["a"], "label": 1}`, `: line 1: "text": is a list or an object: want a string or a number`},
		{"parquet that is text", "a.parquet", "text\tlabel\n", ": not a parquet file: it does not begin with PAR1"},
		{"parquet cut off", "a.parquet", fixture(t, "hub/cola/train-00000-of-00001.parquet")[:900], ": the parquet file is cut off: it does not end with PAR1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, test.file, test.content)
			_, err := rows(file, column{name: "text"}, column{name: "label"})
			if err == nil || err.Error() != file+test.want {
				t.Errorf("got %v\nwant %s%s", err, file, test.want)
			}
		})
	}
}

func TestReadMissingFile(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{filepath.Join(t.TempDir(), "no.tsv"), "no such file"},
		{filepath.Dir(write(t, "folder.csv/x", "")), "is a directory"},
	} {
		_, err := rows(test.file, column{name: "text"})
		if err == nil || !strings.Contains(err.Error(), test.file) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want one about %s: %s", err, test.file, test.want)
		}
	}
}

// TestParquetNulls has a null in a wanted column; Arrow wrote the file.
func TestParquetNulls(t *testing.T) {
	file := write(t, "a.parquet", fixture(t, "../parquet/testdata/zstd.parquet"))
	if _, err := rows(file, column{name: "text_null"}); err == nil || !strings.Contains(err.Error(), `: "text_null" is null: want a value`) ||
		!strings.Contains(err.Error(), file+": row ") {
		t.Errorf("got %v, want an error with the row of the null", err)
	}
	got, err := rows(file, column{name: "text"}, column{name: "all_null", optional: true}, column{name: "score", optional: true})
	if err != nil || len(got) != 150 || !strings.HasPrefix(got[2], "3|") || !strings.Contains(got[2], "|<null>|") {
		t.Errorf("%d rows, third %q, %v", len(got), got[2], err)
	}
}

func TestLongLine(t *testing.T) {
	text := strings.Repeat("very ", 1<<20)
	for _, file := range []string{
		write(t, "a.tsv", "text\n"+text+"\n"), write(t, "a.csv", "text\n"+text+"\n"), write(t, "a.jsonl", `{"text":"`+text+`"}`),
	} {
		got, err := rows(file, column{name: "text"})
		if err != nil || len(got) != 1 || !strings.HasSuffix(got[0], "|"+text) {
			t.Errorf("%s: %d rows, %v", filepath.Base(file), len(got), err)
		}
	}
}

// fixture returns the content of a file in testdata.
func fixture(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
