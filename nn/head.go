package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"autolora/nn/safetensors"
	"autolora/torchbind"
)

// Head maps hidden states of the wanted rows to K scores: of a sequence, that
// of its first token, or in a decoder of its last; of tokens, each by one layer.
// Its arithmetic is float32 (float64 where the model is).
//
//	Out(dropout(Norm(Activate(Dense(dropout(h))))))  where it has these parts
type Head struct {
	Dense        *Linear // [C, C]; nil: none
	InputDropout float64 // before Dense
	// Activate is what follows Dense.
	Activate func(s *torchbind.Scope, x *torchbind.Tensor) *torchbind.Tensor
	Norm     *Norm  // nil: none
	Out      *Param // [K, C]
	OutB     *Param // [K]; nil: none
	Dropout  float64
	// pooler says that Dense and Norm are parts of the pre-trained model, which may
	// have adapters; trained, that they are trained with the head all the same.
	pooler, trained bool
	fresh           bool // drawn, and not the checkpoint's
	units           Units
}

// Units are those in which a regression is learnt: (y − Mean) / Scale for a label y. The
// last layer's values and Loss are in them; Logits and all that is stored are in the
// labels' own. Scale 0 says that these are the same.
type Units struct{ Mean, Scale float64 }

// of returns labels, in their own units, in u.
func (u Units) of(s *torchbind.Scope, labels *torchbind.Tensor) *torchbind.Tensor {
	if u.Scale == 0 {
		return labels
	}
	return torchbind.MulScalar(s, torchbind.AddScalar(s, labels, -u.Mean), 1/u.Scale)
}

// Forward maps x [M, C] to [M, K], in the labels' own units.
func (h *Head) Forward(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	return h.forward(s, x, rng, h.own)
}

// learnt is Forward in the units that are learnt.
func (h *Head) learnt(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG) *torchbind.Tensor {
	return h.forward(s, x, rng, func(_ *torchbind.Scope, p *Param) *torchbind.Tensor { return p.Value })
}

// forward takes the parameters of the last layer as value gives them.
func (h *Head) forward(s *torchbind.Scope, x *torchbind.Tensor, rng *DropoutRNG, value func(*torchbind.Scope, *Param) *torchbind.Tensor) *torchbind.Tensor {
	drop := func(x *torchbind.Tensor, p float64) *torchbind.Tensor {
		p, seed := rng.draw(p)
		return torchbind.Dropout(s, x, p, seed)
	}
	if h.Dense != nil {
		x = drop(x, h.InputDropout)
	}
	x = torchbind.To(s, x, h.Out.Value.DType(), x.Device())
	if h.Dense != nil {
		x = h.Norm.Forward(s, h.Activate(s, h.Dense.Forward(s, x, rng)))
	}
	var bias *torchbind.Tensor
	if h.OutB != nil {
		bias = value(s, h.OutB)
	}
	return torchbind.Linear(s, drop(x, h.Dropout), value(s, h.Out), bias)
}

// own returns the value of a parameter of the head in the labels' own units.
func (h *Head) own(s *torchbind.Scope, p *Param) *torchbind.Tensor {
	if h.units.Scale == 0 || !slices.Contains(h.out(), p) {
		return p.Value
	}
	return h.affine(s, p, h.units.Scale, h.units.Mean)
}

// affine returns scale·p, of a bias with shift added.
func (h *Head) affine(s *torchbind.Scope, p *Param, scale, shift float64) *torchbind.Tensor {
	value := torchbind.MulScalar(s, p.Value, scale)
	if p == h.OutB {
		value = torchbind.AddScalar(s, value, shift)
	}
	return value
}

// toOwn changes the values to the labels' own units, toLearnt back.
func (h *Head) toOwn()    { h.change(h.units.Scale, h.units.Mean) }
func (h *Head) toLearnt() { h.change(1/h.units.Scale, -h.units.Mean/h.units.Scale) }

func (h *Head) change(scale, shift float64) {
	if h.units.Scale == 0 {
		return
	}
	s := torchbind.NewScope()
	defer s.Close()
	torchbind.NoGrad(func() {
		for _, p := range h.out() {
			p.Value.CopyInPlace(h.affine(s, p, scale, shift))
		}
	})
}

// out returns the weight and the bias of the last layer, as far as it has one.
func (h *Head) out() []*Param {
	if h.OutB == nil {
		return []*Param{h.Out}
	}
	return []*Param{h.Out, h.OutB}
}

// modules returns the names of the parts of the model that are trained as the head.
func (h *Head) modules() []string {
	out, _, _ := strings.Cut(h.Out.Name, ".")
	all := []string{out}
	if h.trained {
		dense := strings.TrimSuffix(h.Dense.Modules[0].Path, ".dense")
		if dense = dense[strings.LastIndexByte(dense, '.')+1:]; dense != out {
			all = append(all, dense)
		}
	}
	return all
}

// beneath returns the parameters beneath the last layer: Dense's and Norm's.
func (h *Head) beneath() []*Param {
	if h.Dense == nil {
		return nil
	}
	all := []*Param{h.Dense.Weight}
	if h.Dense.Bias != nil {
		all = append(all, h.Dense.Bias)
	}
	return append(all, h.Norm.params()...)
}

// train trains Dense and Norm too, or does not.
func (h *Head) train(on bool) {
	h.trained = on
	for _, p := range h.beneath() {
		p.Value.SetRequiresGrad(on)
	}
}

// Labels returns K.
func (h *Head) Labels() int64 { return h.Out.Shape[0] }

// reorder makes output order[i] the i-th.
func (h *Head) reorder(order []int64) {
	s := torchbind.NewScope()
	defer s.Close()
	torchbind.NoGrad(func() {
		index := indices(s, order, h.Out.Value.Device())
		for _, p := range h.out() {
			p.Value.CopyInPlace(torchbind.IndexSelect(s, p.Value, 0, index))
		}
	})
}

// outputWeights are the names that a head's last layer may have in a checkpoint.
var outputWeights = []string{"classifier.weight", "classifier.out_proj.weight", "score.weight"}

// ofHead reports whether a checkpoint's tensor is one of a head for labels.
func (f family) ofHead(name string) bool {
	return strings.HasPrefix(name, "classifier.") || strings.HasPrefix(name, "pre_classifier.") || f.generator != "" && strings.HasPrefix(name, "score.")
}

// HeadOutputs returns the number of outputs of a head with these tensors, 0 if there
// is none among them.
func HeadOutputs(tensors []safetensors.Tensor) int {
	for _, t := range tensors {
		if slices.Contains(outputWeights, safetensors.Unwrapped(t.Name)) && len(t.Shape) == 2 {
			return int(t.Shape[0])
		}
	}
	return 0
}

// StoredOutputs returns the number of outputs of the head that a model folder has, 0
// if it has none.
func StoredOutputs(dir string) (int, error) {
	ckpt, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		return 0, err
	}
	defer ckpt.Close()
	var all []safetensors.Tensor
	for _, name := range ckpt.Names() {
		t, _ := ckpt.Tensor(name)
		all = append(all, t)
	}
	return HeadOutputs(all), nil
}

// Params returns what a task trains.
func (h *Head) Params() []*Param {
	if h.trained {
		return append(h.beneath(), h.out()...)
	}
	return h.out()
}

// headMaker makes a head. trained returns a parameter that a task trains, drawn
// anew where the head is fresh.
type headMaker func(ld *loader, cfg Config, labels int64, fresh bool, trained func(name string, shape ...int64) *Param) *Head

// twoLayers makes a head for sequences of two layers, both of the task.
func twoLayers(cfg Config, labels int64, dense, out string, trained func(name string, shape ...int64) *Param) *Head {
	c := cfg.HiddenSize
	return &Head{
		Dense: newLinear(trained(dense+".weight", c, c), trained(dense+".bias", c), Module{dense, c}),
		Out:   trained(out+".weight", labels, c), OutB: trained(out+".bias", labels), Dropout: cfg.HeadDropout(), trained: true,
	}
}

// pooled makes a head, but for its last layer, of a layer of the pre-trained model,
// frozen with it as in PEFT. A checkpoint may lack that, where pre-training did
// without; beside a fresh classifier it is then fresh too, and trained.
func pooled(ld *loader, cfg Config, fresh bool, module string, bias bool, trained func(name string, shape ...int64) *Param) *Head {
	c := cfg.HiddenSize
	h := &Head{pooler: true, Dropout: cfg.HeadDropout()}
	param := ld.headParam
	if _, stored := ld.find(module + ".weight"); !stored && fresh {
		param, h.trained = trained, true
		ld.notes = append(ld.notes, "the checkpoint has no pooler: the head has one of its own")
	}
	h.Dense = newLinear(param(module+".weight", c, c), nil, Module{module, c})
	if bias {
		h.Dense.Bias = param(module+".bias", c)
	}
	return h
}

// classify gives h its last layer, of the task.
func (h *Head) classify(cfg Config, labels int64, trained func(name string, shape ...int64) *Param) *Head {
	h.Out, h.OutB = trained("classifier.weight", labels, cfg.HiddenSize), trained("classifier.bias", labels)
	return h
}

// tokenHead makes the head for tokens of one layer of that name, module(dropout(h)).
func tokenHead(module string) headMaker {
	return func(_ *loader, cfg Config, labels int64, _ bool, trained func(name string, shape ...int64) *Param) *Head {
		return &Head{Out: trained(module+".weight", labels, cfg.HiddenSize), OutB: trained(module+".bias", labels), Dropout: cfg.HeadDropout()}
	}
}

// plainTokenHead makes a head for tokens that has the dropout of the blocks before it,
// whatever that of a head for sequences is.
func plainTokenHead(_ *loader, cfg Config, labels int64, _ bool, trained func(name string, shape ...int64) *Param) *Head {
	return (&Head{Dropout: cfg.HiddenDropout}).classify(cfg, labels, trained)
}

// headFor returns what makes the head for an output.
func (f family) headFor(output Output) headMaker {
	switch {
	case output == TokenClassification && f.tokenHead != nil:
		return f.tokenHead
	case output == TokenClassification && f.generator != "":
		return tokenHead("score")
	case output == TokenClassification:
		return tokenHead("classifier")
	case f.head != nil:
		return f.head
	}
	return scoreHead
}

// scoreHead makes a decoder's head for sequences, score(h) of their last tokens.
func scoreHead(_ *loader, cfg Config, labels int64, _ bool, trained func(name string, shape ...int64) *Param) *Head {
	return &Head{Out: trained("score.weight", labels, cfg.HiddenSize)}
}

// newHead builds the head that load asks for; with fresh, what a task trains is drawn anew from
// rng, as transformers does, else it must be in the checkpoint.
func newHead(ld *loader, cfg Config, load LoadConfig, fresh bool, rng *rand.Rand) *Head {
	trained := func(name string, shape ...int64) *Param {
		switch {
		case !fresh:
			return ld.headParam(name, shape...)
		case len(ld.problems) > 0: // the sizes of config.json may be no model's
			return ld.add(&Param{Name: name, Shape: shape})
		}
		data := make([]float32, numEl(shape)) // biases begin at 0
		if len(shape) > 1 {
			data = normal(rng, numEl(shape), cfg.InitializerRange)
		}
		return ld.fresh(name, data, shape...)
	}
	h := ld.family.headFor(load.Output)(ld, cfg, load.Labels, fresh, trained)
	h.fresh, h.units = fresh, load.Units
	if h.OutB == nil { // nothing could hold a mean
		h.units = Units{Scale: math.Hypot(h.units.Mean, h.units.Scale)}
	}
	return h
}
