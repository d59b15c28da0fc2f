package nn

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"autolora/nn/safetensors"
	"autolora/plainjson"
	"autolora/torchbind"
)

// Quantization is the form in which frozen matrices are held: those of the linear
// layers of blocks, in which a model has most of its weights. Each product makes a
// matrix's numbers anew, and each derivative again.
type Quantization string

// The forms.
const (
	// AsStored is what the checkpoint has: all in the type of the arithmetic, or what
	// bitsandbytes has quantised as it is.
	AsStored Quantization = "none"
	// Int8 rounds each row to 255 steps up to its largest absolute value (Dettmers et
	// al. 2022, LLM.int8), but for the outliers among the inputs, which stay out of it
	// there: here inputs are not rounded at all.
	Int8 Quantization = "int8"
	// NF4 takes for each block of 64 numbers the nearest of 16 multiples of its largest
	// absolute value (Dettmers et al. 2023, QLoRA).
	NF4 Quantization = "nf4"
)

// Quantizations are all of them.
var Quantizations = []Quantization{AsStored, Int8, NF4}

// Bits returns how many bits a weight takes, with its scale; 0 for those of the
// arithmetic's type.
func (q Quantization) Bits() float64 {
	switch q {
	case Int8:
		return 8
	case NF4, fp4:
		return 4 + 32.0/nf4Block
	}
	return 0
}

// nf4Block is the number of weights that share a scale.
const nf4Block = 64

// fp4 is bitsandbytes' older form in 4 bits, which is only read.
const fp4 Quantization = "fp4"

// quantizer is what of a loader is about weights in 8 and 4 bits.
type quantizer struct {
	to     Quantization
	tables map[[16]float32]*torchbind.Tensor
}

// table returns the table of 16 numbers, one for the whole model.
func (ld *loader) table(numbers [16]float32) *torchbind.Tensor {
	if ld.quantize.tables[numbers] == nil {
		ld.quantize.tables[numbers] = torchbind.Codebook(ld.scope, numbers, ld.device)
	}
	return ld.quantize.tables[numbers]
}

// holds reports whether the matrix p is held in 8 or 4 bits: all that it is stacked of
// has to be stored alike.
func (ld *loader) holds(p *Param) bool {
	if len(p.Shape) != 2 || !blockNumber.MatchString(p.Name) {
		return false
	}
	stored, keys := 0, p.Keys()
	for _, key := range keys {
		if t, ok := ld.find(key); ok && ld.storedForm(t) != AsStored {
			stored++
		}
	}
	return stored == len(keys) || stored == 0 && ld.quantize.to != AsStored
}

// load loads the weight or the bias of a linear layer, its rows by their keys.
func (ld *loader) load(p *Param) *Param {
	rows, in := p.Stacked, p.Shape[1:]
	if rows == nil {
		rows = []KeyRows{{p.Name, p.Shape[0]}}
	}
	held := ld.holds(p)
	var parts []torchbind.QuantizedRows
	var values []*torchbind.Tensor
	s := torchbind.NewScope()
	defer s.Close()
	for _, k := range rows {
		if held {
			if part, ok := ld.readQuantized(k, in[0], p.Transposed); ok {
				parts = append(parts, part)
			}
		} else if t := ld.readRows(s, k, in, p.Transposed, ld.dtype); t != nil {
			values = append(values, t)
		}
	}
	switch {
	case len(parts) == len(rows):
		p.quantized = torchbind.NewQuantized(in[0], parts...)
	case len(values) == 1 && len(rows) == 1:
		p.Value = ld.scope.Keep(values[0])
	case len(values) == len(rows):
		p.Value = ld.scope.Keep(torchbind.Cat(s, values, 0))
	}
	return ld.add(p)
}

// readRows returns the rows of a key, [rows, in…], or nil and a problem noted.
func (ld *loader) readRows(s *torchbind.Scope, k KeyRows, in []int64, transposed bool, dtype torchbind.DType) *torchbind.Tensor {
	if t, ok := ld.find(k.Key); !transposed || ok && ld.storedForm(t) != AsStored { // bitsandbytes turns what it quantises
		return ld.read(s, k.Key, dtype, append([]int64{k.Rows}, in...))
	}
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		if stored := ld.read(s, k.Key, dtype, []int64{in[0], k.Rows}); stored != nil {
			return torchbind.Contiguous(s, torchbind.Transpose(s, stored, 0, 1))
		}
		return nil
	})
}

// readQuantized returns the rows of a key in 8 or 4 bits: as they are stored, or
// quantised here.
func (ld *loader) readQuantized(k KeyRows, in int64, transposed bool) (rows torchbind.QuantizedRows, ok bool) {
	if t, found := ld.find(k.Key); found && ld.storedForm(t) != AsStored {
		return ld.storedRows(ld.scope, k.Key, t, []int64{k.Rows, in})
	}
	quantize := func(s *torchbind.Scope, w *torchbind.Tensor) torchbind.QuantizedRows {
		if ld.quantize.to == Int8 {
			return torchbind.Quantize(s, w, nil, 0)
		}
		return torchbind.Quantize(s, w, ld.table(torchbind.NF4), nf4Block)
	}
	if transposed {
		s := torchbind.NewScope()
		defer s.Close()
		w := ld.readRows(s, k, []int64{in}, transposed, torchbind.Float32)
		if w == nil {
			return rows, false
		}
		return quantize(ld.scope, w), true
	}
	t, ok := ld.tensor(k.Key, []int64{k.Rows, in})
	if !ok {
		return rows, false
	}
	// A piece at a time, and what stays before what does not: else the heap is full of
	// holes in the end. Codes and scales of a piece begin where its numbers do.
	codes, scales, form := []int64{k.Rows, in}, k.Rows, torchbind.Int8
	if ld.quantize.to == NF4 {
		codes, scales, form = []int64{(k.Rows*in + 1) / 2}, (k.Rows*in+nf4Block-1)/nf4Block, torchbind.UInt8
	}
	rows.Codes, rows.Scales = torchbind.Empty(ld.scope, codes, form, ld.device), torchbind.Empty(ld.scope, []int64{scales}, torchbind.Float32, ld.device)
	var codesDone, scalesDone int64
	ld.pieces(t, func(s *torchbind.Scope, first int64, piece *torchbind.Tensor) {
		q := quantize(s, torchbind.To(s, piece, piece.DType(), ld.device))
		rows.Table, rows.Block = q.Table, q.Block
		torchbind.Narrow(s, rows.Codes, 0, codesDone, q.Codes.Size(0)).CopyInPlace(q.Codes)
		torchbind.Narrow(s, rows.Scales, 0, scalesDone, q.Scales.Size(0)).CopyInPlace(q.Scales)
		codesDone, scalesDone = codesDone+q.Codes.Size(0), scalesDone+q.Scales.Size(0)
	})
	rows.Rows = k.Rows
	return rows, true
}

// storedForm returns the form in which a checkpoint's tensor is stored.
func (ld *loader) storedForm(t safetensors.Tensor) Quantization {
	has := func(name string) bool { _, ok := ld.ckpt.Tensor(name); return ok }
	switch {
	case has(stateOf(t, NF4)):
		return NF4
	case has(stateOf(t, fp4)):
		return fp4
	case t.DType == safetensors.I8 && has(scalesOf(t)):
		return Int8
	}
	return AsStored
}

// stateOf and scalesOf return the names of what bitsandbytes stores beside a weight.
func stateOf(t safetensors.Tensor, form Quantization) string {
	return t.Name + ".quant_state.bitsandbytes__" + string(form)
}

func scalesOf(t safetensors.Tensor) string { return strings.TrimSuffix(t.Name, "weight") + "SCB" }

// storedRows returns, in s, a weight [out, in] that bitsandbytes has quantised.
func (ld *loader) storedRows(s *torchbind.Scope, key string, t safetensors.Tensor, shape []int64) (rows torchbind.QuantizedRows, ok bool) {
	defer ld.ckpt.Forget()
	for _, name := range ld.ckpt.Names() {
		if quantized(name) && strings.HasPrefix(name, strings.TrimSuffix(t.Name, "weight")) {
			ld.used[safetensors.Unwrapped(name)] = true
		}
	}
	var err error
	if form := ld.storedForm(t); len(shape) != 2 {
		err = fmt.Errorf("it is quantised, want shape %v", shape)
	} else if form == Int8 {
		rows, err = ld.stored8(s, t, shape)
	} else {
		rows, err = ld.stored4(s, t, form, shape)
	}
	if err != nil {
		ld.problems = append(ld.problems, fmt.Sprintf("%q: %v", key, err))
	}
	return rows, err == nil
}

// beside returns the numbers of a tensor that is stored beside a weight, n of them.
func (ld *loader) beside(name string, n int64) ([]float32, error) {
	t, ok := ld.ckpt.Tensor(name)
	switch {
	case !ok:
		return nil, fmt.Errorf("%q, without which it means nothing, is missing", name)
	case t.DType != safetensors.F32 || t.NumElements() != n:
		return nil, fmt.Errorf("%q: %v %v, want F32 and %d numbers", name, t.DType, t.Shape, n)
	}
	numbers, err := safetensors.Float32s(t)
	if err == nil && slices.ContainsFunc(numbers, func(v float32) bool { return v != v }) {
		err = fmt.Errorf("%q: it has numbers that are none (NaN)", name)
	}
	return numbers, err
}

// stored8 reads a weight in 8 bits with the scales of its rows.
func (ld *loader) stored8(s *torchbind.Scope, t safetensors.Tensor, shape []int64) (rows torchbind.QuantizedRows, err error) {
	if !slices.Equal(t.Shape, shape) {
		return rows, fmt.Errorf("shape %v, want %v", t.Shape, shape)
	}
	order := strings.TrimSuffix(t.Name, "weight") + "weight_format"
	if format, ok := ld.ckpt.Tensor(order); ok {
		if slices.ContainsFunc(format.Data, func(b byte) bool { return b != 0 }) {
			return rows, fmt.Errorf("%q: its numbers stand in the order of a GPU of old, want that of rows", order)
		}
	}
	scales, err := ld.beside(scalesOf(t), shape[0])
	if err != nil {
		return rows, err
	}
	return torchbind.QuantizedRows{Rows: shape[0], Codes: ld.bytes(s, t, torchbind.Int8, shape...), Scales: torchbind.FromSlice(s, scales, shape[:1], ld.device)}, nil
}

// bytes returns what t's bytes are in dtype.
func (ld *loader) bytes(s *torchbind.Scope, t safetensors.Tensor, dtype torchbind.DType, shape ...int64) *torchbind.Tensor {
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		return torchbind.To(s, torchbind.FromBytes(s, t.Data, dtype, shape, torchbind.CPU), dtype, ld.device)
	})
}

// quantState is what bitsandbytes says of a weight in 4 bits.
type quantState struct {
	Block       int64   `json:"blocksize"`
	DType       string  `json:"dtype"`
	Shape       []int64 `json:"shape"`
	NestedBlock int64   `json:"nested_blocksize"` // 0: the scales are not quantised
	Offset      float64 `json:"nested_offset"`
}

// stored4 reads a weight in 4 bits with the scales of its blocks.
func (ld *loader) stored4(s *torchbind.Scope, t safetensors.Tensor, form Quantization, shape []int64) (rows torchbind.QuantizedRows, err error) {
	name := stateOf(t, form)
	text, _ := ld.ckpt.Tensor(name)
	var state quantState
	if err := plainjson.Unmarshal(text.Data, &state); err != nil {
		return rows, fmt.Errorf("%q: %w", name, err)
	}
	n := numEl(shape)
	switch {
	case !slices.Equal(state.Shape, shape):
		return rows, fmt.Errorf("shape %v, want %v", state.Shape, shape)
	case state.Block < 2 || state.Block%2 != 0 || state.Block > 1<<20 || state.NestedBlock < 0 || state.NestedBlock > 1<<20:
		return rows, fmt.Errorf("%q: blocks of %d and %d, want even numbers, as 64 and 256", name, state.Block, state.NestedBlock)
	case int64(len(t.Data)) != (n+1)/2:
		return rows, fmt.Errorf("%d bytes, want %d", len(t.Data), (n+1)/2)
	}
	numbers, err := ld.beside(t.Name+".quant_map", 16)
	if err != nil {
		return rows, err
	}
	scales, err := ld.scales(t.Name, state, (n+state.Block-1)/state.Block)
	if err != nil {
		return rows, err
	}
	ld.sizes[map[string]safetensors.DType{"float16": safetensors.F16, "bfloat16": safetensors.BF16}[state.DType]] += n
	return torchbind.QuantizedRows{
		Rows: shape[0], Block: state.Block, Table: ld.table([16]float32(numbers)),
		Codes: ld.bytes(s, t, torchbind.UInt8, int64(len(t.Data))), Scales: torchbind.FromSlice(s, scales, []int64{int64(len(scales))}, ld.device),
	}, nil
}

// scales returns n scales of blocks, which may be quantised too (QLoRA's double
// quantisation): of each byte the table's number, times that of its own block, plus
// their mean.
func (ld *loader) scales(weight string, state quantState, n int64) ([]float32, error) {
	name := weight + ".absmax"
	if state.NestedBlock == 0 {
		return ld.beside(name, n)
	}
	t, ok := ld.ckpt.Tensor(name)
	if !ok || t.DType != safetensors.U8 || t.NumElements() != n {
		return nil, fmt.Errorf("%q: %v %v, want U8 and %d numbers", name, t.DType, t.Shape, n)
	}
	numbers, err := ld.beside(weight+".nested_quant_map", 256)
	if err != nil {
		return nil, err
	}
	most, err := ld.beside(weight+".nested_absmax", (n+state.NestedBlock-1)/state.NestedBlock)
	if err != nil {
		return nil, err
	}
	scales := make([]float32, n)
	for i, code := range t.Data {
		scales[i] = float32(numbers[code]*most[int64(i)/state.NestedBlock]) + float32(state.Offset)
	}
	return scales, nil
}

// quantizationKey is the key of config.json that says how a checkpoint is quantised.
const quantizationKey = "quantization_config"

// quantizers have, by quant_method of config.json, who quantises in a way that is not
// read.
var quantizers = map[string]string{
	"gptq": "GPTQ", "awq": "AWQ", "fp8": "fp8", "fbgemm_fp8": "fp8", "finegrained_fp8": "fp8",
	"mxfp4": "MXFP4", "compressed-tensors": "compressed-tensors", "hqq": "HQQ", "quanto": "Quanto", "torchao": "torchao",
}

// readQuantization reads the quantization_config of a config.json: bitsandbytes' forms,
// or an error that names another.
func readQuantization(raw json.RawMessage) (Quantization, error) {
	var keys map[string]any
	if plainjson.Unmarshal(raw, &keys) != nil || len(keys) == 0 {
		return "", nil
	}
	method, _ := keys["quant_method"].(string)
	switch four := keys["load_in_4bit"] == true; {
	case method != "bitsandbytes" && method != "": // it wrote none at first
	case four && keys["bnb_4bit_quant_type"] == string(NF4):
		return NF4, nil
	case four: // its default
		return fp4, nil
	case keys["load_in_8bit"] == true:
		return Int8, nil
	}
	return "", quantizedError("the model is quantised with " + cmp.Or(quantizers[method], method, "a method that it does not name"))
}

// quantizedError says what to do about a quantised model that is not read.
func quantizedError(what string) error {
	return fmt.Errorf("%s, and such weights are not read, but bitsandbytes' in 8 and 4 bits: take the model that it was made from, in float32, float16 or bfloat16, "+
		"or write one with model.dequantize() and save_pretrained in Python", what)
}

// checkQuantization returns an error about a form that the checkpoint in dir cannot be
// held in.
func (c Config) checkQuantization(dir string, load LoadConfig) error {
	want := cmp.Or(load.Quantize, AsStored)
	switch {
	case !slices.Contains(Quantizations, want):
		return fmt.Errorf("quantize: got %q, want one of %v", want, Quantizations)
	case load.Full && (want != AsStored || c.Quantized != ""):
		return errors.New("full fine-tuning trains every weight, and those in 8 or 4 bits are frozen: take LoRA, or a model that is not quantised")
	case want != AsStored && c.Quantized != "" && c.Quantized != want:
		return fmt.Errorf("load %s: its weights are in %s already, and not made %s of that: want quantize %s", dir, c.Quantized, want, AsStored)
	}
	return nil
}
