package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unsafe"

	parquetgo "github.com/parquet-go/parquet-go"

	"autolora/data/parquet"
)

// readParquet reads the wanted columns of a parquet file; row numbers take the place of lines.
func readParquet(file string, b []byte, spec *tableSpec, yield yieldRow) error {
	f, err := parquet.Open(b)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	names := f.Columns()
	at, err := spec.locate(file, names)
	if err != nil {
		return err
	}
	others, unread := 0, error(nil)                         // columns that cannot be read
	columns := make([]func(row int) (cell, error), len(at)) // a row's cell of each column, nil for one that is not there
	for i, k := range at {
		if k < 0 {
			continue
		}
		name := names[k]
		switch {
		case spec.columns[i].raw && f.Nested(name):
			columns[i], err = parquetJSON(f, name)
		case spec.lists || (spec.all || spec.columns[i].listed) && f.HasLists(name):
			columns[i], err = parquetLists(f, name)
		case spec.all && f.Nested(name):
			columns[i] = func(int) (cell, error) { return cell{kind: isOther}, nil }
		default:
			columns[i], err = parquetValues(f, name)
		}
		if err != nil && !spec.all {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err != nil {
			unread = err
			columns[i] = func(int) (cell, error) { return cell{kind: isOther}, nil }
			others++
		}
	}
	if others > 0 && others == len(at) { // by a codec, say
		return fmt.Errorf("%s: none of the columns can be read: %w", file, unread)
	}
	cells := make([]cell, len(at))
	spec.rows = f.Rows()
	for row := range f.Rows() {
		for i := range columns {
			cells[i] = cell{}
			if columns[i] == nil {
				continue
			}
			name := names[at[i]]
			if cells[i], err = columns[i](row); err != nil && spec.all { // a picture's bytes, say
				cells[i] = cell{kind: isOther}
			} else if err != nil {
				return fmt.Errorf("%s: %q: %w", place(file, row+1), name, err)
			}
			if err := spec.check(i, cells[i]); err != nil {
				return fmt.Errorf("%s: %q%w", place(file, row+1), name, err)
			}
		}
		if err := yield(row+1, cells); err != nil {
			return err
		}
	}
	return nil
}

// parquetValues reads a column and returns what gives a row's cell of it.
func parquetValues(f *parquet.File, name string) (func(row int) (cell, error), error) {
	values, err := f.Column(name)
	if err != nil {
		return nil, err
	}
	classes, broken := hubClasses(f, name)
	return func(row int) (cell, error) {
		c, err := parquetCell(values[row])
		switch {
		case err != nil || c.kind != isNumber:
		case broken != nil:
			err = broken
		case classes != nil && c.number == NoLabel:
			c = cell{}
		case classes != nil:
			c.text, err = className(classes, c)
		}
		return c, err
	}, nil
}

// parquetLists is parquetValues of a column of lists.
func parquetLists(f *parquet.File, name string) (func(row int) (cell, error), error) {
	rows, err := f.Lists(name)
	if err != nil {
		return nil, err
	}
	classes, broken := hubClasses(f, name)
	return func(row int) (cell, error) {
		if rows[row] == nil {
			return cell{}, nil
		}
		c := cell{kind: isList, list: make([]cell, len(rows[row]))}
		for i, v := range rows[row] {
			element, err := parquetCell(v)
			switch {
			case err != nil:
			case broken != nil && element.kind == isNumber:
				err = broken
			case classes != nil && element.kind != missing:
				element.text, err = className(classes, element)
				element.kind = isText
			}
			if err != nil {
				return cell{}, fmt.Errorf("element %d is %w", i+1, err)
			}
			c.list[i] = element
		}
		return c, nil
	}, nil
}

// parquetJSON is parquetValues of a column of lists or structs, whose cells are JSON.
func parquetJSON(f *parquet.File, name string) (func(row int) (cell, error), error) {
	rows, err := f.JSON(name)
	if err != nil {
		return nil, err
	}
	return func(row int) (cell, error) {
		if rows[row] == nil {
			return cell{}, nil
		}
		return cell{kind: isOther, text: string(rows[row])}, nil
	}, nil
}

// className is the name of a class that a cell holds the index of.
func className(classes []string, c cell) (string, error) {
	if c.number < 0 || c.number >= int64(len(classes)) || c.text != "" {
		return "", fmt.Errorf("%s: want 0 to %d", shorten(c.String()), len(classes)-1)
	}
	return classes[c.number], nil
}

// hubClasses returns the names of the classes whose indices a column holds, nil if the file does not say. Files of
// Hugging Face datasets do, in a JSON object with the features of the data set.
func hubClasses(f *parquet.File, name string) ([]string, error) {
	var note struct {
		Info struct{ Features map[string]json.RawMessage }
	}
	text := f.Note("huggingface")
	if text == "" {
		return nil, nil
	}
	err := json.Unmarshal([]byte(text), &note)
	var classes []string
	if err == nil {
		classes, err = featureClasses(note.Info.Features[name])
	}
	if err != nil {
		err = fmt.Errorf(`a number, and its class is not known: the file's metadata "huggingface" cannot be read (%w): write it anew with datasets, or the names of the classes in place of numbers`, err)
	}
	return classes, err
}

// featureClasses returns the names that a feature of Hugging Face datasets gives classes. A list of a feature is
// written as {"feature": F, "_type": "List"} (once "Sequence"), or as [F].
func featureClasses(feature json.RawMessage) ([]string, error) {
	if bytes.HasPrefix(feature, []byte{'['}) {
		var inner []json.RawMessage
		if err := json.Unmarshal(feature, &inner); err != nil || len(inner) != 1 {
			return nil, err
		}
		return featureClasses(inner[0])
	}
	var f struct {
		Type    string `json:"_type"`
		Names   json.RawMessage
		Feature json.RawMessage
	}
	switch err := json.Unmarshal(feature, &f); {
	case len(feature) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("the feature %s", shorten(string(feature)))
	case f.Type != "ClassLabel" && f.Names == nil:
		return featureClasses(f.Feature)
	}
	var names []string
	if json.Unmarshal(f.Names, &names) != nil || len(names) == 0 {
		return nil, fmt.Errorf("the class names %s", shorten(string(f.Names)))
	}
	return names, nil
}

// parquetCell is a value: whole numbers as they are, of floats the fewest digits that give the same value of their
// width.
func parquetCell(v parquet.Value) (cell, error) {
	switch v.Kind() {
	case parquetgo.Int32, parquetgo.Int64:
		return cell{kind: isNumber, number: v.Int64()}, nil
	case parquetgo.Float:
		return cell{kind: isText, text: strconv.FormatFloat(float64(v.Float()), 'g', -1, 32)}, nil
	case parquetgo.Double:
		return cell{kind: isText, text: strconv.FormatFloat(v.Double(), 'g', -1, 64)}, nil
	case parquetgo.Boolean:
		return cell{kind: isText, text: strconv.FormatBool(v.Boolean())}, nil
	}
	if v.IsNull() {
		return cell{}, nil
	}
	// The text stays where it is, in a page or a dictionary that nobody writes to: a value that millions of rows have is
	// there once.
	text := v.ByteArray()
	s := unsafe.String(unsafe.SliceData(text), len(text))
	return cell{kind: isText, text: s}, checkText(s)
}
