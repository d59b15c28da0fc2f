package safetensors

// DType is an element type, spelt as in the header of a file.
type DType string

// The element types that this project uses.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	I8   DType = "I8"
	U8   DType = "U8"
)

// dtypes holds every type of the format in the order of the reference
// library's enum, which is also its sort order: [Write] puts the last of this
// list first. Types without a constant above are read and written as raw bytes.
var dtypes = []struct {
	dtype DType
	bits  int64
}{
	{"BOOL", 8},
	{"F4", 4},
	{"F6_E2M3", 6},
	{"F6_E3M2", 6},
	{U8, 8},
	{I8, 8},
	{"F8_E5M2", 8},
	{"F8_E4M3", 8},
	{"F8_E8M0", 8},
	{"F8_E4M3FNUZ", 8},
	{"F8_E5M2FNUZ", 8},
	{"I16", 16},
	{"U16", 16},
	{F16, 16},
	{BF16, 16},
	{I32, 32},
	{"U32", 32},
	{F32, 32},
	{"C64", 64},
	{F64, 64},
	{I64, 64},
	{"U64", 64},
}

// order is the position of d in the reference library's enum, -1 if the format
// has no such type.
func (d DType) order() int {
	for i, t := range dtypes {
		if t.dtype == d {
			return i
		}
	}
	return -1
}

// Bits returns the size of one element in bits, and 0 for a type that the
// format does not have.
func (d DType) Bits() int64 {
	if i := d.order(); i >= 0 {
		return dtypes[i].bits
	}
	return 0
}
