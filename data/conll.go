package data

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// conllEnds are the ends of the names of files with a word a line. They count where words with tags are
// wanted: elsewhere a .tsv file is a table.
var conllEnds = []string{".conll", ".iob2", ".iob", ".bio", ".tsv", ".txt"}

// conllNames are the names that files with a word a line may have, by their stems.
func conllNames(stems ...string) (names []string) {
	for _, stem := range stems {
		for _, end := range conllEnds {
			names = append(names, stem+end)
		}
	}
	return names
}

// What the lines between documents begin with.
const (
	docStart = "-DOCSTART-"
	medline  = "###MEDLINE:"
)

func isCoNLL(file string) bool {
	return slices.Contains(conllEnds, strings.ToLower(filepath.Ext(file)))
}

// readCoNLL reads the form of the CoNLL shared tasks: on every line a word and its columns, after every
// sentence an empty line. A sentence is a row. Columns are separated by a tab, or by white space in a file that has
// lines without tabs. The lines between documents, -DOCSTART- (CoNLL-2003) and ###MEDLINE: (JNLPBA), are left out, and
// so are a first line with the names of the columns and comments, see comment.
func readCoNLL(file string, b []byte, spec *tableSpec, yield yieldRow) error {
	r := conllReader{file: file, spec: spec, yield: yield, tabs: tabbed(b)}
	if !r.tabs && bytes.Contains(b, []byte{'#'}) {
		r.learn(b)
	}
	err := lines(file, b, r.line)
	if err == nil {
		err = r.endSentence()
	}
	if err == nil && r.columns == 0 {
		err = fmt.Errorf("%s: there are no words in it", file)
	}
	return err
}

// blank is what a line between sentences may hold.
const blank = " \t\r"

// isBreak reports whether a line stands between sentences or documents.
func isBreak(text string) bool {
	return strings.Trim(text, blank) == "" || strings.HasPrefix(text, docStart) || strings.HasPrefix(text, medline)
}

// tabbed reports whether tabs separate the columns of a file: most lines have one, so that one without is at fault,
// and there are lines with no space beside it. Else both are white space.
func tabbed(b []byte) bool {
	tabs, others, spaced := 0, 0, 0
	for text := range bytes.Lines(b) {
		text := strings.TrimRight(string(text), blank+"\n")
		switch {
		case isBreak(text):
		case !strings.Contains(text, "\t"):
			if !strings.HasPrefix(text, "#") {
				others++
			}
		case strings.Contains(strings.Trim(text, blank), " "):
			spaced++
			fallthrough
		default:
			tabs++
		}
	}
	return tabs > others && (spaced < tabs || tabs == 1) // a line alone may be a name of several words
}

type conllReader struct {
	file    string
	spec    *tableSpec
	yield   yieldRow
	tabs    bool
	columns int    // of every line; 0 before the first word
	at      []int  // place of each wanted column, -1 for an optional one that is not there
	cells   []cell // of the sentence so far
	first   int    // line of its first word

	usual int             // columns of the lines that do not begin with #; 0 if that is not known
	last  map[string]bool // what is in the last of these
}

// learn finds what tells comments from the word # in a file without tabs.
func (r *conllReader) learn(b []byte) {
	r.last = map[string]bool{}
	for line := range bytes.Lines(b) {
		text := strings.TrimSuffix(string(line), "\n")
		if row := conllFields(text); !isBreak(text) && row[0] != "#" {
			r.usual, r.last[row[len(row)-1]] = len(row), true
		}
	}
}

// comment reports whether a line that does not belong to a sentence is a comment: it begins with # and has no tab in a
// file with tabs. In others it stands before a sentence and has not the columns of a word, or ends with what is no
// word's tag, as "# id 1 domain=en" does.
func (r *conllReader) comment(row []string) bool {
	if r.tabs {
		return len(row) == 1 && strings.HasPrefix(row[0], "#")
	}
	return row[0] == "#" && len(row) > 1 && r.cells == nil && r.usual > 0 &&
		(len(row) != r.usual || r.usual > 2 && !r.last[row[len(row)-1]])
}

// The names of a first and a last column, where a file's first line has them.
var (
	wordHeads = []string{"word", "words", "token", "tokens", "form"}
	tagHeads  = []string{"tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "pos", "pos_tag", "pos_tags", "chunk", "bio"}
)

// isHeader reports whether a row has the names of the columns.
func isHeader(row []string) bool {
	return len(row) > 1 && slices.Contains(wordHeads, strings.ToLower(row[0])) && slices.Contains(tagHeads, strings.ToLower(row[len(row)-1]))
}

// conllFields are the columns of a line in a file without tabs.
func conllFields(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '\t' || c == '\r' })
}

func (r *conllReader) line(number int, text string) error {
	if isBreak(text) {
		return r.endSentence()
	}
	var row []string
	if r.tabs {
		row = strings.Split(strings.TrimRight(text, blank), "\t")
		for i := range row {
			row[i] = strings.Trim(row[i], blank)
		}
	} else {
		row = conllFields(text)
	}
	switch {
	case r.comment(row), r.columns == 0 && isHeader(row):
		return nil
	case r.columns == 0:
		if err := r.locate(number, len(row)); err != nil {
			return err
		}
	case len(row) != r.columns:
		return fmt.Errorf("%s: %d columns, want %d as in the lines before", place(r.file, number), len(row), r.columns)
	}
	if r.cells == nil {
		r.first, r.cells = number, make([]cell, len(r.at))
	}
	for i, k := range r.at {
		if k < 0 {
			continue
		}
		if row[k] == "" {
			return fmt.Errorf("%s: column %d is empty", place(r.file, number), k+1)
		}
		r.cells[i].list = append(r.cells[i].list, cell{kind: isText, text: row[k]})
		r.cells[i].kind = isList
	}
	return nil
}

// locate finds the wanted columns among those of the first line with a word.
func (r *conllReader) locate(line, columns int) error {
	r.columns = columns
	if r.spec.all {
		for k := range columns {
			r.spec.columns = append(r.spec.columns, listColumn(strconv.Itoa(k+1)))
		}
	}
	for _, c := range r.spec.columns {
		k := c.place - 1
		if c.place < 0 {
			k = columns + c.place
		}
		there := c.place != 0 && k >= 0 && k < columns && !slices.Contains(r.at, k)
		switch {
		case c.place == 0:
			return fmt.Errorf("%s: column %q: the columns of this kind of file have no names: want a number, 1 for the first, -1 for the last",
				r.file, c.name)
		case !there && !c.optional && columns == 1:
			return fmt.Errorf("%s: 1 column: want at least %d", place(r.file, line), len(r.spec.columns))
		case !there && !c.optional:
			return fmt.Errorf("%s: no column %d of its own: there are %d columns", place(r.file, line), c.place, columns)
		case !there:
			k = -1
		}
		r.at = append(r.at, k)
	}
	return nil
}

func (r *conllReader) endSentence() error {
	cells := r.cells
	if r.cells = nil; cells == nil {
		return nil
	}
	return r.yield(r.first, cells)
}

// ReadCoNLL reads columns of text, the content of a file with a word a line, by their places: 1 is the first
// column, -1 the last. Of each it returns what WriteCoNLL takes, [sentences][words]. The form is that of FileTask's
// files; errors name file and line.
func ReadCoNLL(file string, text []byte, places ...int) (columns [][][]string, err error) {
	spec := &tableSpec{lists: true}
	for _, place := range places {
		spec.columns = append(spec.columns, column{name: strconv.Itoa(place), place: place})
	}
	columns = make([][][]string, len(places))
	err = readCoNLL(file, text, spec, func(_ int, cells []cell) error {
		for i, c := range cells {
			columns[i] = append(columns[i], c.texts())
		}
		return nil
	})
	return columns, err
}

// WriteCoNLL writes sentences in the form that readers of CoNLL files take: a word and its columns on every line,
// with tabs between, and an empty line after every sentence. columns[c][s][i] is column c of word i of sentence
// s; the first are the words. It is an error if the columns differ in length, and if reading could not give back
// what is written: where a sentence has no words, or a cell is empty, has a tab, a line end or spaces around, or
// looks like the line before a document.
func WriteCoNLL(w io.Writer, columns ...[][]string) error {
	out := bufio.NewWriter(w)
	for s, words := range columns[0] {
		if len(words) == 0 {
			return fmt.Errorf("write sentence %d: it has no words, which a file with a word a line has no place for", s+1)
		}
		for i := range words {
			for c, column := range columns {
				if len(column) != len(columns[0]) || len(column[s]) != len(words) {
					return fmt.Errorf("write sentence %d: its columns differ in length", s+1)
				}
				if err := checkCell(column[s][i], c, len(columns)); err != nil {
					return fmt.Errorf("write sentence %d: word %d: %w", s+1, i+1, err)
				}
				if c > 0 {
					out.WriteByte('\t')
				}
				out.WriteString(column[s][i])
			}
			out.WriteByte('\n')
		}
		out.WriteByte('\n')
	}
	return out.Flush()
}

// checkCell says why a cell of a column could not be read again.
func checkCell(cell string, column, columns int) error {
	switch {
	case cell == "", strings.ContainsAny(cell, "\t\r\n"), strings.Trim(cell, " ") != cell, columns == 1 && strings.Contains(cell, " "):
	case column == 0 && (strings.HasPrefix(cell, docStart) || strings.HasPrefix(cell, medline) || strings.HasPrefix(cell, string(utf8BOM))):
	case !utf8.ValidString(cell):
	default:
		return nil
	}
	return fmt.Errorf("%s cannot stand in a file with a word a line", shorten(cell))
}
