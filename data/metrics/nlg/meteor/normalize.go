package meteor

import (
	"regexp"
	"strings"

	"autolora/data/metrics/nlg/tok"
)

// prefixes are words that keep the dot behind them. The value says whether only in front of a number.
type prefixes map[string]bool

// letters are what METEOR takes for letters: those of Western European languages and Cyrillic (Normalizer.java 37).
const letters = `A-Za-zÀ-ÖØ-öø-ž\x{400}-\x{527}\x{1d00}-\x{1d7f}\x{a640}-\x{a66e}\x{a67e}-\x{a697}`

var (
	letter = regexp.MustCompile("[" + letters + "]")
	// wideSpace is white space beyond ASCII (Normalizer.java 111).
	wideSpace = regexp.MustCompile(`^[\x{a0}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]`)
)

// normal are METEOR's replacements (Normalizer.java 195 to 240). METEOR calls two or more dots in a row DOTMULTI in
// the meantime, so that no rule sees a dot.
var normal = tok.NewRules(
	"", `^|$`, " ",
	"", "[^"+letters+"0-9\t-\r .'`,‘’-]", " $0 ",
	".", `\.{2,}`, " $0 ",
	",", `([^0-9]),([^0-9])`, "$1 , $2",
	",", `([0-9]),([^0-9])`, "$1 , $2",
	",", `([^0-9]),([0-9])`, "$1 , $2",
	"`‘’", "[`‘’]", "'",
	"–", "–", "-",
	"“”'", `[“”]|''`, ` " `,
	"-", "--", "-",
	"-", "([."+letters+"0-9])-(["+letters+"0-9])", "$1 $2",
	"'", "([^"+letters+"])'([^"+letters+"])", "$1 ' $2",
	"'", "([^"+letters+"0-9])'(["+letters+"])", "$1 ' $2",
	"'", "(["+letters+"])'([^"+letters+"])", "$1 ' $2",
	"'", "(["+letters+"])'(["+letters+"])", "$1 '$2",
	"'", `([0-9])'s`, "$1 's",
)

// space is what Java's StringTokenizer splits at.
func space(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' && r != '\v' }

// fields splits a line into words.
func fields(line string) []string { return strings.FieldsFunc(line, space) }

// normalize splits a text into words as METEOR's -norm does: punctuation is set apart and kept, quotes and dashes
// are made plain, hyphens and the dots of abbreviations are dropped (Normalizer.java 174).
func (p prefixes) normalize(text string) string {
	words := fields(normal.Replace(text))
	out := make([]string, 0, len(words)+1)
	for i, word := range words {
		next := byte(0)
		if i+1 < len(words) {
			next = words[i+1][0]
		}
		stem, dotted := strings.CutSuffix(word, ".")
		beforeNumber, listed := p[stem]
		switch {
		case wideSpace.MatchString(word):
			// normal has made it a word of its own: it goes (Normalizer.java 305).
		case !dotted, strings.Trim(word, ".") == "":
			out = append(out, word)
		case strings.Contains(stem, ".") && letter.MatchString(stem):
			out = append(out, strings.ReplaceAll(word, ".", "")) // U.S.
		case listed && !beforeNumber, 'a' <= next && next <= 'z', listed && '0' <= next && next <= '9':
			out = append(out, word) // Dr. Smith, Inc. of, No. 5
		default:
			out = append(out, stem, ".")
		}
	}
	return strings.TrimFunc(strings.Join(out, " "), func(r rune) bool { return r <= ' ' })
}
