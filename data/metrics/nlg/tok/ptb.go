package tok

// The rules of this file were written anew, from:
//   - the Penn Treebank's conventions as they are published (Marcus, Santorini and Marcinkiewicz 1993; Robert
//     MacIntyre's description of the treebank's tokenisation): clitics, contractions, directed quotes, -LRB- for a
//     bracket, an abbreviation that keeps its full stop;
//   - NLTK's TreebankWordTokenizer and NLTKWordTokenizer (Apache-2.0);
//   - texts with the words that the official program, PTBTokenizer 3.4.1, gives for them: testdata/sample.jsonl and
//     the stored values of the official scores.
// The source of that program was not used. Where these say nothing the rules follow the conventions, and so may differ
// from the program in texts that are unlike them.

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// PTB returns the words of each line as Stanford's PTBTokenizer 3.4.1 gives them with -preserveLines -lowerCase, when it
// reads all these lines from one file: what the next line begins with decides whether a line that ends in "Inc." gets
// a full stop of its own. Words can have U+00A0 in them: "3 1/2" is one.
func PTB(lines []string) [][]string {
	out := make([][]string, len(lines))
	next := "" // what the line after this one begins with
	for i, line := range slices.Backward(lines) {
		line = strings.ReplaceAll(line, "&nbsp;", "\u00a0")
		out[i] = ptbLine(line, next)
		if rest := strings.TrimSpace(line); rest != "" {
			next = rest
		}
	}
	return out
}

func ptbLine(line, next string) []string {
	words := make([]string, 0, len(line)/5)
	for at := 0; at < len(line); {
		if line[at] == ' ' {
			at++
			continue
		}
		length := ptbPlain(line[at:])
		if length == 1 || length > 1 && line[at+length-1] != '.' { // nothing to decide
			words = ptbSplit(words, Lower(line[at:at+length]))
			at += length
			continue
		}
		if length == 0 {
			length = len(ptbToken().FindString(line[at:]))
		}
		if length == 0 { // a space, or a character that no word has
			_, length = utf8.DecodeRuneInString(line[at:])
			at += length
			continue
		}
		before, token := line[:at], line[at:at+length]
		token = token[:ptbLength(token, line[at+length:])]
		at += len(token)
		rest := line[at:]
		switch {
		case slices.Contains(ptbDoubleQuotes, token):
			token = "''"
			if opens(before, rest, unicode.IsPrint) {
				token = "``"
			}
		case slices.Contains(ptbApostrophes, token):
			token = "'"
			if opens(before, rest, unicode.IsLetter) {
				token = "`"
			}
		}
		words = ptbSplit(words, ptbSpelling(Lower(token)))
		if ptbEnds(token, rest, next) {
			words = append(words, ".")
		}
	}
	return words
}

// Characters of words, the signs of one apostrophe and ampersand, and what joins two parts of a word.
const (
	ptbW      = `(?:[\pL\pM\d\x{ad}]|&[A-Za-z](?:acute|cedil|circ|grave|ring|tilde|uml);)`
	ptbJoin   = `(?:[-/_'’&]|&amp;|&apos;)`
	ptbNumber = `[-+]?(?:[.,:]?\d)+`
)

// ptbPlain returns the length of a token that is in nearly every text, or 0: 20 times faster than the expression.
func ptbPlain(text string) int {
	n := len(text)
	for i, c := range text {
		if !unicode.IsLetter(c) && !isDigit(text[i]) && (c != '-' || i == 0 || text[i-1] == '-') {
			n = i
			break
		}
	}
	switch {
	case n > 0 && text[n-1] == '-':
		return 0
	case n == len(text):
		return n
	case n > 0 && isDigit(text[n-1]) && n+1 < len(text) && isDigit(text[n+1]): // 3 1/2; 20,000
		return 0
	case text[n] == ' ' || n > 0 && text[n] == ',':
		return n
	case text[n] == ',' || text[n] == '.':
		if n+1 == len(text) || text[n+1] == ' ' && !strings.HasPrefix(text[n:], ". .") {
			return n + 1
		}
	}
	return 0
}

// ptbToken finds the token at the start of a text, the longest one: the order has no meaning.
var ptbToken = sync.OnceValue(func() *regexp.Regexp {
	re := regexp.MustCompile("^(?:" + strings.Join([]string{
		// words, with what joins them inside
		ptbW + `+(?:` + ptbJoin + ptbW + `+)*`,
		`(?:` + ptbW + `+` + ptbJoin + `)*` + ptbW + `*\pL(?:\.\pL+)+(?:'` + ptbW + `+)?`, // file.txt, leader.The
		`\pL(?:\.\pL)+\.?(?:[-/]` + ptbW + `+)*`,                                          // U.S., 9 a.m.-5
		`\pL+\.`,                                                                          // ptbLength takes most full stops away again
		`(?i:cont'd\.|\pL\pL+in')`,                                                        // continued; nothin'
		`[Cc](?:#|\+\+)`, `[A-Z]{1,2}\$`,
		// words that begin with an apostrophe
		`(?:['’]|&apos;)(?i:s|m|d|ll|re|ve|t|tis|twas|em|n|til|cause)\b`, `'[nN]'`, `['’]\d\ds?\b`,
		// numbers
		ptbNumber, ptbNumber + `(?:[-/][.,:]?\d(?:[.,:]?\d)*)+`,
		`\d+[ \x{a0}][1-9]\d?/\d{1,2}`,
		`\(\d{2,4}\) ?\d{3,4}-\d{4}`, `\+\d{1,3}(?: \d{2,4}){2,4}`, // telephones
		// addresses, tags, characters by name, faces
		`(?:https?://|www\.)[^\s<>"]*[^\s<>"'.,;:!?)\]]`, `[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+`, `[@#][A-Za-z_]\w*`,
		`</?[A-Za-z][^<>]*>`, `<!--[^<>]*-->`, `&(?:[A-Za-z]+|#\d+);`,
		`[:;=]-?[()]|[:;]-D|\(-_-\)|\^_\^`,
		// punctuation and signs
		`\.{3,}|\. \. \.|-{2,}|[?!]+|\*+|<<|>>|` + "``" + `|''|-(?i:[LR][RCS]B)-`,
		"[!-/:-@\\[-`{-~¡-¬®-¿×÷\u2010-\u2027\u2030-\u205e\u20a0-\u2bff\u3001-\u303f\uff01-\uff0f]",
	}, "|") + ")")
	re.Longest()
	return re
})

var (
	ptbDoubleQuotes = []string{`"`, "&quot;"}
	ptbApostrophes  = []string{"'", "&apos;"}
	ptbEntities     = []string{"lt", "gt", "quot", "mdash", "ndash"} // that part words
)

// Abbreviations keep their full stop. After those in the second list a sentence can end, and has a full stop of its own.
var (
	ptbAbbreviations = set("abh adv al approx apt art assn attn ave blvd capt cf ch cmdr cont'd col dept dr e.g ed eds esp " +
		"est ext fig figs fr gen gov hon hwy i.e lt maj messrs mr mrs ms mt mts no nos op p para pp pres prof " +
		"rd rep reps rev sec secy sen sens sgt st vol vols vs")
	ptbFinalAbbreviations = set("ala ariz ark bros calif co colo conn corp del esq etc fla ft ga ill inc ind jr kan kans " +
		"ky la llc ltd mass md mich minn miss mo mont neb nev okla ore pa penn plc ph.d pty sr tenn tex va vt wash " +
		"wis wyo jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri")
	// Short names of states and days that are words too are abbreviations with a capital only.
	ptbCapitalOnly = set("ala art ark col del fig gen hon ill ind mar mass miss mo mon no op pa penn pres rep sec sen st sun wash wed")
	// Words that begin a sentence more often than they go on with a name.
	ptbStarters = set("a an and at but for he her his however if in it its nor on or she so that the their there these " +
		"they this those to we what when where which while who with you")
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		m[word] = true
	}
	return m
}

// ptbLength returns how much of what was found is one token: a full stop stays with an abbreviation, an initial but
// "I", and in front of a comma; a number and a word have none between them.
func ptbLength(token, rest string) int {
	if i := strings.LastIndexByte(token, '&'); i > 0 && strings.HasPrefix(rest, ";") && slices.Contains(ptbEntities, token[i+1:]) {
		return i
	}
	stem, found := strings.CutSuffix(token, ".")
	if !found || stem == "" || strings.Contains(stem, ".") || !isWord(lastRune(stem)) || isAbbreviation(stem) {
		return len(token)
	}
	if initial := utf8.RuneCountInString(stem) == 1 && unicode.IsUpper(lastRune(stem)) && stem != "I"; initial || strings.HasPrefix(rest, ",") {
		return len(token)
	}
	return len(stem)
}

func isAbbreviation(stem string) bool {
	lower := LowerASCII(stem)
	return (ptbAbbreviations[lower] || ptbFinalAbbreviations[lower]) && (lower != stem || !ptbCapitalOnly[stem])
}

// ptbEnds reports whether a sentence ends behind a token that has a full stop already: after an abbreviation like
// "Inc." if the next word has a capital, after letters like "U.S." if that word is one that begins sentences.
func ptbEnds(token, rest, next string) bool {
	stem, found := strings.CutSuffix(token, ".")
	if !found {
		return false
	}
	final, letters := ptbFinalAbbreviations[LowerASCII(stem)], strings.Contains(stem, ".")
	if !final && !letters {
		return false
	}
	if following := strings.TrimSpace(rest); following != "" {
		if following == rest {
			return false // "Inc.," and "Inc.-x"
		}
		next = following
	}
	first, _ := utf8.DecodeRuneInString(next)
	if next == "" || !unicode.IsUpper(first) {
		return next == ""
	}
	word := next
	if i := strings.IndexFunc(next, func(r rune) bool { return !unicode.IsLetter(r) }); i >= 0 {
		word = next[:i]
	}
	if final {
		return word != "Ltd" // "Co. Ltd" is one name
	}
	return ptbStarters[LowerASCII(word)]
}

// opens reports whether a quote between two texts is an opening one: something that begins is behind it, and no word,
// full stop or the like that it could close in front.
func opens(before, after string, begins func(rune) bool) bool {
	first, _ := utf8.DecodeRuneInString(after)
	last := lastRune(before)
	return begins(first) && !unicode.IsSpace(first) && (before == "" || unicode.IsSpace(last) || unicode.In(last, unicode.Ps, unicode.Pi, unicode.Pd) || strings.ContainsRune("\"'`;/=<", last))
}

func lastRune(text string) rune {
	r, _ := utf8.DecodeLastRuneInString(text)
	return r
}

// ptbPair returns where the second of two words that are written as one begins, 0 for other words.
func ptbPair(word string) int {
	switch word {
	case "cannot", "gimme", "gonna", "gotta", "lemme", "wanna":
		return 3
	case "'tis", "'twas", "y'all":
		return 2
	}
	return 0
}

var ptbWithClitic = regexp.MustCompile(`^(.+)(n't|'(?:s|m|d|ll|re|ve))$`)

// ptbSplit adds a word in small letters to others, as the words that it is in the Treebank.
func ptbSplit(words []string, word string) []string {
	if at := ptbPair(word); at > 0 {
		return append(words, word[:at], word[at:])
	}
	if strings.Contains(word, "'") {
		if m := ptbWithClitic.FindStringSubmatch(word); m != nil {
			return append(ptbSplit(words, m[1]), m[2])
		}
	}
	if word == "" { // a soft hyphen alone
		return words
	}
	return append(words, word)
}

var (
	ptbSigns = map[string]string{
		"£": "#", "€": "$", "¢": "cents", "–": "--", "—": "--", "&mdash;": "--", "&ndash;": "--", "---": "--", "----": "--", "…": "...", ". . .": "...",
		"“": "``", "„": "``", "«": "``", "”": "''", "»": "''", "‘": "`", "’": "'",
		"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3",
	}
	ptbInside = strings.NewReplacer("(", "-lrb-", ")", "-rrb-", "[", "-lsb-", "]", "-rsb-", "{", "-lcb-", "}", "-rcb-",
		"&amp;", "&", "&lt;", "<", "&gt;", ">", "&apos;", "'", "’", "'", "\u00ad", "", " ", "\u00a0", "\t", "\u00a0")
)

// ptbSpelling returns a token, in small letters, as the Treebank writes it.
func ptbSpelling(token string) string {
	if sign, ok := ptbSigns[token]; ok {
		return sign
	}
	if strings.HasPrefix(token, "...") {
		return "..."
	}
	if strings.Contains(token, "://") {
		return token
	}
	return ptbInside.Replace(token)
}

// WithoutPunctuation returns the words of PTB without those that pycoco leaves out. It looks for brackets in capital
// letters, and so leaves those of PTB in. The words given are overwritten.
func WithoutPunctuation(words []string) []string {
	return slices.DeleteFunc(words, func(word string) bool {
		switch word {
		case "''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";":
			return true
		}
		return false
	})
}
