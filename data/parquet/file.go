package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// File is a parquet file in memory whose footer has been read.
type File struct {
	b       []byte // up to the footer
	meta    metadata
	columns []column
	limit   int // bytes that the values of one column may take, see newLimit
}

// column is a node right under the root of the schema.
type column struct {
	schemaElement
	leafIndex int             // place of its first leaf among the chunks of a row group
	path      []schemaElement // from it down to its leaf; nil if they are no simple chain
}

// Value is one value of a column as text: integers in decimal, floats in the fewest digits that give the
// same value of their width, booleans as true and false. Text is not checked to be UTF-8.
type Value struct {
	Text string
	Null bool
}

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
	f := &File{b: b[:split], limit: newLimit(len(b))}
	t := &thrift{b: b[split : len(b)-tail]}
	f.meta.read(t)
	if t.err != nil {
		return nil, fmt.Errorf("the parquet file is damaged: footer: %w", t.err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("the parquet file is damaged: %w", err)
	}
	return f, nil
}

// check builds the list of columns and compares the counts of rows.
func (f *File) check() error {
	schema := f.meta.schema
	if len(schema) == 0 || schema[0].leaf {
		return errors.New("it has no schema")
	}
	next, leaves := 1, 0
	for range schema[0].children {
		if next >= len(schema) {
			return errors.New("the schema ends too early")
		}
		c := column{schemaElement: schema[next], leafIndex: leaves}
		start, chain := next, true
		for open := 1; open > 0; open-- { // the node and all below it
			if next >= len(schema) {
				return errors.New("the schema ends too early")
			}
			if schema[next].leaf {
				leaves++
			} else {
				open += schema[next].children
				chain = chain && schema[next].children == 1
			}
			next++
		}
		if chain {
			c.path = schema[start:next]
		}
		f.columns = append(f.columns, c)
	}
	rows := int64(0)
	most := int64(f.limit / bytesPerValue)
	for i, g := range f.meta.groups {
		if len(g.chunks) != leaves {
			return fmt.Errorf("row group %d has %d columns, the schema %d", i, len(g.chunks), leaves)
		}
		if g.rows < 0 || g.rows > most-rows {
			return fmt.Errorf("row group %d says it has %d rows, too many for a file of this size", i, g.rows)
		}
		rows += g.rows
	}
	if rows != f.meta.rows {
		return fmt.Errorf("the footer says %d rows, the row groups %d", f.meta.rows, rows)
	}
	return nil
}

// Rows is the number of rows.
func (f *File) Rows() int { return int(f.meta.rows) }

// Columns returns the names of the columns in file order, those that cannot be read (structs, dates, ...)
// included.
func (f *File) Columns() []string {
	names := make([]string, len(f.columns))
	for i, c := range f.columns {
		names[i] = c.name
	}
	return names
}

// Note returns the text that the writer of the file left under a key, "" if there is none.
func (f *File) Note(key string) string { return f.meta.notes[key] }

// Column returns the values of a column, Rows of them.
func (f *File) Column(name string) ([]Value, error) {
	r, err := f.read(name, column.checkFlat)
	if err != nil {
		return nil, err
	}
	return r.values, nil
}

// Lists returns the lists of a column that holds them, Rows of them: nil for a null, not nil for an empty list.
func (f *File) Lists(name string) ([][]Value, error) {
	r, err := f.read(name, column.checkList)
	if err != nil {
		return nil, err
	}
	return r.rows(), nil
}

// read reads all values of a column that check has nothing against.
func (f *File) read(name string, check func(column) error) (*columnReader, error) {
	i := slices.IndexFunc(f.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return nil, fmt.Errorf("no column %q", name)
	}
	c := f.columns[i]
	if err := check(c); err != nil {
		return nil, fmt.Errorf("column %q: %w", name, err)
	}
	r := &columnReader{file: f, name: name, schema: c.path[len(c.path)-1], left: f.limit}
	r.setLevels(c.path)
	for g, group := range f.meta.groups {
		if err := r.readChunk(group.chunks[c.leafIndex], int(group.rows)); err != nil {
			return nil, fmt.Errorf("column %q, row group %d: %w", name, g, err)
		}
	}
	return r, nil
}

const wantValues = "want strings, integers, floats or booleans"

// checkFlat says why a column is not one that Column reads.
func (c column) checkFlat() error {
	switch {
	case !c.leaf:
		return fmt.Errorf("it is a list or a struct: %s", wantValues)
	case c.repetition != repRequired && c.repetition != repOptional:
		return fmt.Errorf("it is a list: %s", wantValues)
	}
	return c.schemaElement.checkType(wantValues)
}

// checkList says why a column is not one that Lists reads. Lists are written in several ways: as an optional
// group that holds a repeated group that holds an optional element, and with any of the three left out. What
// counts is that one node on the way to the leaf is repeated.
func (c column) checkList() error {
	const want = "want a list of strings, integers, floats or booleans"
	repeated := 0
	for _, node := range c.path {
		switch node.repetition {
		case repRequired, repOptional:
		case repRepeated:
			repeated++
		default:
			return fmt.Errorf("it has a node of repetition %d: %s", node.repetition, want)
		}
	}
	switch {
	case c.path == nil:
		return fmt.Errorf("it is a struct or a list of structs: %s", want)
	case repeated == 0:
		return fmt.Errorf("it is no list: %s", want)
	case repeated > 1:
		return fmt.Errorf("it is a list of lists: %s", want)
	}
	return c.path[len(c.path)-1].checkType(want)
}

// checkType says why the values of a leaf cannot be read.
func (e schemaElement) checkType(want string) error {
	switch e.physical {
	case physBoolean, physFloat, physDouble, physByteArray, physInt32, physInt64:
	default:
		return fmt.Errorf("it has the type %v: %s", e.physical, want)
	}
	switch e.logical {
	case logicalNone, logicalString, logicalEnum, logicalInteger, logicalJSON:
	default:
		return fmt.Errorf("it holds decimals, dates or times: %s", want)
	}
	switch k := e.converted; {
	case k == convertedNone, k == convertedUTF8, k == convertedEnum, k == convertedJSON:
	case k >= convertedUint8 && k <= convertedInt64:
	default:
		return fmt.Errorf("it holds decimals, dates or times: %s", want)
	}
	return nil
}
