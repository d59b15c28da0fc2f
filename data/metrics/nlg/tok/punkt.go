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
		// One place in each run can end a sentence: the last one before the end of it or before punctuation.
		for k := len(run); k > 0; k-- {
			if strings.IndexByte(".?!", run[k-1]) < 0 {
				continue
			}
			rest, next := after, untilSpace(after)
			if k < len(run) {
				rest, next = text[i+k:], ""
				if isPunktPunctuation(run[k]) {
					next = run[k : k+1]
				}
			}
			if next == "" {
				continue
			}
			if endsSentence(append(punktWords(run[:k]), punktWords(next)...)) {
				end := i + k
				if closed, ok := afterClosing(rest); ok {
					end, rest = len(text)-len(closed), strings.TrimLeftFunc(closed, isSpace)
				}
				out = append(out, text[start:end])
				start = len(text) - len(rest)
			}
			break
		}
		i = len(text) - len(after)
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}

// afterClosing returns what follows quotes and brackets that close the sentence before.
func afterClosing(text string) (rest string, ok bool) {
	rest = strings.TrimLeft(text, `"')]}`)
	first, _ := utf8.DecodeRuneInString(rest)
	return rest, len(rest) < len(text) && (rest == "" || isSpace(first) || strings.HasPrefix(rest, "--"))
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
	for _, words := range []*map[string]bool{&model.abbreviations, &model.together, &model.starters, &model.common, &model.both, &model.small} {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		*words = set(line)
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
	initial := width == len(word)-1 && isWord(letter) && !unicode.IsDigit(letter)
	if abbreviation && !initial { // 4.2
		return starts == yes || isUpper(first) && m.starters[nextKind]
	}
	if initial || kind == punktNumber { // 4.3
		name := initial && isUpper(first) && !m.common[nextKind] && !m.both[nextKind]
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
	case isUpper(first) && m.common[kind]:
		return yes
	case isLower(first) && !m.small[kind]:
		return no
	}
	return unknown
}

func isUpper(r rune) bool { return unicode.IsUpper(r) || unicode.Is(unicode.Other_Uppercase, r) }

func isLower(r rune) bool { return unicode.IsLower(r) || unicode.Is(unicode.Other_Lowercase, r) }

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
