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
	var out C.tb_tensor
	err := C.tb_embedding(weight.handle("embedding"), ids.handle("embedding"), &out)
	return s.adopt(out, err, "embedding", weight, ids)
}

// LayerNorm normalises the last dimension of x [N, C], then scales and shifts
// it by w and b [C].
func LayerNorm(s *Scope, x, w, b *Tensor, eps float64) *Tensor {
	var out C.tb_tensor
	err := C.tb_layer_norm(x.handle("layer_norm"), w.handle("layer_norm"), b.handle("layer_norm"), C.double(eps), &out)
	return s.adopt(out, err, "layer_norm", x, w, b)
}

// CrossEntropy returns the mean cross entropy of logits [N, K] against labels
// (int64, [N]), a scalar.
func CrossEntropy(s *Scope, logits, labels *Tensor) *Tensor {
	var out C.tb_tensor
	err := C.tb_cross_entropy(logits.handle("cross_entropy"), labels.handle("cross_entropy"), &out)
	return s.adopt(out, err, "cross_entropy", logits, labels)
}

// MSELoss returns the mean squared difference of x and target, of one shape, a
// scalar. Broadcasting here, [N, 1] against [N], would be a mistake.
func MSELoss(s *Scope, x, target *Tensor) *Tensor {
	if !slices.Equal(x.Shape(), target.Shape()) {
		misuse("mse_loss", "shapes %v and %v", x.Shape(), target.Shape())
	}
	var out C.tb_tensor
	err := C.tb_mse_loss(x.handle("mse_loss"), target.handle("mse_loss"), &out)
	return s.adopt(out, err, "mse_loss", x, target)
}
