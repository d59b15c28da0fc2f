package torchbind

// #include "shim.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Run locks the goroutine to its OS thread, runs fn in a new scope, frees the
// scope, and returns fn's error or the *Error with which an operation inside
// panicked. Everything that touches a tensor happens inside a Run.
func Run(fn func(s *Scope) error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := Open(); err != nil {
		return err
	}
	s := newScope()
	defer recoverError(&err)
	defer s.Close()
	return fn(s)
}

// NoGrad runs fn with gradient recording off on this thread and restores the
// previous mode, also when fn panics.
func NoGrad(fn func()) { withGradMode(0, fn) }

// EnableGrad runs fn with gradient recording on, inside a NoGrad.
func EnableGrad(fn func()) { withGradMode(1, fn) }

func withGradMode(on C.int, fn func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mustOpen()
	previous := C.tb_grad_mode_set(on)
	defer C.tb_grad_mode_set(previous)
	fn()
}

// InferenceMode runs fn in libtorch's inference mode: cheaper than NoGrad, but
// tensors made inside can never take part in a gradient.
func InferenceMode(fn func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mustOpen()
	var guard unsafe.Pointer
	check(C.tb_inference_enter(&guard), "inference_mode")
	defer C.tb_inference_leave(guard)
	fn()
}
