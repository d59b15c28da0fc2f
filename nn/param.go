package nn

import (
	"math"
	"math/rand/v2"

	"autolora/torchbind"
)

// Param is one tensor of a model. Value is replaced, not changed, where the
// search evaluates the model at looked-ahead weights W'.
type Param struct {
	Name  string // Hugging Face key; of an adapter, PEFT's without its prefix
	Shape []int64
	// Value is nil where it is held in 8 or 4 bits; see Dense.
	Value *torchbind.Tensor
	// Stacked are the keys whose rows, one after the other, make Value, where that
	// is several: query, key and value are one matrix.
	Stacked []KeyRows
	// Transposed tells that the checkpoint has Value as [in, out] (GPT-2).
	Transposed bool

	quantized *torchbind.Quantized
}

// Dense returns Value, or in s what it is in dtype where it is held in 8 or 4 bits.
func (p *Param) Dense(s *torchbind.Scope, dtype torchbind.DType) *torchbind.Tensor {
	if p.quantized != nil {
		return p.quantized.Dequantize(s, dtype)
	}
	return p.Value
}

// KeyRows is a key of a checkpoint and the rows of a Param that it holds.
type KeyRows struct {
	Key  string
	Rows int64
}

// newParam returns a parameter with a copy of data, which lives in s.
func newParam(s *torchbind.Scope, name string, data []float32, shape []int64, dtype torchbind.DType, device torchbind.Device) *Param {
	value := s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		return torchbind.To(s, torchbind.FromSlice(s, data, shape, device), dtype, device)
	})
	return &Param{Name: name, Shape: shape, Value: value}
}

// Keys returns the checkpoint keys that Value holds, in the order of its rows.
func (p *Param) Keys() []string {
	if p.Stacked == nil {
		return []string{p.Name}
	}
	keys := make([]string, len(p.Stacked))
	for i, k := range p.Stacked {
		keys[i] = k.Key
	}
	return keys
}

// Stored returns what the checkpoint has of t, which has Value's shape, under the
// i-th key: a view in s.
func (p *Param) Stored(s *torchbind.Scope, t *torchbind.Tensor, i int) *torchbind.Tensor {
	switch {
	case p.Transposed:
		return torchbind.Transpose(s, t, 0, 1)
	case p.Stacked == nil:
		return t
	}
	first := int64(0)
	for _, k := range p.Stacked[:i] {
		first += k.Rows
	}
	return torchbind.Narrow(s, t, 0, first, p.Stacked[i].Rows)
}

// Values returns the tensors of params.
func Values(params []*Param) []*torchbind.Tensor {
	ts := make([]*torchbind.Tensor, len(params))
	for i, p := range params {
		ts[i] = p.Value
	}
	return ts
}

// At runs fn with the parameters' values replaced by values, and puts the old
// ones back, also when fn panics.
func At(params []*Param, values []*torchbind.Tensor, fn func()) {
	old := Values(params)
	set := func(values []*torchbind.Tensor) {
		for i, p := range params {
			p.Value = values[i]
		}
	}
	defer set(old)
	set(values)
	fn()
}

// NumEl returns the number of elements of all params.
func NumEl(params []*Param) int64 {
	var n int64
	for _, p := range params {
		n += numEl(p.Shape)
	}
	return n
}

func numEl(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

// uniform returns float32 values drawn evenly from [-bound, bound).
func uniform(rng *rand.Rand, n int64, bound float64) []float32 {
	data := make([]float32, n)
	for i := range data {
		data[i] = float32((2*rng.Float64() - 1) * bound)
	}
	return data
}

// normal returns float32 values drawn from a normal distribution.
func normal(rng *rand.Rand, n int64, std float64) []float32 {
	data := make([]float32, n)
	for i := range data {
		data[i] = float32(rng.NormFloat64() * std)
	}
	return data
}

// kaimingBound is the bound of PyTorch's kaiming_uniform_(a=√5): 1/√fan_in.
func kaimingBound(fanIn int64) float64 { return 1 / math.Sqrt(float64(fanIn)) }
