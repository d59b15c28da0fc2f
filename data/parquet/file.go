package parquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// File is a parquet file in memory whose footer has been read.
type File struct {
	b     []byte // up to the footer
	meta  format.FileMetaData
	root  *parquet.Column
	limit int // bytes that the values of one column may take, see newLimit
}

// Value is one value of a column. Text is not checked to be UTF-8; values of a dictionary share it.
type Value = parquet.Value

const (
	magic          = "PAR1"
	encryptedMagic = "PARE"
	bytesPerValue  = 24 // a Value in memory
)

// newLimit bounds what a column may take in memory, so that a small file that claims much cannot take
// everything. Text compresses 2 to 10 times; only a file of little else than repetition comes near it.
func newLimit(fileSize int) int { return 4<<20 + 64*fileSize }

// Open reads the footer of a whole parquet file. The bytes are kept and must not change.
func Open(b []byte) (*File, error) {
	const tail = 8 // length of the footer, magic
	if len(b) < len(magic)+tail || string(b[:len(magic)]) != magic {
		if len(b) >= len(magic) && string(b[:len(magic)]) == encryptedMagic {
			return nil, errors.New("the parquet file is encrypted")
		}
		return nil, fmt.Errorf("not a parquet file: it does not begin with %s", magic)
	}
	end := b[len(b)-tail:]
	if string(end[4:]) != magic {
		return nil, fmt.Errorf("the parquet file is cut off: it does not end with %s", magic)
	}
	footer := uint64(binary.LittleEndian.Uint32(end))
	if footer > uint64(len(b)-len(magic)-tail) {
		return nil, fmt.Errorf("the parquet file is damaged: a footer of %d bytes in a file of %d", footer, len(b))
	}
	split := len(b) - tail - int(footer)
	f := &File{b: b[:split:split], limit: newLimit(len(b))}
	if err := f.open(b, b[split:len(b)-tail]); err != nil {
		return nil, fmt.Errorf("the parquet file is damaged: %w", err)
	}
	return f, nil
}

// open checks the footer, then has parquet-go make the columns of the schema.
func (f *File) open(b, footer []byte) (err error) {
	defer recoverDamage(&err)
	if _, err := readThrift(footer, &f.meta); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	if err := checkDepth(f.meta.Schema); err != nil {
		return err
	}
	rows := int64(0)
	for i, g := range f.meta.RowGroups {
		if g.NumRows < 0 || g.NumRows > int64(f.limit/bytesPerValue)-rows {
			return fmt.Errorf("row group %d says it has %d rows, too many for a file of this size", i, g.NumRows)
		}
		rows += g.NumRows
	}
	if rows != f.meta.NumRows {
		return fmt.Errorf("the footer says %d rows, the row groups %d", f.meta.NumRows, rows)
	}
	file, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)), parquet.SkipPageIndex(true),
		parquet.SkipBloomFilters(true), parquet.FileReadMode(parquet.ReadModeSync))
	if err != nil {
		return err
	}
	f.root = file.Root()
	return nil
}

// Rows is the number of rows.
func (f *File) Rows() int { return int(f.meta.NumRows) }

// Columns returns the names of the columns in file order, those that cannot be read (structs, dates, ...)
// included.
func (f *File) Columns() []string {
	var names []string
	for _, c := range f.root.Columns() {
		names = append(names, c.Name())
	}
	return names
}

// HasLists reports whether a column holds lists.
func (f *File) HasLists(name string) bool {
	column := f.root.Column(name)
	if column == nil {
		return false
	}
	_, _, err := listLeaf(column)
	return err == nil
}

// Note returns the text that the writer of the file left under a key, "" if there is none.
func (f *File) Note(key string) string {
	for _, note := range f.meta.KeyValueMetadata {
		if note.Key == key {
			return note.Value
		}
	}
	return ""
}

// Column returns the values of a column, Rows of them.
func (f *File) Column(name string) ([]Value, error) {
	r, err := f.read(name, flatLeaf)
	if err != nil {
		return nil, err
	}
	return r.values, nil
}

// Lists returns the lists of a column that holds them, Rows of them: nil for a null, not nil for an empty list. A column
// without any value, whose type says no more, holds nulls.
func (f *File) Lists(name string) ([][]Value, error) {
	if column := f.root.Column(name); column != nil && hasNoValues(column) {
		return make([][]Value, f.Rows()), nil
	}
	r, err := f.read(name, listLeaf)
	if err != nil {
		return nil, err
	}
	return r.rows(), nil
}

// read reads all values of a column. Find says which leaf of it to read, and from which definition level on a list
// has an element.
func (f *File) read(name string, find func(*parquet.Column) (leaf *parquet.Column, element int, err error)) (r *columnReader, err error) {
	column := f.root.Column(name)
	if column == nil {
		return nil, fmt.Errorf("no column %q", name)
	}
	where := fmt.Sprintf("column %q", name)
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", where, err)
		}
	}()
	defer recoverDamage(&err)
	leaf, element, err := find(column)
	if err != nil {
		return nil, err
	}
	r = &columnReader{
		file: f, name: name, left: f.limit, typ: leaf.Type(), present: byte(leaf.MaxDefinitionLevel()), element: byte(element),
	}
	rows := 0
	if element == 0 {
		rows = f.Rows() // which open has bounded
	}
	r.values = make([]Value, 0, rows) // not nil, for empty lists are parts of it
	for g, group := range f.meta.RowGroups {
		where = fmt.Sprintf("column %q, row group %d", name, g)
		if err := r.readChunk(&group.Columns[leaf.Index()], int(group.NumRows)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// flatLeaf is column itself if it holds one value a row.
func flatLeaf(column *parquet.Column) (*parquet.Column, int, error) {
	const want = "want strings, integers, floats or booleans"
	switch {
	case !column.Leaf():
		return nil, 0, fmt.Errorf("it is a list or a struct: %s", want)
	case column.Repeated():
		return nil, 0, fmt.Errorf("it is a list: %s", want)
	}
	return column, 0, checkType(column.Type(), want)
}

// listLeaf finds the elements of a column's lists. Lists are written in several ways: as an optional group that holds
// a repeated group that holds an optional element, and with any of the three left out. What counts is that one
// node on the way to the leaf is repeated.
func listLeaf(column *parquet.Column) (leaf *parquet.Column, element int, err error) {
	const want = "want a list of strings, integers, floats or booleans"
	for leaf = column; ; leaf = leaf.Columns()[0] {
		if leaf.Repeated() {
			element = leaf.MaxDefinitionLevel()
		}
		if leaf.Leaf() {
			break
		}
		if len(leaf.Columns()) != 1 {
			return nil, 0, fmt.Errorf("it is a struct or a list of structs: %s", want)
		}
	}
	switch leaf.MaxRepetitionLevel() {
	case 0:
		return nil, 0, fmt.Errorf("it is no list: %s", want)
	case 1:
		return leaf, element, checkType(leaf.Type(), want)
	}
	return nil, 0, fmt.Errorf("it is a list of lists: %s", want)
}

// hasNoValues reports whether a column is a leaf of Arrow's null type.
func hasNoValues(column *parquet.Column) bool {
	return column.Leaf() && !column.Repeated() && isNull(column.Type())
}

func isNull(t parquet.Type) bool {
	logical := t.LogicalType()
	if logical == nil {
		return false
	}
	_, null := logical.Value.(*format.NullType)
	return null
}

// checkType says why the values of a leaf cannot be read.
func checkType(t parquet.Type, want string) error {
	err := checkKind(t, want)
	if err == nil && !isPlain(t) {
		err = fmt.Errorf("it holds decimals, dates or times: %s", want)
	}
	return err
}

// checkKind is checkType of the form alone in which the values stand.
func checkKind(t parquet.Type, want string) error {
	switch t.Kind() {
	case parquet.Boolean, parquet.Int32, parquet.Int64, parquet.Float, parquet.Double, parquet.ByteArray:
		return nil
	}
	if isNull(t) {
		return nil
	}
	return fmt.Errorf("it has the type %v: %s", t.Kind(), want)
}

// isPlain reports whether values mean what stands there: no date, of which a number does.
func isPlain(t parquet.Type) bool {
	logical := t.LogicalType()
	if logical == nil {
		return true
	}
	switch logical.Value.(type) {
	case nil, *format.StringType, *format.EnumType, *format.IntType, *format.JsonType, *format.NullType:
		return true
	}
	return false
}
