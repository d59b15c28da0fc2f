package tok

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mteval13a is what mteval-v13a.pl replaces first, one after the other, to undo what SGML needs and to join lines:
// "&amp;lt;" becomes "<".
var mteval13a = [][2]string{{"<skipped>", ""}, {"-\n", ""}, {"&quot;", `"`}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}}

// MTEval13a returns the words of a text as mteval-v13a.pl separates them; pymteval and multi-bleu-detok.perl have the
// same rules. ASCII punctuation but ' and - is a word of its own, and so are . and , unless between digits, and -
// after a digit. Upper and lower case stay as they are.
func MTEval13a(text string) []string {
	for _, r := range mteval13a {
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	words := make([]string, 0, len(text)/5)
	start, taken := 0, false
	for i, c := range text {
		alone, space := false, false // c is a word; c is between words
		digit := i > 0 && isDigit(text[i-1])
		// The rules of points are ([^0-9])([.,]), where no two matches share a character, and then ([.,])([^0-9]). So
		// the first has every second one of a row; the last of "a..5" and "1...5" stays with the 5.
		taken = isPoint(text[i]) && !taken && !digit
		switch {
		case isPoint(text[i]):
			alone = taken || i+1 == len(text) || !isDigit(text[i+1])
		case c == '-':
			alone = digit
		case '!' <= c && c <= '&', '(' <= c && c <= '+', c == '/', ':' <= c && c <= '@', '[' <= c && c <= '`', '{' <= c && c <= '~':
			alone = true
		default:
			space = isSpace(c)
		}
		if !alone && !space {
			continue
		}
		if start < i {
			words = append(words, text[start:i])
		}
		start = i + utf8.RuneLen(c)
		if alone {
			words = append(words, text[i:start])
		}
	}
	if start < len(text) {
		words = append(words, text[start:])
	}
	return words
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isPoint(c byte) bool { return c == '.' || c == ',' }

// isSpace holds for what Python takes to be white space.
func isSpace(r rune) bool { return unicode.IsSpace(r) || '\x1c' <= r && r <= '\x1f' }
