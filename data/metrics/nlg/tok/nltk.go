package tok

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// NLTK returns the words of a text as word_tokenize of NLTK 3.5 does: Punkt finds the sentences, and their words are
// those of the Penn Treebank, with a full stop apart only at the end of a sentence.
func NLTK(text string) []string {
	var words []string
	for _, sentence := range sentences(text) {
		words = append(words, treebank(sentence)...)
	}
	return words
}

// treebank is NLTKWordTokenizer, one replacement after the other. Those that only add spaces to spaces are left out.
func treebank(text string) []string {
	if strings.HasPrefix(text, `"`) {
		text = "``" + text[1:]
	}
	text = openingQuotes.Replace(spaced(text, "«“‘„"))
	text = quotesAfterSpace.Replace(text)
	text = spaceAfterApostrophe(text)
	text = spaceFullStop(text)
	text = string(rewrite([]byte(text), func(x, y byte) bool { return (x == ':' || x == ',') && !isDigit(y) }, " x y"))
	if strings.HasSuffix(text, ":") || strings.HasSuffix(text, ",") {
		text = text[:len(text)-1] + " " + text[len(text)-1:]
	}
	text = spaceDots(text)
	text = spaced(text, "?!;@#$%&")
	text = spaceEndings(text, "'", " ", "'")
	text = spaced(text, "*[](){}<>")
	text = strings.ReplaceAll(text, "--", " -- ")
	text = " " + text + " "
	text = spaced(text, "»”’")
	text = strings.ReplaceAll(text, `"`, " '' ")
	text = spaceEndings(text, " ", "", "''")
	text = spaceEndings(text, " '", " ", "'s", "'S", "'m", "'M", "'d", "'D", "'")
	text = spaceEndings(text, " '", " ", "'ll", "'LL", "'re", "'RE", "'ve", "'VE", "n't", "N'T")
	text = splitContractions(text)
	return strings.FieldsFunc(text, isSpace)
}

var (
	openingQuotes    = strings.NewReplacer("``", " `` ", "`", " ` ")
	quotesAfterSpace = strings.NewReplacer(
		` "`, "  `` ", `("`, "( `` ", `["`, "[ `` ", `{"`, "{ `` ", `<"`, "< `` ",
		" ''", "  `` ", "(''", "( `` ", "[''", "[ `` ", "{''", "{ `` ", "<''", "< `` ")
)

// spaced puts spaces around some characters.
func spaced(text, characters string) string {
	if !strings.ContainsAny(text, characters) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(characters, r) {
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// spaceAfterApostrophe parts an apostrophe from a word of one letter, unless that is a clitic.
func spaceAfterApostrophe(text string) string {
	var b strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "'")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('\'')
		letter, width := utf8.DecodeRuneInString(after)
		next, _ := utf8.DecodeRuneInString(after[width:])
		if isWord(letter) && !strings.ContainsRune("mtsdMTSD", letter) && !(isWord(next) && len(after) > width) {
			b.WriteByte(' ')
		}
		rest = after
	}
}

// spaceFullStop parts the full stop at the end, which only closing quotes and brackets may follow.
func spaceFullStop(text string) string {
	trimmed := strings.TrimRightFunc(text, isSpace)
	before := strings.TrimRight(trimmed, "])}>\"'»”’ ")
	closing := trimmed[len(before):]
	before, found := strings.CutSuffix(before, ".")
	if !found || before == "" || strings.HasSuffix(before, ".") {
		return text
	}
	return before + " . " + closing + " "
}

// spaceDots parts two dots or more.
func spaceDots(text string) string {
	var b strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "..")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		rest = strings.TrimLeft(after, ".")
		b.WriteString(" ..")
		b.WriteString(after[:len(after)-len(rest)])
		b.WriteByte(' ')
	}
}

// spaceEndings parts endings from what is before them, if that is none of the characters apart, and puts a space in
// the place of what follows them.
func spaceEndings(text, apart, after string, endings ...string) string {
	if !strings.Contains(text, "'") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, width := utf8.DecodeRuneInString(text[i:])
		b.WriteString(text[i : i+width])
		i += width
		if strings.ContainsRune(apart, r) {
			continue
		}
		for _, ending := range endings {
			if strings.HasPrefix(text[i:], ending) && strings.HasPrefix(text[i+len(ending):], after) {
				b.WriteString(" " + ending + " ")
				i += len(ending) + len(after)
				break
			}
		}
	}
	return b.String()
}

// contractions are words that are two, the second from a place on.
var contractions = []struct {
	word   string
	second int
}{{"cannot", 3}, {"d'ye", 1}, {"gimme", 3}, {"gonna", 3}, {"gotta", 3}, {"lemme", 3}, {"mor'n", 3}, {"wanna", 3}, {"'tis", 2}, {"'twas", 2}}

// splitContractions splits them, in upper and lower case, where they are words. In front of 'tis and 'twas, and behind
// wanna, there must be a space.
func splitContractions(text string) string {
	lower := LowerASCII(text)
	for _, c := range contractions {
		if !strings.Contains(lower, c.word) {
			continue
		}
		for i := strings.LastIndex(lower, c.word); i >= 0; i = strings.LastIndex(lower[:i], c.word) {
			word, rest := text[i:i+len(c.word)], text[i+len(c.word):]
			before, _ := utf8.DecodeLastRuneInString(text[:i])
			after, _ := utf8.DecodeRuneInString(rest)
			if isWord(before) || isWord(after) || c.word[0] == '\'' && before != ' ' || c.word == "wanna" && !isSpace(after) {
				continue
			}
			text = text[:i] + " " + word[:c.second] + " " + word[c.second:] + " " + rest
		}
		lower = LowerASCII(text)
	}
	return text
}

// isWord holds for what \w matches in Python.
func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) }
