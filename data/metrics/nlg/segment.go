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
// without punctuation, with single spaces between them. It takes all outputs for one file and all references for another,
// as pycoco does.
func PTB(segments []Segment) []Segment {
	var hypotheses, references []string
	for _, s := range segments {
		hypotheses = append(hypotheses, s.Hypothesis)
		references = append(references, s.References...)
	}
	hypotheses, references = ptb(hypotheses), ptb(references)
	out := make([]Segment, len(segments))
	for i, s := range segments {
		n := len(s.References)
		out[i] = Segment{hypotheses[i], references[:n:n]}
		references = references[n:]
	}
	return out
}

func ptb(lines []string) []string {
	out := make([]string, len(lines))
	for i, words := range tok.PTB(lines) {
		out[i] = strings.Join(tok.WithoutPunctuation(words), " ")
	}
	return out
}
