package torchbind

// #include "shim.h"
import "C"

import (
	"math"
	"runtime"
	"unsafe"

	_ "autolora/torchbind/internal/preinit" // before gotorch's init

	"github.com/wangkuiyi/gotorch"
)

// This file is the one adapter to gotorch. Its plain constructors, and an
// operator, are used as they are; its finalizers, which free tensors that are in
// use, are cleared, and its panics of strings become *Error.

// Full returns a tensor filled with value, rounded to float32. Where that would
// be seen, in float64 and int64, value must be a float32.
func Full(s *Scope, shape []int64, value float64, dtype DType, device Device) *Tensor {
	rounded := float32(value) // gotorch passes float32
	if (dtype == Float64 || dtype == Int64) && float64(rounded) != value && !math.IsNaN(value) {
		misuse("full", "value %v is not a float32, and the tensor is %v", value, dtype)
	}
	if device != CPU { // without a copy from the host: it may be part of a graph
		return s.Tidy(func(s *Scope) *Tensor {
			zeros := ZerosLike(s, Empty(s, shape, dtype, device))
			return To(s, AddScalar(s, zeros, float64(rounded)), dtype, device) // int64 and a number make float32
		})
	}
	t := fromGotorch(s, "full", shape, func() gotorch.Tensor { return gotorch.Full(shape, rounded, false) })
	return To(s, t, dtype, device)
}

// ReLU returns the larger of every element and 0. x must not be a scalar.
// Derivatives go up to the second.
func ReLU(s *Scope, x *Tensor) *Tensor {
	ptr := unsafe.Pointer(x.handle("relu"))
	y := fromGotorch(s, "relu", x.Shape(), func() gotorch.Tensor { return gotorch.Relu(gotorch.Tensor{T: &ptr}) })
	runtime.KeepAlive(x)
	return y
}

// Seed sets the seed of libtorch's generators on every device.
func Seed(seed uint64) {
	mustOpen()
	check(C.tb_manual_seed(C.uint64_t(seed)), "manual_seed")
}

func fromGotorch(s *Scope, op string, shape []int64, make func() gotorch.Tensor) *Tensor {
	if len(shape) == 0 { // gotorch takes the address of shape[0]
		misuse(op, "a scalar's empty shape; use FromSlice")
	}
	defer func() {
		if r := recover(); r != nil {
			if msg, ok := r.(string); ok {
				panic(newError(op, msg, msg, [][]int64{shape}))
			}
			panic(r)
		}
	}()
	g := make()
	runtime.SetFinalizer(g.T, nil)
	return s.adopt(C.tb_tensor(unsafe.Pointer(*g.T)), nil, op)
}
