package torchbind

// #cgo CFLAGS: -I${SRCDIR}/internal/profiler
// #include <stdlib.h>
// #include "profiler.h"
import "C"

import (
	"runtime"
	"unsafe"

	"autolora/atomicfile"
)

// Span is a piece of work that a trace shows under a name of its own.
type Span struct {
	Name string
	Run  func() error
}

// Profile runs the spans in turn under libtorch's profiler and writes what it
// saw to path as a Chrome trace, which ui.perfetto.dev shows: a category
// "cpu_op" with every operator and its shapes, "user_annotation" with the
// spans, and on a CUDA device "kernel" and "gpu_memcpy" too. A span ends when
// its work on the device has. Recording makes the work slower. The file appears
// whole or, after an error, not at all.
func Profile(path string, device Device, spans []Span) (err error) {
	runtime.LockOSThread() // the profiler belongs to a thread
	defer runtime.UnlockOSThread()
	defer recoverError(&err)

	var failed error // which has nothing to do with the file
	err = atomicfile.Make(path, func(temp string) error {
		failed = record(temp, device, spans)
		return failed
	})
	if failed != nil {
		return failed
	}
	return err
}

// record writes the trace to path, or to nowhere if a span fails.
func record(path string, device Device, spans []Span) error {
	check(C.tb_profiler_start(C.int(device)), "profiler")
	to := C.CString("")
	defer func() {
		defer C.free(unsafe.Pointer(to))
		check(C.tb_profiler_stop(C.int(device), to), "profiler")
	}()
	for _, span := range spans {
		if err := span.record(device); err != nil {
			return err
		}
	}
	C.free(unsafe.Pointer(to))
	to = C.CString(path)
	return nil
}

func (s Span) record(device Device) error {
	name := C.CString(s.Name)
	defer C.free(unsafe.Pointer(name))
	var handle unsafe.Pointer
	check(C.tb_profiler_span_begin(name, &handle), "profiler")
	defer func() { check(C.tb_profiler_span_end(C.int(device), handle), "profiler") }()
	return s.Run()
}
