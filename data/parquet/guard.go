package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Here is what must be refused before parquet-go sees it, because a recover would be too late: what would take memory
// or stack without end, and what its assembly takes as it stands.

var (
	errShort  = errors.New("the data end too early")
	errThrift = errors.New("bad metadata")
)

// recoverDamage makes an error of a panic, in which most of what parquet-go does not expect ends.
func recoverDamage(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%v", p)
	}
}

// readThrift decodes a structure at the front of b and returns the number of its bytes.
func readThrift(b []byte, v any) (int, error) {
	r := &thriftReader{BytesReader: new(thrift.CompactProtocol).NewReaderFromBytes(b), size: len(b), open: []int32{1}}
	err := thrift.NewDecoder(r).Decode(v)
	return r.BytesRead(), err
}

// thriftReader refuses lists that have more elements than bytes are left, and structures that lie deeper than those
// of parquet: the decoder takes memory for all elements of a list at once, and skips what it does not know by
// recursion. Sets, maps and lists of lists are not in parquet.
type thriftReader struct {
	thrift.BytesReader
	size int
	open []int32 // structures that are still to end at each depth
}

func (r *thriftReader) enter(structs int32) error {
	const deepest = 32 // the format nests 6 deep
	if len(r.open) == deepest {
		return errThrift
	}
	if structs > 0 {
		r.open = append(r.open, structs)
	}
	return nil
}

func (r *thriftReader) ReadField() (thrift.Field, error) {
	f, err := r.BytesReader.ReadField()
	if err != nil {
		return f, err
	}
	switch last := len(r.open) - 1; f.Type {
	case thrift.STRUCT:
		err = r.enter(1)
	case thrift.STOP:
		if r.open[last]--; r.open[last] == 0 {
			r.open = r.open[:last]
		}
	}
	return f, err
}

func (r *thriftReader) ReadList() (thrift.List, error) {
	l, err := r.BytesReader.ReadList()
	if err != nil {
		return l, err
	}
	least := 1 // bytes an element
	switch l.Type {
	case thrift.STRUCT:
		least = 3 // the smallest of the format, a column order
		err = r.enter(l.Size)
	case thrift.LIST, thrift.SET, thrift.MAP:
		err = errThrift
	}
	if int(l.Size)*least > r.size-r.BytesRead() {
		err = errThrift
	}
	return l, err
}

func (r *thriftReader) ReadSet() (thrift.Set, error) { return thrift.Set{}, errThrift }
func (r *thriftReader) ReadMap() (thrift.Map, error) { return thrift.Map{}, errThrift }

// Discard is what the decoder asks its own readers for.
func (r *thriftReader) Discard(n int) (int, error) {
	return r.BytesReader.(interface{ Discard(int) (int, error) }).Discard(n)
}

// checkDepth refuses a schema that is deeper than any, which parquet-go would follow down by recursion.
func checkDepth(schema []format.SchemaElement) error {
	const deepest = 32
	var open []int32 // children that are still to come of each node around
	for _, e := range schema {
		if open = append(open, e.NumChildren.V); len(open) > deepest {
			return fmt.Errorf("a schema of more than %d levels", deepest)
		}
		for len(open) > 0 && open[len(open)-1] <= 0 {
			if open = open[:len(open)-1]; len(open) > 0 {
				open[len(open)-1]--
			}
		}
	}
	return nil
}

// zstdDecoder is safe for concurrent use. The limit makes it stop at the capacity it is given.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
})

// decompress returns the size bytes that b stands for. It allocates no more than size, where parquet-go's codecs
// go on for as long as there is something.
func decompress(codec format.CompressionCodec, b []byte, size int) (out []byte, err error) {
	switch codec {
	case format.Uncompressed:
		out = b
	case format.Snappy:
		if n, _ := binary.Uvarint(b); n != uint64(size) {
			err = fmt.Errorf("it says that it holds %d bytes, the page header %d", n, size)
		} else {
			out, err = snappy.Decode(nil, b)
		}
	case format.Gzip:
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
			out = make([]byte, size+1) // one more, to see the end
			var n int
			if n, err = io.ReadFull(r, out); err == io.ErrUnexpectedEOF || err == io.EOF {
				err = nil
			}
			out = out[:n]
		}
	case format.Zstd:
		var d *zstd.Decoder
		if d, err = zstdDecoder(); err == nil {
			out, err = d.DecodeAll(b, make([]byte, 0, size))
		}
	default:
		err = errors.New("not supported: write the file with zstd, snappy, gzip or none")
	}
	if err == nil && len(out) != size {
		err = fmt.Errorf("it does not hold the %d bytes that the page header says", size)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", strings.ToLower(codec.String()), err)
	}
	return out, nil
}

// checkRuns says why b does not hold n numbers of width bits in the hybrid of repeated and bit-packed runs. Each
// begins with a varint whose lowest bit says packed (groups of 8) or repeated. The last may be 7 longer than it
// need be.
func checkRuns(b []byte, width, n int) error {
	left := uint64(n)
	for len(b) > 0 {
		head, k := binary.Uvarint(b)
		if k <= 0 || head > math.MaxUint32 {
			return errShort
		}
		count, size := head>>1, uint64(width+7)/8
		if head&1 == 1 {
			count, size = 8*count, count*uint64(width)
		}
		if b = b[k:]; size > uint64(len(b)) {
			return errShort
		}
		if count > left+7 {
			return fmt.Errorf("a run of %d values where %d are left", count, left)
		}
		b = b[size:]
		left -= min(count, left)
	}
	if left > 0 {
		return errShort
	}
	return nil
}

// checkDelta says why b does not begin with n integers of at most width bits in DELTA_BINARY_PACKED, and returns what
// follows them. The layout: values a block, miniblocks a block, count, first value; then blocks of a smallest
// delta, a width in bits for each miniblock, and the miniblocks.
func checkDelta(b []byte, width, n int) (rest []byte, err error) {
	var head [4]uint64
	for i := range head {
		k := 0
		if head[i], k = binary.Uvarint(b); k <= 0 {
			return nil, errShort
		}
		b = b[k:]
	}
	block, minis := int(min(head[0], math.MaxInt32)), int(min(head[1], math.MaxInt32))
	if block == 0 || block%128 != 0 || minis == 0 || block%minis != 0 || block/minis%32 != 0 {
		return nil, fmt.Errorf("blocks of %d values in %d parts", block, minis)
	}
	if head[2] != uint64(n) {
		return nil, fmt.Errorf("%d values, want %d", head[2], n)
	}
	for left := n - 1; left > 0; {
		_, k := binary.Uvarint(b)
		if k <= 0 || len(b)-k < minis {
			return nil, errShort
		}
		widths := b[k : k+minis]
		for b = b[k+minis:]; len(widths) > 0 && left > 0; widths = widths[1:] { // the miniblocks that no value needs are not there
			size := block / minis / 8 * int(widths[0])
			if int(widths[0]) > width || size > len(b) {
				return nil, errShort
			}
			b = b[size:]
			left -= block / minis
		}
	}
	return b, nil
}

// checkPrefixes says why b does not hold n texts in DELTA_BYTE_ARRAY (how many bytes each has in common with the one
// before, the lengths of the others, and these), or that they take more than most bytes: each may repeat all of
// the one before.
func checkPrefixes(b []byte, n, most int) error {
	rest, err := checkDelta(b, 32, n)
	if err == nil {
		_, err = checkDelta(rest, 32, n)
	}
	if err != nil {
		return err
	}
	lengths := new(delta.BinaryPackedEncoding)
	prefixes, err := lengths.DecodeInt32(nil, b)
	if err != nil {
		return err
	}
	suffixes, err := lengths.DecodeInt32(nil, rest)
	if err != nil {
		return err
	}
	length := 0
	for i, prefix := range prefixes {
		if prefix < 0 || int(prefix) > length || suffixes[i] < 0 {
			return fmt.Errorf("a text has %d bytes in common with one of %d", prefix, length)
		}
		length = int(prefix) + int(suffixes[i])
		if most -= length; most < 0 {
			return errors.New("too many bytes for a file of this size")
		}
	}
	return nil
}
