package data

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"autolora/foreign"
	"autolora/human"
)

// column is a column that a reader is asked for.
type column struct {
	name     string
	other    string // another name for the same, "" if there is none
	place    int    // in a file whose columns have no names: 1 is the first, -1 the last, 0 is none
	optional bool   // the file may lack it, and a cell may be null
	listed   bool   // a cell may be a list of labels, too
	raw      bool   // lists and objects are taken as the JSON that stands there
}

// String quotes the names.
func (c column) String() string {
	if c.other == "" {
		return strconv.Quote(c.name)
	}
	return fmt.Sprintf("%q or %q", c.name, c.other)
}

// cell is one value as its file has it. Numbers are whole ones of a file that says so, which is parquet; all others
// are text, as they stand there or in their shortest decimal form.
type cell struct {
	kind   cellKind
	text   string // of a number the name of the class with that index, "" if the file has none
	number int64
	list   []cell
}

type cellKind uint8

const (
	missing cellKind = iota // the column or the value is; only in optional columns
	isText
	isNumber
	isList
	isOther // what is none of these: a struct, a date, a list of lists; of a raw column with its JSON as text
)

// String is a cell as text, "" if it is missing.
func (c cell) String() string {
	if c.kind == isNumber && c.text == "" {
		return strconv.FormatInt(c.number, 10)
	}
	return c.text
}

// texts returns the elements of a list as text.
func (c cell) texts() []string {
	if c.kind == missing {
		return nil
	}
	texts := make([]string, len(c.list))
	for i, element := range c.list {
		texts[i] = element.String()
	}
	return texts
}

// tableSpec says which columns to read.
type tableSpec struct {
	columns []column
	all     bool     // read all that the file has, whatever they hold: the reader sets columns
	lists   bool     // every column holds lists: the words and tags of sentences
	header  []string // names of the columns of a TSV file that has no header line, like CoLA's
	// skip, if not nil, is called for a row that is left out: one that gives no example, or a TSV row that ends before
	// a wanted column. Without it the latter is an error.
	skip func(line int)
	read reader // nil: that of the file's name
	rows int    // how many there are likely to be; set before the first is read

	content []byte // of the file, if it is read already
	// object, if not nil, is called for each row that is a JSON object, in place of what takes its cells.
	object func(line int, text []byte) error
}

// yieldRow takes one row: its line (or row, in parquet) from 1 and a cell for every column of the spec. The
// slice is reused.
type yieldRow func(line int, cells []cell) error

// reader reads one kind of file. It gets the file's name for its errors and all its bytes.
type reader func(file string, b []byte, spec *tableSpec, yield yieldRow) error

// readers has the reader of each kind of file.
var readers = map[string]reader{
	".tsv":     readTSV,
	".csv":     readCSV,
	".jsonl":   readJSON,
	".ndjson":  readJSON,
	".json":    readJSON,
	".parquet": readParquet,
}

// readTable reads the rows of one file, whose kind follows from its name, and writes the file's bytes to sum.
func readTable(file string, sum io.Writer, spec *tableSpec, yield yieldRow) error {
	ext := filepath.Ext(file)
	read := readers[strings.ToLower(ext)]
	want := ".tsv, .csv, .jsonl or .parquet"
	if spec.lists {
		want = "words with tags in .conll, .iob2, .tsv, .txt, .jsonl or .parquet"
		switch {
		case isCoNLL(file):
			read = readCoNLL
		case strings.EqualFold(ext, ".csv"):
			read = nil
		}
	}
	if spec.read != nil {
		read = spec.read
	}
	if read == nil {
		switch strings.ToLower(ext) {
		case ".gz", ".zip", ".bz2", ".xz", ".zst":
			want = "it unpacked"
		case ".xlsx", ".xls", ".ods":
			want = "it saved as .csv"
		}
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			return fmt.Errorf("%s: a folder: want a file, %s", file, want)
		}
		return fmt.Errorf("%s: unknown kind of file %q: want %s", file, ext, want)
	}
	b, err := spec.content, error(nil)
	if b == nil {
		b, err = foreign.ReadNamed(file, foreign.MaxData)
	}
	if err != nil {
		return fmt.Errorf("read data: %w", err)
	}
	sum.Write(b)
	if !isParquet(file) {
		if err := checkForm(b); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if b = bytes.TrimPrefix(b, utf8BOM); bytes.IndexByte(b, '\n') < 0 {
			b = bytes.ReplaceAll(b, []byte{'\r'}, []byte{'\n'}) // the line ends of old Macintoshes
		}
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return fmt.Errorf("%s: the file is empty", file)
	}
	const shortest = 16 // bytes of a row, most often: lines may be empty
	spec.rows = min(bytes.Count(b, []byte{'\n'})+1, len(b)/shortest)
	return read(file, b, spec, yield)
}

// checkForm returns an error for a file that is no text, whatever its name says.
func checkForm(b []byte) error {
	forms := []struct{ begins, form, do string }{
		{"\x1f\x8b", "compressed with gzip", "unpack it"},
		{"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it"},
		{"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save it as CSV"},
		{"PAR1", "a parquet file", "let its name end with .parquet"},
		{"\xff\xfe", "UTF-16", "convert it to UTF-8"},
		{"\xfe\xff", "UTF-16", "convert it to UTF-8"},
	}
	for _, f := range forms {
		if bytes.HasPrefix(b, []byte(f.begins)) {
			return fmt.Errorf("the file is %s: %s", f.form, f.do)
		}
	}
	head := b[:min(len(b), 1024)]
	if 3*bytes.Count(head, []byte{0}) > len(head) { // half of the bytes of English
		return errors.New("the file is UTF-16: convert it to UTF-8")
	}
	return nil
}

func isParquet(file string) bool { return strings.EqualFold(filepath.Ext(file), ".parquet") }

// locate returns the place of each wanted column among the names of a file, -1 for an optional one that
// is not there.
func (s *tableSpec) locate(file string, names []string) ([]int, error) {
	if s.all {
		s.columns = columns(names...)
	}
	at := make([]int, len(s.columns))
	for i, c := range s.columns {
		if s.all { // of one name too
			at[i] = i
			continue
		}
		if at[i] = slices.Index(names, c.name); at[i] < 0 && c.other != "" {
			at[i] = slices.Index(names, c.other)
		}
		switch {
		case at[i] < 0 && !c.optional:
			return nil, fmt.Errorf("%s: no column %s: it has %s", file, c, listNames(names))
		case at[i] >= 0 && slices.Contains(names[at[i]+1:], names[at[i]]):
			return nil, fmt.Errorf("%s: there are several columns %q: want one", file, names[at[i]])
		}
	}
	return at, nil
}

// check says why a cell of column i is not what is wanted there, in words to be put right behind the column's name.
func (s *tableSpec) check(i int, c cell) error {
	const want = "want a string or a number"
	switch {
	case s.all || c.kind == missing && s.columns[i].optional || c.kind != missing && s.columns[i].raw:
		return nil
	case c.kind == missing:
		return errors.New(" is null: want a value")
	case s.lists != (c.kind == isList) && !s.columns[i].listed:
		if s.lists {
			return errors.New(": is no list: want a list of strings")
		}
		return errors.New(": is a list or an object: " + want)
	case c.kind == isOther:
		return errors.New(": is a list or an object: " + want)
	}
	for k, element := range c.list {
		switch element.kind {
		case missing:
			return fmt.Errorf(": element %d is null: %s", k+1, want)
		case isOther, isList:
			return fmt.Errorf(": element %d is a list or an object: %s", k+1, want)
		}
	}
	return nil
}

// listNames writes names for an error message, at most the first 20.
func listNames(names []string) string {
	return human.List(quoted(names), 20)
}

func quoted(texts []string) (all []string) {
	for _, text := range texts {
		all = append(all, shorten(text))
	}
	return all
}

// shorten quotes a text of the user's data for an error message, cut to a length that keeps the message one line.
func shorten(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return strconv.Quote(s)
}

var utf8BOM = []byte("\xef\xbb\xbf")

// lines calls fn with each line of b and its number from 1, without the line ends LF or CRLF. A lone CR is an ordinary
// character. A line that is not UTF-8 is an error.
func lines(file string, b []byte, fn func(line int, text string) error) error {
	for line := 1; len(b) > 0; line++ {
		var text []byte
		text, b, _ = bytes.Cut(b, []byte{'\n'})
		row := string(bytes.TrimSuffix(text, []byte{'\r'}))
		if err := checkUTF8(file, line, row); err != nil {
			return err
		}
		if err := fn(line, row); err != nil {
			return err
		}
	}
	return nil
}

// checkUTF8 is checkText with the place of a line.
func checkUTF8(file string, line int, text string) error {
	if err := checkText(text); err != nil {
		return fmt.Errorf("%s: %w", place(file, line), err)
	}
	return nil
}

// checkText names the first byte of a text that is not UTF-8.
func checkText(text string) error {
	for at, r := range text {
		if r != utf8.RuneError {
			continue
		}
		if _, n := utf8.DecodeRuneInString(text[at:]); n == 1 {
			return fmt.Errorf("byte %d is not UTF-8 (0x%02x): convert the file to UTF-8", at+1, text[at])
		}
	}
	return nil
}
