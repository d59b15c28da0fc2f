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
	text = treebankMarks.Replace(spaceAfterApostrophe(treebankQuotes.Replace(text)))
	return strings.FieldsFunc(splitContractions(text), isSpace)
}

var (
	treebankQuotes = NewRules(
		`"`, `^"`, "``",
		"«“‘„`", "[«“‘„]|``?", " $0 ",
		`"'`, `([ (\[{<])("|'')`, "$1 `` ",
	)
	treebankMarks = NewRules(
		".", `([^.])\.([\])}>"'»”’ ]*)[\pZ\t-\r\x{85}\x1c-\x1f]*$`, "$1 . $2 ",
		":,", `([:,])([^0-9])`, " $1 $2",
		":,", `[:,]$`, " $0",
		".", `\.{2,}`, " $0 ",
		"?!;@#$%&", `[?!;@#$%&]`, " $0 ",
		"'", `([^'])' `, "$1 ' ",
		"*[](){}<>", `[*[\](){}<>]`, " $0 ",
		"-", "--", " -- ",
		"", `^|$`, " ",
		"»”’", "[»”’]", " $0 ",
		`"`, `"`, " '' ",
		"'", `([^ ])''`, "$1 '' ",
		"'", `([^' ])('[sSmMdD]|') `, "$1 $2 ",
		"'", `([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) `, "$1 $2 ",
	)
)

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
