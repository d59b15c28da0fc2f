package torchbind

// #include "shim.h"
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"

	_ "autolora/torchbind/internal/preinit" // before gotorch's init

	"github.com/wangkuiyi/gotorch"
)

// This file is the one adapter to gotorch. Its plain constructors are used as
// they are; its finalizers, which free tensors that are in use, are cleared,
// and its panics of strings become *Error.

// Full returns a tensor filled with value.
func Full(s *Scope, shape []int64, value float64, dtype DType, device Device) *Tensor {
	t := fromGotorch(s, "full", shape, func() gotorch.Tensor { return gotorch.Full(shape, float32(value), false) })
	if float64(float32(value)) != value { // gotorch passes float32
		misuse("full", "value %v is not a float32", value)
	}
	return convert(s, t, dtype, device)
}

// Zeros returns a tensor of zeros.
func Zeros(s *Scope, shape []int64, dtype DType, device Device) *Tensor {
	return Full(s, shape, 0, dtype, device)
}

// RandN returns normally distributed values from libtorch's generator.
func RandN(s *Scope, shape []int64, dtype DType, device Device) *Tensor {
	t := fromGotorch(s, "randn", shape, func() gotorch.Tensor { return gotorch.RandN(shape, false) })
	return convert(s, t, dtype, device)
}

// Seed sets the seed of libtorch's generators on every device.
func Seed(seed uint64) { check(C.tb_manual_seed(C.uint64_t(seed)), "manual_seed") }

func convert(s *Scope, t *Tensor, dtype DType, device Device) *Tensor {
	if dtype == Float32 && device == CPU {
		return t
	}
	return To(s, t, dtype, device)
}

func fromGotorch(s *Scope, op string, shape []int64, make func() gotorch.Tensor) *Tensor {
	if len(shape) == 0 { // gotorch takes the address of shape[0]
		misuse(op, "a scalar's empty shape; use FromSlice")
	}
	defer func() {
		if r := recover(); r != nil {
			if msg, ok := r.(string); ok {
				panic(&Error{Op: op, Msg: firstLine(msg), Shapes: [][]int64{shape}, Trace: fmt.Sprint(r)})
			}
			panic(r)
		}
	}()
	g := make()
	runtime.SetFinalizer(g.T, nil)
	return s.adopt(C.tb_tensor(unsafe.Pointer(*g.T)), nil, op)
}
