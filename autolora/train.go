package autolora

import (
	"fmt"

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
}

// AdamW has PyTorch's defaults but for the weight decay.
func AdamW(weightDecay float64) torchbind.AdamWConfig {
	return torchbind.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: weightDecay}
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
	learner
	processes *DataParallel  // that share the batches
	graphs    *Graphs        // of a step's gradient
	loss      differentiator // of the model
	ownLoss   differentiator // the same, over what this process has of a batch
	work      Work           // of the present step
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
	Work     Work
}

// NewTrainer returns a trainer of the model's trainable parameters. allocator is
// AdaLoRA's, nil for every other method.
func NewTrainer(model *nn.Model, cfg TrainConfig, allocator *RankAllocator, how Execution) *Trainer {
	t := &Trainer{
		TrainConfig: cfg, learner: newLearner(model, cfg.AdamW, how.Seed), allocator: allocator, processes: how.Parallel, graphs: how.Graphs,
	}
	o := objective{model: model, weights: t.weights, dropout: t.dropout, work: &t.work}
	t.loss = how.differentiator(o)
	how.Parallel = nil
	t.ownLoss = how.differentiator(o)
	return t
}

// finite reports whether every number of the step is.
func (st TrainStep) finite() bool { return Finite(st.Loss) && Finite(st.GradNorm) }

// Trouble says which number is not finite, "" if all are.
func (st TrainStep) Trouble() string {
	switch {
	case !Finite(st.Loss):
		return fmt.Sprintf("training loss is %v", st.Loss)
	case !Finite(st.GradNorm):
		return fmt.Sprintf("the gradient's norm is %v", st.GradNorm)
	}
	return ""
}

// Step takes one optimiser step on batches, whose gradients are averaged with
// their weights: the gradient of one large batch. A step with a
// loss or gradient that is not finite changes nothing; the caller may then
// go back to the last good weights.
func (t *Trainer) Step(s *torchbind.Scope, batches []*Batch) (step TrainStep) {
	t.work = Work{}
	defer func() { step.Work = t.work }()

	step.LR = t.Rate(int(t.optim.Step))
	all := t.graphs.run(s, batches, &t.work, t.dropout, func(s *torchbind.Scope, batches []*Batch) []*torchbind.Tensor {
		loss, g := t.gradient(s, batches)
		return append(g, loss, torchbind.TotalNorm(s, g))
	})
	last := len(all) - 2
	g, numbers := all[:last], torchbind.ReadLater(s, all[last:])()
	step.Loss, step.GradNorm = numbers[0], numbers[1]
	if !step.finite() {
		return step
	}
	t.keep()
	if t.Clip > 0 && step.GradNorm > t.Clip {
		torchbind.ForeachMulScalarInPlace(g, t.Clip/step.GradNorm)
	}
	t.optim.Apply(g, step.LR)
	if t.allocator != nil {
		step.Budget, _ = t.allocator.Allocate(s, g)
		step.Ranks = t.allocator.Ranks()
	}
	return step
}

// gradient returns the mean loss of batches, of all processes together, and its
// gradient, with AdaLoRA's penalty in it.
func (t *Trainer) gradient(s *torchbind.Scope, batches []*Batch) (loss *torchbind.Tensor, g []*torchbind.Tensor) {
	W := t.optim.Params
	if len(batches) == 1 {
		loss, g = t.loss.gradient(s, batches[0], W)
	} else {
		loss, g = t.accumulated(s, batches)
	}
	if t.allocator != nil {
		accumulate(s, s, g, torchbind.GradAllowUnused(s, only(t.allocator.Penalty(s)), W, nil, false))
	}
	return loss, g
}

// accumulated returns the loss and the gradient of one large batch, made of
// several with the memory of one.
func (t *Trainer) accumulated(s *torchbind.Scope, batches []*Batch) (loss *torchbind.Tensor, g []*torchbind.Tensor) {
	total := 0.0
	for _, b := range batches {
		total += b.Weight
	}
	sum := make([]*torchbind.Tensor, 1+len(t.optim.Params)) // of the loss and its gradient
	for _, b := range batches {
		_ = s.Do(func(own *torchbind.Scope) error {
			part := join(t.ownLoss.gradient(own, b, t.optim.Params))
			part[0] = torchbind.Detach(own, part[0])
			torchbind.ForeachMulScalarInPlace(part, b.Weight/max(total, 1)) // at least 1: there may be nothing but fillers
			accumulate(s, own, sum, part)
			return nil
		})
	}
	sum = t.processes.mean(s, sum, total)
	return sum[0], sum[1:]
}
