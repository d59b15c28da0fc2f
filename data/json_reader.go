package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// readJSON reads rows that are JSON objects: one a line, or in a list, as json.dump and pandas' to_json write it, which
// may stand under "data" or be the only list in an object without values of its own. Strings, numbers and booleans are cells, and lists of them.
func readJSON(file string, b []byte, spec *tableSpec, yield yieldRow) error {
	r := jsonReader{file: file, spec: spec, yield: yield, b: b, line: 1}
	if isJSONLines(b) {
		return lines(file, b, func(line int, text string) error {
			if strings.TrimSpace(text) == "" {
				return nil
			}
			return r.row(line, []byte(text), "one object a line")
		})
	}
	if err := lines(file, b, func(int, string) error { return nil }); err != nil { // that is not UTF-8
		return err
	}
	return r.document()
}

// isJSONLines reports whether a file has an object a line. It has not where it begins with a list, where its first
// value ends in a later line, and where its only line is an object around a list.
func isJSONLines(b []byte) bool {
	b = bytes.TrimSpace(b)
	first, rest, _ := bytes.Cut(b, []byte{'\n'})
	switch {
	case len(b) == 0 || b[0] != '{' && b[0] != '[':
		return true
	case b[0] == '[':
		return false
	case json.Valid(first):
		if len(rest) > 0 {
			return true
		}
		object := fieldsOf(first)
		return rowsWithin(object) == nil && !wrapper(object)
	}
	var value json.RawMessage
	d := json.NewDecoder(bytes.NewReader(b))
	return d.Decode(&value) != nil || d.InputOffset() <= int64(len(first))
}

// fieldsOf returns the fields of a value, nil if it is no object.
func fieldsOf(value []byte) (fields map[string]json.RawMessage) {
	if json.Unmarshal(value, &fields) != nil {
		return nil
	}
	return fields
}

// rowsWithin returns the list of objects that an object holds, nil if it is a row itself.
func rowsWithin(fields map[string]json.RawMessage) json.RawMessage {
	if rows := fields["data"]; holds(rows, '{') {
		return rows
	}
	var lists []json.RawMessage
	for _, field := range fields {
		if holds(field, '{') {
			lists = append(lists, field)
		}
	}
	if !wrapper(fields) || len(lists) != 1 {
		return nil
	}
	return lists[0]
}

// holds reports whether a value is a list that begins with an object, or with a list.
func holds(value json.RawMessage, first byte) bool {
	inner, ok := bytes.CutPrefix(value, []byte{'['})
	return ok && bytes.HasPrefix(bytes.TrimLeft(inner, " \t\r\n"), []byte{first})
}

// wrapper reports whether an object is no row: all that it has is objects, and lists of these or of lists.
func wrapper(fields map[string]json.RawMessage) bool {
	for _, name := range append(messageNames, promptNames[0][:]...) { // whose messages are not rows
		var messages []map[string]json.RawMessage
		if json.Unmarshal(fields[name], &messages) == nil && len(messages) > 0 && (messages[0]["role"] != nil || messages[0]["from"] != nil || messages[0]["content"] != nil) {
			return false
		}
	}
	for _, field := range fields {
		if field[0] != '{' && !holds(field, '{') && !holds(field, '[') {
			return false
		}
	}
	return len(fields) > 0
}

type jsonReader struct {
	file  string
	spec  *tableSpec
	yield yieldRow
	cells []cell
	b     []byte // what is still to be read of a document
	line  int    // where that begins
}

// document reads the values of a file one after the other: rows, or lists of rows.
func (r *jsonReader) document() error {
	for r.skipWhite(); len(r.b) > 0; r.skipWhite() {
		if r.b[0] == '[' {
			if err := r.list(); err != nil {
				return err
			}
			continue
		}
		line := r.line
		value, err := r.value()
		if err != nil {
			return err
		}
		fields := fieldsOf(value)
		switch rows := rowsWithin(fields); {
		case rows == nil && wrapper(fields):
			err = fmt.Errorf("%s: the object is no row, and has no list that must be the rows: it has %s: want a list of objects, as pandas writes with orient=\"records\"",
				place(r.file, line), listNames(slices.Sorted(maps.Keys(fields))))
		case rows == nil:
			err = r.row(line, value, "objects")
		default:
			before, _, _ := bytes.Cut(value, rows)
			inner := *r
			inner.b, inner.line = rows, line+bytes.Count(before, []byte{'\n'})
			err = inner.list()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list reads the rows of the list that comes next.
func (r *jsonReader) list() error {
	for r.advance(1); ; {
		r.skipWhite()
		if bytes.HasPrefix(r.b, []byte{']'}) {
			r.advance(1)
			return nil
		}
		line := r.line
		value, err := r.value()
		if err == nil {
			err = r.row(line, value, "a list of objects")
		}
		if err != nil {
			return err
		}
		r.skipWhite()
		if bytes.HasPrefix(r.b, []byte{','}) {
			r.advance(1)
		}
	}
}

// value returns the value that comes next.
func (r *jsonReader) value() (value json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(r.b))
	if err = d.Decode(&value); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, r.notRows(r.line, err, "objects, or a list of them")
	}
	r.advance(int(d.InputOffset()))
	return value, nil
}

// advance goes forward by n bytes.
func (r *jsonReader) advance(n int) {
	r.line += bytes.Count(r.b[:n], []byte{'\n'})
	r.b = r.b[n:]
}

func (r *jsonReader) skipWhite() { r.advance(len(r.b) - len(bytes.TrimLeft(r.b, " \t\r\n"))) }

// row takes an object.
func (r *jsonReader) row(line int, text []byte, want string) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok || err == nil {
			err = errors.New("not a JSON object")
		}
		return r.notRows(line, err, want)
	}
	if r.spec.object != nil {
		return r.spec.object(line, text)
	}
	if r.spec.all {
		r.addColumns(text, object)
	}
	r.cells = slices.Grow(r.cells[:0], len(r.spec.columns))
	for i, c := range r.spec.columns {
		name := c.name
		value, there := object[name]
		if !there && c.other != "" {
			name = c.other
			value, there = object[name]
		}
		if !there && !c.optional {
			return fmt.Errorf("%s: no %s: it has %s", place(r.file, line), c, listNames(slices.Sorted(maps.Keys(object))))
		}
		read, err := jsonCell(value)
		if c.raw && (read.kind == isList || read.kind == isOther) {
			read = cell{kind: isOther, text: string(value)}
		}
		if err != nil {
			return fmt.Errorf("%s: %q: %w", place(r.file, line), name, err)
		}
		if err := r.spec.check(i, read); err != nil {
			return fmt.Errorf("%s: %q%w", place(r.file, line), name, err)
		}
		r.cells = append(r.cells, read)
	}
	return r.yield(line, r.cells)
}

// addColumns adds to the columns those that no row before had, in the object's order.
func (r *jsonReader) addColumns(text []byte, object map[string]json.RawMessage) {
	known := 0
	for _, c := range r.spec.columns {
		if _, ok := object[c.name]; ok {
			known++
		}
	}
	if known == len(object) {
		return
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.Token()
	for d.More() {
		key, _ := d.Token()
		name, _ := key.(string)
		if !slices.ContainsFunc(r.spec.columns, func(c column) bool { return c.name == name }) {
			r.spec.columns = append(r.spec.columns, column{name: name, optional: true})
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return
		}
	}
}

func (r *jsonReader) notRows(line int, err error, want string) error {
	example := "text"
	if len(r.spec.columns) > 0 {
		example = r.spec.columns[0].name
	}
	return fmt.Errorf("%s: %w: want %s, {%q: ...}", place(r.file, line), err, want, example)
}

// jsonCell returns a value as a cell, missing if it is not there or null.
func jsonCell(value json.RawMessage) (c cell, err error) {
	if len(value) == 0 {
		return cell{}, nil
	}
	switch value[0] {
	case 'n':
		return cell{}, nil
	case '"':
		c.kind = isText
		return c, json.Unmarshal(value, &c.text)
	case '[':
		var elements []json.RawMessage
		if err := json.Unmarshal(value, &elements); err != nil {
			return cell{}, err
		}
		c = cell{kind: isList, list: make([]cell, len(elements))}
		for i, element := range elements {
			switch first := element[0]; {
			case first == '[' || first == '{':
				c.list[i].kind = isOther
			default:
				if c.list[i], err = jsonCell(element); err != nil {
					return cell{}, err
				}
			}
		}
		return c, nil
	case '{':
		return cell{kind: isOther}, nil
	}
	return cell{kind: isText, text: string(value)}, nil
}
