// Package generate writes texts with a language model: greedily, by beam search
// under the rules of transformers or of LoRA's own decoder, or by sampling.
//
// A search is plain Go over the few best tokens of every text; the model computes
// each text's next token once, and a prompt that many texts share once too. Texts
// that are finished leave the batch.
package generate
