package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// ReadColumn reads one column of text, the content of a table: of JSON objects, of a parquet file, or of a CSV or TSV
// file whose first line has one of the names. The column is the first of names that is there. A JSON list of texts or
// numbers is a column by itself. It is nil where the text is no table, a value a line, say. A value that is missing
// is "". With lists a value may be one, which becomes JSON.
func ReadColumn(file string, text []byte, lists bool, names ...string) ([]string, error) {
	if rows := []json.RawMessage(nil); lists && json.Unmarshal(text, &rows) == nil && len(rows) > 0 &&
		!slices.ContainsFunc(rows, func(row json.RawMessage) bool { return row[0] != '[' }) {
		values := make([]string, len(rows))
		for i, row := range rows {
			values[i] = string(row)
		}
		return values, nil
	}
	if list, err := jsonCell(bytes.TrimSpace(text)); err == nil && list.kind == isList && len(list.list) > 0 &&
		!slices.ContainsFunc(list.list, func(c cell) bool { return c.kind != isText }) {
		return list.texts(), nil
	}
	spec := &tableSpec{all: true}
	ext := strings.ToLower(filepath.Ext(file))
	read, delimited := readers[ext], ext == ".csv" || ext == ".tsv"
	switch start := bytes.TrimLeft(text, "[ \t\r\n"); {
	case bytes.HasPrefix(start, []byte{'{'}):
		read, delimited = readJSON, false
	case !delimited && !isParquet(file):
		return nil, nil
	}
	at := func() int {
		for _, name := range names {
			if i := slices.IndexFunc(spec.columns, func(c column) bool { return strings.EqualFold(c.name, name) }); i >= 0 {
				return i
			}
		}
		return -1
	}
	values := []string{}
	err := read(file, text, spec, func(line int, cells []cell) error {
		i := at()
		switch {
		case i >= len(cells) || i >= 0 && cells[i].kind == missing:
			values = append(values, "")
		case i >= 0 && lists && cells[i].kind == isList:
			list, _ := json.Marshal(cells[i].texts()) // of texts, which never fails
			values = append(values, string(list))
		case i >= 0 && (cells[i].kind == isList || cells[i].kind == isOther):
			return fmt.Errorf("%s: %q: is no text: want a string or a number", place(file, line), spec.columns[i].name)
		case i >= 0:
			values = append(values, cells[i].String())
		case !delimited:
			return fmt.Errorf("%s: no %q: it has %s", place(file, line), names[0], listNames(columnNames(spec.columns)))
		}
		return nil
	})
	if delimited && at() < 0 {
		return nil, nil // a value a line, some with commas
	}
	return values, err
}

func columnNames(columns []column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}
