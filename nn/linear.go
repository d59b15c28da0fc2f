package nn

import (
	"slices"

	"autolora/nn/peft"
	"autolora/torchbind"
)

// AdapterLayer is what training adds to a model whose own weights stay: at a module of a
// linear layer (ModuleAdapter), or at a residual connection (Bottleneck).
type AdapterLayer interface {
	// Forward returns what y becomes, which the layer has made of x; at a residual
	// connection x is what it adds to y. It may change y.
	Forward(s *torchbind.Scope, x, y *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor
	// Params returns what is trained of it, in a fixed order.
	Params() []*Param
}

// ModuleAdapter is an adapter of a module that another weight can stand for, and that
// PEFT knows: LoRA, and what makes more of it.
type ModuleAdapter interface {
	AdapterLayer
	// Merge returns the module's weight w with what the adapter makes of it.
	Merge(s *torchbind.Scope, w *torchbind.Tensor) *torchbind.Tensor
	// Layer returns it as PEFT has it, and sets in c what all layers have in common.
	Layer(c *peft.Config) peft.Layer
}

// Linear is y = x Wᵀ + b, with adapters on any of its modules.
type Linear struct {
	Weight *Param // [out, in]
	Bias   *Param // [out]; nil: none
	// Modules whose rows make W, one after the other.
	Modules []Module
	// Adapters has one entry per module: nil where there is none.
	Adapters []ModuleAdapter

	first  int64                   // row of Weight with which the layer begins: more than 0 where it is a part of a matrix
	frozen *torchbind.FrozenWeight // nil while W is trained
	bias   *torchbind.Tensor       // of the frozen layer; nil: none
}

// Module is a Hugging Face module and the rows [out] of its weight. Query, key
// and value of GPT-2's c_attn count as modules below it.
type Module struct {
	Path string
	Rows int64
}

// Forward maps x [N, in] to [N, out].
func (l *Linear) Forward(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	var y *torchbind.Tensor
	if l.frozen != nil {
		y = torchbind.FrozenLinear(s, x, l.frozen, l.bias)
	} else {
		y = torchbind.Linear(s, x, l.own(s, l.Weight), l.own(s, l.Bias))
	}
	y = l.addLoRA(s, x, y, rng)
	row := int64(0)
	for i, m := range l.Modules {
		if a := l.Adapters[i]; a != nil && l.lora(i) == nil {
			part := torchbind.Narrow(s, y, 1, row, m.Rows)
			part.CopyInPlace(a.Forward(s, x, part, rng))
		}
		row += m.Rows
	}
	return y
}

// own returns the layer's rows of p; nil for a nil p.
func (l *Linear) own(s *torchbind.Scope, p *Param) *torchbind.Tensor {
	if p == nil {
		return nil
	}
	if l.Out() == p.Shape[0] {
		return p.Value
	}
	return torchbind.Narrow(s, p.Value, 0, l.first, l.Out())
}

// modules returns the layer of some of l's modules, from first to before end: a
// view of the same matrix with the same adapters.
func (l *Linear) modules(first, end int) *Linear {
	part := &Linear{Weight: l.Weight, Bias: l.Bias, Modules: l.Modules[first:end], Adapters: l.Adapters[first:end], first: l.first}
	for _, m := range l.Modules[:first] {
		part.first += m.Rows
	}
	return part
}

// index returns that of a module in l.Modules, or -1.
func (l *Linear) index(path string) int {
	return slices.IndexFunc(l.Modules, func(m Module) bool { return m.Path == path })
}

// In returns the size of x's rows.
func (l *Linear) In() int64 { return l.Weight.Shape[1] }

// Out returns the size of y's rows.
func (l *Linear) Out() int64 {
	var rows int64
	for _, m := range l.Modules {
		rows += m.Rows
	}
	return rows
}

// lora returns the LoRA layer on module i, or nil.
func (l *Linear) lora(i int) *LoRA {
	lora, _ := l.Adapters[i].(*LoRA)
	return lora
}

// newLinear returns a layer without adapters.
func newLinear(weight, bias *Param, modules ...Module) *Linear {
	return &Linear{Weight: weight, Bias: bias, Modules: modules, Adapters: make([]ModuleAdapter, len(modules))}
}

// freeze makes W constant.
func (l *Linear) freeze(s *torchbind.Scope, pack bool) {
	l.bias = l.own(s, l.Bias)
	if q := l.Weight.quantized; q != nil {
		l.frozen = torchbind.FreezeQuantized(q.Narrow(l.first, l.Out()))
		return
	}
	l.frozen = torchbind.Freeze(s, l.own(s, l.Weight), pack)
}
