// Package data turns files into the batches that a trainer takes. It is pure Go and knows no tensors.
//
//	file ─► Dataset ─► Corpus ─► Loader ─► Batch
//	TSV, CSV, JSONL,   tokens,   ahead,    packed: no
//	parquet, CoNLL     once      seeded    padding
//
// LoadTask reads a task that is known by its name, in the official or the hub's layout, FileTask the user's own
// files, ReadInputs the input of a prediction. Pieces cuts sentences that are too long for a model. Split and
// Subset choose examples, an Order shuffles them epoch after epoch, and a Loader makes the batches in other
// goroutines; Corpus.EvalBatches gives the batches of an evaluation, in which every example is once. WriteCoNLL
// writes tagged sentences.
//
// A new task is a file with a namedTask and its entry in namedTasks, a new format of files a file with a reader and
// its entry in readers.
//
// In generation a training example has one target, an example of a dev or test set all its references, and
// Dataset.Prompts and a Corpus of these give what to generate from.
//
// Everything random comes from a seed and does not depend on the number of goroutines. Errors of the data
// name file and line.
package data
