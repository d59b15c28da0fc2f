package nn

import "autolora/torchbind"

// Linear is y = x Wᵀ + b, with LoRA on any of its modules.
type Linear struct {
	Weight *Param // [out, in]
	Bias   *Param // [out]; nil: none
	// Modules whose rows make W, one after the other.
	Modules []Module
	// LoRA has one entry per module: nil where there is none.
	LoRA []*LoRA

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
	return adapt(s, l, x, y, rng)
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
// view of the same matrix with the same LoRA.
func (l *Linear) modules(first, end int) *Linear {
	part := &Linear{Weight: l.Weight, Bias: l.Bias, Modules: l.Modules[first:end], LoRA: l.LoRA[first:end], first: l.first}
	for _, m := range l.Modules[:first] {
		part.first += m.Rows
	}
	return part
}

// part returns the index of a module in l.Modules, or -1.
func (l *Linear) part(path string) int {
	for i, m := range l.Modules {
		if m.Path == path {
			return i
		}
	}
	return -1
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

// freeze makes W constant.
func (l *Linear) freeze(s *torchbind.Scope, pack bool) {
	weight := l.own(s, l.Weight)
	l.bias = l.own(s, l.Bias)
	l.frozen = torchbind.Freeze(s, weight, pack)
}
