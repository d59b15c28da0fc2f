// Package autolora is the method: the search for per-layer ranks by exact
// second-order gradients, retraining at the ranks found, the baselines,
// evaluation, and the folder of results.
//
// The names in search.go are those of the paper (AutoLoRA, Zhang et al. 2024):
// W all trainable weights, a the selection variables of all layers before
// their softmax, t a training and v a validation batch.
package autolora
