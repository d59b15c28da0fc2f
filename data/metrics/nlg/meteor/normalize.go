package meteor

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// prefixes are words that keep the dot behind them. The value says whether only in front of a number.
type prefixes map[string]bool

// letters are what METEOR takes for letters: those of Western European languages and Cyrillic (Normalizer.java 37).
var letters = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 'A', Hi: 'Z', Stride: 1},
		{Lo: 'a', Hi: 'z', Stride: 1},
		{Lo: 'À', Hi: 'Ö', Stride: 1},
		{Lo: 'Ø', Hi: 'ö', Stride: 1},
		{Lo: 'ø', Hi: 'ž', Stride: 1},
		{Lo: 0x0400, Hi: 0x0527, Stride: 1},
		{Lo: 0x1d00, Hi: 0x1d7f, Stride: 1},
		{Lo: 0xa640, Hi: 0xa66e, Stride: 1},
		{Lo: 0xa67e, Hi: 0xa697, Stride: 1},
	},
	LatinOffset: 4,
}

// Classes of characters that stand in METEOR's regular expressions.
func letter(r rune) bool           { return unicode.Is(letters, r) }
func notLetter(r rune) bool        { return !letter(r) }
func digit(r rune) bool            { return '0' <= r && r <= '9' }
func notDigit(r rune) bool         { return !digit(r) }
func letterOrDigit(r rune) bool    { return letter(r) || digit(r) }
func notLetterOrDigit(r rune) bool { return !letterOrDigit(r) }
func dotOrInWord(r rune) bool      { return r == '.' || letterOrDigit(r) }
func lowerCase(r rune) bool        { return 'a' <= r && r <= 'z' }

// space is what Java's StringTokenizer splits at.
func space(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' && r != '\v' }

// wideSpace is white space beyond ASCII (Normalizer.java 111).
func wideSpace(r rune) bool {
	return r == '\u00a0' || '\u2000' <= r && r <= '\u200a' || r == '\u202f' || r == '\u205f' || r == '\u3000'
}

// fields splits a line into words.
func fields(line string) []string { return strings.FieldsFunc(line, space) }

// The replacements of one replacer see what those of the other have made (Normalizer.java 214 to 221).
var (
	plainQuotes  = strings.NewReplacer("`", "'", "‘", "'", "’", "'", "–", "-")
	doubleQuotes = strings.NewReplacer("“", ` " `, "”", ` " `, "''", ` " `, "--", "-")
)

// normalize splits a text into words as METEOR's -norm does: punctuation is set apart and kept, quotes and dashes
// are made plain, hyphens and the dots of abbreviations are dropped (Normalizer.java 174).
func (p prefixes) normalize(text string) string {
	line := isolate(text)
	line = between(line, notDigit, ",", notDigit, " , ")
	line = between(line, digit, ",", notDigit, " , ")
	line = between(line, notDigit, ",", digit, " , ")
	line = doubleQuotes.Replace(plainQuotes.Replace(line))
	line = between(line, dotOrInWord, "-", letterOrDigit, " ")
	line = between(line, notLetter, "'", notLetter, " ' ")
	line = between(line, notLetterOrDigit, "'", letter, " ' ")
	line = between(line, letter, "'", notLetter, " ' ")
	line = between(line, letter, "'", letter, " '")
	line = between(line, digit, "'", func(r rune) bool { return r == 's' }, " '")

	words := fields(line)
	out := make([]string, 0, len(words)+1)
	for i, word := range words {
		next := utf8.RuneError
		if i+1 < len(words) {
			next, _ = utf8.DecodeRuneInString(words[i+1])
		}
		stem, dotted := strings.CutSuffix(word, ".")
		beforeNumber, listed := p[stem]
		switch {
		case strings.IndexFunc(word, wideSpace) == 0:
			// isolate has made it a word of its own: it goes (Normalizer.java 305).
		case !dotted, strings.Trim(word, ".") == "":
			out = append(out, word)
		case strings.Contains(stem, ".") && strings.ContainsFunc(stem, letter):
			out = append(out, strings.ReplaceAll(word, ".", "")) // U.S.
		case listed && !beforeNumber, lowerCase(next), listed && digit(next):
			out = append(out, word) // Dr. Smith, Inc. of, No. 5
		default:
			out = append(out, stem, ".")
		}
	}
	return strings.TrimFunc(strings.Join(out, " "), func(r rune) bool { return r <= ' ' })
}

// isolate puts spaces around the text and around all of it that is neither letter, digit, ASCII's white space nor
// one of .'`,-‘’ and around two or more dots in a row. METEOR calls these DOTMULTI in the meantime, so that no rule
// sees a dot (Normalizer.java 195 to 206).
func isolate(text string) string {
	var b strings.Builder
	b.Grow(2 * len(text))
	b.WriteByte(' ')
	for i, r := range text {
		switch {
		case r == '.':
			before, after := i > 0 && text[i-1] == '.', strings.HasPrefix(text[i+1:], ".")
			if after && !before {
				b.WriteByte(' ')
			}
			b.WriteByte('.')
			if before && !after {
				b.WriteByte(' ')
			}
		case letterOrDigit(r), space(r), r == '\v', strings.ContainsRune("'`,-‘’", r):
			b.WriteRune(r)
		default:
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		}
	}
	b.WriteByte(' ')
	return b.String()
}

// between replaces a mark between two characters, as a regular expression does: what stands behind one mark cannot
// stand before the next one as well, so that a-b-c becomes a b-c.
func between(line string, before func(rune) bool, mark string, after func(rune) bool, with string) string {
	if !strings.Contains(line, mark) {
		return line
	}
	var b strings.Builder
	b.Grow(len(line) + len(line)/4)
	done := 0 // up to here line is written, or has matched
	for at := 0; ; {
		n := strings.Index(line[at:], mark)
		if n < 0 {
			break
		}
		at += n
		end := at + len(mark)
		left, size := utf8.DecodeLastRuneInString(line[done:at])
		right, next := utf8.DecodeRuneInString(line[end:])
		if size > 0 && next > 0 && before(left) && after(right) {
			b.WriteString(line[done:at])
			b.WriteString(with)
			b.WriteString(line[end : end+next])
			end += next
			done = end
		}
		at = end
	}
	b.WriteString(line[done:])
	return b.String()
}
