package nn

import (
	"math/rand/v2"
	"slices"

	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// Head maps hidden states of the wanted rows to K scores: of a sequence, that
// of its first token; of tokens, each by one layer. Its arithmetic is float32
// (float64 where the model is).
//
//	Out(dropout(tanh(Dense(h))))           sequences
//	Out(dropout(tanh(Dense(dropout(h)))))  sequences, twoLayers
//	Out(dropout(h))                        tokens
type Head struct {
	Dense   *Linear // [C, C]; nil for tokens
	Out     *Param  // [K, C]
	OutB    *Param  // [K]
	Dropout float64
	// twoLayers says that there is dropout before Dense too.
	twoLayers bool
	// pooler says that Dense is a part of the pre-trained model, which may have
	// adapters; trained, that it is trained with the head all the same.
	pooler, trained bool
	fresh           bool // drawn, and not the checkpoint's
}

// Forward maps x [M, C] to [M, K].
func (h *Head) Forward(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	drop := func(x *torchbind.Tensor) *torchbind.Tensor {
		p, seed := rng.draw(h.Dropout)
		return torchbind.Dropout(s, x, p, seed)
	}
	if h.twoLayers {
		x = drop(x)
	}
	x = torchbind.To(s, x, h.Out.Value.DType(), x.Device())
	if h.Dense != nil {
		x = torchbind.Tanh(s, h.Dense.Forward(s, x, rng))
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
		index := indices(s, order, h.Out.Value.Device())
		for _, p := range []*Param{h.Out, h.OutB} {
			p.Value.CopyInPlace(torchbind.IndexSelect(s, p.Value, 0, index))
		}
	})
}

// outputWeights are the names that a head's last layer may have in a checkpoint.
var outputWeights = []string{"classifier.weight", "classifier.out_proj.weight"}

// StoredOutputs returns the number of outputs of the head that a model folder has, 0
// if it has none.
func StoredOutputs(dir string) (int, error) {
	ckpt, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		return 0, err
	}
	defer ckpt.Close()
	for _, name := range ckpt.Names() {
		if slices.Contains(outputWeights, safetensors.Unwrapped(name)) {
			if t, _ := ckpt.Tensor(name); len(t.Shape) == 2 {
				return int(t.Shape[0]), nil
			}
		}
	}
	return 0, nil
}

// Params returns what a task trains.
func (h *Head) Params() []*Param {
	if h.trained {
		return []*Param{h.Dense.Weight, h.Dense.Bias, h.Out, h.OutB}
	}
	return []*Param{h.Out, h.OutB}
}

// newHead builds the head that load asks for; with fresh, what a task trains is drawn anew from
// rng, as transformers does, else it must be in the checkpoint.
func newHead(ld *loader, cfg Config, load LoadConfig, fresh bool, rng *rand.Rand) *Head {
	trained := func(name string, shape ...int64) *Param {
		if !fresh {
			return ld.headParam(name, shape...)
		}
		data := make([]float32, numEl(shape)) // biases begin at 0
		if len(shape) > 1 {
			data = normal(rng, numEl(shape), cfg.InitializerRange)
		}
		return ld.fresh(name, data, shape...)
	}
	var h *Head
	if load.Output == TokenClassification {
		h = &Head{Out: trained("classifier.weight", load.Labels, cfg.HiddenSize), OutB: trained("classifier.bias", load.Labels)}
	} else {
		h = ld.family.head(ld, cfg, load.Labels, fresh, trained)
	}
	h.Dropout, h.fresh = cfg.HeadDropout(), fresh
	return h
}
