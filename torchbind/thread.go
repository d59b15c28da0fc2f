package torchbind

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"
)

// Run locks the goroutine to its OS thread, runs fn in a new scope, frees the
// scope, and returns fn's error or the *Error with which an operation inside
// panicked. Everything that touches a tensor happens inside a Run.
func Run(fn func(s *Scope) error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := newScope()
	defer recoverError(&err)
	defer s.Close()
	return fn(s)
}

// Thread is a goroutine locked to one OS thread that runs jobs in turn, for
// programs whose callers come from many goroutines. One job is a whole step or
// batch: handing it over costs 23 to 50 microseconds.
type Thread struct {
	jobs  chan func()
	done  chan struct{}
	close sync.Once
}

// ErrThreadClosed is returned by Do after Close.
var ErrThreadClosed = errors.New("torchbind: thread is closed")

// NewThread starts a thread. Close ends it.
func NewThread() *Thread {
	t := &Thread{jobs: make(chan func()), done: make(chan struct{})}
	go t.loop()
	return t
}

func (t *Thread) loop() {
	runtime.LockOSThread() // for good: the runtime ends the OS thread with its goroutine
	defer t.Close()        // also when a job calls runtime.Goexit
	for !t.closed() {
		select {
		case job := <-t.jobs:
			job()
		case <-t.done:
		}
	}
}

func (t *Thread) closed() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// Do runs fn on the thread as Run would and waits for its end. If ctx ends
// before fn was started, fn does not run and ctx's error is returned. A panic
// of fn that is not an *Error is raised in the caller, as an error that has the
// stack of fn and, if it was an error, wraps it.
func (t *Thread) Do(ctx context.Context, fn func(s *Scope) error) error {
	if t.closed() {
		return ErrThreadClosed
	}
	var err error
	var thrown *threadPanic
	returned := false
	finished := make(chan struct{})
	job := func() {
		defer close(finished)
		defer func() {
			if r := recover(); r != nil {
				thrown = &threadPanic{r, debug.Stack()}
			}
		}()
		if err = ctx.Err(); err == nil {
			err = Run(fn)
		}
		returned = true
	}
	select {
	case t.jobs <- job:
	case <-ctx.Done():
		return ctx.Err()
	case <-t.done:
		return ErrThreadClosed
	}
	<-finished
	if thrown != nil {
		panic(thrown)
	}
	if !returned {
		runtime.Goexit() // as fn did: a failed test, say
	}
	return err
}

// Close ends the thread after the job that is running. Closing twice does
// nothing.
func (t *Thread) Close() { t.close.Do(func() { close(t.done) }) }

// threadPanic carries a panic to the goroutine that called Do.
type threadPanic struct {
	value any
	stack []byte
}

func (p *threadPanic) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

func (p *threadPanic) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// NoGrad runs fn with gradient recording off on this thread and restores the
// previous mode, also when fn panics.
func NoGrad(fn func()) { withGradMode(0, fn) }

// EnableGrad runs fn with gradient recording on, inside a NoGrad.
func EnableGrad(fn func()) { withGradMode(1, fn) }

func withGradMode(on C.int, fn func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	previous := C.tb_grad_mode_set(on)
	defer C.tb_grad_mode_set(previous)
	fn()
}

// InferenceMode runs fn in libtorch's inference mode: cheaper than NoGrad, but
// tensors made inside can never take part in a gradient.
func InferenceMode(fn func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var guard unsafe.Pointer
	check(C.tb_inference_enter(&guard), "inference_mode")
	defer C.tb_inference_leave(guard)
	fn()
}
