package autolora

import "autolora/torchbind"

// Processes are those that share every batch: each computes its part, and what is
// averaged over all of them is what one process would have computed of the whole
// batch. A nil *Processes is a process that is alone.
type Processes struct{ Group *torchbind.ProcessGroup }

// Rank returns the number of this process, from 0.
func (p *Processes) Rank() int {
	if p == nil {
		return 0
	}
	return p.Group.Rank()
}

// mean returns Σ w t / Σ w over the processes of each of ts, outside of any
// graph.
func (p *Processes) mean(s *torchbind.Scope, ts []*torchbind.Tensor, weight float64) []*torchbind.Tensor {
	if p == nil {
		return ts
	}
	return p.Group.Average(s, ts, weight)
}

// grad returns the gradient of a loss by inputs, of this process with its graph,
// and its mean over the processes, whose exchange overlaps the backward pass.
func (p *Processes) grad(s *torchbind.Scope, loss *torchbind.Tensor, inputs []*torchbind.Tensor, graph bool, weight float64) (own, mean []*torchbind.Tensor) {
	if p == nil {
		own = torchbind.Grad(s, []*torchbind.Tensor{loss}, inputs, nil, graph)
		return own, own
	}
	return p.Group.Grad(s, []*torchbind.Tensor{loss}, inputs, nil, graph, weight)
}

// Masks returns what is added to the state of dropout masks so that every
// process has masks of its own.
func (p *Processes) Masks() uint64 { return uint64(p.Rank()) * 0xd1342543de82ef95 }
