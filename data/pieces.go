package data

import "fmt"

// Splitter says what examples to make of one. Split says where to cut a sentence: it returns the number of words of each
// piece, at least 1, whose sum is len(words). SplitChat returns the conversations to make of one, at least one.
type Splitter interface {
	Split(words []string) ([]int, error)
	SplitChat(c *Conversation) ([]*Conversation, error)
}

// Pieces returns the data set of the pieces of d's sentences: those that are too long for a model are cut between
// words into several examples, those without words are in no piece. The words of all pieces, one after the other,
// are those of d, with which they are shared, and so is what is predicted for them. Conversations are as SplitChat makes
// them. Cut are the places in d of the examples that became several. A data set of another kind is its own pieces.
func Pieces(d *Dataset, splitter Splitter) (pieces *Dataset, cut []int, err error) {
	if d.Kind != Tagging && d.Kind != Chat {
		return d, nil, nil
	}
	p := *d
	p.Examples = nil
	for i, ex := range d.Examples {
		if ex.Chat != nil {
			chats, err := splitter.SplitChat(ex.Chat)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", ex.Where(), err)
			}
			if len(chats) > 1 {
				cut = append(cut, i)
			}
			for k, c := range chats {
				ex.Chat, ex.Further = c, k > 0
				p.Examples = append(p.Examples, ex)
			}
			continue
		}
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
			ex.Further = true
		}
	}
	return &p, cut, nil
}
