package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	mathbits "math/bits"
	"slices"
)

// columnReader gathers the values of one column, or the elements of its lists.
//
// A value in a file has levels in place of the nulls and lists around it (Dremel's encoding). Its definition
// level counts the optional and repeated nodes on the way to the leaf that are there: below present, something is
// missing. Its repetition level is 0 for the first element of a row, 1 for the others.
// See https://parquet.apache.org/docs/file-format/nestedencoding/.
type columnReader struct {
	file       *File
	name       string        // of the column
	schema     schemaElement // of its leaf
	present    uint32        // definition level of a value that is there
	element    uint32        // definition level from which on a list has an element; 0 if the column holds no lists
	left       int           // bytes that may still be decompressed
	dictionary []string
	values     []Value
	lists      []list // one a row
	open       bool   // the last of them has elements, so more may follow
	entries    int    // values, and in place of them empty lists and nulls
}

// list is where the elements of a row begin among the values.
type list struct {
	start int
	null  bool
}

// setLevels sets the definition levels for the nodes of a path.
func (r *columnReader) setLevels(path []schemaElement) {
	for _, node := range path {
		if node.repetition != repRequired {
			r.present++
		}
		if node.repetition == repRepeated {
			r.element = r.present
		}
	}
}

// readChunk appends the values of one row group.
func (r *columnReader) readChunk(c chunk, rows int) error {
	switch {
	case c.elsewhere:
		return errors.New("it is encrypted or lies in another file")
	case c.path != r.name:
		return fmt.Errorf("its data are those of column %q", c.path)
	case r.element == 0 && c.values != int64(rows), c.values < int64(rows), rows == 0 && c.values > 0:
		return fmt.Errorf("%d values for %d rows", c.values, rows)
	case c.values > int64(r.file.limit/bytesPerValue-r.entries):
		return fmt.Errorf("it says it has %d values, too many for a file of this size", c.values)
	case rows == 0:
		return nil
	}
	start := c.data
	if c.dict > 0 && c.dict < start {
		start = c.dict
	}
	if start < int64(len(magic)) || start > int64(len(r.file.b)) {
		return fmt.Errorf("its data begin at byte %d, outside the file", start)
	}
	rest := r.file.b[start:]
	r.dictionary, r.open = nil, false
	firstList := len(r.lists)
	for want := r.entries + int(c.values); r.entries < want; {
		t := &thrift{b: rest}
		h := readPageHeader(t)
		if t.err != nil {
			return fmt.Errorf("page header: %w", t.err)
		}
		if h.compressed > len(t.b) {
			return fmt.Errorf("a page of %d bytes where %d are left", h.compressed, len(t.b))
		}
		body := t.b[:h.compressed]
		rest = t.b[h.compressed:]
		if h.hasCRC && crc32.ChecksumIEEE(body) != h.crc {
			return errors.New("a page has a wrong checksum")
		}
		if h.uncompressed > r.left {
			return fmt.Errorf("a page says it holds %d bytes, too many for a file of this size", h.uncompressed)
		}
		r.left -= h.uncompressed
		if err := r.readPage(c.codec, h, body, want-r.entries); err != nil {
			return fmt.Errorf("page: %w", err)
		}
	}
	if n := len(r.lists) - firstList; r.element > 0 && n != rows {
		return fmt.Errorf("%d lists for %d rows", n, rows)
	}
	return nil
}

// readPage appends the values of a data page, at most room, or keeps a dictionary.
func (r *columnReader) readPage(c codec, h pageHeader, body []byte, room int) error {
	switch h.typ {
	case pageDictionary:
		body, err := c.decompress(body, h.uncompressed)
		if err != nil {
			return err
		}
		if h.encoding != encPlain && h.encoding != encPlainDictionary {
			return fmt.Errorf("a dictionary in encoding %v", h.encoding)
		}
		r.dictionary, err = plain(r.schema, body, h.values)
		return err
	case pageData, pageDataV2:
		if h.values > room {
			return fmt.Errorf("%d values where %d are left in the row group", h.values, room)
		}
	default:
		return nil // an index page
	}

	p, body, err := r.levels(c, h, body)
	if err != nil {
		return err
	}
	present := h.values
	for _, level := range p.definition {
		if level > r.present {
			return fmt.Errorf("definition level %d: want at most %d", level, r.present)
		}
		if level < r.present {
			present--
		}
	}
	texts, err := r.decode(h.encoding, body, present)
	if err != nil {
		return fmt.Errorf("encoding %v: %w", h.encoding, err)
	}
	r.entries += h.values
	r.values = slices.Grow(r.values, h.values)
	if r.element > 0 {
		return r.appendLists(p, texts)
	}
	for i := range h.values {
		r.append(p.definition == nil || p.definition[i] == r.present, &texts)
	}
	return nil
}

// append appends the next of the texts, or a null.
func (r *columnReader) append(present bool, texts *[]string) {
	if !present {
		r.values = append(r.values, Value{Null: true})
		return
	}
	r.values = append(r.values, Value{Text: (*texts)[0]})
	*texts = (*texts)[1:]
}

// appendLists appends the lists and elements that a page holds.
func (r *columnReader) appendLists(p levels, texts []string) error {
	for i, repetition := range p.repetition {
		definition := p.definition[i]
		switch {
		case repetition == 0:
			r.lists = append(r.lists, list{start: len(r.values), null: definition+1 < r.element})
			r.open = definition >= r.element
		case !r.open || definition < r.element:
			return errors.New("its repetition levels make no lists")
		}
		if definition >= r.element {
			r.append(definition == r.present, &texts)
		}
	}
	return nil
}

// rows returns the lists with their elements.
func (r *columnReader) rows() [][]Value {
	rows := make([][]Value, len(r.lists))
	end := len(r.values)
	for i, l := range slices.Backward(r.lists) {
		if !l.null {
			rows[i] = r.values[l.start:end:end]
			end = l.start
		}
	}
	return rows
}

// levels are those of the values of a page.
type levels struct {
	repetition []uint32 // 0 or 1; nil if the column holds no lists
	definition []uint32 // nil if every value is there
}

// levels returns the levels and the decompressed values.
func (r *columnReader) levels(c codec, h pageHeader, body []byte) (p levels, values []byte, err error) {
	var repetition, definition []byte
	switch h.typ {
	case pageDataV2:
		n := h.repetitionBytes + h.definitionBytes
		if n > len(body) || n > h.uncompressed {
			return p, nil, fmt.Errorf("%d bytes of levels in a page of %d", n, len(body))
		}
		repetition, definition, values = body[:h.repetitionBytes], body[h.repetitionBytes:n], body[n:]
		if h.plainValues {
			c = codecNone
		}
		if values, err = c.decompress(values, h.uncompressed-n); err != nil {
			return p, nil, err
		}
	default:
		if values, err = c.decompress(body, h.uncompressed); err != nil {
			return p, nil, err
		}
		if r.element > 0 {
			if h.repetitionEncoding != encRLE {
				return p, nil, fmt.Errorf("repetition levels in encoding %v: want %v", h.repetitionEncoding, encRLE)
			}
			if repetition, values, err = prefixed(values); err != nil {
				return p, nil, err
			}
		}
		if r.present > 0 {
			if h.definitionEncoding != encRLE {
				return p, nil, fmt.Errorf("definition levels in encoding %v: want %v", h.definitionEncoding, encRLE)
			}
			if definition, values, err = prefixed(values); err != nil {
				return p, nil, err
			}
		}
	}
	if r.element > 0 {
		if p.repetition, err = hybrid(repetition, 1, h.values); err != nil {
			return p, nil, fmt.Errorf("repetition levels: %w", err)
		}
	}
	if r.present > 0 {
		if p.definition, err = hybrid(definition, mathbits.Len32(r.present), h.values); err != nil {
			return p, nil, fmt.Errorf("definition levels: %w", err)
		}
	}
	return p, values, nil
}

// prefixed cuts off what a little-endian length of 4 bytes announces.
func prefixed(b []byte) (part, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errShort
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if n > uint64(len(b)) {
		return nil, nil, errShort
	}
	return b[:n], b[n:], nil
}
