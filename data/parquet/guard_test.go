package parquet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// TestFooterBombs has footers for which the decoder alone would take memory or stack without end.
func TestFooterBombs(t *testing.T) {
	const (
		field7Struct = 0x7c // the field after the last one is 7 further on
		field7List   = 0x79
		field7Map    = 0x7b
		listOfLists  = 0x19
		listOfAny    = 0xfc // of structures, the length follows
	)
	huge := binary.AppendUvarint(nil, 1<<31-1)
	for name, footer := range map[string][]byte{
		"structures in structures": bytes.Repeat([]byte{field7Struct}, 4<<20),
		"lists in lists":           append([]byte{field7List}, bytes.Repeat([]byte{listOfLists}, 4<<20)...),
		"a map":                    append([]byte{field7Map}, huge...),
		"a long schema":            slices.Concat([]byte{0x29, listOfAny}, huge, make([]byte, 1<<10)),
		"many long row groups":     slices.Concat([]byte{0x49, listOfAny}, huge, make([]byte, 1<<10)),
	} {
		t.Run(name, func(t *testing.T) {
			b := slices.Concat([]byte(magic), footer, binary.LittleEndian.AppendUint32(nil, uint32(len(footer))), []byte(magic))
			before := allocs()
			if _, err := Open(b); err == nil || !strings.HasSuffix(err.Error(), errThrift.Error()) {
				t.Errorf("got %v", err)
			}
			if got := allocs() - before; got > 4<<20 {
				t.Errorf("allocated %d bytes", got)
			}
		})
	}
}

func TestSchemaDepth(t *testing.T) {
	for _, test := range []struct {
		levels int
		ok     bool
	}{{3, true}, {30, true}, {33, false}, {100_000, false}} {
		schema := make([]format.SchemaElement, test.levels)
		for i := range test.levels - 1 {
			schema[i].NumChildren = thrift.New(int32(1))
		}
		if err := checkDepth(schema); (err == nil) != test.ok {
			t.Errorf("%d levels: %v", test.levels, err)
		}
	}
	wide := make([]format.SchemaElement, 1001)
	wide[0].NumChildren = thrift.New(int32(1000))
	if err := checkDepth(wide); err != nil {
		t.Error(err)
	}
}

// TestRuns has what parquet-go would take as it stands.
func TestRuns(t *testing.T) {
	packed, repeated := func(groups uint64) []byte { return binary.AppendUvarint(nil, groups<<1|1) }, func(n uint64) []byte { return binary.AppendUvarint(nil, n<<1) }
	for _, test := range []struct {
		name  string
		b     []byte
		width int
		n     int
		want  string
	}{
		{"repeated", append(repeated(100), 1), 1, 100, ""},
		{"packed, with padding", append(packed(2), 0xff, 0xff), 1, 9, ""},
		{"both", append(append(append(repeated(3), 1), packed(1)...), 0xaa), 1, 11, ""},
		{"no bits", repeated(5), 0, 5, ""},
		{"none", nil, 1, 0, ""},
		{"too few", append(repeated(99), 1), 1, 100, errShort.Error()},
		{"too many", append(repeated(108), 1), 1, 100, "a run of 108 values where 100 are left"},
		{"2 GB", append(repeated(1<<31-1), 1), 1, 100, "a run of 2147483647 values where 100 are left"},
		{"64 GB", append(packed(1<<31-1), 1), 32, 100, errShort.Error()},
		{"2^60", append(repeated(1<<60), 1), 1, 100, errShort.Error()},
		{"cut off", packed(2), 8, 16, errShort.Error()},
		{"no value", repeated(16), 8, 16, errShort.Error()},
		{"no length", []byte{0x80}, 8, 16, errShort.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := message(checkRuns(test.b, test.width, test.n)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDeltas(t *testing.T) {
	header := func(numbers ...uint64) (b []byte) {
		for _, v := range numbers {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	block := func(widths ...byte) []byte { return append([]byte{0}, widths...) }
	for _, test := range []struct {
		name string
		b    []byte
		n    int
		want string
	}{
		{"one value", header(128, 4, 1, 0), 1, ""},
		{"a block without bits", append(header(128, 4, 100, 0), block(0, 0, 0, 0)...), 100, ""},
		{"a block of bits", append(append(header(128, 4, 33, 0), block(8, 200, 0, 0)...), make([]byte, 32)...), 33, ""},
		{"many values", header(128, 4, 1<<31-1, 0), 100, "2147483647 values, want 100"},
		{"no blocks", header(128, 4, 100, 0), 100, errShort.Error()},
		{"no parts", header(128, 0, 100, 0), 100, "blocks of 128 values in 0 parts"},
		{"odd parts", header(128, 5, 100, 0), 100, "blocks of 128 values in 5 parts"},
		{"wide", append(append(header(128, 4, 100, 0), block(200, 0, 0, 0)...), make([]byte, 1000)...), 100, errShort.Error()},
		{"cut off", append(header(128, 4, 100, 0), block(8, 8, 8, 8)...), 100, errShort.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := checkDelta(test.b, 32, test.n)
			if got := message(err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestPrefixes has a text of 1,000 bytes that 1,000 others repeat.
func TestPrefixes(t *testing.T) {
	lengths := func(first, others int32) []byte {
		b, err := new(delta.BinaryPackedEncoding).EncodeInt32(nil, append([]int32{first}, slices.Repeat([]int32{others}, 1000)...))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := slices.Concat(lengths(0, 1000), lengths(1000, 0), make([]byte, 1000))
	for most, want := range map[int]string{1_001_000: "", 1_000_999: "too many bytes for a file of this size"} {
		if got := message(checkPrefixes(b, 1001, most)); got != want {
			t.Errorf("at most %d: got %q, want %q", most, got, want)
		}
	}
	if got := message(checkPrefixes(slices.Concat(lengths(1, 0), lengths(0, 0)), 1001, 1000)); got != "a text has 1 bytes in common with one of 0" {
		t.Errorf("got %q", got)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprint(err)
}
