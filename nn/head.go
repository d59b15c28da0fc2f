package nn

import (
	"math/rand/v2"

	"autolora/torchbind"
)

// Head maps hidden states of the wanted rows to K scores: of a sequence, that
// of its first token, by BERT's pooler and classifier or RoBERTa's two layers;
// of tokens, each by one layer. Its arithmetic is float32 (float64 where the
// model is).
//
//	BERT:    classifier(dropout(tanh(pooler.dense(h))))
//	RoBERTa: out_proj(dropout(tanh(dense(dropout(h)))))
//	tokens:  classifier(dropout(h))
type Head struct {
	Dense   *Param // [C, C]; nil for tokens
	DenseB  *Param // [C]; nil for tokens
	Out     *Param // [K, C]
	OutB    *Param // [K]
	Dropout float64
	roberta bool // dropout before Dense too, and Dense belongs to the head
}

// Forward maps x [M, C] to [M, K].
func (h *Head) Forward(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	drop := func(x *torchbind.Tensor) *torchbind.Tensor {
		p, seed := rng.draw(h.Dropout)
		return torchbind.Dropout(s, x, p, seed)
	}
	if h.roberta {
		x = drop(x)
	}
	if want := h.Out.Value.DType(); x.DType() != want {
		x = torchbind.To(s, x, want, x.Device())
	}
	if h.Dense != nil {
		x = torchbind.Tanh(s, torchbind.Linear(s, x, h.Dense.Value, h.DenseB.Value))
	}
	return torchbind.Linear(s, drop(x), h.Out.Value, h.OutB.Value)
}

// Labels returns K.
func (h *Head) Labels() int64 { return h.Out.Shape[0] }

// reorder makes output order[i] the i-th.
func (h *Head) reorder(order []int64) {
	s := torchbind.NewScope()
	defer s.Close()
	torchbind.NoGrad(func() {
		index := torchbind.FromSlice(s, order, []int64{int64(len(order))}, h.Out.Value.Device())
		for _, p := range []*Param{h.Out, h.OutB} {
			p.Value.CopyInPlace(torchbind.IndexSelect(s, p.Value, 0, index))
		}
	})
}

// Params returns what a task trains: not BERT's pooler, which is part of the
// pre-trained model and frozen with it, as in PEFT.
func (h *Head) Params() []*Param {
	if h.roberta {
		return []*Param{h.Dense, h.DenseB, h.Out, h.OutB}
	}
	return []*Param{h.Out, h.OutB}
}

// newHead builds the head that load asks for; with fresh, what a task trains is drawn anew from
// rng, as transformers does, else it must be in the checkpoint.
func newHead(ld *loader, cfg Config, load LoadConfig, fresh bool, rng *rand.Rand) *Head {
	c, std, labels := cfg.HiddenSize, cfg.InitializerRange, load.Labels
	h := &Head{Dropout: cfg.HeadDropout(), roberta: load.Output != TokenClassification && !families[cfg.ModelType].pooler}
	weight := func(name string, shape ...int64) *Param {
		if fresh {
			data := make([]float32, numEl(shape)) // biases begin at 0
			if len(shape) > 1 {
				data = normal(rng, numEl(shape), std)
			}
			return ld.fresh(name, data, shape...)
		}
		return ld.headParam(name, shape...)
	}
	if h.roberta {
		h.Dense, h.DenseB = weight("classifier.dense.weight", c, c), weight("classifier.dense.bias", c)
		h.Out, h.OutB = weight("classifier.out_proj.weight", labels, c), weight("classifier.out_proj.bias", labels)
		return h
	}
	if load.Output != TokenClassification {
		pooler := families[cfg.ModelType].prefix + ".pooler.dense"
		h.Dense, h.DenseB = ld.headParam(pooler+".weight", c, c), ld.headParam(pooler+".bias", c)
	}
	h.Out, h.OutB = weight("classifier.weight", labels, c), weight("classifier.bias", labels)
	return h
}
