package data

import "fmt"

// Pieces are the sentences of a data set, those that are too long for a model cut between words into several
// examples. Sentences without words are in no piece.
type Pieces struct {
	*Dataset
	Cut       int   // sentences that were cut
	sentences int   // of the data set that they were made from
	sentence  []int // [pieces] which of them each is from
}

// WordSplitter says where to cut a sentence: Split returns the number of words of each piece, at least 1.
// Their sum is len(words).
type WordSplitter interface {
	Split(words []string) ([]int, error)
}

// NewPieces makes the pieces of d's sentences. They share the words with d, and say its place in the files.
func NewPieces(d *Dataset, splitter WordSplitter) (*Pieces, error) {
	part := *d
	p := &Pieces{Dataset: &part, sentences: d.Len()}
	p.Examples = nil
	for i, ex := range d.Examples {
		lengths, err := splitter.Split(ex.Words)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ex.Where(), err)
		}
		if len(lengths) > 1 {
			p.Cut++
		}
		words, tags := ex.Words, ex.Tags
		for _, n := range lengths {
			ex.Words, words = words[:n:n], words[n:]
			ex.Tags, tags = tags[:n:n], tags[n:]
			p.Examples = append(p.Examples, ex)
			p.sentence = append(p.sentence, i)
		}
	}
	return p, nil
}

// Join puts together what belongs to the words of each piece, predicted tags for instance: from [pieces][words
// of the piece] to [sentences][words].
func Join[T any](p *Pieces, pieces [][]T) [][]T {
	sentences := make([][]T, p.sentences)
	for i := range sentences {
		sentences[i] = []T{}
	}
	for i, piece := range pieces {
		sentences[p.sentence[i]] = append(sentences[p.sentence[i]], piece...)
	}
	return sentences
}
