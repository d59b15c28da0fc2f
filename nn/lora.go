package nn

import (
	"autolora/nn/peft"
	"autolora/torchbind"
)

// LoRA is the low-rank update of one module's weight,
//
//	ΔW = s · Σ_j α_j B[:,j] A[j,:],  s = Alpha / Rank    (paper, Eq. 2)
//
// A and B are float32 (or float64) whatever the base model's type. In the SVD
// form, that of AdaLoRA (Zhang et al. 2023), α is a trained parameter E: A and B
// stand for singular vectors, E for singular values.
type LoRA struct {
	Module  string // Hugging Face path of the module it changes
	Rank    int64
	Alpha   float64 // lora_alpha
	Dropout float64 // on x, in training
	A       *Param  // [R, in]
	B       *Param  // [out, R]
	E       *Param  // [R], α of the SVD form; else nil
	// Select holds the selection variables α [R] of the other form; nil means
	// all 1.
	Select *torchbind.Tensor
}

// Scale returns s = lora_alpha / rank, and in the SVD form lora_alpha /
// (rank + 1e-5), as PEFT and the authors of AdaLoRA divide.
func (l *LoRA) Scale() float64 {
	if l.E != nil {
		return l.Alpha / (float64(l.Rank) + 1e-5)
	}
	return l.Alpha / float64(l.Rank)
}

// Params returns A, B and, in the SVD form, E.
func (l *LoRA) Params() []*Param {
	if l.E != nil {
		return []*Param{l.A, l.B, l.E}
	}
	return []*Param{l.A, l.B}
}

// selection returns α [R]; nil means all 1.
func (l *LoRA) selection() *torchbind.Tensor {
	if l.E != nil {
		return l.E.Value
	}
	return l.Select
}

// Delta returns ΔW [out, in].
func (l *LoRA) Delta(s *torchbind.Scope) *torchbind.Tensor {
	b := torchbind.MulScalar(s, l.B.Value, l.Scale())
	if alpha := l.selection(); alpha != nil {
		b = torchbind.Mul(s, b, alpha) // [out, R] · [R]
	}
	return torchbind.MatMul(s, b, l.A.Value)
}

// Merge returns W + ΔW for the module's weight W.
func (l *LoRA) Merge(s *torchbind.Scope, w *torchbind.Tensor) *torchbind.Tensor {
	return torchbind.Add(s, w, l.Delta(s))
}

// Layer implements ModuleAdapter. A layer of the SVD form is to be folded before.
func (l *LoRA) Layer(c *peft.Config) peft.Layer {
	c.LoraDropout = l.Dropout
	return peft.Layer{
		Name: l.Module, Rank: int(l.Rank), Alpha: l.Alpha,
		A: l.A.stored("lora_A.weight"), B: l.B.stored("lora_B.weight"),
	}
}

// Forward returns y + x ΔWᵀ.
func (l *LoRA) Forward(s *torchbind.Scope, x, y *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	alone := newLinear(nil, nil, Module{l.Module, l.B.Shape[0]})
	alone.Adapters[0] = l
	return alone.addLoRA(s, x, y, rng)
}

// addLoRA adds to y [N, out] what the LoRA layers of l's modules make of x [N, in].
// The A factors of all modules are one product, and so are the B factors as one
// block-diagonal matrix: q and v cost one addmm, and k gets rows of zeros.
func (l *Linear) addLoRA(s *torchbind.Scope, x, y *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	var as, bs, alphas []*torchbind.Tensor
	var dropout float64
	for i := range l.Adapters {
		lora := l.lora(i)
		if lora == nil {
			// A block without columns leaves its rows zero.
			bs = append(bs, nil)
			continue
		}
		as = append(as, lora.A.Value)
		bs = append(bs, torchbind.MulScalar(s, lora.B.Value, lora.Scale()))
		if alpha := lora.selection(); alpha != nil {
			alphas = append(alphas, alpha)
		}
		dropout = lora.Dropout
	}
	if len(as) == 0 {
		return y
	}
	factors := as[0].DType()
	for i, b := range bs {
		if b == nil {
			bs[i] = torchbind.Empty(s, []int64{l.Modules[i].Rows, 0}, factors, x.Device())
		}
	}
	p, seed := rng.draw(dropout)
	xf := torchbind.To(s, torchbind.Dropout(s, x, p, seed), factors, x.Device())
	h := torchbind.Linear(s, xf, concat(s, as), nil) // [N, ΣR]
	if len(alphas) > 0 {
		h = torchbind.Mul(s, h, concat(s, alphas))
	}
	b := bs[0]
	if len(bs) > 1 {
		b = torchbind.BlockDiag(s, bs) // [out, ΣR]
	}
	bt := torchbind.Transpose(s, b, 0, 1)
	if x.DType() != factors {
		delta := torchbind.To(s, torchbind.MatMul(s, h, bt), x.DType(), x.Device())
		return torchbind.Add(s, y, delta)
	}
	y.AddMMInPlace(h, bt)
	return y
}

func concat(s *torchbind.Scope, ts []*torchbind.Tensor) *torchbind.Tensor {
	if len(ts) == 1 {
		return ts[0]
	}
	return torchbind.Cat(s, ts, 0)
}
