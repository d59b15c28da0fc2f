package tok

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// sentences splits a text as NLTK's Punkt does with its English model (Kiss and Strunk 2006, "Unsupervised multilingual
// sentence boundary detection").
func sentences(text string) []string {
	text = strings.TrimRightFunc(text, isSpace)
	var out []string
	start := 0
	for i := 0; i < len(text); {
		run := untilSpace(text[i:])
		after := strings.TrimLeftFunc(text[i+len(run):], isSpace)
		following := len(text) - len(after) // where the next run starts
		// One place in each run can end a sentence: the last one before the end of it or before punctuation.
		for k := len(run); k > 0; k-- {
			if strings.IndexByte(".?!", run[k-1]) < 0 {
				continue
			}
			next, at := "", i+k
			if k == len(run) {
				next, at = untilSpace(after), following
			} else if isPunktPunctuation(run[k]) {
				next = run[k : k+1]
			}
			if next == "" {
				continue
			}
			if endsSentence(append(punktWords(run[:k]), punktWords(next)...)) {
				out = append(out, text[start:i+k])
				start = at
			}
			break
		}
		i = following
	}
	return withClosing(append(out, text[start:]))
}

// withClosing moves quotes and brackets at the start of a sentence to the end of the one before.
func withClosing(sentences []string) []string {
	var out []string
	for _, s := range sentences {
		rest := strings.TrimLeft(s, `"')]}`)
		trimmed := strings.TrimLeftFunc(rest, isSpace)
		if len(out) > 0 && len(rest) < len(s) && (len(trimmed) < len(rest) || rest == "" || strings.HasPrefix(rest, "--")) {
			out[len(out)-1] += s[:len(s)-len(rest)]
			s = trimmed
		}
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func untilSpace(text string) string {
	if i := strings.IndexFunc(text, isSpace); i >= 0 {
		return text[:i]
	}
	return text
}

// punktWords are the words and the punctuation in a run. A full stop belongs to the word before it.
func punktWords(run string) []string {
	var out []string
	for run != "" {
		n := len(run) - len(strings.TrimLeft(run, run[:1]))
		if n < 2 || run[0] != '-' && run[0] != '.' {
			_, n = utf8.DecodeRuneInString(run)
			if !strings.ContainsRune("(\"`{[:;&#*@)}]-,", rune(run[0])) {
				for n < len(run) && !endsPunktWord(run[n:]) {
					n++
				}
			}
		}
		out = append(out, run[:n])
		run = run[n:]
	}
	return out
}

// endsPunktWord holds if a word before the rest of a run is at its end.
func endsPunktWord(rest string) bool {
	if rest[0] == ',' {
		return len(rest) == 1 || rest[1] != ',' && endsPunktWord(rest[1:])
	}
	return isPunktPunctuation(rest[0]) || strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "..")
}

func isPunktPunctuation(c byte) bool { return strings.IndexByte(`?!)";}]*:@'({[`, c) >= 0 }

// endsSentence holds if one of these words but the last ends a sentence.
func endsSentence(words []string) bool {
	model := punktEnglish()
	for i, word := range words[:len(words)-1] {
		if model.ends(word, words[i+1]) {
			return true
		}
	}
	return false
}

// punktModel is what Punkt learnt from American newspapers. Words are in lower case.
type punktModel struct {
	abbreviations map[string]bool // without the last full stop
	together      map[string]bool // "b,levine": no sentence ends between "b." and "levine"
	starters      map[string]bool // often the first word of a sentence
	common        map[string]bool // seen with a small letter, and never with a capital inside a sentence
	both          map[string]bool // seen with a small letter, and with a capital inside a sentence
	small         map[string]bool // seen at the start of a sentence with a small letter, and never with a capital
}

//go:embed punkt_english.txt.gz
var punktEnglishFile []byte

// punktEnglish reads the file that make_punkt.py writes.
var punktEnglish = sync.OnceValue(func() *punktModel {
	r, err := gzip.NewReader(bytes.NewReader(punktEnglishFile))
	if err != nil {
		panic(err) // the file is part of the program
	}
	b, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	var model punktModel
	rest := string(b)
	for _, set := range []*map[string]bool{&model.abbreviations, &model.together, &model.starters, &model.common, &model.both, &model.small} {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		*set = make(map[string]bool, strings.Count(line, " ")+1)
		for _, word := range strings.Fields(line) {
			(*set)[word] = true
		}
	}
	return &model
})

// ends holds if a word with what is after it ends a sentence. The sections are those of Kiss and Strunk.
func (m *punktModel) ends(word, next string) bool {
	ends, abbreviation := m.byType(word)
	if !strings.HasSuffix(word, ".") {
		return ends
	}
	kind := withoutFullStop(punktKind(word))
	nextKind := punktKind(next)
	if nextEnds, _ := m.byType(next); nextEnds {
		nextKind = withoutFullStop(nextKind)
	}
	if m.together[kind+","+nextKind] { // 4.1.2
		return false
	}
	first, _ := utf8.DecodeRuneInString(next)
	starts := m.startsSentence(next, nextKind, first)
	letter, width := utf8.DecodeRuneInString(word)
	initial := width == len(word)-1 && (letter == '_' || unicode.IsLetter(letter))
	if abbreviation && !initial { // 4.2
		return starts == yes || unicode.IsUpper(first) && m.starters[nextKind]
	}
	if initial || kind == punktNumber { // 4.3
		name := initial && unicode.IsUpper(first) && !m.common[nextKind] && !m.both[nextKind]
		return ends && starts != no && !(starts == unknown && name)
	}
	return ends
}

// byType looks at the word alone. An abbreviation or an ellipsis ends no sentence by itself.
func (m *punktModel) byType(word string) (ends, abbreviation bool) {
	before, stop := strings.CutSuffix(word, ".")
	switch {
	case word == "." || word == "?" || word == "!":
		return true, false
	case strings.Trim(word, ".") == "":
		return false, true
	case !stop || strings.HasSuffix(before, "."):
		return false, false
	}
	before = Lower(before)
	abbreviation = m.abbreviations[before] || m.abbreviations[before[strings.LastIndex(before, "-")+1:]]
	return !abbreviation, abbreviation
}

type answer int8

const (
	unknown answer = iota
	no
	yes
)

// startsSentence tells by its letters whether a word starts a sentence (4.1.1).
func (m *punktModel) startsSentence(word, kind string, first rune) answer {
	switch {
	case len(word) == 1 && strings.Contains(";:,.!?", word):
		return no
	case unicode.IsUpper(first) && m.common[kind]:
		return yes
	case unicode.IsLower(first) && !m.small[kind]:
		return no
	}
	return unknown
}

const punktNumber = "##number##"

// punktKind is the word in lower case. All numbers are of one kind.
func punktKind(word string) string {
	digits := strings.TrimPrefix(word, "-")
	if digits != "" && isPoint(digits[0]) {
		digits = digits[1:]
	}
	if digits != "" && isDigit(digits[0]) && strings.Trim(digits, "0123456789,.-") == "" {
		return punktNumber
	}
	return Lower(word)
}

func withoutFullStop(kind string) string {
	if len(kind) > 1 {
		return strings.TrimSuffix(kind, ".")
	}
	return kind
}
