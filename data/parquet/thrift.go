package parquet

import (
	"encoding/binary"
	"errors"
	"math"
)

// The types of Thrift's compact protocol. In a field, true and false are the value itself.
const (
	thriftStop   = 0
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

var errThrift = errors.New("bad metadata")

// thrift reads Thrift's compact protocol from the front of b. The first error stays, and every read after
// it gives zero, so that callers look at err once at the end.
type thrift struct {
	b     []byte
	depth int
	err   error
}

func (t *thrift) fail() {
	t.b = nil
	if t.err == nil {
		t.err = errThrift
	}
}

func (t *thrift) byte() byte {
	if len(t.b) == 0 {
		t.fail()
		return 0
	}
	c := t.b[0]
	t.b = t.b[1:]
	return c
}

func (t *thrift) uvarint() uint64 {
	v, n := binary.Uvarint(t.b)
	if n <= 0 {
		t.fail()
		return 0
	}
	t.b = t.b[n:]
	return v
}

// int reads an i16, i32 or i64.
func (t *thrift) int() int64 {
	v := t.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// count reads an int that must not be negative and must fit in 32 bits, as all counts in a page header do.
func (t *thrift) count() int {
	v := t.int()
	if v < 0 || v > math.MaxInt32 {
		t.fail()
		return 0
	}
	return int(v)
}

func (t *thrift) bytes() []byte {
	n := t.uvarint()
	if n > uint64(len(t.b)) {
		t.fail()
		return nil
	}
	v := t.b[:n]
	t.b = t.b[n:]
	return v
}

// enter counts the levels of nesting, so that a file cannot use up the stack.
func (t *thrift) enter() {
	const deepest = 32 // the format nests 6 deep
	if t.depth++; t.depth > deepest {
		t.fail()
	}
}

// fields calls fn for each field of a struct. Fn reads the value or calls skip.
func (t *thrift) fields(fn func(id int, typ byte)) {
	t.enter()
	id := 0
	for t.err == nil {
		c := t.byte()
		typ := c & 0x0f
		if typ == thriftStop {
			break
		}
		if delta := int(c >> 4); delta != 0 {
			id += delta
		} else {
			id = int(t.int())
		}
		if t.err == nil {
			fn(id, typ)
		}
	}
	t.depth--
}

// list calls fn for each element of a list or set.
func (t *thrift) list(fn func(typ byte)) {
	c := t.byte()
	n, typ := uint64(c>>4), c&0x0f
	if n == 15 {
		n = t.uvarint()
	}
	if n > uint64(len(t.b)) { // an element takes at least a byte
		t.fail()
	}
	for ; n > 0 && t.err == nil; n-- {
		fn(typ)
	}
}

// skip passes over a field's value.
func (t *thrift) skip(typ byte) {
	if typ == thriftTrue || typ == thriftFalse {
		return
	}
	t.skipElement(typ)
}

// skipElement passes over an element of a list, where a boolean takes a byte.
func (t *thrift) skipElement(typ byte) {
	switch typ {
	case thriftTrue, thriftFalse, thriftByte:
		t.byte()
	case thriftI16, thriftI32, thriftI64:
		t.uvarint()
	case thriftDouble:
		for range 8 {
			t.byte()
		}
	case thriftBinary:
		t.bytes()
	case thriftStruct:
		t.fields(func(_ int, typ byte) { t.skip(typ) })
	case thriftList, thriftSet:
		t.enter()
		t.list(t.skipElement)
		t.depth--
	case thriftMap:
		n := t.uvarint()
		if n == 0 {
			return
		}
		if n > uint64(len(t.b)) {
			t.fail()
		}
		types := t.byte()
		t.enter()
		for ; n > 0 && t.err == nil; n-- {
			t.skipElement(types >> 4)
			t.skipElement(types & 0x0f)
		}
		t.depth--
	default:
		t.fail()
	}
}
