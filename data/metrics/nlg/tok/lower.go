package tok

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// Lower returns a text in lower case as Python's str.lower and Java's toLowerCase do: other than for strings.ToLower,
// İ becomes i with a dot above, two characters, and Σ at the end of a word ς.
func Lower(text string) string {
	if strings.Contains(text, "İ") || strings.Contains(text, "Σ") {
		return cases.Lower(language.Und).String(text)
	}
	return strings.ToLower(text)
}

// LowerASCII returns a text with the letters A to Z in lower case, as Perl does with bytes.
func LowerASCII(text string) string {
	b := []byte(text)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}
