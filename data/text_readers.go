package data

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// readTSV reads GLUE's tab-separated form: there is no quoting, a " is a character like any other
// (csv.QUOTE_NONE in the official loaders).
func readTSV(file string, b []byte, spec tableSpec, yield yieldRow) error {
	t := &textTable{file: file, spec: spec, yield: yield}
	if spec.header != nil {
		if err := t.locate(spec.header); err != nil {
			return err
		}
	}
	return lines(file, b, func(line int, text string) error {
		if text == "" {
			return nil
		}
		return t.row(line, strings.Split(text, "\t"))
	})
}

// readCSV reads RFC 4180: cells with a comma, a quote or a line end are in double quotes, "" is a quote.
func readCSV(file string, b []byte, spec tableSpec, yield yieldRow) error {
	spec.skip = nil
	t := &textTable{file: file, spec: spec, yield: yield}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, utf8BOM)))
	r.FieldsPerRecord = -1
	for {
		row, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if p, ok := errors.AsType[*csv.ParseError](err); ok {
			return fmt.Errorf("%s: column %d: %w", place(file, p.Line), p.Column, p.Err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, k := range t.at {
			if k < 0 || k >= len(row) {
				continue
			}
			line, _ := r.FieldPos(k)
			if err := checkUTF8(file, line, row[k]); err != nil {
				return err
			}
		}
		line, _ := r.FieldPos(0)
		if err := t.row(line, row); err != nil {
			return err
		}
	}
}

// textTable takes the rows of a table whose first row has the names of the columns.
type textTable struct {
	file  string
	spec  tableSpec
	yield yieldRow
	names []string // nil before the first row
	at    []int    // see tableSpec.locate
	cells []cell
}

func (t *textTable) locate(names []string) (err error) {
	t.names, t.cells = names, make([]cell, len(t.spec.columns))
	t.at, err = t.spec.locate(t.file, names)
	return err
}

// row takes a row. One that is shorter than the names is an error, and so is a longer one unless what is too much is
// empty.
func (t *textTable) row(line int, row []string) error {
	if t.names == nil {
		return t.locate(row)
	}
	names := t.names
	if len(row) < len(names) && t.spec.skip != nil && len(row) <= slices.Max(t.at) {
		t.spec.skip(line)
		return nil
	}
	for len(row) > len(names) && row[len(row)-1] == "" {
		row = row[:len(row)-1]
	}
	if len(row) != len(names) && (len(row) > len(names) || t.spec.skip == nil) {
		return fmt.Errorf("%s: %d cells, want %d (%s)", place(t.file, line), len(row), len(names), listNames(names))
	}
	for i, k := range t.at {
		t.cells[i] = cell{}
		if k >= 0 {
			t.cells[i] = cell{kind: isText, text: strings.Clone(row[k])} // not the whole row
		}
	}
	return t.yield(line, t.cells)
}

// readJSONL reads one JSON object a line. Strings, numbers and booleans are cells, or elements of lists if
// the spec asks for lists; other values are an error in a wanted column and ignored elsewhere.
func readJSONL(file string, b []byte, spec tableSpec, yield yieldRow) error {
	cells := make([]cell, len(spec.columns))
	parse := jsonCell
	if spec.lists {
		parse = jsonList
	}
	return lines(file, b, func(line int, text string) error {
		if strings.TrimSpace(text) == "" {
			return nil
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &object); err != nil || object == nil {
			if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok || err == nil {
				err = errors.New("not a JSON object")
			}
			return fmt.Errorf("%s: %w: want one object a line, {%q: ...}", place(file, line), err, spec.columns[0].name)
		}
		for i, c := range spec.columns {
			name := c.name
			value, there := object[name]
			if !there && c.other != "" {
				name = c.other
				value, there = object[name]
			}
			var err error
			if cells[i], err = parse(value); err != nil {
				return fmt.Errorf("%s: %q: %w", place(file, line), name, err)
			}
			switch {
			case cells[i].kind != missing || c.optional:
			case there:
				return fmt.Errorf("%s: %q is null: want a value", place(file, line), name)
			default:
				return fmt.Errorf("%s: no %s: it has %s", place(file, line), c, listNames(slices.Sorted(maps.Keys(object))))
			}
		}
		return yield(line, cells)
	})
}

// jsonCell returns a value. One that is missing or null is no error, but a missing cell.
func jsonCell(value json.RawMessage) (cell, error) {
	switch {
	case len(value) == 0 || value[0] == 'n':
		return cell{}, nil
	case value[0] == '"':
		var s string
		err := json.Unmarshal(value, &s)
		return cell{kind: isText, text: s}, err
	case value[0] == '[' || value[0] == '{':
		return cell{}, errors.New("is a list or an object: want a string or a number")
	}
	return cell{kind: isText, text: string(value)}, nil
}

// jsonList returns a list, as jsonCell does.
func jsonList(value json.RawMessage) (cell, error) {
	if len(value) == 0 || value[0] == 'n' {
		return cell{}, nil
	}
	var elements []json.RawMessage
	if value[0] != '[' {
		return cell{}, errors.New("is no list: want a list of strings")
	}
	if err := json.Unmarshal(value, &elements); err != nil {
		return cell{}, err
	}
	c := cell{kind: isList, list: make([]cell, len(elements))}
	for i, element := range elements {
		var err error
		if c.list[i], err = jsonCell(element); err == nil && c.list[i].kind == missing {
			err = errors.New("is null: want a string or a number")
		}
		if err != nil {
			return cell{}, fmt.Errorf("element %d %w", i+1, err)
		}
	}
	return c, nil
}
