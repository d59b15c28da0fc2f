package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// encoding is how the values of a page are laid out.
// See https://parquet.apache.org/docs/file-format/data-pages/encodings/.
type encoding int

const (
	encPlain            encoding = 0
	encPlainDictionary  encoding = 2
	encRLE              encoding = 3
	encDeltaBinary      encoding = 5
	encDeltaLengthBytes encoding = 6
	encDeltaBytes       encoding = 7
	encRLEDictionary    encoding = 8
	encByteStreamSplit  encoding = 9
)

var encodingNames = [...]string{"PLAIN", "1", "PLAIN_DICTIONARY", "RLE", "BIT_PACKED", "DELTA_BINARY_PACKED",
	"DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "RLE_DICTIONARY", "BYTE_STREAM_SPLIT"}

func (e encoding) String() string {
	if e >= 0 && int(e) < len(encodingNames) {
		return encodingNames[e]
	}
	return strconv.Itoa(int(e))
}

var errShort = errors.New("the data end too early")

// decode returns n values as text.
func (r *columnReader) decode(e encoding, b []byte, n int) ([]string, error) {
	switch {
	case n == 0:
		return nil, nil
	case e == encPlain:
		return plain(r.schema, b, n)
	case e == encPlainDictionary, e == encRLEDictionary:
		return r.lookup(b, n)
	case e == encRLE && r.schema.physical == physBoolean:
		packed, _, err := prefixed(b)
		if err != nil {
			return nil, err
		}
		bits, err := hybrid(packed, 1, n)
		if err != nil {
			return nil, err
		}
		texts := make([]string, n)
		for i, bit := range bits {
			texts[i] = strconv.FormatBool(bit == 1)
		}
		return texts, nil
	case e == encDeltaBinary && (r.schema.physical == physInt32 || r.schema.physical == physInt64):
		ints, _, err := deltaBinary(b, n)
		if err != nil {
			return nil, err
		}
		texts := make([]string, n)
		for i, v := range ints {
			if r.schema.physical == physInt32 {
				v = int64(int32(v))
			}
			texts[i] = formatInt(r.schema, v)
		}
		return texts, nil
	case e == encDeltaLengthBytes && r.schema.physical == physByteArray:
		return deltaLengthBytes(b, n)
	case e == encDeltaBytes && r.schema.physical == physByteArray:
		return deltaBytes(b, n, &r.left)
	case e == encByteStreamSplit:
		return byteStreamSplit(r.schema, b, n)
	}
	return nil, errors.New("not supported for this column")
}

// lookup decodes indices into the dictionary: a byte with their width in bits, then runs.
func (r *columnReader) lookup(b []byte, n int) ([]string, error) {
	if len(b) == 0 {
		return nil, errShort
	}
	indices, err := hybrid(b[1:], int(b[0]), n)
	if err != nil {
		return nil, err
	}
	texts := make([]string, n)
	for i, index := range indices {
		if uint64(index) >= uint64(len(r.dictionary)) {
			return nil, fmt.Errorf("value %d of a dictionary of %d", index, len(r.dictionary))
		}
		texts[i] = r.dictionary[index]
	}
	return texts, nil
}

// hybrid decodes n numbers of width bits in the RLE and bit-packing hybrid: each run begins with a varint
// whose lowest bit says packed (a multiple of 8 values) or repeated.
func hybrid(b []byte, width, n int) ([]uint32, error) {
	if width > 32 {
		return nil, fmt.Errorf("%d bits a value: want at most 32", width)
	}
	out := make([]uint32, 0, n)
	for len(out) < n {
		head, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errShort
		}
		b = b[k:]
		run, left := head>>1, uint64(n-len(out))
		if head&1 == 0 {
			size := (width + 7) / 8
			if size > len(b) {
				return nil, errShort
			}
			var word [4]byte
			copy(word[:], b[:size])
			b = b[size:]
			value := binary.LittleEndian.Uint32(word[:])
			for range min(run, left) {
				out = append(out, value)
			}
			continue
		}
		// The last run may be cut off where its padding would be.
		values := min(left, run*8)
		if run > math.MaxInt32 || (values*uint64(width)+7)/8 > uint64(len(b)) {
			return nil, errShort
		}
		for i := range values {
			out = append(out, uint32(bits(b, i*uint64(width), width)))
		}
		b = b[min(run*uint64(width), uint64(len(b))):]
	}
	return out, nil
}

// bits returns width bits of b from bit at, lowest bit first. They must be there.
func bits(b []byte, at uint64, width int) uint64 {
	var v uint64
	for got := 0; got < width; {
		shift := int(at % 8)
		take := min(8-shift, width-got)
		v |= uint64(b[at/8]>>shift&(1<<take-1)) << got
		got += take
		at += uint64(take)
	}
	return v
}

// width is the size of a plain value in bytes, 0 for byte arrays and booleans.
func (p physical) width() int {
	switch p {
	case physInt32, physFloat:
		return 4
	case physInt64, physDouble:
		return 8
	}
	return 0
}

// plain decodes n values that stand one after the other.
func plain(s schemaElement, b []byte, n int) ([]string, error) {
	if s.physical == physBoolean {
		if n > 8*len(b) {
			return nil, errShort
		}
		texts := make([]string, n)
		for i := range texts {
			texts[i] = strconv.FormatBool(b[i/8]>>(i%8)&1 == 1)
		}
		return texts, nil
	}
	width := s.physical.width()
	if n > len(b)/max(width, 4) { // a byte array takes 4 bytes for its length
		return nil, errShort
	}
	texts := make([]string, n)
	if width > 0 {
		for i := range texts {
			texts[i] = format(s, b[i*width:(i+1)*width])
		}
		return texts, nil
	}
	all := string(b) // one allocation for all texts of the page
	for i, at := 0, 0; i < n; i++ {
		part, rest, err := prefixed(b[at:])
		if err != nil {
			return nil, err
		}
		end := len(b) - len(rest)
		texts[i] = all[end-len(part) : end]
		at = end
	}
	return texts, nil
}

// byteStreamSplit decodes n values of which the first bytes stand together, then the second bytes, ...
func byteStreamSplit(s schemaElement, b []byte, n int) ([]string, error) {
	width := s.physical.width()
	if width == 0 {
		return nil, errors.New("not supported for this column")
	}
	if len(b) != n*width {
		return nil, fmt.Errorf("%d bytes for %d values of %d", len(b), n, width)
	}
	texts := make([]string, n)
	var one [8]byte
	for i := range texts {
		for k := range width {
			one[k] = b[k*n+i]
		}
		texts[i] = format(s, one[:width])
	}
	return texts, nil
}

// format writes a little-endian number of 4 or 8 bytes.
func format(s schemaElement, b []byte) string {
	switch s.physical {
	case physInt32:
		return formatInt(s, int64(int32(binary.LittleEndian.Uint32(b))))
	case physInt64:
		return formatInt(s, int64(binary.LittleEndian.Uint64(b)))
	case physFloat:
		return strconv.FormatFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 'g', -1, 32)
	default:
		return strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)), 'g', -1, 64)
	}
}

func formatInt(s schemaElement, v int64) string {
	switch {
	case s.unsigned && s.physical == physInt32:
		return strconv.FormatUint(uint64(uint32(v)), 10)
	case s.unsigned:
		return strconv.FormatUint(uint64(v), 10)
	}
	return strconv.FormatInt(v, 10)
}
