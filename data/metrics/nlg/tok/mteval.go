package tok

import (
	"strings"
	"unicode"
)

// MTEval13a returns the words of a text as mteval-v13a.pl separates them; pymteval and multi-bleu-detok.perl have the
// same rules. ASCII punctuation but ' and - is a word of its own, and so are . and , unless between digits, and -
// after a digit. Upper and lower case stay as they are.
func MTEval13a(text string) []string {
	if strings.ContainsAny(text, "<&\n") {
		text = unescapeSGML(text)
	}
	b := append(make([]byte, 0, 2*len(text)), ' ')
	for i := range len(text) {
		if c := text[i]; isMTEvalPunctuation(c) {
			b = append(b, ' ', c, ' ')
		} else {
			b = append(b, c)
		}
	}
	b = append(b, ' ')
	b = rewrite(b, func(x, y byte) bool { return !isDigit(x) && isPoint(y) }, "x y ")
	b = rewrite(b, func(x, y byte) bool { return isPoint(x) && !isDigit(y) }, " x y")
	b = rewrite(b, func(x, y byte) bool { return isDigit(x) && y == '-' }, "x y ")
	return strings.FieldsFunc(string(b), isSpace)
}

// unescapeSGML undoes what SGML needs, and joins lines. One replacement after the other: "&amp;lt;" becomes "<".
func unescapeSGML(text string) string {
	for _, pair := range [][2]string{{"<skipped>", ""}, {"-\n", ""}, {"&quot;", `"`}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}} {
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	return text
}

// rewrite replaces two bytes x and y that match by a form of them, from left to right and never a byte twice.
func rewrite(text []byte, match func(x, y byte) bool, form string) []byte {
	out := make([]byte, 0, len(text)+len(text)/2)
	for i := 0; i < len(text); i++ {
		if i+1 == len(text) || !match(text[i], text[i+1]) {
			out = append(out, text[i])
			continue
		}
		for _, c := range []byte(form) {
			switch c {
			case 'x':
				c = text[i]
			case 'y':
				c = text[i+1]
			}
			out = append(out, c)
		}
		i++
	}
	return out
}

// isMTEvalPunctuation holds for [\{-\~\[-\` -\&\(-\+\:-\@\/].
func isMTEvalPunctuation(c byte) bool {
	return '{' <= c && c <= '~' || '[' <= c && c <= '`' || ' ' <= c && c <= '&' || '(' <= c && c <= '+' || ':' <= c && c <= '@' || c == '/'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isPoint(c byte) bool { return c == '.' || c == ',' }

// isSpace holds for what Python takes to be white space.
func isSpace(r rune) bool { return unicode.IsSpace(r) || '\x1c' <= r && r <= '\x1f' }
