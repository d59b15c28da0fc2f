package nlg

import (
	"strings"

	"autolora/data/metrics/nlg/tok"
)

// Segment is one output of a system with the texts that people wrote for the same input, one or more. Texts are
// single lines.
type Segment struct {
	Hypothesis string
	References []string
}

// PTB returns segments with the texts as pycoco tokenises them before METEOR, ROUGE-L and CIDEr: the words of tok.PTB
// without punctuation, with single spaces between them.
func PTB(segments []Segment) []Segment {
	out := make([]Segment, len(segments))
	for i, s := range segments {
		out[i] = Segment{ptb(s.Hypothesis), make([]string, len(s.References))}
		for r, text := range s.References {
			out[i].References[r] = ptb(text)
		}
	}
	return out
}

func ptb(text string) string { return strings.Join(tok.WithoutPunctuation(tok.PTB(text)), " ") }
