package data

import (
	"encoding/json"
	"fmt"
	"strconv"

	parquetgo "github.com/parquet-go/parquet-go"

	"autolora/data/parquet"
)

// readParquet reads the wanted columns of a parquet file; row numbers take the place of lines.
func readParquet(file string, b []byte, spec tableSpec, yield yieldRow) error {
	f, err := parquet.Open(b)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	at, err := spec.locate(file, f.Columns())
	if err != nil {
		return err
	}
	columns := make([]func(row int) (cell, error), len(at)) // a row's cell of each column, nil for one that is not there
	for i, k := range at {
		if k < 0 {
			continue
		}
		if columns[i], err = parquetColumn(f, f.Columns()[k], spec.lists); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	cells := make([]cell, len(at))
	for row := range f.Rows() {
		for i, c := range spec.columns {
			cells[i] = cell{}
			if columns[i] == nil {
				continue
			}
			if cells[i], err = columns[i](row); err != nil {
				return fmt.Errorf("%s: %w", place(file, row+1), err)
			}
			if cells[i].kind == missing && !c.optional {
				return fmt.Errorf("%s: %q is null: want a value", place(file, row+1), f.Columns()[at[i]])
			}
		}
		if err := yield(row+1, cells); err != nil {
			return err
		}
	}
	return nil
}

// parquetColumn reads a column and returns what gives a row's cell of it.
func parquetColumn(f *parquet.File, name string, lists bool) (func(row int) (cell, error), error) {
	if !lists {
		values, err := f.Column(name)
		return func(row int) (cell, error) { return parquetCell(values[row]) }, err
	}
	rows, err := f.Lists(name)
	classes := hubClasses(f, name)
	return func(row int) (cell, error) {
		if rows[row] == nil {
			return cell{}, nil
		}
		c := cell{kind: isList, list: make([]cell, len(rows[row]))}
		for i, v := range rows[row] {
			element, err := parquetCell(v)
			whole, _ := element.whole()
			switch {
			case err != nil:
				return cell{}, err
			case element.kind == missing:
				return cell{}, fmt.Errorf("%q: element %d is null: want a value", name, i+1)
			case classes != nil && (element.kind != isNumber || whole < 0 || whole >= int64(len(classes))):
				return cell{}, fmt.Errorf("%q: element %d is %s: want 0 to %d", name, i+1, shorten(element.String()), len(classes)-1)
			case classes != nil:
				element = cell{kind: isText, text: classes[whole]}
			}
			c.list[i] = element
		}
		return c, nil
	}, err
}

// hubClasses returns the names of the classes whose indices a column of lists holds, nil if the file does not
// say. Files of Hugging Face datasets do, in a JSON object with the features of the data set.
func hubClasses(f *parquet.File, name string) []string {
	var note struct {
		Info struct {
			Features map[string]struct {
				Feature struct{ Names []string }
			}
		}
	}
	if json.Unmarshal([]byte(f.Note("huggingface")), &note) != nil {
		return nil
	}
	return note.Info.Features[name].Feature.Names
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
	s := string(v.ByteArray())
	return cell{kind: isText, text: s}, checkText(s)
}
