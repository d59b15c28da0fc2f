package torchbind

// #include "cuda_api.h"
//
// static tb_error *graph_begin(const tb_cuda_api *api, int device, tb_cuda_graph *out) { return api->graph_begin(device, out); }
// static tb_error *graph_end(const tb_cuda_api *api, tb_cuda_graph g) { return api->graph_end(g); }
// static tb_error *graph_replay(const tb_cuda_api *api, tb_cuda_graph g) { return api->graph_replay(g); }
// static tb_error *graph_free(const tb_cuda_api *api, tb_cuda_graph g) { return api->graph_free(g); }
import "C"

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
)

// Graph is a computation on a device that was recorded once and runs again with
// one launch, on the same memory: a CUDA graph.
type Graph struct {
	device  Device
	scope   *Scope // of outputs; nil after Close
	outputs []*Tensor

	run func(s *Scope) []*Tensor // on the CPU: what to do at a replay
	api *C.tb_cuda_api           // on CUDA
	ptr C.tb_cuda_graph
}

// capturing is the graph that is being captured or, on the CPU, replayed; there
// is one at most in a process.
var capturing atomic.Pointer[Graph]

// Capture records what fn launches on device into a CUDA graph and returns the
// graph with fn's results, which are cut from the autograd graph and hold
// numbers from the first Replay on. fn must have run before with the same
// shapes, so that libraries have chosen their algorithms; it is recorded, not
// run. It computes with tensors that outlive the graph. It must not read numbers
// on the host nor copy from it: that is an *Error, found before CUDA would. No
// autograd graph that was made before may be alive of a tensor of which fn takes
// gradients. Masks of dropout are drawn anew in every replay, as SeedDropout says.
//
// After an error nothing is left of the capture, and fn can be run without.
//
// On the CPU, for tests of what is captured, fn runs; Replay runs it again and
// copies its results into those of the first time.
func Capture(device Device, fn func(s *Scope) []*Tensor) (_ *Graph, err error) {
	const op = "capture"
	runtime.LockOSThread() // a capture belongs to a thread, and so does its stream
	defer runtime.UnlockOSThread()
	defer recoverError(&err)
	g := &Graph{device: device, scope: NewScope()}
	captured := false
	defer func() {
		if !captured {
			g.Close()
		}
	}()
	if device == CPU {
		g.run = fn
	} else if g.api, err = cudaAPI(); err != nil {
		return nil, fmt.Errorf("capture on %v: %w", device, err)
	}
	g.record(op, func(s *Scope) {
		if g.api != nil {
			check(C.graph_begin(g.api, C.int(device), &g.ptr), op)
		}
		for _, t := range fn(s) {
			t = Detach(s, t)
			if device == CPU {
				t = Clone(s, t) // a result may be part of an input, or one number expanded
			}
			g.outputs = append(g.outputs, g.scope.Keep(t))
		}
	})
	if g.api != nil {
		check(C.graph_end(g.api, g.ptr), op)
	}
	captured = true
	return g, nil
}

// record runs fn in a scope of its own, as part of a capture.
func (g *Graph) record(op string, fn func(s *Scope)) {
	if !capturing.CompareAndSwap(nil, g) {
		misuse(op, "another graph is being captured")
	}
	defer capturing.Store(nil)
	s := newScope()
	defer s.Close()
	fn(s)
}

// Outputs returns the results, the same tensors at every replay. They are valid
// until the next Replay of any graph on the device, which may write over them, as
// the graphs share their memory, or until Close.
func (g *Graph) Outputs() []*Tensor { return g.outputs }

// Replay computes the outputs anew from what the tensors of the capture hold now.
func (g *Graph) Replay() {
	const op = "replay"
	if g.scope == nil {
		misuse(op, "graph is closed")
	}
	if g.api != nil {
		check(C.graph_replay(g.api, g.ptr), op)
		return
	}
	g.record(op, func(s *Scope) {
		results := DetachAll(s, g.run(s))
		sameLength(op, g.outputs, results)
		for i, t := range results {
			if want := g.outputs[i]; !slices.Equal(t.Shape(), want.Shape()) || t.DType() != want.DType() {
				misuse(op, "output %d is %v %v, was %v %v when the graph was captured", i, t.DType(), t.Shape(), want.DType(), want.Shape())
			}
		}
		ForeachCopyInPlace(g.outputs, results)
	})
}

// Close frees the graph, its memory and its outputs; a replay that is under way
// on the device still ends. Closing twice does nothing.
func (g *Graph) Close() {
	if g.scope == nil {
		return
	}
	g.scope.Close()
	g.scope, g.outputs, g.run = nil, nil, nil
	if ptr := g.ptr; ptr != nil {
		g.ptr = nil
		check(C.graph_free(g.api, ptr), "graph_free")
	}
}

// outsideCapture panics while a graph is captured: op makes the host wait for a
// device, or takes what the host has, and a replay would know nothing of it.
func outsideCapture(op string) {
	if capturing.Load() != nil {
		misuse(op, "not while a graph is being captured: a replay would not do it again")
	}
}

// inputOutsideCapture is outsideCapture for data of the host that goes to device:
// what computes beside the device of the capture keeps its results.
func inputOutsideCapture(op string, device Device) {
	if g := capturing.Load(); g != nil && g.device == device {
		outsideCapture(op)
	}
}

// moveOutsideCapture is outsideCapture for the elements of t that go to device.
func moveOutsideCapture(op string, t *Tensor, device Device) {
	if g := capturing.Load(); g != nil && t.Device() != device && (t.Device() == g.device || device == g.device) {
		outsideCapture(op)
	}
}
