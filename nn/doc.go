// Package nn has the models on packed batches: encoders, and decoders, with a head
// for sequences or for tokens, or of a decoder with the vocabulary as its head; LoRA
// layers with selection variables, bottleneck adapters, strict loading from Hugging
// Face folders, and the writers of adapters and merged models. family.go lists
// its families, which are a file each.
//
// A batch is packed: the N real tokens of B sequences stand one after the
// other, with no padding, and every layer but attention works on rows [N, C].
// The last layer computes only the rows that the head reads.
//
// Shape letters: B sequences, N tokens of a batch, M wanted rows, C hidden
// size, H heads of queries, G of keys and values, D size of a head, V vocabulary, K
// labels, R rank, S size of a bottleneck.
package nn
