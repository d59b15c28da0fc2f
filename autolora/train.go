package autolora

import (
	"fmt"

	"autolora/autolora/runs"
	"autolora/nn"
	"autolora/torchbind"
)

// TrainConfig holds the settings of a training run.
type TrainConfig struct {
	Steps  int     // optimiser steps
	LR     float64 // highest learning rate
	Warmup float64 // fraction of the steps over which the rate rises from 0; it falls to 0 after
	Clip   float64 // largest norm of the gradient; 0 is no clipping
	AdamW  torchbind.AdamWConfig

	GradientCheckpointing bool // keep only the inputs of the blocks, and compute the rest again where it is needed
}

// Rate returns the learning rate of step i, counted from 0: linear warm-up and
// linear decay, as transformers' get_linear_schedule_with_warmup.
func (c TrainConfig) Rate(i int) float64 {
	warm := int(c.Warmup * float64(c.Steps))
	if i < warm {
		return c.LR * float64(i) / float64(max(1, warm))
	}
	return c.LR * max(0, float64(c.Steps-i)/float64(max(1, c.Steps-warm)))
}

// Trainer minimises a model's loss over its trainable parameters.
type Trainer struct {
	TrainConfig
	model     *nn.Model
	optim     *torchbind.AdamW
	dropout   *nn.DropoutRNG
	good      *lastGood
	processes *Processes // that share the batches
	graphs    *graphs    // of a step's gradient
	// allocator is AdaLoRA's, which moves rank between the layers; nil for every
	// other method.
	allocator *RankAllocator
}

// TrainStep reports one step.
type TrainStep struct {
	Loss     float64 // mean over the step's batches, without AdaLoRA's penalty
	GradNorm float64 // before clipping
	LR       float64
	Budget   int   // AdaLoRA's sum of ranks after the step; else 0
	Ranks    []int // AdaLoRA's; else nil
	Work     runs.Work
}

// NewTrainer returns a trainer whose dropout masks come from seed.
func NewTrainer(model *nn.Model, cfg TrainConfig, seed uint64) *Trainer {
	return &Trainer{
		TrainConfig: cfg,
		model:       model,
		optim:       torchbind.NewAdamW(model.Scope(), nn.Values(model.TrainableParams()), cfg.AdamW),
		dropout:     model.Dropout(seed),
		good:        newLastGood(model),
	}
}

// finite reports whether every number of the step is.
func (st TrainStep) finite() bool { return finite(st.Loss) && finite(st.GradNorm) }

// trouble says which number is not finite, "" if all are.
func (st TrainStep) trouble() string {
	switch {
	case !finite(st.Loss):
		return fmt.Sprintf("training loss is %v", st.Loss)
	case !finite(st.GradNorm):
		return fmt.Sprintf("the gradient's norm is %v", st.GradNorm)
	}
	return ""
}

// Step takes one optimiser step on batches, whose gradients are averaged with
// their weights: the gradient of one large batch. A step with a
// loss or gradient that is not finite changes nothing; the caller may then
// go back to the last good weights.
func (t *Trainer) Step(s *torchbind.Scope, batches []*Batch) TrainStep {
	step := TrainStep{LR: t.Rate(int(t.optim.Step))}
	all := t.graphs.run(s, batches, &step.Work, t.dropout, func(s *torchbind.Scope, batches []*Batch) []*torchbind.Tensor {
		loss, g := t.gradient(s, batches, &step.Work)
		return append(g, loss, torchbind.TotalNorm(s, g))
	})
	last := len(all) - 2
	g, numbers := all[:last], torchbind.ReadLater(s, all[last:])()
	step.Loss, step.GradNorm = numbers[0], numbers[1]
	if !step.finite() {
		return step
	}
	t.good.keep(t.optim.Step)
	if t.Clip > 0 && step.GradNorm > t.Clip {
		torchbind.ForeachMulScalarInPlace(g, t.Clip/step.GradNorm)
	}
	t.optim.Apply(g, step.LR)
	if t.allocator != nil {
		a := t.allocator.Allocate(s, g)
		step.Budget, step.Ranks = a.Budget, t.allocator.Ranks()
	}
	return step
}

// gradient returns the mean loss of batches, of all processes together, and its
// gradient, with AdaLoRA's penalty in it.
func (t *Trainer) gradient(s *torchbind.Scope, batches []*Batch, work *runs.Work) (loss *torchbind.Tensor, g []*torchbind.Tensor) {
	forward := func(b *Batch) (loss, objective *torchbind.Tensor) {
		b.passes++
		work.Add(runs.Work{Tokens: int64(b.Tokens), Forward: 1, Backward: 1})
		loss = t.model.Loss(s, b.Batch, b.Labels, t.dropout)
		if t.allocator == nil {
			return loss, loss
		}
		return loss, torchbind.Add(s, loss, t.allocator.Penalty(s))
	}
	if len(batches) == 1 && !t.GradientCheckpointing {
		b := batches[0]
		loss, objective := forward(b)
		_, g = t.processes.grad(s, objective, t.optim.Params, false, b.Weight)
		return t.processes.mean(s, []*torchbind.Tensor{loss}, b.Weight)[0], g
	}
	total := 0.0
	for _, b := range batches {
		total += b.Weight
	}
	var sum []*torchbind.Tensor // of the loss and its gradient
	for _, b := range batches {
		var part []*torchbind.Tensor
		if t.GradientCheckpointing {
			part = t.recomputed(s, b, work)
		} else {
			loss, objective := forward(b)
			part = append(torchbind.Grad(s, []*torchbind.Tensor{objective}, t.optim.Params, nil, false), torchbind.Detach(s, loss))
		}
		torchbind.ForeachMulScalarInPlace(part, b.Weight/max(total, 1)) // at least 1: there may be nothing but fillers
		if sum == nil {
			sum = part
		} else {
			torchbind.ForeachAddInPlace(sum, part, 1)
		}
	}
	sum = t.processes.mean(s, sum, total)
	last := len(sum) - 1
	return sum[last], sum[:last]
}
