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
		name := f.Columns()[k]
		if spec.lists {
			lists, err := f.Lists(name)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			classes := hubClasses(f, name)
			columns[i] = func(row int) (cell, error) { return listCell(file, row+1, name, lists[row], classes) }
			continue
		}
		values, err := f.Column(name)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		columns[i] = func(row int) (cell, error) {
			v := values[row]
			text := parquetText(v)
			return cell{text: text, ok: !v.IsNull()}, checkUTF8(file, row+1, text)
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
				return err
			}
			if !cells[i].ok && !c.optional {
				return fmt.Errorf("%s: %q is null: want a value", place(file, row+1), f.Columns()[at[i]])
			}
		}
		if err := yield(row+1, cells); err != nil {
			return err
		}
	}
	return nil
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

// listCell returns a list, which has no nulls in it. Indices of classes are replaced by their names.
func listCell(file string, row int, name string, values []parquet.Value, classes []string) (cell, error) {
	list := make([]string, len(values))
	for i, v := range values {
		if v.IsNull() {
			return cell{}, fmt.Errorf("%s: %q: element %d is null: want a value", place(file, row), name, i+1)
		}
		if err := checkUTF8(file, row, parquetText(v)); err != nil {
			return cell{}, err
		}
		if list[i] = parquetText(v); classes != nil {
			class, ok := intLabel(list[i])
			if !ok || class < 0 || class >= len(classes) {
				return cell{}, fmt.Errorf("%s: %q: element %d is %s: want 0 to %d", place(file, row), name, i+1, shorten(list[i]), len(classes)-1)
			}
			list[i] = classes[class]
		}
	}
	return cell{list: list, ok: values != nil}, nil
}

// parquetText is a value as text: of a float the fewest digits that give the same value of its width.
func parquetText(v parquet.Value) string {
	switch v.Kind() {
	case parquetgo.Float:
		return strconv.FormatFloat(float64(v.Float()), 'g', -1, 32)
	case parquetgo.Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	}
	if v.IsNull() {
		return ""
	}
	return v.String()
}
