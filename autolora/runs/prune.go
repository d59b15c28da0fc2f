package runs

import (
	"errors"

	"autolora/plainjson"
)

// What the parts of an adapter are weighed by.
const (
	ByTrained  = "trained"  // the singular values of the updates, squared
	ByAblation = "ablation" // the held-out loss of leaving a part out, to the second order
	ByRandom   = "random"   // nothing: a control
)

// WorthNames lists what the parts of an adapter can be weighed by.
var WorthNames = []string{ByTrained, ByAblation, ByRandom}

// MethodPrune is the method of results that are of a cut adapter; it is none that
// trains one.
const MethodPrune = "prune"

// Pruning is what prune.json holds: a trained adapter cut to several sizes, and the
// one that was chosen.
type Pruning struct {
	By        string  `json:"by"`               // what its parts are weighed by
	Tolerance float64 `json:"tolerance"`        // of the loss of the examples that choose
	Budget    int64   `json:"budget,omitempty"` // parameters that were asked for, in place of a tolerance
	Choosing  int     `json:"choosing"`         // examples by which the size was chosen
	Reporting int     `json:"reporting"`        // the others of the dev set, which had no say
	Cost      Work    `json:"cost"`             // of weighing the parts
	Curve     []Cut   `json:"curve"`            // the whole adapter first, then smaller ones
	Chosen    Cut     `json:"chosen"`
	Steps     int     `json:"steps,omitempty"` // that the chosen one was trained on
	// Reported is the chosen one, trained on if it was, on the other examples; nil
	// before it is known.
	Reported *Cut `json:"reported,omitempty"`
}

// Cut is an adapter of so many parameters, and its mean held-out loss.
type Cut struct {
	Parameters int64   `json:"parameters"` // of the LoRA layers
	Loss       float64 `json:"loss"`
	Rise       float64 `json:"rise"`       // of the loss over the whole adapter's, example by example
	RiseError  float64 `json:"rise_error"` // its standard error
}

// UnmarshalJSON wants a curve.
func (p *Pruning) UnmarshalJSON(text []byte) error {
	type plain Pruning
	if err := plainjson.Unmarshal(text, (*plain)(p)); err != nil {
		return err
	}
	if len(p.Curve) == 0 {
		return errors.New(`"curve" is missing`)
	}
	return nil
}

// Whole returns the whole adapter.
func (p *Pruning) Whole() Cut { return p.Curve[0] }

// NewCut returns the cut with these losses, beside those of the whole adapter on the
// same examples.
func NewCut(parameters int64, losses, whole Losses) Cut {
	rise := losses.Minus(whole)
	return Cut{parameters, losses.Mean(), rise.Mean(), rise.StandardError()}
}

// Choose makes the smallest cut of the curve the chosen one whose loss is the whole
// adapter's and the tolerance at most.
func (p *Pruning) Choose() {
	p.Chosen = p.Whole()
	for _, c := range p.Curve {
		if c.Parameters < p.Chosen.Parameters && p.Within(c) {
			p.Chosen = c
		}
	}
}

// Within reports whether a cut is within the tolerance.
func (p *Pruning) Within(c Cut) bool { return c.Loss <= p.Whole().Loss+p.Tolerance }
