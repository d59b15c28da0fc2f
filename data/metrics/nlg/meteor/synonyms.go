package meteor

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// synonyms is WordNet: which synsets a word is in. METEOR keeps a synset's offset in the files of WordNet but not its
// part of speech, so words of different ones can meet in a number by chance (SynonymDictionary.java 67).
type synonyms struct {
	synsets map[string][]int32
	bases   map[string][]string // of irregular forms
}

// of returns the synsets of a word as it stands and of the words that it may be a form of, in ascending order.
func (s *synonyms) of(word string) []int32 {
	ids := slices.Clone(s.synsets[word])
	if bases, ok := s.bases[word]; ok {
		for _, base := range bases {
			ids = append(ids, s.synsets[base]...)
		}
	} else if base, ok := s.base(word); ok {
		ids = append(ids, s.synsets[base]...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// endings are those of nouns, verbs and adjectives and what stands there in the base form, in the order of WordNet's
// own program (SynonymDictionary.java 128).
var endings = [...]struct{ form, base string }{
	{"s", ""}, {"ses", "s"}, {"xes", "x"}, {"zes", "z"}, {"ches", "ch"}, {"shes", "sh"}, {"men", "man"}, {"ies", "y"},
	{"s", ""}, {"ies", "y"}, {"es", "e"}, {"es", ""}, {"ed", "e"}, {"ed", ""}, {"ing", "e"}, {"ing", ""},
	{"er", ""}, {"est", ""}, {"er", "e"}, {"est", "e"},
}

// base returns the first word of WordNet of which the word looks like a regular form. WordNet looks for that of
// "box" in "boxful"; METEOR's program means to and does not (SynonymDictionary.java 149 and 157).
func (s *synonyms) base(word string) (string, bool) {
	if strings.HasSuffix(word, "ss") || utf8.RuneCountInString(word) <= 2 {
		return "", false
	}
	for _, ending := range endings {
		if stem, ok := strings.CutSuffix(word, ending.form); ok {
			if base := stem + ending.base; s.synsets[base] != nil {
				return base, true
			}
		}
	}
	return "", false
}

// meet reports whether two ascending lists share a number.
func meet(a, b []int32) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			return true
		}
	}
	return false
}
