// Package meteor computes METEOR 1.5 for English: the number that METEOR's Java program prints with "-l en -norm",
// which the scripts of the E2E and WebNLG challenges and of LoRA call.
//
//	Denkowski and Lavie (2014), "Meteor Universal: Language Specific Translation Evaluation for Any Target Language"
//
// An output is aligned to a reference word by word: words that are equal, that have the same stem, that share a
// synset of WordNet, and phrases that are paraphrases of each other. Words count by how they match and whether they
// are content or function words; precision, recall and the number of chunks of the alignment make the score.
//
// METEOR's lists of words are compiled in (lists.zip, which make_lists.py makes). The table of paraphrases is a file of
// its own, data/paraphrase-en.gz of METEOR 1.5, and optional: without it scores come out about 0.0025 lower than the
// published ones on E2E, so [Meteor.Label] says which of the two it is.
//
// The search is METEOR's with all that is surprising in it, since the published numbers have it too. Comments name
// the file and the lines of METEOR's source (github.com/cmu-mtlab/meteor, commit 57a9ec5) where that is.
// So this package is under METEOR's licence, the LGPL 2.1 (COPYING), where the rest of the program is under Apache 2.0.
package meteor
