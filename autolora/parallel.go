package autolora

import "autolora/torchbind"

// DataParallel averages over the processes that share every batch: each computes
// its part, and the mean is what one process would have computed of the whole
// batch. A nil *DataParallel is of a process that has them alone.
type DataParallel struct{ Group *torchbind.ProcessGroup }

// Rank returns the number of this process, from 0.
func (p *DataParallel) Rank() int {
	if p == nil {
		return 0
	}
	return p.Group.Rank()
}

// mean returns Σ w t / Σ w over the processes of each of ts, outside of any
// graph.
func (p *DataParallel) mean(s *torchbind.Scope, ts []*torchbind.Tensor, weight float64) []*torchbind.Tensor {
	if p == nil {
		return ts
	}
	return p.Group.Average(s, ts, weight)
}

// grad returns the gradient of a loss by inputs, of this process with its graph,
// and its mean over the processes, whose exchange overlaps the backward pass.
func (p *DataParallel) grad(s *torchbind.Scope, loss *torchbind.Tensor, inputs []*torchbind.Tensor, graph bool, weight float64) (own, mean []*torchbind.Tensor) {
	if p == nil {
		own = torchbind.Grad(s, []*torchbind.Tensor{loss}, inputs, nil, graph)
		return own, own
	}
	return p.Group.Grad(s, []*torchbind.Tensor{loss}, inputs, nil, graph, weight)
}

// Masks returns what is added to the state of dropout masks so that every
// process has masks of its own.
func (p *DataParallel) Masks() uint64 { return uint64(p.Rank()) * 0xd1342543de82ef95 }
