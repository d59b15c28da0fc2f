package parquet

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
)

// Nested reports whether a column holds lists or structs.
func (f *File) Nested(name string) bool {
	column := f.root.Column(name)
	return column != nil && (!column.Leaf() || column.Repeated())
}

// JSON returns the values of a column of lists, structs and what these hold, Rows of them: JSON, in which a struct is an
// object without the fields that are null, decimals, dates or times, nil for a null. A NaN is a null.
func (f *File) JSON(name string) (rows []json.RawMessage, err error) {
	column := f.root.Column(name)
	if column == nil {
		return nil, fmt.Errorf("no column %q", name)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("column %q: %w", name, err)
		}
	}()
	defer recoverDamage(&err)
	a := assembly{leaves: map[*parquet.Column]*leaf{}}
	if err := a.read(f, name, column); err != nil {
		return nil, err
	}
	for range f.Rows() {
		value := a.value(column)
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if value == nil {
			text = nil
		}
		rows = append(rows, text)
	}
	for _, l := range a.leaves {
		if l.at != len(l.levels) {
			return nil, errors.New("its parts have different numbers of values")
		}
	}
	return rows, nil
}

// assembly puts the leaves of a column together again, as Dremel's paper has it (Melnik et al. 2010).
type assembly struct {
	leaves map[*parquet.Column]*leaf
}

// leaf is the values of a leaf with their levels.
type leaf struct {
	levels []level
	values []Value // those that are there
	hidden bool    // they are decimals, dates or times
	at     int     // place among the levels
}

type level struct{ repetition, definition byte }

// read reads the leaves below a column.
func (a *assembly) read(f *File, name string, c *parquet.Column) error {
	if !c.Leaf() {
		for _, child := range c.Columns() {
			if err := a.read(f, name, child); err != nil {
				return err
			}
		}
		return nil
	}
	if err := checkKind(c.Type(), "want strings, integers, floats and booleans"); err != nil {
		return err
	}
	if c.MaxDefinitionLevel() > math.MaxInt8 {
		return errors.New("it is nested too deep")
	}
	r := &columnReader{
		file: f, name: name, left: f.limit, typ: c.Type(), present: byte(c.MaxDefinitionLevel()), repeated: byte(c.MaxRepetitionLevel()), nested: true,
	}
	for _, group := range f.meta.RowGroups {
		if err := r.readChunk(&group.Columns[c.Index()], int(group.NumRows)); err != nil {
			return err
		}
	}
	a.leaves[c] = &leaf{levels: r.levels, values: r.values, hidden: !isPlain(c.Type())}
	return nil
}

// first is the first leaf below a column.
func (a *assembly) first(c *parquet.Column) *leaf {
	for !c.Leaf() {
		c = c.Columns()[0]
	}
	return a.leaves[c]
}

// skip passes over a value that is not there, in all leaves below a column.
func (a *assembly) skip(c *parquet.Column) {
	if c.Leaf() {
		a.leaves[c].at++
		return
	}
	for _, child := range c.Columns() {
		a.skip(child)
	}
}

// value is the next value of a column. Levels that do not fit end in a panic, which the caller makes an error.
func (a *assembly) value(c *parquet.Column) any {
	if c.Repeated() {
		return a.list(c, a.item)
	}
	return a.item(c)
}

// list is the elements of a repeated column.
func (a *assembly) list(c *parquet.Column, item func(c *parquet.Column) any) any {
	l := a.first(c)
	elements := []any{}
	if int(l.levels[l.at].definition) < c.MaxDefinitionLevel() {
		a.skip(c)
		return elements
	}
	for {
		elements = append(elements, item(c))
		if l.at >= len(l.levels) || int(l.levels[l.at].repetition) < c.MaxRepetitionLevel() {
			return elements
		}
	}
}

// item is one value of a column, whether that is repeated or not.
func (a *assembly) item(c *parquet.Column) any {
	l := a.first(c)
	if int(l.levels[l.at].definition) < c.MaxDefinitionLevel() {
		a.skip(c)
		return nil
	}
	children := c.Columns()
	switch {
	case c.Leaf():
		l.at++
		v := l.values[0]
		l.values = l.values[1:]
		if l.hidden {
			return nil
		}
		return plain(v)
	case len(children) == 1 && children[0].Repeated(): // a list: a group of a repeated group of the element
		return a.list(children[0], func(c *parquet.Column) any {
			if !c.Leaf() && len(c.Columns()) == 1 {
				return a.value(c.Columns()[0])
			}
			return a.item(c)
		})
	}
	object := members{}
	for _, child := range children {
		if value := a.value(child); value != nil {
			object = append(object, field{child.Name(), value})
		}
	}
	return object
}

// plain is a value as encoding/json takes it.
func plain(v Value) any {
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Int32, parquet.Int64:
		return v.Int64()
	case parquet.Float:
		return float(float64(v.Float()), 32)
	case parquet.Double:
		return float(v.Double(), 64)
	}
	if text := v.ByteArray(); utf8.Valid(text) {
		return string(text)
	}
	panic("a text is not UTF-8")
}

// float is a number that JSON does not take for a whole one, null of NaN, which pandas writes for it.
func float(v float64, bits int) any {
	switch {
	case math.IsNaN(v):
		return nil
	case math.IsInf(v, 0):
		panic("a number is infinite")
	}
	digits := strconv.FormatFloat(v, 'g', -1, bits)
	if !strings.ContainsAny(digits, ".e") {
		digits += ".0"
	}
	return json.RawMessage(digits)
}

// members are the fields of a struct, in their order.
type members []field

type field struct {
	name  string
	value any
}

// MarshalJSON writes an object.
func (m members) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range m {
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}
