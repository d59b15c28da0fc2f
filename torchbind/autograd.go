package torchbind

// #include "shim.h"
import "C"

import "runtime"

// Grad returns the gradients of outputs with respect to inputs, one per input.
// gradOutputs weigh the outputs; nil means that every output is a scalar, and a
// nil among them that this one is. With
// createGraph the gradients can be differentiated again. An input that the
// outputs do not depend on is an error.
func Grad(s *Scope, outputs, inputs, gradOutputs []*Tensor, createGraph bool) []*Tensor {
	return grad(s, outputs, inputs, gradOutputs, createGraph, false)
}

// GradAllowUnused is Grad, with nil for an input on which the outputs do not
// depend.
func GradAllowUnused(s *Scope, outputs, inputs, gradOutputs []*Tensor, createGraph bool) []*Tensor {
	return grad(s, outputs, inputs, gradOutputs, createGraph, true)
}

func grad(s *Scope, outputs, inputs, gradOutputs []*Tensor, createGraph, allowUnused bool) []*Tensor {
	out, in, weights := gradOperands(outputs, inputs, gradOutputs)
	grads := make([]C.tb_tensor, len(inputs))
	err := C.tb_grad(first(out), C.int64_t(len(out)), first(in), C.int64_t(len(in)), first(weights), flag(createGraph), flag(allowUnused), first(grads))
	check(err, "grad", outputs...)
	runtime.KeepAlive(inputs)
	runtime.KeepAlive(gradOutputs)
	return s.adoptAll(grads, "grad")
}

// gradOperands checks the operands of grad and returns their C handles; weights
// are gradOutputs'.
func gradOperands(outputs, inputs, gradOutputs []*Tensor) (out, in, weights []C.tb_tensor) {
	if len(outputs) == 0 || len(inputs) == 0 {
		misuse("grad", "%d outputs and %d inputs", len(outputs), len(inputs))
	}
	if gradOutputs != nil {
		sameLength("grad", outputs, gradOutputs)
		weights = make([]C.tb_tensor, len(gradOutputs))
		for i, t := range gradOutputs {
			weights[i] = t.optionalHandle("grad")
		}
	}
	return list("grad", outputs), list("grad", inputs), weights
}

func first(ptrs []C.tb_tensor) *C.tb_tensor {
	if len(ptrs) == 0 {
		return nil
	}
	return &ptrs[0]
}

func flag(on bool) C.int {
	if on {
		return 1
	}
	return 0
}
