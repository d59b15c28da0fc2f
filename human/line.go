package human

import (
	"strings"
	"unicode"
)

// Line returns a text that came from elsewhere as one line of letters: what
// would steer a terminal, or turn the direction of what follows, is shown as �.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) && r != '\u00a0':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
