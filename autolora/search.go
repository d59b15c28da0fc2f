package autolora

import (
	"fmt"
	"math"

	"autolora/nn"
	"autolora/torchbind"
)

// SearchConfig holds the settings of the search for ranks.
type SearchConfig struct {
	K         int64                 // rank-1 parts of every LoRA layer
	Form      AlphaForm             // how α comes from a
	Mode      Mode                  // how the hypergradient is computed
	LookAhead LookAhead             // which step leads to W'
	Eta       float64               // η, the size of that step
	Unroll    int                   // a is updated every so many steps of W
	Steps     int                   // steps of W
	LRWeights float64               // of AdamW on W, constant
	LRAlpha   float64               // of AdamW on a, constant
	AdamW     torchbind.AdamWConfig // of W
	AdamWA    torchbind.AdamWConfig // of a
}

// Mode is how the hypergradient's implicit part is computed.
type Mode string

// The three modes (METHOD: "Hypergradient modes").
const (
	Exact            Mode = "exact"       // a vector-Jacobian product through g
	FiniteDifference Mode = "fd"          // central difference of ∂L_tr/∂a along u (DARTS, Betty)
	FirstOrder       Mode = "first-order" // none: η = 0
)

// Modes lists the modes.
var Modes = []Mode{Exact, FiniteDifference, FirstOrder}

// LookAhead is the step from W to W'.
type LookAhead string

// The two steps.
const (
	SGD  LookAhead = "sgd"  // W' = W − η g (paper, Eq. 4)
	Adam LookAhead = "adam" // W' = W − η m̂/(√v̂+ε), preconditioner held constant (SAMA)
)

// LookAheads lists the steps.
var LookAheads = []LookAhead{SGD, Adam}

// Search holds the variables of the bilevel problem.
type Search struct {
	SearchConfig
	model   *nn.Classifier
	weights []*nn.Param       // W: A and B of every layer, and the head
	a       *torchbind.Tensor // [layers, k], free
	masks   *nn.Masks         // dropout of both losses

	optimW, optimA *torchbind.AdamW
	good           *lastGood
}

// SearchStep reports one iteration.
type SearchStep struct {
	TrainLoss float64
	ValLoss   float64 // NaN where a was not updated
	Direct    float64 // ‖d‖, direct part of the hypergradient
	Implicit  float64 // ‖η ∂(g·u)/∂a‖, what second order adds

	updatesA bool
}

// Finite reports whether every number of the step is.
func (st SearchStep) Finite() bool {
	return finite(st.TrainLoss) && (!st.updatesA || finite(st.ValLoss) && finite(st.Direct) && finite(st.Implicit))
}

// trouble says which number is not finite.
func (st SearchStep) trouble() string {
	switch {
	case !finite(st.TrainLoss):
		return fmt.Sprintf("training loss is %v", st.TrainLoss)
	case !finite(st.ValLoss):
		return fmt.Sprintf("validation loss is %v", st.ValLoss)
	}
	return fmt.Sprintf("the hypergradient is not finite (direct %v, implicit %v)", st.Direct, st.Implicit)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Ratio returns ‖implicit‖/‖direct‖: whether second order matters.
func (st SearchStep) Ratio() float64 { return st.Implicit / st.Direct }

// NewSearch gives model fresh LoRA layers of rank k on the targets of lora and
// returns the search over their selection variables.
func NewSearch(model *nn.Classifier, lora nn.LoRAConfig, cfg SearchConfig, seed uint64) (*Search, error) {
	lora.Rank, lora.Ranks = cfg.K, nil
	if err := model.AddLoRA(lora); err != nil {
		return nil, err
	}
	x := &Search{SearchConfig: cfg, model: model, weights: model.TrainableParams(), masks: &nn.Masks{State: seed}}
	scope, layers := model.Scope(), int64(len(model.LoRAs()))
	x.a = scope.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		start := 0.0
		if cfg.Form == Free { // the same α as softmax starts from
			start = 1 / float64(cfg.K)
		}
		data := make([]float64, layers*cfg.K)
		for i := range data {
			data[i] = start
		}
		a := torchbind.FromSlice(s, data, []int64{layers, cfg.K}, model.Device())
		return torchbind.To(s, a, x.weights[0].Value.DType(), model.Device())
	}).SetRequiresGrad(true)
	x.optimW = torchbind.NewAdamW(scope, nn.Values(x.weights), cfg.AdamW)
	x.optimA = torchbind.NewAdamW(scope, []*torchbind.Tensor{x.a}, cfg.AdamWA)
	x.good = newLastGood(model)
	return x, nil
}

// Iterate takes one step of the search: METHOD's "One search iteration".
// Where updateA is false only W moves (--unroll), and v is not read. A step
// with a loss or gradient that is not finite changes nothing; the caller
// may then go back to the last good weights.
func (x *Search) Iterate(s *torchbind.Scope, t, v *Batch, updateA bool) SearchStep {
	W := nn.Values(x.weights)
	masks := *x.masks // as they are drawn for L_tr(W, a; t)

	lossT := x.loss(s, t)
	g := torchbind.Grad(s, []*torchbind.Tensor{lossT}, W, nil, updateA && x.Mode == Exact) // ∂L_tr(W, a; t)/∂W
	step := SearchStep{TrainLoss: lossT.Item(), ValLoss: math.NaN(), updatesA: updateA}
	var h []*torchbind.Tensor
	if updateA {
		ahead, scale := x.lookAhead(s, g)        // W' = W − η g
		lossV, u, d := x.validation(s, ahead, v) // ∂L_val(W', a; v)/∂W' and /∂a
		step.ValLoss, step.Direct = lossV.Item(), torchbind.ForeachNorm(d)
		h = d
		if gu := x.implicit(s, g, u, scale, t, masks); gu != nil { // ∂(g·u)/∂a
			h = torchbind.ForeachAdd(s, d, gu, -x.Eta) // h = d − η ∂(g·u)/∂a
			step.Implicit = x.Eta * torchbind.ForeachNorm(gu)
		}
	}
	if !step.Finite() {
		return step
	}
	x.good.keep(x.optimW.Step)
	if updateA {
		x.optimA.Apply(h, x.LRAlpha) // a ← AdamW(a, h)
	}
	x.optimW.Apply(torchbind.DetachAll(s, g), x.LRWeights) // W ← AdamW(W, g)
	return step
}

// loss returns the mean loss of the model at the present W and a.
func (x *Search) loss(s *torchbind.Scope, b *Batch) *torchbind.Tensor {
	return s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		x.model.Select(s, x.alpha(s))
		defer x.model.Select(s, nil)
		return x.model.Loss(s, b.Batch, b.Labels, x.masks)
	})
}

// alpha returns α [layers, k].
func (x *Search) alpha(s *torchbind.Scope) *torchbind.Tensor {
	switch x.Form {
	case Softmax:
		return torchbind.Softmax(s, x.a, -1)
	case Sigmoid:
		return torchbind.Sigmoid(s, x.a)
	}
	return x.a
}

// lookAhead returns W' as fresh leaves, so that the validation graph does not
// contain the training graph, and ∂W'/∂g = −η·scale (nil: 1). With first-order
// W' is W.
func (x *Search) lookAhead(s *torchbind.Scope, g []*torchbind.Tensor) (ahead, scale []*torchbind.Tensor) {
	W := nn.Values(x.weights)
	torchbind.NoGrad(func() {
		switch {
		case x.Mode == FirstOrder:
			ahead = torchbind.DetachAll(s, W)
		case x.LookAhead == Adam:
			ahead, scale = x.optimW.LookAhead(s, torchbind.DetachAll(s, g), x.Eta)
		default:
			ahead = torchbind.ForeachAdd(s, W, g, -x.Eta)
		}
	})
	for _, w := range ahead {
		w.SetRequiresGrad(true)
	}
	return ahead, scale
}

// validation returns L_val(W', a; v) and its gradients u by W' and d by a.
func (x *Search) validation(s *torchbind.Scope, ahead []*torchbind.Tensor, v *Batch) (loss *torchbind.Tensor, u, d []*torchbind.Tensor) {
	nn.At(x.weights, ahead, func() { loss = x.loss(s, v) })
	inputs := append(append([]*torchbind.Tensor{}, ahead...), x.a)
	grads := torchbind.Grad(s, []*torchbind.Tensor{loss}, inputs, nil, false)
	return loss, grads[:len(ahead)], grads[len(ahead):]
}
