package autolora

import (
	"fmt"

	"autolora/nn"
	"autolora/torchbind"
)

// DivergedError says that a step gave a number that is not finite.
type DivergedError struct {
	Phase string
	Step  int    // counted from 1
	What  string // "training loss is NaN"
	Good  int64  // the last step after which everything was finite; 0 is the start
	Saved string // where that state was written
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("%s step %d: %s: lower the learning rate; the last good state, of step %d, is in %s", e.Phase, e.Step, e.What, e.Good, e.Saved)
}

// lastGood keeps the trainable weights with which the loss was last finite.
type lastGood struct {
	params []*nn.Param
	copies []*torchbind.Tensor
	step   int64
}

func newLastGood(model *nn.Model) *lastGood {
	g := &lastGood{params: model.TrainableParams()}
	for _, p := range g.params {
		g.copies = append(g.copies, model.Scope().Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
			return torchbind.Clone(s, torchbind.Detach(s, p.Value))
		}))
	}
	return g
}

// keep remembers the present weights, which were used with a finite loss after
// step steps.
func (g *lastGood) keep(step int64) {
	torchbind.ForeachCopyInPlace(g.copies, nn.Values(g.params))
	g.step = step
}

// restore puts the remembered weights back and returns their step.
func (g *lastGood) restore() int64 {
	torchbind.ForeachCopyInPlace(nn.Values(g.params), g.copies)
	return g.step
}
