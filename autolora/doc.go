// Package autolora is the method: the search for per-layer ranks by exact
// second-order gradients, the rules that make ranks of its variables, training,
// AdaLoRA and the controls. It knows no file, flag or folder; package job runs
// it. docs/method.md says what it computes.
//
// The names in search.go are those of the paper (AutoLoRA, Zhang et al. 2024):
// W all trainable weights, a the selection variables of all layers before
// their softmax, t a training and v a validation batch.
package autolora
