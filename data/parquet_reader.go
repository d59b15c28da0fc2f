package data

import (
	"fmt"

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
	columns := make([][]parquet.Value, len(at))
	for i, c := range spec.columns {
		if at[i] < 0 {
			continue
		}
		if columns[i], err = f.Column(c.name); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	cells := make([]cell, len(at))
	for row := range f.Rows() {
		for i, c := range spec.columns {
			cells[i] = cell{}
			if at[i] < 0 {
				continue
			}
			v := columns[i][row]
			switch {
			case !v.Null:
				cells[i] = cell{v.Text, true}
			case !c.optional:
				return fmt.Errorf("%s: %q is null: want a value", place(file, row+1), c.name)
			}
			if err := checkUTF8(file, row+1, v.Text); err != nil {
				return err
			}
		}
		if err := yield(row+1, cells); err != nil {
			return err
		}
	}
	return nil
}
