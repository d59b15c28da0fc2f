package autolora

import (
	"autolora/nn"
	"autolora/torchbind"
)

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
