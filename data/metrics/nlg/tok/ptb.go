package tok

import (
	"slices"
	"strings"
)

// PTB returns the words of a line as Stanford's PTBTokenizer 3.4.1 gives them with -preserveLines -lowerCase.
func PTB(line string) []string { return strings.Fields(Lower(line)) }

// WithoutPunctuation returns the words that pycoco keeps of PTB's.
func WithoutPunctuation(words []string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return punctuation[w] })
}

// punctuation is pycoco's list. The brackets in it are in upper case, but those that PTB gives are not, so they stay.
var punctuation = map[string]bool{
	"''": true, "'": true, "``": true, "`": true, "-LRB-": true, "-RRB-": true, "-LCB-": true, "-RCB-": true,
	".": true, "?": true, "!": true, ",": true, ":": true, "-": true, "--": true, "...": true, ";": true,
}
