// Package tokenizer turns texts and pairs of texts into token ids, with Hugging Face's own Rust tokenizers
// (github.com/daulet/tokenizers), so that the ids are those of the Python library.
//
// [Load] reads the tokenizer of a model folder. [Tokenizer.Encode] gives what transformers' fast tokenizers give
// with truncation=True: special tokens, segments and "longest first" truncation included. The Rust library
// encodes each text by itself; the special tokens are put around them here, from the template that tokenizer.json
// holds, because the Go binding encodes single texts only. [Tokenizer.EncodeGeneration] gives sources and targets in
// LoRA's form, [Tokenizer.DecodeTarget] the text of what a model generated.
//
//	tok, err := tokenizer.Load("bert-base-uncased")
//	…
//	defer tok.Close()
//	enc, truncated, err := tok.Encode("A man plays.", nil, 128)
//
// The Rust library aborts the whole process on some malformed files and on NUL characters in its own error
// messages, and ends texts at them. What leads there is refused in Go before the library sees it.
package tokenizer
