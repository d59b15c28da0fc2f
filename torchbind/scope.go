package torchbind

// #include "shim.h"
import "C"

import (
	"fmt"
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

// handles is what a scope owns; it is a value of its own so that the clean-up
// of a lost scope can reach it.
type handles struct {
	tensors []*Tensor
	closed  bool
	where   string
}

// NewScope returns an open scope, to be closed by the caller. Prefer Run and
// Tidy, which close theirs.
func NewScope() *Scope {
	s := &Scope{owned: &handles{}}
	if _, file, line, ok := runtime.Caller(1); ok {
		s.owned.where = fmt.Sprintf("%s:%d", file, line)
	}
	// A back-stop only: it may run late or never, so tests fail on it.
	s.back = runtime.AddCleanup(s, func(h *handles) {
		leaked.Add(1)
		log.Printf("torchbind: scope leaked (opened at %s, %d tensors)", h.where, len(h.tensors))
		h.free()
	}, s.owned)
	return s
}

// Close frees every tensor of s. Closing twice does nothing.
func (s *Scope) Close() {
	s.owned.free()
	s.back.Stop()
}

func (h *handles) free() {
	h.closed = true
	if len(h.tensors) == 0 {
		return
	}
	ptrs := make([]C.tb_tensor, 0, len(h.tensors))
	for _, t := range h.tensors {
		if t.owner == h { // else it moved to another scope
			ptrs = append(ptrs, t.ptr)
			t.ptr, t.owner = nil, nil
		}
	}
	h.tensors = nil
	if len(ptrs) > 0 {
		C.tb_free(&ptrs[0], C.int64_t(len(ptrs)))
		live.Add(-int64(len(ptrs)))
	}
}

// adopt makes s the owner of a new handle, or panics with the shim's error.
func (s *Scope) adopt(ptr C.tb_tensor, err *C.tb_error, op string, operands ...*Tensor) *Tensor {
	check(err, op, operands...)
	live.Add(1)
	t := &Tensor{ptr: ptr}
	s.own(t, op)
	return t
}

func (s *Scope) own(t *Tensor, op string) {
	if s.owned.closed {
		C.tb_free(&t.ptr, 1)
		live.Add(-1)
		t.ptr = nil
		misuse(op, "scope is closed")
	}
	t.owner = s.owned
	s.owned.tensors = append(s.owned.tensors, t)
}

// Keep moves t from the scope that owns it to s, and returns t. It is the way
// to let a tensor outlive the scope in which it was made.
func (s *Scope) Keep(t *Tensor) *Tensor {
	t.handle("keep")
	if s.owned.closed {
		misuse("keep", "scope is closed")
	}
	if t.owner != s.owned {
		s.own(t, "keep")
	}
	return t
}

// Tidy runs fn in a child scope and frees all that it made, except its result,
// which moves to s. The result may be nil.
func (s *Scope) Tidy(fn func(s *Scope) *Tensor) *Tensor {
	child := NewScope()
	defer child.Close()
	t := fn(child)
	if t != nil && t.owner == child.owned {
		s.Keep(t)
	}
	return t
}

// Do runs fn in a child scope and frees all that it made and did not Keep
// elsewhere.
func (s *Scope) Do(fn func(s *Scope) error) error {
	child := NewScope()
	defer child.Close()
	return fn(child)
}
