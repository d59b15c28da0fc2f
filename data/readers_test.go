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
	err := readTable(file, sha256.New(), &tableSpec{columns: columns}, func(line int, cells []cell) error {
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
		{"csv, quotes inside cells", "a.csv", "text,label\na \"b\" c,1\n9\" wide,0\nsay \"no\",1\n", []column{text, label},
			[]string{`2|a "b" c|1`, `3|9" wide|0`, `4|say "no"|1`}},
		{"csv, text behind a quoted part, as Python's csv reads it", "a.csv", "text,label\n\"a\" b,1\n\"a \"b\" c\",0\n", []column{text, label},
			[]string{`2|a b|1`, `3|a b" c"|0`}},
		{"csv, cells of quotes", "a.csv", "text,label\n\"\",1\n\"\"\"\",\"0\"\n", []column{text, label}, []string{"2||1", `3|"|0`}},
		{"csv, lone CRs", "a.csv", "\ufefftext,label\r\"a\rb\",1\rc,0", []column{text, label}, []string{"2|a\nb|1", "4|c|0"}},
		{"csv, CR and LF", "a.csv", "text,label\ra,1\rb,0\n", []column{text, label}, []string{"2|a|1", "3|b|0"}},
		{"csv, quoted names behind a byte order mark", "a.csv", "\ufeff\"text\", \"label\"\n\"a\",1\n", []column{text, maybe}, []string{"2|a|<null>"}},
		{"csv, spaces around the names", "a.csv", "text, label\na,1\n", []column{text, label}, []string{"2|a|1"}},
		{"csv, semicolons", "a.csv", "text;label\n\"a;b\";1\nc,d;0\n", []column{text, label}, []string{"2|a;b|1", "3|c,d|0"}},
		{"csv, semicolons, and a comma in a name", "a.csv", "\"text\";\"score, 1 to 5\"\na;1\n", []column{text}, []string{"2|a"}},
		{"csv, bars", "a.csv", "text|label\na, b|1\n", []column{text, label}, []string{"2|a, b|1"}},
		{"csv, lines of white space", "a.csv", "text,label\n  \na,1\n \t\r\n", []column{text, label}, []string{"3|a|1"}},
		{"csv, tabs", "a.csv", "text\tlabel\na, b\t1\n", []column{text, label}, []string{"2|a, b|1"}},
		{"csv, one column with an empty cell", "a.csv", "text\n\"\"\n\nx", []column{text}, []string{"2|", "4|x"}},
		{"csv, empty last cell at the end", "a.csv", "text,label\nfine,", []column{text, label}, []string{"2|fine|"}},
		{"tsv, quoted as pandas does", "a.tsv", "id\ttext\n1\t\"a \"\"b\"\" c\"\n2\td\n", []column{text}, []string{`2|a "b" c`, "3|d"}},
		{"tsv, quoted tabs and line ends", "a.tsv", "id\ttext\n1\t\"a\tb\nc\"\n2\td\n", []column{text}, []string{"2|a\tb\nc", "4|d"}},
		{"tsv, a column of quoted texts", "a.tsv", "id\ttext\n1\t\"a\"\n2\t\"b, c\"\n", []column{text}, []string{"2|a", "3|b, c"}},
		{"tsv, all quoted", "a.tsv", "\"id\"\t\"text\"\r\n\"1\"\t\"a\"\r\n\"2\"\t\"b\"\r\n", []column{text}, []string{"2|a", "3|b"}},
		{"tsv, one text in quotes", "a.tsv", "id\ttext\n1\t\"a\"\n2\tb\n", []column{text}, []string{`2|"a"`, "3|b"}},
		{"tsv, lone CRs", "a.tsv", "text\tlabel\rfine\t1\r", []column{text, label}, []string{"2|fine|1"}},
		{"json list", "a.json", "\ufeff[\n  {\"text\": \"a\", \"label\": 1},\n  {\"text\": \"b]\",\n   \"label\": null}\n]\n", []column{text, maybe}, []string{"2|a|1", "3|b]|<null>"}},
		{"json list in one line", "a.jsonl", `[{"text": "a"}, {"text": "b"}]`, []column{text}, []string{"1|a", "1|b"}},
		{"json lists one after the other", "a.json", "[{\"text\": \"a\"}]\n[{\"text\": \"b\"}]", []column{text}, []string{"1|a", "2|b"}},
		{"json, data", "a.json", "{\"version\": 1,\n\"data\": [\n{\"text\": \"a\"},\n{\"text\": \"b\"}]}", []column{text}, []string{"3|a", "4|b"}},
		{"json, data in one line", "a.json", `{"data": [{"text": "a"}], "version": 1}`, []column{text}, []string{"1|a"}},
		{"json, a list under any name", "a.json", "{\n\"rows\":\n[{\"text\": \"a\"}]}", []column{text}, []string{"3|a"}},
		{"json, a list beside objects", "a.json", `{"meta": {"n": 1}, "examples": [{"text": "a"}, {"text": "b"}]}`, []column{text}, []string{"1|a", "1|b"}},
		{"json, an object with a list of objects", "a.json", `{"text": "a", "spans": [{"at": 1}]}`, []column{text}, []string{"1|a"}},
		{"json, objects over several lines", "a.json", "{\n\"text\": \"a\"\n}\n{\"text\":\n\"b\"}\n", []column{text}, []string{"1|a", "4|b"}},
		{"json, one object", "a.json", "{\n\"text\": \"a\"}", []column{text}, []string{"1|a"}},
		{"jsonl, lone CRs", "a.jsonl", "{\"text\": \"a\"}\r{\"text\": \"b\"}\r", []column{text}, []string{"1|a", "2|b"}},
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
		{"a workbook", "a.xlsx", "PK", `: unknown kind of file ".xlsx": want it saved as .csv`},
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
		{"UTF-16", "a.tsv", "\xff\xfet\x00e\x00x\x00t\x00", ": the file is UTF-16: convert it to UTF-8"},
		{"UTF-16, the other order", "a.csv", "\xfe\xff\x00t\x00e\x00x\x00t", ": the file is UTF-16: convert it to UTF-8"},
		{"UTF-16 without a mark", "a.jsonl", "{\x00\"\x00t\x00\"\x00:\x001\x00}\x00", ": the file is UTF-16: convert it to UTF-8"},
		{"compressed, by its name", "a.jsonl.gz", "\x1f\x8b\x08", `: unknown kind of file ".gz": want it unpacked`},
		{"compressed", "a.csv", "\x1f\x8b\x08", ": the file is compressed with gzip: unpack it"},
		{"a workbook", "a.csv", "PK\x03\x04 ", ": the file is a zip archive or an Excel workbook: unpack it, or save it as CSV"},
		{"parquet by another name", "a.csv", "PAR1 PAR1", ": the file is a parquet file: let its name end with .parquet"},
		{"csv, quote not closed", "a.csv", "text,label\n\"a,1\n", ": line 2: the quote that begins cell 1 is not closed"},
		{"csv, quote not closed in a later cell", "a.csv", "text,label\nb,0\na,\"1\n\nc,1\n", ": line 3: the quote that begins cell 2 is not closed"},
		{"csv, quote closed in another row", "a.csv", "text,label\n\"a,1\n\"b\",0\n",
			": line 3: there is text behind the quote that ends cell 1, which begins in line 2: in a quoted cell a quote is written twice"},
		{"jsonl, not JSON", "a.jsonl", "{\"text\": \"a\", \"label\": 1}\ntext\n", `: line 2: invalid character 'e' in literal true (expecting 'r'): want one object a line, {"text": ...}`},
		{"json, a list of texts", "a.json", "[\n\"a\"]", `: line 2: not a JSON object: want a list of objects, {"text": ...}`},
		{"json, a list that is cut off", "a.json", "[\n{\"text\": \"a\", \"label\": 1},\n", `: line 3: unexpected EOF: want objects, or a list of them, {"text": ...}`},
		{"json, a list without its end", "a.json", "[{\"text\": \"a\", \"label\": 1}", `: line 1: unexpected EOF: want objects, or a list of them, {"text": ...}`},
		{"json, a list with something behind it", "a.json", "[]\n]", `: line 2: invalid character ']' looking for beginning of value: want objects, or a list of them, {"text": ...}`},
		{"json, a list of lists", "a.json", `[["a", 1]]`, `: line 1: not a JSON object: want a list of objects, {"text": ...}`},
		{"json, by columns", "a.json", `{"text": {"0": "a", "1": "b"}, "label": {"0": 1, "1": 0}}`,
			`: line 1: the object is no row, and has no list that must be the rows: it has "label", "text": want a list of objects, as pandas writes with orient="records"`},
		{"json, several lists", "a.json", "\n{\"train\": [{\"text\": \"a\", \"label\": 1}],\n\"test\": [{\"text\": \"b\", \"label\": 1}]}",
			`: line 2: the object is no row, and has no list that must be the rows: it has "test", "train": want a list of objects, as pandas writes with orient="records"`},
		{"json, a list that is deeper", "a.json", `{"data": {"rows": [{"text": "a", "label": 1}]}}`,
			`: line 1: the object is no row, and has no list that must be the rows: it has "data": want a list of objects, as pandas writes with orient="records"`},
		{"json, a row without the label", "a.json", "[{\"text\": \"a\", \"label\": 1},\n\n {\"text\": \"b\"}]", `: line 3: no "label": it has "text"`},
		{"json, broken in the list", "a.json", "[{\"text\": \"a\", \"label\": 1},\n{\"text\" \"b\"}]", `: line 2: invalid character '"' after object key: want objects, or a list of them, {"text": ...}`},
		{"json, not UTF-8", "a.json", "[\n{\"text\": \"na\xefve\", \"label\": 1}]", ": line 2: byte 13 is not UTF-8 (0xef): convert the file to UTF-8"},
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
		{filepath.Dir(write(t, "folder/x", "")), "a folder: want a file, .tsv, .csv, .jsonl or .parquet"},
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
	text := strings.Repeat("very ", 1<<18)
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
