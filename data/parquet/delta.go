package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// deltaBinary decodes n integers in DELTA_BINARY_PACKED and returns what follows them. The layout: values a
// block, miniblocks a block, count, first value; then blocks of a smallest delta, a width in bits for each
// miniblock, and the miniblocks, each the deltas less the smallest one.
func deltaBinary(b []byte, n int) (values []int64, rest []byte, err error) {
	r := varints{b: b}
	block, minis, total, first := r.uvarint(), r.uvarint(), r.uvarint(), r.varint()
	if r.short {
		return nil, nil, errShort
	}
	if block == 0 || block%128 != 0 || block > math.MaxInt32 || minis == 0 || block%minis != 0 || block/minis%32 != 0 {
		return nil, nil, fmt.Errorf("blocks of %d values in %d parts", block, minis)
	}
	if total != uint64(n) {
		return nil, nil, fmt.Errorf("%d values, want %d", total, n)
	}
	if n == 0 {
		return nil, r.b, nil
	}
	mini := block / minis
	values = append(make([]int64, 0, n), first)
	for last := first; len(values) < n; {
		smallest := r.varint()
		if r.short || uint64(len(r.b)) < minis {
			return nil, nil, errShort
		}
		widths := r.b[:minis]
		r.b = r.b[minis:]
		for _, width := range widths {
			if len(values) == n {
				break // the miniblocks that no value needs are not there
			}
			if width > 64 {
				return nil, nil, fmt.Errorf("%d bits a value: want at most 64", width)
			}
			size := mini / 8 * uint64(width)
			if size > uint64(len(r.b)) {
				return nil, nil, errShort
			}
			for i := range min(mini, uint64(n-len(values))) {
				last += smallest + int64(bits(r.b, i*uint64(width), int(width)))
				values = append(values, last)
			}
			r.b = r.b[size:]
		}
	}
	return values, r.b, nil
}

// varints reads varints from the front of b.
type varints struct {
	b     []byte
	short bool
}

func (r *varints) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.short = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *varints) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// deltaLengthBytes decodes n texts in DELTA_LENGTH_BYTE_ARRAY: all lengths, then all bytes.
func deltaLengthBytes(b []byte, n int) ([]string, error) {
	texts, _, err := cutTexts(b, n)
	return texts, err
}

func cutTexts(b []byte, n int) (texts []string, rest []byte, err error) {
	lengths, b, err := deltaBinary(b, n)
	if err != nil {
		return nil, nil, err
	}
	all := string(b)
	texts = make([]string, n)
	for i, length := range lengths {
		if length < 0 || length > int64(len(all)) {
			return nil, nil, errShort
		}
		texts[i], all = all[:length], all[length:]
	}
	return texts, b[len(b)-len(all):], nil
}

// deltaBytes decodes n texts in DELTA_BYTE_ARRAY: how many bytes each has in common with the one before,
// then the others, as in deltaLengthBytes. The bytes of the texts are taken from left.
func deltaBytes(b []byte, n int, left *int) ([]string, error) {
	prefixes, b, err := deltaBinary(b, n)
	if err != nil {
		return nil, err
	}
	texts, _, err := cutTexts(b, n)
	if err != nil {
		return nil, err
	}
	before := ""
	for i, prefix := range prefixes {
		if prefix < 0 || prefix > int64(len(before)) {
			return nil, fmt.Errorf("a text has %d bytes in common with one of %d", prefix, len(before))
		}
		if *left -= int(prefix); *left < 0 {
			return nil, errors.New("too many bytes for a file of this size")
		}
		texts[i] = before[:prefix] + texts[i]
		before = texts[i]
	}
	return texts, nil
}
