package data

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// readTSV reads a table with tabs between the cells. GLUE's files have no quoting: a " is a character like any other
// (csv.QUOTE_NONE in the official loaders). Others are written as CSV is, pandas' to_csv among them; they are told by
// quotes that quoting alone explains, see quotedTSV.
func readTSV(file string, b []byte, spec *tableSpec, yield yieldRow) error {
	return readText(file, b, spec, yield, '\t', quotedTSV(b))
}

// readPlainTSV is readTSV of the official files, which are never quoted.
func readPlainTSV(file string, b []byte, spec *tableSpec, yield yieldRow) error {
	return readText(file, b, spec, yield, '\t', false)
}

// quotedTSV reports whether the cells of a table are quoted. Read so, it has as many cells in every row and no quote
// that is out of place. Besides, there is a cell that holds what must be quoted: a quote, or a tab or a line end where
// the rows are not as long as each other without quoting; or a column is quoted in all of several rows.
func quotedTSV(b []byte) bool {
	if bytes.IndexByte(b, '"') < 0 {
		return false
	}
	quotes, ends := false, false // a quoted cell has quotes, tabs or line ends in it
	rows := 0
	var always []bool // of each column: it is quoted in all rows but the first, which has the names
	err := splitRows(b, '\t', true, func(_ int, row []rawCell) error {
		if rows++; rows == 1 {
			always = slices.Repeat([]bool{true}, len(row))
		}
		if len(row) != len(always) {
			return errNotQuoted
		}
		for i, c := range row {
			if c.stray {
				return errNotQuoted
			}
			quotes = quotes || c.quoted && bytes.IndexByte(c.text, '"') >= 0
			ends = ends || c.quoted && bytes.ContainsAny(c.text, "\t\r\n")
			always[i] = always[i] && (c.quoted || rows == 1)
		}
		return nil
	})
	if err != nil {
		return false
	}
	if ends {
		return splitRows(b, '\t', false, func(_ int, row []rawCell) error {
			if len(row) != len(always) {
				return errNotQuoted
			}
			return nil
		}) != nil
	}
	return quotes || rows > 2 && slices.Contains(always, true)
}

var errNotQuoted = errors.New("the cells are not quoted")

// readCSV reads RFC 4180: cells with a comma, a quote or a line end are in double quotes, "" is a quote. A quote
// elsewhere in a cell is a character like any other, as Python's csv and pandas have it: encoding/csv refuses it, or
// (LazyQuotes) takes all up to the next quote into the cell without a word. Where the first row is one cell, but of
// several with semicolons, tabs or bars between, so are the others.
func readCSV(file string, b []byte, spec *tableSpec, yield yieldRow) error {
	delimiter := byte(',')
	for _, d := range []byte(",;\t|") {
		several := false
		splitRows(b, d, true, func(_ int, row []rawCell) error {
			several = len(row) > 1 && !slices.ContainsFunc(row, func(c rawCell) bool { return c.stray })
			return errEnough
		})
		if several {
			delimiter = d
			break
		}
	}
	return readText(file, b, spec, yield, delimiter, true)
}

// rawCell is a cell of a row as splitRows finds it.
type rawCell struct {
	text   []byte // of the file, or a copy where quotes are taken away
	line   int    // where it begins
	quoted bool
	stray  bool // it has a quote that is out of place
}

// splitRows calls fn with the cells of each row of a table and the line where it begins. Rows end with LF or CRLF, and
// with a lone CR where cells may be quoted. Empty lines are left out, and as pandas does, those of white space. The slice of cells is reused.
func splitRows(b []byte, delimiter byte, quoting bool, fn func(line int, row []rawCell) error) error {
	ends := string(delimiter) + "\n"
	if quoting {
		ends += "\r"
	}
	var row []rawCell
	for line := 1; len(b) > 0; {
		c := rawCell{line: line}
		if quoting && b[0] == '"' {
			c.quoted = true
			for rest := b[1:]; ; {
				part, after, closed := bytes.Cut(rest, []byte{'"'})
				if !closed {
					return fmt.Errorf("line %d: the quote that begins cell %d is not closed", line, len(row)+1)
				}
				c.text = append(c.text, part...)
				if b = after; len(b) == 0 || b[0] != '"' {
					break
				}
				c.text, rest = append(c.text, '"'), b[1:]
			}
			line += bytes.Count(c.text, []byte{'\n'})
			c.text = bytes.ReplaceAll(c.text, []byte("\r\n"), []byte("\n"))
		}
		n := bytes.IndexAny(b, ends)
		if n < 0 {
			n = len(b)
		}
		rest, last := b[:n], n == len(b) || b[n] != delimiter
		if b = b[n:]; last {
			rest = bytes.TrimSuffix(rest, []byte{'\r'})
			b = b[len(lineEnd(b)):]
		} else {
			b = b[1:]
		}
		switch {
		case c.quoted && len(rest) > 0 && line > c.line: // more likely is a quote that begins a cell by mistake
			return fmt.Errorf("line %d: there is text behind the quote that ends cell %d, which begins in line %d: in a quoted cell a quote is written twice", line, len(row)+1, c.line)
		case c.quoted:
			c.text, c.stray = append(c.text, rest...), len(rest) > 0
		default:
			c.text, c.stray = rest, quoting && bytes.IndexByte(rest, '"') >= 0
		}
		row = append(row, c)
		if !last {
			if len(b) > 0 {
				continue
			}
			row = append(row, rawCell{line: line}) // behind the last delimiter of the file
		}
		if len(row) > 1 || row[0].quoted || len(bytes.TrimSpace(row[0].text)) > 0 {
			if err := fn(row[0].line, row); err != nil {
				return err
			}
		}
		line++
		row = row[:0]
	}
	return nil
}

// lineEnd is the line end at the front of b, empty at the end of a file.
func lineEnd(b []byte) []byte {
	if bytes.HasPrefix(b, []byte("\r\n")) {
		return b[:2]
	}
	return b[:min(len(b), 1)]
}

// textTable takes the rows of a table whose first row has the names of the columns, unless the spec has them.
type textTable struct {
	file  string
	spec  *tableSpec
	yield yieldRow
	names []string // nil before the first row
	at    []int    // see tableSpec.locate
	cells []cell
}

func readText(file string, b []byte, spec *tableSpec, yield yieldRow, delimiter byte, quoting bool) error {
	t := &textTable{file: file, spec: spec, yield: yield}
	if spec.header != nil {
		if err := t.locate(spec.header); err != nil {
			return err
		}
	}
	failed := false // in a row, which says where
	err := splitRows(b, delimiter, quoting, func(line int, row []rawCell) error {
		err := t.row(line, row)
		failed = err != nil
		return err
	})
	if err != nil && !failed {
		err = fmt.Errorf("%s: %w", t.file, err)
	}
	return err
}

func (t *textTable) locate(names []string) (err error) {
	t.names = names
	t.at, err = t.spec.locate(t.file, names)
	t.cells = make([]cell, len(t.at))
	return err
}

// row takes a row. One that is shorter than the names is an error, and so is a longer one unless what is too much is
// empty.
func (t *textTable) row(line int, row []rawCell) error {
	if t.names == nil {
		names := make([]string, len(row))
		for i, c := range row {
			names[i] = strings.TrimSpace(string(c.text))
			if err := checkUTF8(t.file, c.line, string(c.text)); err != nil {
				return err
			}
		}
		return t.locate(names)
	}
	names, skips := t.names, t.spec.skip != nil
	if skips && len(row) < len(names) && len(row) <= slices.Max(t.at) {
		t.spec.skip(line)
		return nil
	}
	for len(row) > len(names) && len(row[len(row)-1].text) == 0 {
		row = row[:len(row)-1]
	}
	if len(row) != len(names) && (len(row) > len(names) || !skips) {
		return fmt.Errorf("%s: %d cells, want %d (%s)", place(t.file, line), len(row), len(names), listNames(names))
	}
	for i, k := range t.at {
		t.cells[i] = cell{}
		if k < 0 {
			continue
		}
		t.cells[i] = cell{kind: isText, text: string(row[k].text)}
		if err := checkUTF8(t.file, row[k].line, t.cells[i].text); err != nil {
			return err
		}
	}
	return t.yield(line, t.cells)
}
