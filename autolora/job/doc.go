// Package job does what the commands ask for: it opens model, tokenizer and data,
// searches, trains, scores and writes into a run's folder, and goes on where a run
// was stopped. The method itself is package autolora; here is no arithmetic on
// tensors. job.go has the way of one run from settings to results, loop.go the
// steps of its phases, search.go and train.go what a phase is, compare.go many
// runs.
package job
