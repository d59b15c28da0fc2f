package parquet

import "strconv"

// The numbers in these types and in the field switches below are those of parquet.thrift in apache/parquet-format.

// physical is how values are stored.
type physical int

const (
	physBoolean   physical = 0
	physInt32     physical = 1
	physInt64     physical = 2
	physInt96     physical = 3
	physFloat     physical = 4
	physDouble    physical = 5
	physByteArray physical = 6
	physFixed     physical = 7
)

var physicalNames = [...]string{"BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}

func (p physical) String() string {
	if p >= 0 && int(p) < len(physicalNames) {
		return physicalNames[p]
	}
	return strconv.Itoa(int(p))
}

// repetition says how often a value is there.
type repetition int

const (
	repRequired repetition = 0
	repOptional repetition = 1
	repRepeated repetition = 2
)

// What the values of a column mean: the older ConvertedType and the fields of the newer LogicalType.
const (
	convertedNone   = -1
	convertedUTF8   = 0
	convertedEnum   = 4
	convertedUint8  = 11
	convertedUint64 = 14
	convertedInt64  = 18
	convertedJSON   = 19

	logicalNone    = 0
	logicalString  = 1
	logicalEnum    = 4
	logicalInteger = 10
	logicalJSON    = 12
)

// schemaElement is a node of the schema.
type schemaElement struct {
	name       string
	leaf       bool // has a physical type
	physical   physical
	repetition repetition
	children   int
	converted  int  // ConvertedType
	logical    int  // field of the LogicalType union
	unsigned   bool // an integer
}

// chunk is one column in one row group.
type chunk struct {
	path       string // first part of path_in_schema
	codec      codec
	values     int64
	data, dict int64 // offsets of the first data page and of the dictionary page (0 if there is none)
	elsewhere  bool  // in another file, or encrypted
}

// rowGroup is a run of rows.
type rowGroup struct {
	chunks []chunk
	rows   int64
}

// metadata is the footer, as far as it is needed.
type metadata struct {
	schema []schemaElement
	rows   int64
	groups []rowGroup
	notes  map[string]string // key_value_metadata
}

func (m *metadata) read(t *thrift) {
	t.fields(func(id int, typ byte) {
		switch {
		case id == 2 && typ == thriftList:
			t.list(func(typ byte) { m.schema = append(m.schema, readSchemaElement(t, typ)) })
		case id == 3 && typ == thriftI64:
			m.rows = t.int()
		case id == 4 && typ == thriftList:
			t.list(func(typ byte) { m.groups = append(m.groups, readRowGroup(t, typ)) })
		case id == 5 && typ == thriftList:
			m.notes = map[string]string{}
			t.list(func(typ byte) {
				key, value := readKeyValue(t, typ)
				m.notes[key] = value
			})
		default:
			t.skip(typ)
		}
	})
}

func readKeyValue(t *thrift, typ byte) (key, value string) {
	if typ != thriftStruct {
		t.fail()
	}
	t.fields(func(id int, typ byte) {
		switch {
		case id == 1 && typ == thriftBinary:
			key = string(t.bytes())
		case id == 2 && typ == thriftBinary:
			value = string(t.bytes())
		default:
			t.skip(typ)
		}
	})
	return key, value
}

func readSchemaElement(t *thrift, typ byte) schemaElement {
	e := schemaElement{converted: convertedNone}
	if typ != thriftStruct {
		t.fail()
	}
	t.fields(func(id int, typ byte) {
		switch {
		case id == 1 && typ == thriftI32:
			e.physical, e.leaf = physical(t.int()), true
		case id == 3 && typ == thriftI32:
			e.repetition = repetition(t.int())
		case id == 4 && typ == thriftBinary:
			e.name = string(t.bytes())
		case id == 5 && typ == thriftI32:
			e.children = t.count()
		case id == 6 && typ == thriftI32:
			e.converted = int(t.int())
			e.unsigned = e.unsigned || e.converted >= convertedUint8 && e.converted <= convertedUint64
		case id == 10 && typ == thriftStruct:
			t.fields(func(id int, typ byte) {
				e.logical = id
				if id != logicalInteger || typ != thriftStruct {
					t.skip(typ)
					return
				}
				t.fields(func(id int, typ byte) {
					e.unsigned = e.unsigned || id == 2 && typ == thriftFalse // is_signed
					t.skip(typ)
				})
			})
		default:
			t.skip(typ)
		}
	})
	return e
}

func readRowGroup(t *thrift, typ byte) rowGroup {
	var g rowGroup
	if typ != thriftStruct {
		t.fail()
	}
	t.fields(func(id int, typ byte) {
		switch {
		case id == 1 && typ == thriftList:
			t.list(func(typ byte) { g.chunks = append(g.chunks, readChunk(t, typ)) })
		case id == 3 && typ == thriftI64:
			g.rows = t.int()
		default:
			t.skip(typ)
		}
	})
	return g
}

func readChunk(t *thrift, typ byte) chunk {
	var c chunk
	if typ != thriftStruct {
		t.fail()
	}
	t.fields(func(id int, typ byte) {
		switch {
		case id == 1 && typ == thriftBinary:
			c.elsewhere = c.elsewhere || len(t.bytes()) > 0
		case id == 3 && typ == thriftStruct:
			t.fields(func(id int, typ byte) { c.readField(t, id, typ) })
		case id == 8:
			c.elsewhere = true
			t.skip(typ)
		default:
			t.skip(typ)
		}
	})
	return c
}

func (c *chunk) readField(t *thrift, id int, typ byte) {
	switch {
	case id == 3 && typ == thriftList:
		first := true
		t.list(func(typ byte) {
			if !first || typ != thriftBinary {
				t.skipElement(typ)
				return
			}
			c.path, first = string(t.bytes()), false
		})
	case id == 4 && typ == thriftI32:
		c.codec = codec(t.int())
	case id == 5 && typ == thriftI64:
		c.values = t.int()
	case id == 9 && typ == thriftI64:
		c.data = t.int()
	case id == 11 && typ == thriftI64:
		c.dict = t.int()
	default:
		t.skip(typ)
	}
}

// pageType is what a page holds.
type pageType int

const (
	pageData       pageType = 0
	pageDictionary pageType = 2
	pageDataV2     pageType = 3
)

// pageHeader stands before each page.
type pageHeader struct {
	typ          pageType
	uncompressed int // bytes
	compressed   int // bytes
	crc          uint32
	hasCRC       bool
	values       int // nulls included
	encoding     encoding
	// Of data pages of version 1.
	definitionEncoding, repetitionEncoding encoding
	// Of data pages of version 2, whose levels stand uncompressed before the values.
	definitionBytes, repetitionBytes int
	plainValues                      bool // values are not compressed
}

func readPageHeader(t *thrift) pageHeader {
	var h pageHeader
	t.fields(func(id int, typ byte) {
		switch {
		case id == 1 && typ == thriftI32:
			h.typ = pageType(t.int())
		case id == 2 && typ == thriftI32:
			h.uncompressed = t.count()
		case id == 3 && typ == thriftI32:
			h.compressed = t.count()
		case id == 4 && typ == thriftI32:
			h.crc, h.hasCRC = uint32(t.int()), true
		case (id == 5 || id == 7 || id == 8) && typ == thriftStruct:
			version2 := id == 8
			t.fields(func(id int, typ byte) { h.readField(t, version2, id, typ) })
		default:
			t.skip(typ)
		}
	})
	return h
}

// readField reads a field of DataPageHeader and DictionaryPageHeader, or of DataPageHeaderV2.
func (h *pageHeader) readField(t *thrift, version2 bool, id int, typ byte) {
	switch {
	case id == 1 && typ == thriftI32:
		h.values = t.count()
	case !version2 && id == 2 && typ == thriftI32 || version2 && id == 4 && typ == thriftI32:
		h.encoding = encoding(t.int())
	case !version2 && id == 3 && typ == thriftI32:
		h.definitionEncoding = encoding(t.int())
	case !version2 && id == 4 && typ == thriftI32:
		h.repetitionEncoding = encoding(t.int())
	case version2 && id == 5 && typ == thriftI32:
		h.definitionBytes = t.count()
	case version2 && id == 6 && typ == thriftI32:
		h.repetitionBytes = t.count()
	case version2 && id == 7 && typ == thriftFalse:
		h.plainValues = true
	default:
		t.skip(typ)
	}
}
