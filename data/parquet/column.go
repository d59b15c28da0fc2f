package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// columnReader gathers the values of one column.
type columnReader struct {
	file       *File
	schema     schemaElement
	left       int // bytes that may still be decompressed
	dictionary []string
	values     []Value
}

// readChunk appends the values of one row group.
func (r *columnReader) readChunk(c chunk, rows int) error {
	switch {
	case c.elsewhere:
		return errors.New("it is encrypted or lies in another file")
	case c.path != r.schema.name:
		return fmt.Errorf("its data are those of column %q", c.path)
	case c.values != int64(rows):
		return fmt.Errorf("%d values for %d rows", c.values, rows)
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
	r.dictionary = nil
	for want := len(r.values) + rows; len(r.values) < want; {
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
		if err := r.readPage(c.codec, h, body, want-len(r.values)); err != nil {
			return fmt.Errorf("page: %w", err)
		}
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

	levels, body, err := r.levels(c, h, body)
	if err != nil {
		return err
	}
	present := h.values
	for _, level := range levels {
		if level == 0 {
			present--
		}
	}
	texts, err := r.decode(h.encoding, body, present)
	if err != nil {
		return fmt.Errorf("encoding %v: %w", h.encoding, err)
	}
	if levels == nil {
		for _, text := range texts {
			r.values = append(r.values, Value{Text: text})
		}
		return nil
	}
	for _, level := range levels {
		if level == 0 {
			r.values = append(r.values, Value{Null: true})
			continue
		}
		r.values = append(r.values, Value{Text: texts[0]})
		texts = texts[1:]
	}
	return nil
}

// levels returns the definition levels (0 null, 1 present; nil if the column has no nulls) and the
// decompressed values.
func (r *columnReader) levels(c codec, h pageHeader, body []byte) (levels []uint32, values []byte, err error) {
	optional := r.schema.repetition == repOptional
	var packed []byte
	switch h.typ {
	case pageDataV2:
		n := h.repetitionBytes + h.definitionBytes
		if n > len(body) || n > h.uncompressed {
			return nil, nil, fmt.Errorf("%d bytes of levels in a page of %d", n, len(body))
		}
		packed, values = body[h.repetitionBytes:n], body[n:]
		if h.plainValues {
			c = codecNone
		}
		if values, err = c.decompress(values, h.uncompressed-n); err != nil {
			return nil, nil, err
		}
	default:
		if values, err = c.decompress(body, h.uncompressed); err != nil {
			return nil, nil, err
		}
		if !optional {
			return nil, values, nil
		}
		if h.levelEncoding != encRLE {
			return nil, nil, fmt.Errorf("definition levels in encoding %v: want %v", h.levelEncoding, encRLE)
		}
		if packed, values, err = prefixed(values); err != nil {
			return nil, nil, err
		}
	}
	if !optional {
		return nil, values, nil
	}
	if levels, err = hybrid(packed, 1, h.values); err != nil {
		return nil, nil, fmt.Errorf("definition levels: %w", err)
	}
	return levels, values, nil
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
