// Package nn has the models on packed batches: BERT and RoBERTa encoders with a
// head for sequences or for tokens, GPT-2 and LLaMA decoders with the
// vocabulary as theirs, LoRA layers with selection variables,
// bottleneck adapters, strict loading from Hugging Face folders, and the writers
// of adapters and merged models.
//
// A batch is packed: the N real tokens of B sequences stand one after the
// other, with no padding, and every layer but attention works on rows [N, C].
// The last layer computes only the rows that the head reads.
//
// Shape letters: B sequences, N tokens of a batch, M wanted rows, C hidden
// size, H heads, K labels, R rank, S size of a bottleneck.
package nn
