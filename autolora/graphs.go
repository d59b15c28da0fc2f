package autolora

import (
	"fmt"
	"strings"

	"autolora/nn"
	"autolora/torchbind"
)

// Graphs are CUDA graphs of one computation on batches: a graph for every shape
// that comes again, by which one launch does what is hundreds of launches
// otherwise. A nil *Graphs computes without.
type Graphs struct {
	device  torchbind.Device
	note    func(line string) // says why there are none any more
	seen    map[string]int    // how often each shape was computed without a graph
	graphs  map[string]*recorded
	stopped bool // after a graph that could not be captured
}

// recorded is a graph and what it computes with.
type recorded struct {
	*torchbind.Graph
	scope   *torchbind.Scope
	batches []*Batch // that the graph reads: to be filled before a replay
	passes  []int    // through the model of each batch
	work    Work     // passes in all
	drawn   uint64   // by which the state of dropout goes on
}

// How often a shape is computed before its graph is captured, so that libraries
// have chosen their algorithms and memory is there, and how many graphs there are
// at most.
const (
	GraphAfter = 2
	graphLimit = 48
)

// NewGraphs returns graphs on device, none yet; note is told once why there are none any
// more. They are to be closed.
func NewGraphs(device torchbind.Device, note func(line string)) *Graphs {
	return &Graphs{device: device, note: note, seen: map[string]int{}, graphs: map[string]*recorded{}}
}

// Close frees the graphs; before the model that they compute with.
func (c *Graphs) Close() {
	if c == nil {
		return
	}
	for _, r := range c.graphs {
		r.Close()
		r.scope.Close()
	}
}

// run returns what fn makes of batches. It counts its work in work and takes its
// dropout from dropout; it reads no number. What it returns is valid until the next
// run: the graphs of a device share their memory.
func (c *Graphs) run(s *torchbind.Scope, batches []*Batch, work *Work, dropout *nn.DropoutRNG, fn func(s *torchbind.Scope, batches []*Batch) []*torchbind.Tensor) []*torchbind.Tensor {
	dropout.Begin(dropout.State)
	if c == nil || c.stopped {
		return fn(s, batches)
	}
	key := shapesOf(batches)
	r := c.graphs[key]
	if r == nil {
		if c.seen[key]++; c.seen[key] <= GraphAfter || len(c.graphs) == graphLimit {
			return fn(s, batches)
		}
		var err error
		if r, err = c.record(batches, work, dropout, fn); err != nil {
			c.stopped = true
			c.note(fmt.Sprintf("no CUDA graphs: one could not be captured, and steps go on without: %v", err))
			return fn(s, batches)
		}
		c.graphs[key] = r
	}
	before, state := *work, dropout.State
	for i, b := range batches {
		torchbind.ForeachCopyInPlace(r.batches[i].tensors(), b.tensors())
	}
	r.Replay()
	// Not what a replay on the CPU, which calls fn, has counted itself.
	*work = before
	work.Add(r.work)
	for i, b := range batches {
		work.Tokens += int64(r.passes[i] * b.Tokens)
	}
	dropout.State = state + r.drawn
	return r.Outputs()
}

// record captures the graph of fn on batches like these. Nothing is counted or
// drawn by it.
func (c *Graphs) record(batches []*Batch, work *Work, dropout *nn.DropoutRNG, fn func(s *torchbind.Scope, batches []*Batch) []*torchbind.Tensor) (r *recorded, err error) {
	r = &recorded{scope: torchbind.NewScope()}
	defer func() {
		if err != nil {
			r.scope.Close()
		}
	}()
	for _, b := range batches {
		r.batches = append(r.batches, b.clone(r.scope))
	}
	before, state := *work, dropout.State
	r.Graph, err = torchbind.Capture(c.device, func(s *torchbind.Scope) []*torchbind.Tensor { return fn(s, r.batches) })
	if err == nil {
		r.work = Work{Forward: work.Forward - before.Forward, Backward: work.Backward - before.Backward}
		r.drawn = dropout.State - state
		for _, b := range r.batches {
			r.passes = append(r.passes, b.passes)
		}
	}
	*work, dropout.State = before, state
	return r, err
}

// shapesOf names the shapes of batches, and their weights, which are part of what
// is captured: those of the same name take the same operations.
func shapesOf(batches []*Batch) string {
	var name strings.Builder
	for _, b := range batches {
		for _, t := range b.tensors() {
			fmt.Fprint(&name, t.Shape())
		}
		fmt.Fprintf(&name, "%v;", b.Weight)
	}
	return name.String()
}

// tensors returns what a loss reads of the batch on the model's device.
func (b *Batch) tensors() []*torchbind.Tensor { return append(b.Batch.Tensors(), b.Labels) }

// clone returns a copy of the batch in s that no pass has read.
func (b *Batch) clone(s *torchbind.Scope) *Batch {
	c := *b
	c.Batch, c.Labels, c.passes = b.Batch.Clone(s), torchbind.Clone(s, b.Labels), 0
	return &c
}
