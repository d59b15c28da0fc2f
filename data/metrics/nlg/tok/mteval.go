package tok

import (
	"strings"
	"unicode"
)

// The rules of mteval-v13a.pl. The first ones undo what SGML needs, and join lines: "&amp;lt;" becomes "<".
var mteval13a = NewRules(
	"<", `<skipped>`, "",
	"\n", `-\n`, "",
	"&", `&quot;`, `"`,
	"&", `&amp;`, "&",
	"&", `&lt;`, "<",
	"&", `&gt;`, ">",
	"", `^|$`, " ",
	"", "[{-~[-`!-&(-+:-@/]", " $0 ",
	".,", `([^0-9])([.,])`, "$1 $2 ",
	".,", `([.,])([^0-9])`, " $1 $2",
	"-", `([0-9])-`, "$1 - ",
)

// MTEval13a returns the words of a text as mteval-v13a.pl separates them; pymteval and multi-bleu-detok.perl have the
// same rules. ASCII punctuation but ' and - is a word of its own, and so are . and , unless between digits, and -
// after a digit. Upper and lower case stay as they are.
func MTEval13a(text string) []string { return strings.FieldsFunc(mteval13a.Replace(text), isSpace) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isPoint(c byte) bool { return c == '.' || c == ',' }

// isSpace holds for what Python takes to be white space.
func isSpace(r rune) bool { return unicode.IsSpace(r) || '\x1c' <= r && r <= '\x1f' }
