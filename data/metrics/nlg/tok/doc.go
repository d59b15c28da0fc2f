// Package tok separates the words of texts as the official scripts do that score generated texts: mteval-v13a,
// Stanford's PTBTokenizer, NLTK's word_tokenize, and the expression with which LoRA's decoder prepares WebNLG.
package tok
