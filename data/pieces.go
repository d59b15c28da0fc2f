package data

import "fmt"

// WordSplitter says where to cut a sentence: Split returns the number of words of each piece, at least 1.
// Their sum is len(words).
type WordSplitter interface {
	Split(words []string) ([]int, error)
}

// Pieces returns the data set of the pieces of d's sentences: those that are too long for a model are cut between
// words into several examples, those without words are in no piece. The words of all pieces, one after the other,
// are those of d, with which they are shared, and so is what is predicted for them. Cut are the places in d of
// the sentences that were cut. A data set of another kind is its own pieces.
func Pieces(d *Dataset, splitter WordSplitter) (pieces *Dataset, cut []int, err error) {
	if d.Kind != Tagging {
		return d, nil, nil
	}
	p := *d
	p.Examples = nil
	for i, ex := range d.Examples {
		lengths, err := splitter.Split(ex.Words)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", ex.Where(), err)
		}
		if len(lengths) > 1 {
			cut = append(cut, i)
		}
		words, tags := ex.Words, ex.Tags
		for _, n := range lengths {
			ex.Sentence = &Sentence{words[:n:n], tags[:n:n]}
			words, tags = words[n:], tags[n:]
			p.Examples = append(p.Examples, ex)
		}
	}
	return &p, cut, nil
}
