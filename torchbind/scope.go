package torchbind

// #include "shim.h"
import "C"

import (
	"log"
	"runtime"
	"sync/atomic"
)

var (
	live   atomic.Int64 // handles not yet freed
	leaked atomic.Int64 // scopes that were collected without Close
)

// Live returns the number of tensor handles that are not freed yet.
func Live() int64 { return live.Load() }

// LeakedScopes returns how many scopes were collected without being closed.
func LeakedScopes() int64 { return leaked.Load() }

// Scope owns tensor handles and frees them all when it is closed. A scope is
// used by one goroutine.
type Scope struct {
	owned *handles
	back  runtime.Cleanup
}

// handles is what a scope owns. Tensors point at their scope, but nothing here
// points at tensors: so a lost scope is collected only when none of its
// tensors can be used any more, and its clean-up frees nothing that is in use.
type handles struct {
	ptrs   []C.tb_tensor // NULL where a tensor moved to another scope
	closed bool
	opened [1]uintptr // where NewScope was called
}

// NewScope returns an open scope, to be closed by the caller. Prefer Run and
// Tidy, which close theirs.
func NewScope() *Scope {
	mustOpen()
	s := newScope()
	runtime.Callers(2, s.owned.opened[:])
	// A back-stop only: it may run late or never, so tests fail on it.
	s.back = runtime.AddCleanup(s, (*handles).reclaim, s.owned)
	return s
}

// newScope is NewScope without the back-stop, for a caller that defers Close.
func newScope() *Scope { return &Scope{owned: &handles{}} }

// Close frees every tensor of s. Closing twice does nothing.
func (s *Scope) Close() {
	s.owned.free()
	s.back.Stop()
	runtime.KeepAlive(s) // else the clean-up can be queued before it is stopped
}

func (h *handles) free() {
	h.closed = true
	if len(h.ptrs) == 0 {
		return
	}
	n := int64(0)
	for _, p := range h.ptrs {
		if p != nil {
			n++
		}
	}
	C.tb_free(&h.ptrs[0], C.int64_t(len(h.ptrs)))
	live.Add(-n)
	h.ptrs = nil
}

// reclaim is the clean-up of a scope that was lost without Close.
func (h *handles) reclaim() {
	where, _ := runtime.CallersFrames(h.opened[:]).Next()
	leaked.Add(1)
	log.Printf("torchbind: scope leaked (opened at %s:%d, %d tensors)", where.File, where.Line, len(h.ptrs))
	h.free()
}

// adopt makes s the owner of a new handle, or panics with the shim's error.
func (s *Scope) adopt(ptr C.tb_tensor, err *C.tb_error, op string, operands ...*Tensor) *Tensor {
	check(err, op, operands...)
	if s.owned.closed {
		C.tb_free(&ptr, 1)
		misuse(op, "scope is closed")
	}
	live.Add(1)
	t := &Tensor{ptr: ptr}
	s.own(t)
	return t
}

// adoptAll makes s the owner of every handle in ptrs; NULL becomes nil.
func (s *Scope) adoptAll(ptrs []C.tb_tensor, op string) []*Tensor {
	if s.owned.closed {
		C.tb_free(first(ptrs), C.int64_t(len(ptrs)))
		misuse(op, "scope is closed")
	}
	ts := make([]*Tensor, len(ptrs))
	for i, p := range ptrs {
		if p != nil {
			ts[i] = s.adopt(p, nil, op)
		}
	}
	return ts
}

func (s *Scope) own(t *Tensor) {
	t.scope, t.slot = s, len(s.owned.ptrs)
	s.owned.ptrs = append(s.owned.ptrs, t.ptr)
}

// Keep moves t from the scope that owns it to s, and returns t. It is the way
// to let a tensor outlive the scope in which it was made.
func (s *Scope) Keep(t *Tensor) *Tensor {
	t.handle("keep")
	if s.owned.closed {
		misuse("keep", "scope is closed")
	}
	if t.scope != s {
		t.scope.owned.ptrs[t.slot] = nil
		s.own(t)
	}
	return t
}

// Tidy runs fn in a child scope and frees all that it made, except its result,
// which moves to s. The result may be nil.
func (s *Scope) Tidy(fn func(s *Scope) *Tensor) *Tensor {
	child := newScope()
	defer child.Close()
	t := fn(child)
	if t != nil && t.scope == child {
		s.Keep(t)
	}
	return t
}

// Do runs fn in a child scope and frees all that it made and did not Keep
// elsewhere.
func (s *Scope) Do(fn func(s *Scope) error) error {
	child := newScope()
	defer child.Close()
	return fn(child)
}
