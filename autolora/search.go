package autolora

import (
	"fmt"
	"math"
	"slices"

	"autolora/nn"
	"autolora/torchbind"
)

// SearchConfig holds the settings of the search for ranks.
type SearchConfig struct {
	K           int64                 // rank-1 parts of every LoRA layer
	LoRADropout float64               // before the LoRA layers
	Form        AlphaForm             // how α comes from a
	Scale       float64               // S of α = S·softmax(a)
	Init        float64               // every entry of a at the start
	Rule        RankRule              // what gives the ranks; "": AlphaRule
	Budget      int64                 // parameters that the ranks may come to; 0: no budget
	Price       float64               // of Gates: P, what all gates at 1 cost in loss
	Mode        Mode                  // how the hypergradient is computed
	LookAhead   LookAhead             // which step leads to W'
	Eta         float64               // η, the size of that step
	Factor      float64               // of ∂(g·u)/∂a, in place of η and the step's preconditioner; 0: those
	At          Point                 // where ∂(g·u)/∂a is taken
	FDMasks     FDMasks               // dropout of the finite difference's two losses
	Order       UpdateOrder           // whether W or a moves first
	Unroll      int                   // a is updated every so many steps of W
	Steps       int                   // steps of W
	LRWeights   float64               // of AdamW on W, constant
	LRAlpha     float64               // of AdamW on a, constant
	AdamW       torchbind.AdamWConfig // of W
	AdamWA      torchbind.AdamWConfig // of a
}

// Replayable reports whether an iteration launches the same work on every batch of the same
// shape, whatever the numbers are: a finite difference depends on ‖u‖, Adam's
// look-ahead on the number of the step, and masks that are drawn once more on a
// new seed.
func (c SearchConfig) Replayable() bool {
	return c.Mode == FirstOrder || c.Mode == Exact && c.LookAhead != Adam && c.At != AtLookAhead
}

// Mode is how the hypergradient's implicit part is computed.
type Mode string

// The three modes (docs/method.md, "Hypergradient modes").
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

// Point is a place among the weights.
type Point string

// The two points at which ∂(g·u)/∂a may be taken.
const (
	AtWeights   Point = "weights"    // W: the derivative of L_val(W', a) by the chain rule
	AtLookAhead Point = "look-ahead" // W', with g computed anew there (Betty)
)

// Points lists the points.
var Points = []Point{AtWeights, AtLookAhead}

// UpdateOrder says which of W and a one iteration moves first.
type UpdateOrder string

// The two orders.
const (
	WeightsFirst UpdateOrder = "weights-first" // W's step is g at the old a (paper, Algorithm 1)
	AlphaFirst   UpdateOrder = "alpha-first"   // g is computed anew at the new a (published code)
)

// UpdateOrders lists the orders.
var UpdateOrders = []UpdateOrder{WeightsFirst, AlphaFirst}

// Search holds the variables of the bilevel problem.
type Search struct {
	SearchConfig
	learner                   // W: A and B of every layer, and the head; the dropout of both losses
	a       *torchbind.Tensor // [layers, k], free; of Gates [layers, 1]
	price   *torchbind.Tensor // what is added to the hypergradient; nil: nothing
	optimA  *torchbind.AdamW
	loss    differentiator // L(W, α; b), of both batches
	graphs  *Graphs        // of derive
	work    Work           // of the present iteration
}

// SearchStep reports one iteration.
type SearchStep struct {
	TrainLoss float64 // the one whose gradient moves W
	ValLoss   float64 // NaN where a was not updated
	Direct    float64 // ‖d‖, direct part of the hypergradient
	Implicit  float64 // ‖η ∂(g·u)/∂a‖, what second order adds
	Work      Work

	updatesA bool
}

// Finite reports whether every number of the step is.
func (st SearchStep) Finite() bool {
	return Finite(st.TrainLoss) && (!st.updatesA || Finite(st.ValLoss) && Finite(st.Direct) && Finite(st.Implicit))
}

// Trouble says which number is not finite.
func (st SearchStep) Trouble() string {
	switch {
	case !Finite(st.TrainLoss):
		return fmt.Sprintf("training loss is %v", st.TrainLoss)
	case !Finite(st.ValLoss):
		return fmt.Sprintf("validation loss is %v", st.ValLoss)
	}
	return fmt.Sprintf("the hypergradient is not finite (direct %v, implicit %v)", st.Direct, st.Implicit)
}

// Finite reports whether v is neither NaN nor infinite.
func Finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Ratio returns ‖implicit‖/‖direct‖: whether second order matters.
func (st SearchStep) Ratio() float64 { return st.Implicit / st.Direct }

// NewSearch gives model fresh LoRA layers of rank k on the targets of lora and
// returns the search over their selection variables. Where the search is not
// Replayable it has no graphs.
func NewSearch(model *nn.Model, lora nn.LoRAConfig, cfg SearchConfig, how Execution) (*Search, error) {
	lora.Rank, lora.Ranks, lora.Dropout = cfg.K, nil, cfg.LoRADropout
	if err := model.AddLoRA(lora); err != nil {
		return nil, err
	}
	x := &Search{SearchConfig: cfg, learner: newLearner(model, cfg.AdamW, how.Seed), graphs: how.Graphs}
	scope, layers, free := model.Scope(), int64(len(model.LoRAs())), cfg.K
	if cfg.Form == Gates {
		free = 1
	}
	x.a = scope.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
		data := slices.Repeat([]float64{cfg.Init}, int(layers*free))
		a := torchbind.FromSlice(s, data, []int64{layers, free}, model.Device())
		return torchbind.To(s, a, x.weights[0].Value.DType(), model.Device())
	}).SetRequiresGrad(true)
	x.price = x.prices(scope)
	x.optimA = torchbind.NewAdamW(scope, []*torchbind.Tensor{x.a}, cfg.AdamWA)
	x.loss = how.differentiator(objective{model: model, weights: x.weights, dropout: x.dropout, work: &x.work, a: x.a, alpha: x.alpha})
	return x, nil
}

// Iterate takes one step of the search (docs/method.md, "One search iteration").
// Where updateA is false only W moves (--unroll), and v is not read. A step
// with a loss or gradient that is not finite changes nothing, unless it is so
// only at the new a of alpha-first; the caller may then go back to the last good
// weights.
func (x *Search) Iterate(s *torchbind.Scope, t, v *Batch, updateA bool) (step SearchStep) {
	x.work = Work{}
	defer func() { step.Work = x.work }()

	if !updateA {
		v = nil
	}
	d := x.replayed(s, t, v)
	step = d.read(s, x.factor())
	if !step.Finite() {
		return step
	}
	x.keep()
	g := d.g
	if updateA {
		x.optimA.Apply(d.h, x.LRAlpha) // a ← AdamW(a, h)
		x.project(s)
		if x.Order == AlphaFirst {
			var loss *torchbind.Tensor
			loss, g = x.loss.gradient(s, t, nn.Values(x.weights)) // ∂L_tr(W, a; t)/∂W at the new a
			step.TrainLoss = loss.Item()
		}
	}
	x.optim.Apply(torchbind.DetachAll(s, g), x.LRWeights) // W ← AdamW(W, g)
	return step
}

// derivatives are what an iteration takes of the two losses. Nothing of them is
// read before read.
type derivatives struct {
	// numbers are the scalars L_tr, L_val, ‖d‖ and ‖∂(g·u)/∂a‖, without the last in
	// first-order mode, and L_tr alone where a is not updated.
	numbers []*torchbind.Tensor
	g       []*torchbind.Tensor // ∂L_tr(W, a; t)/∂W
	h       []*torchbind.Tensor // the hypergradient; nil where a is not updated
}

// replayed is derive, by a graph where there are graphs.
func (x *Search) replayed(s *torchbind.Scope, t, v *Batch) derivatives {
	batches := []*Batch{t}
	if v != nil {
		batches = append(batches, v)
	}
	all := x.graphs.run(s, batches, &x.work, x.dropout, func(s *torchbind.Scope, batches []*Batch) []*torchbind.Tensor {
		v := v
		if v != nil {
			v = batches[1]
		}
		d := x.derive(s, batches[0], v)
		return slices.Concat(d.g, d.h, d.numbers)
	})
	d := derivatives{g: all[:len(x.weights)], numbers: all[len(x.weights):]}
	if v != nil {
		d.h, d.numbers = d.numbers[:1], d.numbers[1:]
	}
	return d
}

// derive computes the gradient by W and, with v, the hypergradient by a.
func (x *Search) derive(s *torchbind.Scope, t, v *Batch) derivatives {
	state := x.dropout.State // as it is for L_tr(W, a; t)

	train := x.training(s, t, v != nil && x.Mode == Exact && x.At != AtLookAhead) // g = ∂L_tr(W, a; t)/∂W
	if v == nil {
		return derivatives{numbers: []*torchbind.Tensor{train.loss}, g: train.g}
	}
	ahead, scale := x.lookAhead(s, train.g)  // W' = W − η g
	lossV, u, d := x.validation(s, ahead, v) // u = ∂L_val(W', a; v)/∂W', d = ∂L_val(W', a; v)/∂a
	out := derivatives{numbers: []*torchbind.Tensor{train.loss, lossV, torchbind.TotalNorm(s, d)}, g: train.g, h: d}
	if gu := x.implicit(s, train, u, ahead, scale, t, state); gu != nil { // ∂(g·u)/∂a
		out.h = torchbind.ForeachAdd(s, d, gu, -x.factor()) // h = d − η ∂(g·u)/∂a
		out.numbers = append(out.numbers, torchbind.TotalNorm(s, gu))
	}
	if x.price != nil {
		out.h = torchbind.ForeachAdd(s, out.h, only(x.price), 1)
	}
	return out
}

// read reads the numbers, all at once; the factor of the implicit part of the
// hypergradient is η.
func (d derivatives) read(s *torchbind.Scope, eta float64) SearchStep {
	numbers := torchbind.ReadLater(s, d.numbers)()
	step := SearchStep{TrainLoss: numbers[0], ValLoss: math.NaN()}
	if len(numbers) > 1 {
		step.updatesA = true
		step.ValLoss, step.Direct = numbers[1], numbers[2]
	}
	if len(numbers) > 3 {
		step.Implicit = eta * numbers[3]
	}
	return step
}

// training returns L_tr(W, a; t) and its gradient by W, with twice one that can be
// differentiated by a.
func (x *Search) training(s *torchbind.Scope, t *Batch, twice bool) (out gradient) {
	if twice {
		return x.loss.gradientTwice(s, t)
	}
	out.loss, out.g = x.loss.gradient(s, t, nn.Values(x.weights))
	return out
}

// alpha returns α [layers, k].
func (x *Search) alpha(s *torchbind.Scope) *torchbind.Tensor {
	switch x.Form {
	case Softmax:
		alpha := torchbind.Softmax(s, x.a, -1)
		if x.Scale != 1 {
			alpha = torchbind.MulScalar(s, alpha, x.Scale)
		}
		return alpha
	case Sigmoid:
		return torchbind.Sigmoid(s, x.a)
	case Gates:
		return torchbind.MatMul(s, x.a, torchbind.Full(s, []int64{1, x.K}, 1, x.a.DType(), x.a.Device()))
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
			ahead, scale = x.optim.LookAhead(s, torchbind.DetachAll(s, g), x.Eta)
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
	var grads []*torchbind.Tensor
	nn.At(x.weights, ahead, func() { loss, grads = x.loss.gradient(s, v, slices.Concat(ahead, only(x.a))) })
	return loss, grads[:len(ahead)], grads[len(ahead):]
}
