package torchbind

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrOutOfMemory is matched, with errors.Is, by every *Error that reports
// exhausted memory of the host or of a device.
var ErrOutOfMemory = errors.New("out of memory")

// ErrProcess is matched, with errors.Is, by every *Error that another process
// of a ProcessGroup caused, which ended, hangs or never came, and by what keeps a
// group from being made.
var ErrProcess = errors.New("another process failed")

// Error is a failure inside libtorch. Operations panic with it; Run
// returns it.
type Error struct {
	Op     string    // the PyTorch name of the operation
	Msg    string    // libtorch's message, first line
	Shapes [][]int64 // shapes of the operands, where there were any
	Trace  string    // libtorch's message with its C++ backtrace
	kind   error     // ErrOutOfMemory, ErrProcess or nil
}

func (e *Error) Error() string {
	if e.kind == ErrProcess {
		return e.Msg
	}
	var b strings.Builder
	fmt.Fprintf(&b, "torch %s: ", e.Op)
	if e.kind == ErrOutOfMemory {
		fmt.Fprintf(&b, "%v: ", ErrOutOfMemory)
	}
	b.WriteString(e.Msg)
	if len(e.Shapes) > 0 {
		fmt.Fprintf(&b, " (operands %v)", e.Shapes)
	}
	return b.String()
}

// Is reports whether target is ErrOutOfMemory or ErrProcess, and e of that kind.
func (e *Error) Is(target error) bool { return e.kind != nil && target == e.kind }

// newError returns the *Error for libtorch's message msg and its longer form
// trace.
func newError(op, msg, trace string, shapes [][]int64) *Error {
	e := &Error{Op: op, Msg: firstLine(msg), Shapes: shapes, Trace: trace}
	for _, sign := range memorySigns {
		if strings.Contains(msg, sign) {
			e.kind = ErrOutOfMemory
		}
	}
	if m := cudaMemory.FindStringSubmatch(msg); m != nil {
		e.Msg = fmt.Sprintf("%s more were needed on cuda:%s, where %s of %s are free", m[1], m[2], m[4], m[3])
	}
	return e
}

// memorySigns are in the messages of exhausted memory that have no exception
// type of their own: the host's, the driver's and cuBLAS's.
var memorySigns = []string{"DefaultCPUAllocator", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED"}

// cudaMemory finds the figures in what CUDA's allocator says, which goes on with
// advice for Python.
var cudaMemory = regexp.MustCompile(`^CUDA out of memory\. Tried to allocate ([\d.]+ \w+)\. GPU (\d+) has a total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free\.`)

// check panics with an *Error if the shim reported one, and frees it.
func check(err *C.tb_error, op string, operands ...*Tensor) {
	if err == nil {
		return
	}
	defer C.tb_error_free(err)
	var shapes [][]int64
	for _, t := range operands {
		if t != nil && t.alive() {
			shapes = append(shapes, t.Shape())
		}
	}
	e := newError(op, C.GoString(err.msg), C.GoString(err.trace), shapes)
	if err.code == C.TB_ERR_MEMORY {
		e.kind = ErrOutOfMemory
	}
	panic(e)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// misuse panics with an *Error that Go found before calling libtorch.
func misuse(op, format string, args ...any) {
	panic(&Error{Op: op, Msg: fmt.Sprintf(format, args...)})
}

// recoverError is deferred at the boundary: an *Error that is being thrown
// becomes the returned error, any other panic goes on with its stack. What a
// device without memory keeps for tensors to come goes back to it.
func recoverError(err *error) {
	switch r := recover().(type) {
	case nil:
	case *Error:
		*err = r
		if r.kind == ErrOutOfMemory {
			emptyCaches()
		}
	default:
		panic(r)
	}
}
