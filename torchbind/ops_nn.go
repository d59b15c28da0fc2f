package torchbind

// #include "shim.h"
import "C"

import "slices"

// Linear returns x Wᵀ + b for x [N, in], w [out, in] and b [out] or nil.
func Linear(s *Scope, x, w, b *Tensor) *Tensor {
	var out C.tb_tensor
	err := C.tb_linear(x.handle("linear"), w.handle("linear"), b.optionalHandle("linear"), &out)
	return s.adopt(out, err, "linear", x, w, b)
}

// Embedding returns the rows of weight [V, C] that ids (int64, [N]) names:
// [N, C].
func Embedding(s *Scope, weight, ids *Tensor) *Tensor {
	return binary(s, "embedding", C.tb_embedding, weight, ids)
}

// MSELoss returns the mean squared difference of x and target, of one shape, a
// scalar. Broadcasting here, [N, 1] against [N], would be a mistake.
func MSELoss(s *Scope, x, target *Tensor) *Tensor {
	if !slices.Equal(x.Shape(), target.Shape()) {
		misuse("mse_loss", "shapes %v and %v", x.Shape(), target.Shape())
	}
	return binary(s, "mse_loss", C.tb_mse_loss, x, target)
}
