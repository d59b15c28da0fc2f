package torchbind

import "fmt"

// DType is a tensor's element type, numbered as c10::ScalarType.
type DType int8

// The element types that this program uses.
const (
	UInt8    DType = 0
	Int8     DType = 1
	Int64    DType = 4
	Float16  DType = 5
	Float32  DType = 6
	Float64  DType = 7
	BFloat16 DType = 15
)

var dtypes = map[DType]struct {
	name string
	size int64
}{
	UInt8:    {"uint8", 1},
	Int8:     {"int8", 1},
	Int64:    {"int64", 8},
	Float16:  {"float16", 2},
	Float32:  {"float32", 4},
	Float64:  {"float64", 8},
	BFloat16: {"bfloat16", 2},
}

// String returns the PyTorch name, "float32".
func (d DType) String() string {
	if t, ok := dtypes[d]; ok {
		return t.name
	}
	return fmt.Sprintf("dtype(%d)", int8(d))
}

// Size returns the bytes of one element.
func (d DType) Size() int64 { return dtypes[d].size }

// mustBeKnown panics for a number that libtorch would end the process for.
func (d DType) mustBeKnown(op string) {
	if d.Size() == 0 {
		misuse(op, "unknown %v", d)
	}
}

// ParseDType reads a PyTorch name, "float32".
func ParseDType(name string) (DType, error) {
	for d, t := range dtypes {
		if t.name == name {
			return d, nil
		}
	}
	return 0, fmt.Errorf("unknown dtype %q, want float32, bfloat16 or float64", name)
}

// element is a Go type with a tensor type of the same layout.
type element interface{ int64 | float32 | float64 }

func dtypeOf[T element]() DType {
	var zero T
	switch any(zero).(type) {
	case int64:
		return Int64
	case float32:
		return Float32
	default:
		return Float64
	}
}
