package tok

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// PTB returns the words of each line as Stanford's PTBTokenizer 3.4.1 gives them with -preserveLines -lowerCase, when it
// reads all these lines from one file: what the next line begins with decides whether a line that ends in "Inc." gets
// a full stop of its own. Words can have U+00A0 in them: "3 1/2" is one.
func PTB(lines []string) [][]string {
	if len(lines) == 0 {
		return nil
	}
	out := make([][]string, 0, len(lines))
	var words []string
	lexer := ptbLexer()
	lexer.Lock()
	defer lexer.Unlock()
	for text := joinLines(lines); text != ""; {
		i, length := lexer.next(text)
		if i == none { // a character that it does not know and leaves out
			_, length = utf8.DecodeRuneInString(text)
			text = text[length:]
			continue
		}
		word := text[:length]
		if ptbRules[i].word == nil {
			word = ptbSpelling(Lower(word))
		} else {
			word, length = ptbRules[i].word(word)
		}
		text = text[length:]
		switch word {
		case "":
		case "\n":
			out = append(out, words)
			words = nil
		default:
			words = append(words, word)
		}
	}
	return append(out, words)
}

// joinLines joins lines with "\n". Other line ends in them become spaces.
func joinLines(lines []string) string {
	text := strings.Join(lines, "\n")
	if strings.Count(text, "\n") < len(lines) && !strings.ContainsAny(text, "\r\v\f\u2028\u2029") {
		return text
	}
	spaces := strings.NewReplacer("\n", " ", "\r", " ", "\v", " ", "\f", " ", "\u2028", " ", "\u2029", " ")
	lines = slices.Clone(lines)
	for i, line := range lines {
		lines[i] = spaces.Replace(line)
	}
	return strings.Join(lines, "\n")
}

// WithoutPunctuation returns the words that pycoco keeps of PTB's. It deletes the others in place.
func WithoutPunctuation(words []string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return punctuation[w] })
}

// punctuation is pycoco's list. The brackets in it are in upper case, but those that PTB gives are not, so they stay.
var punctuation = map[string]bool{
	"''": true, "'": true, "``": true, "`": true, "-LRB-": true, "-RRB-": true, "-LCB-": true, "-RCB-": true,
	".": true, "?": true, "!": true, ",": true, ":": true, "-": true, "--": true, "...": true, ";": true,
}

// ptbSpelling returns the form in which PTB writes a token in lower case.
func ptbSpelling(token string) string {
	if form, ok := ptbForms[token]; ok {
		return form
	}
	if strings.ContainsAny(token, " ()&") || strings.Contains(token, "\u00ad") {
		return ptbInside.Replace(token)
	}
	return token
}

var (
	ptbForms = map[string]string{
		"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", "&lt;": "<", "&gt;": ">",
		"¢": "cents", "£": "#", "€": "$", "₠": "$", "¤": "$", "\u0080": "$", // dollars are the Treebank's only currency
		"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "\u00ad": "-",
	}
	ptbInside = strings.NewReplacer(" ", "\u00a0", "(", "-lrb-", ")", "-rrb-", "&amp;", "&", "\u00ad", "")
)
