package report

import "slices"

// sharedSettings are those that make scores of different methods comparable.
var sharedSettings = append([]string{"limit-train", "max-length", "dtype", "data", "train", "dev", "new-head", "eval-on", "paraphrases"}, decodingSettings...)

// decodingSettings say how texts are generated.
var decodingSettings = []string{"beams", "beam-rules", "length-penalty", "no-repeat-ngram", "early-stopping", "max-new-tokens", "sample", "temperature", "top-k", "top-p"}

// ownSettings are those that differ from run to run and mean nothing.
var ownSettings = []string{"model", "out", "seed", "overwrite", "resume", "save-every", "tensorboard", "threads", "device", "process-timeout", "log-every", "ranks",
	"meteor", "method", "methods", "seeds", "controls", "with", "about"}

// changesResults reports whether runs that differ in a setting differ for that.
func changesResults(name string) bool { return !slices.Contains(ownSettings, name) }

// isShared reports whether scores of methods that differ in a setting cannot be
// compared.
func isShared(name string) bool { return slices.Contains(sharedSettings, name) }

// isDecoding reports whether a setting says how texts are generated.
func isDecoding(name string) bool { return slices.Contains(decodingSettings, name) }

// isPath reports whether a setting is a path of one machine.
func isPath(name string) bool { return slices.Contains([]string{"data", "train", "dev"}, name) }
