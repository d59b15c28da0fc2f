package safetensors

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// file spells a file out: the true length of header, header, and data.
func file(header, data string) string {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(header)))
	return string(n[:]) + header + data
}

// one is a header with the single tensor "x".
func one(dtype, shape, offsets string) string {
	return `{"x":{"dtype":` + dtype + `,"shape":` + shape + `,"data_offsets":` + offsets + `}}`
}

func TestReject(t *testing.T) {
	const x = `"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	tests := []struct {
		name, file, want string
	}{
		{"empty file", "", "file has 0 bytes"},
		{"shorter than the length", "\x04\x00\x00", "file has 3 bytes"},
		{"header over the limit", "\x01\xe1\xf5\x05\x00\x00\x00\x00{", "header length 100000001 is over the format's limit of 100000000"},
		{"header length with the sign bit", "\x00\x00\x00\x00\x00\x00\x00\x80{", "over the format's limit"},
		{"header beyond the file", "\x10\x00\x00\x00\x00\x00\x00\x00{}", "its header has 16 bytes, of which 14 are missing"},
		{"header of no bytes", file("", ""), "does not start with '{'"},
		{"header that is an array", file("[]", ""), "does not start with '{'"},
		{"header that starts with a space", file(" {}", ""), "does not start with '{'"},
		{"header with invalid UTF-8", file("{\"\xff\":1}", ""), "not valid UTF-8"},
		{"header cut short", file(`{"x":{"dtype":"F32"`, ""), "not valid JSON at byte 5: unexpected EOF"},
		{"header with a trailing comma", file(`{`+x+`,}`, "\x00\x00\x00\x00"), "not valid JSON"},
		{"header with text after it", file(`{} x`, ""), "text after the JSON object"},
		{"header with two objects", file(`{}{}`, ""), "text after the JSON object"},

		{"a tensor twice", file(`{`+x+`,`+x+`}`, "\x00\x00\x00\x00"), `key "x" appears twice`},
		{"a tensor twice, spelt differently", file(`{`+x+`,"\u0078":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "12345678"), `key "x" appears twice`},
		{"metadata twice", file(`{"__metadata__":{},"__metadata__":{}}`, ""), `key "__metadata__" appears twice`},
		{"a metadata key twice", file(`{"__metadata__":{"a":"1","a":"2"}}`, ""), `__metadata__ key "a" appears twice`},
		{"a field twice", file(`{"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "1234"), `tensor "x": key "dtype" appears twice`},
		{"metadata that is null", file(`{"__metadata__":null}`, ""), "found null where a JSON object should be"},
		{"metadata that is no string", file(`{"__metadata__":{"a":1}}`, ""), `__metadata__ key "a" is not a string`},
		{"metadata that is nested", file(`{"__metadata__":{"a":{}}}`, ""), `__metadata__ key "a" is not a string`},
		{"a tensor that is a number", file(`{"x":1}`, ""), `tensor "x": found 1 where a JSON object should be`},
		{"an unknown field", file(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":[1]}}`, "1234"), `tensor "x": unknown field "stride"`},
		{"no dtype", file(`{"x":{"shape":[1],"data_offsets":[0,4]}}`, "1234"), `tensor "x": field "dtype" is missing`},
		{"no shape", file(`{"x":{"dtype":"F32","data_offsets":[0,4]}}`, "1234"), `tensor "x": field "shape" is missing`},
		{"no offsets", file(`{"x":{"dtype":"F32","shape":[1]}}`, "1234"), `tensor "x": field "data_offsets" is missing`},

		{"unknown dtype", file(one(`"F33"`, "[1]", "[0,4]"), "1234"), `tensor "x": unknown dtype "F33"`},
		{"dtype in small letters", file(one(`"f32"`, "[1]", "[0,4]"), "1234"), `tensor "x": unknown dtype "f32"`},
		{"dtype that is a number", file(one(`32`, "[1]", "[0,4]"), "1234"), `tensor "x": unknown dtype 32`},
		{"negative shape", file(one(`"F32"`, "[-1]", "[0,4]"), "1234"), `tensor "x": shape holds -1, want integers from 0`},
		{"shape that is no array", file(one(`"F32"`, `"1"`, "[0,4]"), "1234"), `tensor "x": shape is "1", want an array`},
		{"shape with a fraction", file(one(`"F32"`, "[1.0]", "[0,4]"), "1234"), `tensor "x": shape holds 1.0`},
		{"shape with an exponent", file(one(`"F32"`, "[1e0]", "[0,4]"), "1234"), `tensor "x": shape holds 1e0`},
		{"shape with null", file(one(`"F32"`, "[null]", "[0,4]"), "1234"), `tensor "x": shape holds null`},
		{"shape in two levels", file(one(`"F32"`, "[[1]]", "[0,4]"), "1234"), `tensor "x": shape holds [`},
		{"dimension over 63 bits", file(one(`"F32"`, "[9223372036854775808]", "[0,4]"), "1234"), `shape holds 9223372036854775808`},
		{"shape whose elements overflow", file(one(`"U8"`, "[4294967296,4294967296]", "[0,4]"), "1234"), `overflows 64 bits`},
		{"shape whose bytes overflow", file(one(`"F32"`, "[4611686018427387904]", "[0,4]"), "1234"), `overflows 64 bits`},
		{"shape that overflows before a zero", file(one(`"U8"`, "[4294967296,4294967296,0]", "[0,0]"), ""), `overflows 64 bits`},
		{"shape that ends inside a byte", file(one(`"F4"`, "[3]", "[0,1]"), "1"), `tensor "x": shape [3] of F4 does not fill whole bytes`},

		{"one offset", file(one(`"F32"`, "[1]", "[0]"), "1234"), `tensor "x": data_offsets [0], want two numbers`},
		{"three offsets", file(one(`"F32"`, "[1]", "[0,4,4]"), "1234"), `tensor "x": data_offsets [0 4 4], want two numbers`},
		{"negative offset", file(one(`"F32"`, "[1]", "[-4,0]"), "1234"), `tensor "x": data_offsets holds -4`},
		{"offsets that run backwards", file(one(`"F32"`, "[1]", "[4,0]"), "1234"), `tensor "x": data_offsets [4, 0] run backwards`},
		{"offsets smaller than the shape", file(one(`"F32"`, "[2]", "[0,4]"), "1234"), `tensor "x": data_offsets [0, 4] hold 4 bytes, want 8 for F32 [2]`},
		{"offsets larger than the shape", file(one(`"F32"`, "[1]", "[0,8]"), "12345678"), `tensor "x": data_offsets [0, 8] hold 8 bytes, want 4 for F32 [1]`},
		{"a hole at the start", file(one(`"F32"`, "[1]", "[4,8]"), "12345678"), `tensor "x": data_offsets [4, 8] leave a hole: the data before end at 0`},
		{"a hole between tensors", file(`{`+x+`,"y":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, "123456781234"), `tensor "y": data_offsets [8, 12] leave a hole: the data before end at 4`},
		{"tensors that overlap", file(`{`+x+`,"y":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}`, "123456"), `tensor "y": data_offsets [2, 6] overlap tensor "x", which ends at 4`},
		{"tensors on the same data", file(`{`+x+`,"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "1234"), `data_offsets [0, 4] overlap tensor`},
		{"an empty tensor inside another", file(`{`+x+`,"y":{"dtype":"F32","shape":[0],"data_offsets":[2,2]}}`, "1234"), `tensor "y": data_offsets [2, 2] overlap tensor "x"`},

		{"data cut short", file(`{`+x+`}`, "1"), "file is truncated: 3 of its 4 data bytes are missing"},
		{"data all missing", file(`{`+x+`}`, ""), "file is truncated: 4 of its 4 data bytes are missing"},
		{"data too long", file(`{`+x+`}`, "123456"), "file has 2 bytes after the last tensor's data"},
		{"data without a tensor", file(`{}`, "1"), "file has 1 bytes after the last tensor's data"},

		{"zip pickle", "PK\x03\x04\x00\x00\x08\x08\x00\x00", "is a PyTorch pickle file, not safetensors"},
		{"bare pickle", "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P", "is a PyTorch pickle file, not safetensors"},
		{"LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a Git LFS pointer"},
		{"GGUF", "GGUF\x03\x00\x00\x00\x00\x00", "is a GGUF file, not safetensors"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.safetensors")
			if err := os.WriteFile(path, []byte(tt.file), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := Open(path)
			if err == nil {
				t.Fatalf("opened, with tensors %q", f.Names())
			}
			if msg := err.Error(); !strings.HasPrefix(msg, "read "+path+": ") || !strings.Contains(msg, tt.want) || strings.Contains(msg, "\n") {
				t.Errorf("error %q\nwant one line starting with the path and with %q", msg, tt.want)
			}
			var fe *FormatError
			if !errors.As(err, &fe) || fe.Path != path {
				t.Errorf("error %#v, want a *FormatError with the path", err)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(filepath.Join(dir, "none.safetensors"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v, want os.ErrNotExist", err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: %v", err)
	}
}

func TestAccept(t *testing.T) {
	tests := []struct {
		name, file string
		shape      []int64
		data       string
	}{
		{"scalar", file(one(`"F32"`, "[]", "[0,4]"), "1234"), []int64{}, "1234"},
		{"no elements", file(one(`"F32"`, "[2,0]", "[0,0]"), ""), []int64{2, 0}, ""},
		{"padded header", file(one(`"F32"`, "[1]", "[0,4]")+"    ", "1234"), []int64{1}, "1234"},
		{"unaligned data", file(one(`"F32"`, "[1]", "[0,4]")+" ", "1234"), []int64{1}, "1234"},
		{"a type without a use here", file(one(`"F8_E8M0"`, "[2]", "[0,2]"), "12"), []int64{2}, "12"},
		{"half bytes", file(one(`"F4"`, "[2]", "[0,1]"), "1"), []int64{2}, "1"},
		{"data in another order than the header", file(
			`{"y":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "12345"), []int64{1}, "1234"},
		{"a length that spells PK", "PK\x00\x00\x00\x00\x00\x00" + one(`"F32"`, "[1]", "[0,4]") + strings.Repeat(" ", 0x4b50-len(one(`"F32"`, "[1]", "[0,4]"))) + "1234", []int64{1}, "1234"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse("m", []byte(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			x, ok := f.Tensor("x")
			if !ok || string(x.Data) != tt.data || len(x.Shape) != len(tt.shape) {
				t.Fatalf("tensor %+v, want shape %v data %q", x, tt.shape, tt.data)
			}
			if cap(x.Data) != len(x.Data) {
				t.Errorf("data has capacity %d beyond its %d bytes", cap(x.Data), len(x.Data))
			}
		})
	}
}

// A header may claim anything; what is allocated must follow the file's size.
func TestNoAllocationBeyondInput(t *testing.T) {
	claims := file(one(`"F64"`, "[1000000000000000]", "[0,8000000000000000]"), "12345678")
	if got := allocated(func() { _, _ = Parse("m", []byte(claims)) }); got > 64<<10 {
		t.Errorf("%d bytes allocated for a file of %d", got, len(claims))
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
