package nn

import "autolora/torchbind"

// Linear is y = x Wᵀ + b, with LoRA on any of its parts.
type Linear struct {
	Weight *Param // [out, in]
	Bias   *Param // [out]
	// Modules names the Hugging Face modules whose rows make W, one after the
	// other and equally many: ["…self.query" "…self.key" "…self.value"].
	Modules []string
	// LoRA has one entry per module: nil where there is none.
	LoRA []*LoRA

	frozen *torchbind.FrozenWeight // nil while W is trained
}

// Forward maps x [N, in] to [N, out].
func (l *Linear) Forward(s *torchbind.Scope, x *torchbind.Tensor, masks *Masks) *torchbind.Tensor {
	var y *torchbind.Tensor
	if l.frozen != nil {
		y = torchbind.FrozenLinear(s, x, l.frozen, l.Bias.Value)
	} else {
		y = torchbind.Linear(s, x, l.Weight.Value, l.Bias.Value)
	}
	return adapt(s, l.LoRA, x, y, masks)
}

// part returns the index of a module in l.Modules, or -1.
func (l *Linear) part(module string) int {
	for i, name := range l.Modules {
		if name == module {
			return i
		}
	}
	return -1
}

// In returns the size of x's rows.
func (l *Linear) In() int64 { return l.Weight.Shape[1] }

// Out returns the rows of W that belong to one module.
func (l *Linear) Out() int64 { return l.Weight.Shape[0] / int64(len(l.Modules)) }

// freeze makes W constant.
func (l *Linear) freeze(s *torchbind.Scope, pack bool) {
	l.frozen = torchbind.Freeze(s, l.Weight.Value, pack)
}
