package nn

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// loader builds a model from a checkpoint. Building is loading: every
// parameter is asked for once, by name and shape, and whatever does not fit is
// collected, so that one error tells all.
type loader struct {
	scope  *torchbind.Scope // of the model
	ckpt   *safetensors.Checkpoint
	family family // whose prefix is left out in checkpoints of the body alone
	dtype  torchbind.DType
	device torchbind.Device

	params   []*Param
	linears  []*Linear
	quantize quantizer
	rotaries map[*Rope]*rotary
	stored   map[string]string // the checkpoint's names by those without a training's wrappers
	used     map[string]bool   // of the names in stored
	sizes    map[safetensors.DType]int64
	problems []string
	advice   string // on the problems
	notes    []string
}

// newLoader returns a loader of ckpt's tensors into s.
func newLoader(s *torchbind.Scope, ckpt *safetensors.Checkpoint, family family, dtype torchbind.DType, device torchbind.Device) *loader {
	ld := &loader{
		scope: s, ckpt: ckpt, family: family, dtype: dtype, device: device, stored: map[string]string{}, used: map[string]bool{}, sizes: map[safetensors.DType]int64{}, rotaries: map[*Rope]*rotary{},
		quantize: quantizer{to: AsStored, tables: map[[16]float32]*torchbind.Tensor{}},
		advice:   "the weights are not those of config.json's model",
	}
	for _, name := range ckpt.Names() {
		plain := safetensors.Unwrapped(name)
		if other, twice := ld.stored[plain]; twice {
			ld.problems = append(ld.problems, fmt.Sprintf("%q and %q: the same tensor twice", other, name))
		}
		ld.stored[plain] = name
	}
	return ld
}

// oldNames are spellings of TensorFlow's time, still found in checkpoints.
var oldNames = strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta")

// find returns the checkpoint's tensor for a key, under any of its spellings, or
// under the name of one that is the same in memory.
func (ld *loader) find(key string) (safetensors.Tensor, bool) {
	bare := strings.TrimPrefix(key, ld.family.prefix+".")
	spellings := []string{key, bare, oldNames.Replace(key), oldNames.Replace(bare)}
	for _, name := range spellings {
		if stored, ok := ld.stored[name]; ok {
			ld.used[name] = true
			return ld.ckpt.Tensor(stored)
		}
	}
	for _, name := range spellings {
		if kept, ok := ld.ckpt.Alias(name); ok {
			ld.used[safetensors.Unwrapped(kept)] = true
			return ld.ckpt.Tensor(kept)
		}
	}
	return safetensors.Tensor{}, false
}

// read returns the tensor of a key as it should be in the model, or nil and a
// problem noted.
func (ld *loader) read(s *torchbind.Scope, key string, dtype torchbind.DType, shape []int64) *torchbind.Tensor {
	if t, ok := ld.find(key); ok && ld.storedForm(t) != AsStored {
		return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
			rows, ok := ld.storedRows(s, key, t, shape)
			if !ok {
				return nil
			}
			return torchbind.NewQuantized(shape[1], rows).Dequantize(s, dtype)
		})
	}
	t, ok := ld.tensor(key, shape)
	if !ok {
		return nil
	}
	out := torchbind.Empty(s, shape, dtype, ld.device)
	ld.pieces(t, func(s *torchbind.Scope, first int64, piece *torchbind.Tensor) {
		torchbind.Narrow(s, out, 0, first, piece.Size(0)).CopyInPlace(piece)
	})
	return out
}

// tensor returns the checkpoint's tensor of a key, of floating point and a shape, or
// false and a problem noted.
func (ld *loader) tensor(key string, shape []int64) (t safetensors.Tensor, ok bool) {
	t, ok = ld.find(key)
	_, floats := storedTypes[t.DType]
	problem := ""
	switch {
	case !ok:
		problem = "missing"
	case t.NumElements() == 0:
		problem = fmt.Sprintf("shape %v, want %v: it is empty", t.Shape, shape)
		ld.advice = safetensors.WhyEmpty
	case !floats:
		problem = fmt.Sprintf("dtype %v, want F32, F16 or BF16", t.DType)
		if t.DType.Bits() <= 8 {
			ld.advice = quantizedError("the model is quantised").Error()
		}
	case !slices.Equal(t.Shape, shape):
		problem = fmt.Sprintf("shape %v, want %v", t.Shape, shape)
	default:
		ld.sizes[t.DType] += t.NumElements()
		return t, true
	}
	ld.problems = append(ld.problems, fmt.Sprintf("%q: %s", key, problem))
	return t, false
}

// pieces calls f with rows of t, one piece after the other: as long as one is in
// memory in the checkpoint's type, it is not there in whole.
func (ld *loader) pieces(t safetensors.Tensor, f func(s *torchbind.Scope, first int64, piece *torchbind.Tensor)) {
	const most = 1 << 18 // bytes, unless 64 rows have more
	rows, size := t.Shape[0], int64(len(t.Data))/t.Shape[0]
	some := max(1, most/(64*size)) * 64 // which divides into blocks of NF4 whatever a row is
	for first := int64(0); first < rows; first += some {
		n := min(some, rows-first)
		_ = ld.scope.Do(func(s *torchbind.Scope) error {
			f(s, first, torchbind.FromBytes(s, t.Data[first*size:(first+n)*size], storedTypes[t.DType], append([]int64{n}, t.Shape[1:]...), torchbind.CPU))
			return nil
		})
		ld.ckpt.Forget()
	}
}

// storedType returns Model.Stored.
func (ld *loader) storedType() safetensors.DType {
	most := safetensors.F32
	for _, t := range []safetensors.DType{safetensors.F16, safetensors.BF16} {
		if ld.sizes[t] > ld.sizes[most]+ld.sizes[safetensors.F64] {
			most = t
		}
	}
	return most
}

var storedTypes = map[safetensors.DType]torchbind.DType{
	safetensors.F64: torchbind.Float64, safetensors.F32: torchbind.Float32,
	safetensors.F16: torchbind.Float16, safetensors.BF16: torchbind.BFloat16,
}

// param loads one tensor of the pre-trained model.
func (ld *loader) param(key string, shape ...int64) *Param {
	return ld.add(&Param{Name: key, Shape: shape, Value: ld.read(ld.scope, key, ld.dtype, shape)})
}

// headParam is param in the arithmetic of heads and adapters.
func (ld *loader) headParam(key string, shape ...int64) *Param {
	return ld.add(&Param{Name: key, Shape: shape, Value: ld.read(ld.scope, key, factorType(ld.dtype), shape)})
}

// fresh makes a parameter that is not in the checkpoint.
func (ld *loader) fresh(key string, data []float32, shape ...int64) *Param {
	return ld.add(newParam(ld.scope, key, data, shape, factorType(ld.dtype), ld.device))
}

func (ld *loader) add(p *Param) *Param {
	ld.params = append(ld.params, p)
	return p
}

// factorType is the type of LoRA factors, heads and optimiser states over a
// base model of type base.
func factorType(base torchbind.DType) torchbind.DType {
	if base == torchbind.Float64 {
		return base
	}
	return torchbind.Float32
}

func (ld *loader) norm(name string, c int64, eps float64) *Norm {
	return &Norm{Weight: ld.param(name+".weight", c), Bias: ld.param(name+".bias", c), Eps: eps}
}

// plainNorm loads a LayerNorm without bias, its weight by param.
func (ld *loader) plainNorm(name string, c int64, eps float64, param func(key string, shape ...int64) *Param) *Norm {
	n := &Norm{Weight: param(name+".weight", c), Eps: eps}
	if n.Weight.Value != nil {
		n.zero = torchbind.ZerosLike(ld.scope, n.Weight.Value)
	}
	return n
}

func (ld *loader) rmsNorm(name string, c int64, eps float64) *Norm {
	return &Norm{Weight: ld.param(name+".weight", c), Eps: eps}
}

// linear loads a layer for x [N, in] whose rows are those of the modules, one
// after the other.
func (ld *loader) linear(in int64, bias bool, modules ...Module) *Linear {
	l := newLinear(ld.load(stacked(modules, ".weight", in)), nil, modules...)
	if bias {
		l.Bias = ld.load(stacked(modules, ".bias"))
	}
	return l
}

// layer notes a layer that the model computes with, to be frozen.
func (ld *loader) layer(l *Linear) *Linear {
	ld.linears = append(ld.linears, l)
	return l
}

// conv1D loads transformers' Conv1D, a linear layer whose weight is stored
// [in, out], and whose rows count as those of modules.
func (ld *loader) conv1D(path string, in int64, modules ...Module) *Linear {
	var out int64
	for _, m := range modules {
		out += m.Rows
	}
	w := ld.load(&Param{Name: path + ".weight", Shape: []int64{out, in}, Transposed: true})
	return newLinear(w, ld.param(path+".bias", out), modules...)
}

// stacked returns the modules' tensors of a kind as one, [rows of all, in…], to be
// loaded.
func stacked(modules []Module, suffix string, in ...int64) *Param {
	p := &Param{Name: modules[0].Path + suffix}
	var rows int64
	for _, m := range modules {
		rows += m.Rows
		p.Stacked = append(p.Stacked, KeyRows{m.Path + suffix, m.Rows})
	}
	if len(modules) == 1 {
		p.Stacked = nil
	}
	p.Shape = append([]int64{rows}, in...)
	return p
}

// headModule is the head of a language model.
const headModule = "lm_head"

// words loads the embedding of a language model. Where it is the head too, the
// checkpoint may have it under the head's name alone.
func (ld *loader) words(cfg *Config, key string) *Param {
	shape, head := []int64{cfg.VocabSize, cfg.HiddenSize}, headModule+".weight"
	if _, ok := ld.find(key); !ok && cfg.TieWordEmbeddings {
		if _, ok := ld.find(head); ok {
			return ld.add(&Param{Name: key, Shape: shape, Value: ld.read(ld.scope, head, ld.dtype, shape)})
		}
	}
	return ld.param(key, shape...)
}

// vocabulary loads the head of a language model: a matrix of its own, or the
// embedding. A stored head that is not the embedding counts, whatever
// tie_word_embeddings says, as in transformers: merging an adapter leaves such.
func (ld *loader) vocabulary(cfg *Config, body *Transformer) *Linear {
	module := Module{headModule, cfg.VocabSize}
	words := body.Embedding.Words
	if cfg.TieWordEmbeddings {
		head, stored := ld.find(headModule + ".weight")
		embedding, apart := ld.find(words.Name)
		if !stored || !apart || head.DType == embedding.DType && bytes.Equal(head.Data, embedding.Data) {
			return ld.layer(newLinear(words, nil, module))
		}
		cfg.TieWordEmbeddings = false
		ld.notes = append(ld.notes, fmt.Sprintf("config.json ties %s.weight to the embedding, and another %[1]s.weight is stored: it is used", headModule))
	}
	return ld.layer(ld.linear(cfg.HiddenSize, false, module))
}

// finish returns one error that lists everything that did not fit. Tensors beside
// the body, such as heads of other tasks, are left out with a note.
func (ld *loader) finish(dir string) error {
	beside := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(ld.stored)) {
		switch module, _, _ := strings.Cut(name, "."); {
		case ld.used[name] || ld.family.ignores(name):
		case quantized(name) && ld.ofBody(module):
			return fmt.Errorf("load %s: %w", dir, quantizedError(fmt.Sprintf("%q: the model is quantised", name)))
		case strings.Contains(name, ".base_layer.") || strings.Contains(name, ".lora_"):
			ld.problems = append(ld.problems, fmt.Sprintf("%q: unexpected", name))
			ld.advice = "this is a model with an adapter in it: save it after merge_and_unload() in PEFT"
		case ld.ofBody(module):
			ld.problems = append(ld.problems, fmt.Sprintf("%q: unexpected", name))
		default:
			beside[module] = true
		}
	}
	if len(ld.problems) == 0 {
		if len(beside) > 0 {
			ld.notes = append(ld.notes, "left out of the model's weights, as parts of another task: "+strings.Join(slices.Sorted(maps.Keys(beside)), ", "))
		}
		return nil
	}
	const most = 8
	shown := ld.problems
	more := ""
	if len(shown) > most {
		more = fmt.Sprintf("; and %d more", len(shown)-most)
		shown = shown[:most]
	}
	return fmt.Errorf("load %s: %s%s: %s", dir, strings.Join(shown, "; "), more, ld.advice)
}

// ofBody reports whether a key's first part is the body, or, in a checkpoint of
// the body alone, a part of it.
func (ld *loader) ofBody(module string) bool {
	return module == ld.family.prefix || slices.ContainsFunc(ld.params, func(p *Param) bool {
		return strings.HasPrefix(p.Keys()[0], ld.family.prefix+"."+module+".")
	})
}

// quantized reports whether a key is of what bitsandbytes, GPTQ, AWQ or an fp8
// format store beside a weight or in its place.
func quantized(key string) bool {
	return slices.ContainsFunc([]string{
		".absmax", ".nested_absmax", ".quant_map", ".nested_quant_map", ".SCB", ".weight_format", ".qweight", ".qzeros", ".scales", ".g_idx",
		".weight_scale", ".weight_scale_inv", ".weight_packed", ".weight_shape", ".input_scale", ".weight_zero_point",
	}, func(end string) bool { return strings.HasSuffix(key, end) }) || strings.Contains(key, ".quant_state.")
}
