package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"
)

// columnReader gathers the values of one column, or the elements of its lists.
//
// A value in a file has levels in place of the nulls and lists around it (Dremel's encoding). Its definition
// level counts the optional and repeated nodes on the way to the leaf that are there: below present, something is
// missing. Its repetition level is 0 for the first element of a row, 1 for the others.
// See https://parquet.apache.org/docs/file-format/nestedencoding/.
type columnReader struct {
	file       *File
	name       string       // of the column
	typ        parquet.Type // of its leaf
	present    byte         // definition level of a value that is there
	element    byte         // definition level from which on a list has an element; 0 if the column holds no lists
	nested     bool         // keep the levels, for several leaves to be put together; element and lists are not used
	repeated   byte         // repetition level at most, if nested
	levels     []level      // if nested: of every entry
	left       int          // bytes that may still be decompressed
	dictionary []Value
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

// readChunk appends the values of one row group.
func (r *columnReader) readChunk(c *format.ColumnChunk, rows int) error {
	meta := &c.MetaData
	switch {
	case c.FilePath != "" || c.CryptoMetadata.Value != nil:
		return errors.New("it is encrypted or lies in another file")
	case meta.PathInSchema[0] != r.name:
		return fmt.Errorf("its data are those of column %q", meta.PathInSchema[0])
	case r.element == 0 && r.repeated == 0 && meta.NumValues != int64(rows), meta.NumValues < int64(rows), rows == 0 && meta.NumValues > 0:
		return fmt.Errorf("%d values for %d rows", meta.NumValues, rows)
	case meta.NumValues > int64(r.file.limit/bytesPerValue-r.entries):
		return fmt.Errorf("it says it has %d values, too many for a file of this size", meta.NumValues)
	case rows == 0:
		return nil
	}
	start := meta.DataPageOffset
	if d := meta.DictionaryPageOffset; d > 0 && d < start {
		start = d
	}
	if start < int64(len(magic)) || start > int64(len(r.file.b)) {
		return fmt.Errorf("its data begin at byte %d, outside the file", start)
	}
	rest := r.file.b[start:]
	r.dictionary, r.open = nil, false
	firstList := len(r.lists)
	for want := r.entries + int(meta.NumValues); r.entries < want; {
		var h format.PageHeader
		n, err := readThrift(rest, &h)
		if err != nil {
			return fmt.Errorf("page header: %w", err)
		}
		size, whole := int(h.CompressedPageSize), int(h.UncompressedPageSize)
		if rest = rest[n:]; size < 0 || size > len(rest) {
			return fmt.Errorf("a page of %d bytes where %d are left", size, len(rest))
		}
		body := rest[:size:size]
		rest = rest[size:]
		if h.CRC != 0 && crc32.ChecksumIEEE(body) != uint32(h.CRC) {
			return errors.New("a page has a wrong checksum")
		}
		if whole < 0 || whole > r.left {
			return fmt.Errorf("a page says it holds %d bytes, too many for a file of this size", whole)
		}
		r.left -= whole
		if err := r.readPage(meta.Codec, &h, body, want-r.entries); err != nil {
			return fmt.Errorf("page: %w", err)
		}
	}
	if n := len(r.lists) - firstList; r.element > 0 && n != rows {
		return fmt.Errorf("%d lists for %d rows", n, rows)
	}
	return nil
}

// readPage appends the values of a data page, at most room, or keeps a dictionary.
func (r *columnReader) readPage(codec format.CompressionCodec, h *format.PageHeader, body []byte, room int) (err error) {
	p := page{encoding: h.DataPageHeader.V.Encoding, n: int(h.DataPageHeader.V.NumValues)}
	switch h.Type {
	case format.DictionaryPage:
		d := h.DictionaryPageHeader.V
		if body, err = decompress(codec, body, int(h.UncompressedPageSize)); err != nil {
			return err
		}
		if d.Encoding != format.Plain && d.Encoding != format.PlainDictionary {
			return fmt.Errorf("a dictionary in encoding %v", d.Encoding)
		}
		r.dictionary, err = r.decode(nil, format.Plain, body, int(d.NumValues))
		return err
	case format.DataPage:
		err = r.splitV1(&p, codec, h, body)
	case format.DataPageV2:
		p.encoding, p.n = h.DataPageHeaderV2.V.Encoding, int(h.DataPageHeaderV2.V.NumValues)
		err = r.splitV2(&p, codec, h, body)
	default:
		return nil // an index page
	}
	if err != nil {
		return err
	}
	if p.n < 0 || p.n > room {
		return fmt.Errorf("%d values where %d are left in the row group", p.n, room)
	}
	present := p.n
	var repetition, definition []byte
	if most := r.maxRepetition(); most > 0 {
		if repetition, err = levels(p.repetition, most, p.n); err != nil {
			return fmt.Errorf("repetition levels: %w", err)
		}
	}
	if r.present > 0 {
		if definition, err = levels(p.definition, r.present, p.n); err != nil {
			return fmt.Errorf("definition levels: %w", err)
		}
		for _, level := range definition {
			if level < r.present {
				present--
			}
		}
	}
	before := len(r.values)
	if r.values, err = r.decode(r.values, p.encoding, p.values, present); err != nil {
		return fmt.Errorf("encoding %v: %w", p.encoding, err)
	}
	r.entries += p.n
	if r.nested {
		r.keep(p.n, repetition, definition)
		return nil
	}
	return r.spread(before, repetition, definition)
}

// maxRepetition is the largest repetition level.
func (r *columnReader) maxRepetition() byte {
	if r.element > 0 {
		return 1
	}
	return r.repeated
}

// keep keeps the levels of n entries of a page.
func (r *columnReader) keep(n int, repetition, definition []byte) {
	for i := range n {
		l := level{definition: r.present}
		if repetition != nil {
			l.repetition = repetition[i]
		}
		if definition != nil {
			l.definition = definition[i]
		}
		r.levels = append(r.levels, l)
	}
}

// page is a data page, taken apart and decompressed.
type page struct {
	n                              int // values, nulls included
	encoding                       format.Encoding
	repetition, definition, values []byte
}

// splitV1 takes apart a page of version 1, which is compressed as a whole.
func (r *columnReader) splitV1(p *page, codec format.CompressionCodec, h *format.PageHeader, body []byte) (err error) {
	if p.values, err = decompress(codec, body, int(h.UncompressedPageSize)); err != nil {
		return err
	}
	cut := func(levels *[]byte, e format.Encoding) error {
		if e != format.RLE {
			return fmt.Errorf("levels in encoding %v: want %v", e, format.RLE)
		}
		*levels, p.values, err = prefixed(p.values)
		return err
	}
	if r.maxRepetition() > 0 {
		err = cut(&p.repetition, h.DataPageHeader.V.RepetitionLevelEncoding)
	}
	if r.present > 0 && err == nil {
		err = cut(&p.definition, h.DataPageHeader.V.DefinitionLevelEncoding)
	}
	return err
}

// splitV2 takes apart a page of version 2, whose levels stand uncompressed before the values.
func (r *columnReader) splitV2(p *page, codec format.CompressionCodec, h *format.PageHeader, body []byte) (err error) {
	v2 := &h.DataPageHeaderV2.V
	first := int(v2.RepetitionLevelsByteLength)
	second := first + int(v2.DefinitionLevelsByteLength)
	if first < 0 || second < first || second > len(body) || second > int(h.UncompressedPageSize) {
		return fmt.Errorf("%d bytes of levels in a page of %d", second, len(body))
	}
	if v2.IsCompressed.Valid && !v2.IsCompressed.V {
		codec = format.Uncompressed
	}
	p.repetition, p.definition = body[:first:first], body[first:second:second]
	p.values, err = decompress(codec, body[second:], int(h.UncompressedPageSize)-second)
	return err
}

// prefixed cuts off what a little-endian length of 4 bytes announces.
func prefixed(b []byte) (part, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errShort
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if b = b[4:]; n > uint64(len(b)) {
		return nil, nil, errShort
	}
	return b[:n:n], b[n:], nil
}

// levels decodes n levels of at most most.
func levels(b []byte, most byte, n int) ([]byte, error) {
	width := bits.Len8(most)
	if err := checkRuns(b, width, n); err != nil {
		return nil, err
	}
	out, err := (&rle.Encoding{BitWidth: width}).DecodeLevels(nil, b)
	if err != nil {
		return nil, err
	}
	if out = out[:n]; n > 0 && slices.Max(out) > most {
		return nil, fmt.Errorf("level %d: want at most %d", slices.Max(out), most)
	}
	return out, nil
}

// decode appends n values.
func (r *columnReader) decode(values []Value, e format.Encoding, b []byte, n int) ([]Value, error) {
	switch {
	case n == 0:
		return values, nil
	case e == format.PlainDictionary || e == format.RLEDictionary:
		return r.lookup(values, b, n)
	case e == format.RLE && r.typ.Kind() == parquet.Boolean:
		// Not with DecodeBoolean, which takes the byte of a repeated run for eight values.
		packed, _, err := prefixed(b)
		if err != nil {
			return nil, err
		}
		bools, err := levels(packed, 1, n)
		for _, v := range bools {
			values = append(values, parquet.BooleanValue(v != 0))
		}
		return values, err
	}
	if err := r.check(e, b, n); err != nil {
		return nil, err
	}
	decoded, err := r.typ.Decode(r.typ.NewValues(make([]byte, 0, len(b)), make([]uint32, 0, n+1)), b, parquet.LookupEncoding(e))
	if err != nil {
		return nil, err
	}
	if data, offsets := decoded.Data(); r.typ.Kind() == parquet.ByteArray {
		if len(offsets) != n+1 || !slices.IsSorted(offsets) || int(offsets[n]) > len(data) {
			return nil, fmt.Errorf("%d texts, want %d", len(offsets)-1, n)
		}
	}
	before := len(values)
	values = slices.Grow(values, n)[:before+n]
	added := values[before:]
	if got, err := r.typ.NewPage(0, n, decoded).Values().ReadValues(added); got < n {
		return nil, errors.Join(errShort, err)
	}
	if t := r.typ.LogicalType(); t != nil {
		if t, ok := t.Value.(*format.IntType); ok && !t.IsSigned {
			for i := range added {
				added[i] = unsigned(added[i])
			}
		}
	}
	return values, nil
}

// unsigned is an unsigned integer as a signed one, or as text where that has no room for it.
func unsigned(v Value) Value {
	switch {
	case v.Kind() == parquet.Int32:
		return parquet.Int64Value(int64(v.Uint32()))
	case v.Int64() < 0:
		return parquet.ByteArrayValue(strconv.AppendUint(nil, v.Uint64(), 10))
	}
	return v
}

// check says why b does not hold n values in an encoding.
func (r *columnReader) check(e format.Encoding, b []byte, n int) (err error) {
	width := 32 // bits, at least: texts have a length of as many before them
	switch r.typ.Kind() {
	case parquet.Boolean:
		width = 1
	case parquet.Int64, parquet.Double:
		width = 64
	}
	switch e {
	case format.Plain, format.ByteStreamSplit:
		if n > 8*len(b)/width || e == format.ByteStreamSplit && 8*len(b) != n*width {
			return errShort
		}
	case format.DeltaBinaryPacked, format.DeltaLengthByteArray:
		_, err = checkDelta(b, width, n)
	case format.DeltaByteArray:
		err = checkPrefixes(b, n, r.left)
	default:
		err = errors.New("not supported for this column")
	}
	return err
}

// lookup appends n values of the dictionary, whose places follow a byte with their width in bits.
func (r *columnReader) lookup(values []Value, b []byte, n int) ([]Value, error) {
	if r.dictionary == nil {
		return nil, errors.New("there is no dictionary before it")
	}
	if len(b) == 0 || b[0] > 32 {
		return nil, errShort
	}
	width := int(b[0])
	if err := checkRuns(b[1:], width, n); err != nil {
		return nil, err
	}
	places, err := (&rle.Encoding{BitWidth: width}).DecodeInt32(nil, slices.Clip(b[1:]))
	if err != nil {
		return nil, err
	}
	values = slices.Grow(values, n)
	for _, place := range places[:n] {
		if uint32(place) >= uint32(len(r.dictionary)) {
			return nil, fmt.Errorf("value %d of a dictionary of %d", uint32(place), len(r.dictionary))
		}
		values = append(values, r.dictionary[place])
	}
	return values, nil
}

// spread puts nulls among the values from one on, those of a page, and keeps where its lists begin, as its levels say:
// repetition is nil in a column without lists, definition where every value is there.
func (r *columnReader) spread(from int, repetition, definition []byte) error {
	if definition == nil {
		return nil
	}
	end := from // of the values with their nulls
	for i, level := range definition {
		if r.element > 0 && repetition[i] == 0 {
			r.lists = append(r.lists, list{start: end, null: level+1 < r.element})
			r.open = level >= r.element
		} else if r.element > 0 && (!r.open || level < r.element) {
			return errors.New("its repetition levels make no lists")
		}
		if level >= r.element {
			end++
		}
	}
	last := len(r.values)
	r.values = slices.Grow(r.values, end-last)[:end]
	for _, level := range slices.Backward(definition) {
		if level < r.element {
			continue
		}
		end--
		if level < r.present {
			r.values[end] = Value{}
		} else {
			last--
			r.values[end] = r.values[last]
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
