package tok

import (
	"strings"
	"sync"
)

// ptbRule says what PTB makes of a token: a word, "\n" at the end of a line, or "" where it makes none. What is
// behind length is for the next token. Without a func it is a word as ptbSpelling writes it.
type ptbRule struct {
	pattern
	word func(token string) (word string, length int)
}

// ptbRules say what PTBLexer.flex of Stanford's CoreNLP 3.4.1 says, put together by what becomes of a token. They stand in
// the order in which they come before others that match as much text. Letters in (?i:) stand for upper and lower case,
// others do not: it is like that there too.
var ptbRules = []ptbRule{
	{pattern{`(?i:cannot|'twas)`, ``}, ptbSplit(3)},
	{pattern{`(?i:'tis|gonna|gotta|lemme|gimme|wanna)`, ``}, ptbSplit(2)},

	{pattern{ptbWord, ptbClitic}, nil},  // it | 's
	{pattern{ptbPositive, ptbNot}, nil}, // do | n't
	{pattern{either(
		ptbWord, ptbTag, `(?i:c\+\+|[cf]#)`, `(?i:&amp;)`, `&(?i:ht|tl|ur|lr|qc|ql|qr|odq|cdq|#[0-9]+);`,
		ptbWithApostrophe, `@[a-zA-Z_][a-zA-Z_0-9]*`,
		ptbDate, ptbNumber, ptbRaised, ptbRatio, `[¼-¾⅓-⅞]`,
		`-(?i:[lr][rcs]b)-`, `(?i:c\.d\.s|pro-|anti-|s(?:&|&amp;)p-500|s(?:&|&amp;)ls|cap`+ptbApostrophe+`n|c`+ptbApostrophe+`est)`,
		ptbWithSlash, `[A-Z]*\$`, `#`, `[¢-¥\x{80}₠₤€؋฿￠￡￥￦]`), ``}, nil},
	{pattern{either(ptbURL, ptbAddress, `#`+ptbLetter+`+`), ``}, ptbVerbatim},
	{pattern{`(?i:y)` + ptbApostrophe, `\p{L}`}, nil},
	{pattern{either(ptbClitic, ptbNot), `[^A-Za-z]`}, ptbRight},

	// An abbreviation at the end of a sentence has its full stop and gives another one.
	{pattern{ptbAcronym + `\.`, ptbBlank + `+` + either(ptbStarts, ptbTag) + ptbBlank}, ptbLastAcronym},
	{pattern{`(?i:ca|figs?|prop|nos?|art|bldg|pp|op)\.`, ptbBlank + `?` + ptbDigit}, nil},
	{pattern{`(?i:pt(?-i:[eyEY])|co)\.`, ptbSpace + `(?i:ltd|lim)`}, nil},
	{pattern{ptbEnding + `\.`, ptbBlank + either(ptbBlank, `\p{Lu}`, ptbTag)}, ptbLastAbbreviation},
	{pattern{ptbEnding + `\.`, `(?s:..)`}, nil},
	{pattern{ptbEnding + `\.`, ``}, ptbLastAbbreviation}, // at the end of the text
	{pattern{either(ptbTitle, ptbAcronym) + `\.`, ``}, nil},
	{pattern{either(ptbTitle, ptbAcronym), ptbSpace}, nil},
	{pattern{ptbAcronym, ptbBlank}, nil},

	{pattern{ptbApostrophe + `[0-9][0-9]`, ptbBlank}, nil},
	{pattern{ptbFile, either(ptbBlank, `[.?!,]`)}, ptbVerbatim},
	{pattern{either(ptbWord, ptbWithComma, ptbHyphenated, ptbWithAmpersand) + `\.`, `[,;:、]`}, nil},
	{pattern{ptbPhone, ``}, nil},
	{pattern{ptbQuote, `[A-Za-z0-9$]`}, ptbLeft},
	{pattern{ptbQuote, ``}, ptbRight},
	{pattern{ptbSmiley, `[^A-Za-z0-9]`}, nil},
	{pattern{`-{3,4}|(?i:&(?:md|mdash|ndash);)|[–—―\x{96}\x{97}]`, ``}, ptbConstant("--")},
	{pattern{`\.{3,5}|(?:\.[ \x{A0}]){2,4}\.|[…\x{85}]`, ``}, ptbConstant("...")},
	{pattern{either(
		`(?i:&[lg]t;)`, `[-^x=~<>']_[-^x=~<>']|\([-^x=~<>'][_.]?[-^x=~<>']\)`+"|\\([\\^x=~<>']-[\\^x=~<>'`]\\)",
		`[][(){}<>,;:、=/.¡¿;։؟۔܀-܂。]`, `-+`, `@+`, `#+`, `_+`, `\*+`, `(?:\\\*){1,3}`, `[?!]+`, `<<`, `>>`,
		ptbWithComma, ptbHyphenated, ptbWithAmpersand, ptbSymbol), ``}, nil},
	{pattern{`'`, `[A-Za-z][^ \t\n\r\x{A0}]`}, ptbLeft},
	{pattern{either(ptbClitic, ptbNot, ptbApostrophe, `''`, "[`‘-‟\\x{91}-\\x{94}‹›«»]{1,2}"), ``}, ptbRight},
	{pattern{`(?i:&nbsp;)|` + ptbSpace + `+`, ``}, ptbConstant("")},
	{pattern{ptbNewline, ``}, ptbConstant("\n")},
}

// The parts of the rules.
var (
	ptbSpace   = `[ \t\x{A0}\x{2000}-\x{200A}\x{3000}]`
	ptbNewline = `(?:\r?\n|[\r\x{2028}\x{2029}\v\f\x{85}])`
	ptbBlank   = either(ptbSpace, ptbNewline)

	ptbDigit   = `\p{Nd}`
	ptbLetter  = either(`[\p{L}\p{M}\x{AD}\x{2C2}-\x{2C5}\x{2D2}-\x{2DF}\x{2E5}-\x{2FF}]`, `&[aeiouAEIOU](?i:acute|grave|uml);`)
	ptbLetters = ptbLetter + either(ptbLetter, ptbDigit) + `*`

	// Words. A full stop between letters does not end one.
	ptbWord          = ptbLetters + `(?:[.!?]` + ptbLetters + `)*`
	ptbPart          = `(?:[dDoOlL]` + ptbApostropheLike + `[\p{L}\p{Nd}])?[\p{L}\p{Nd}]+`
	ptbHyphenated    = ptbPart + `(?:[-_֊‐‑]` + ptbPart + `)*`
	ptbWithComma     = `[A-Za-z0-9][A-Za-z0-9.,\x{AD}]*(?:-` + either(`[A-Za-z0-9\x{AD}]+`, ptbAcronym2+`\.`) + `)+`
	ptbWithSlash     = `[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}`
	ptbWithAmpersand = `[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+`

	// Apostrophes and contractions.
	ptbApostrophe     = `(?:['’\x{92}]|(?i:&apos;))`
	ptbApostropheLike = either(ptbApostrophe, "[`‘‛\\x{91}]")
	ptbClitic         = ptbApostrophe + either(`[msdMSD]`, `(?i:re|ve|ll)`)
	ptbNot            = `(?i:n)` + ptbApostropheLike + `(?i:t)`
	ptbPositive       = `[A-Za-z\x{AD}]*[A-MO-Za-mo-z]\x{AD}*`
	ptbWithApostrophe = either(
		ptbApostrophe+either(`(?i:n)`+ptbApostrophe+`?`, `(?i:em|till?|cause)`, `[2-9]0(?i:s)`),
		either(`[lLdDjJ]`, `(?i:dunkin|somethin|ol)`)+ptbApostrophe,
		`[A-HJ-XZn]`+ptbApostropheLike+`\p{L}{2,}`,
		`\p{L}+[aeiouyAEIOUY]`+ptbApostropheLike+`[aeiouA-Z]\p{L}*`,
		`(?i:cont'd\.?|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l)`, `(?i:o)`+ptbApostropheLike+`(?i:o)`)
	ptbQuote = `(?:"|(?i:&quot;))`

	// Numbers.
	ptbDate   = ptbDigit + `{1,2}[-/]` + ptbDigit + `{1,2}[-/]` + ptbDigit + `{2,4}`
	ptbNumber = `[-+]?` + either(ptbDigit+`+`, ptbDigit+`*(?:[.:,٫٬\x{AD}]`+ptbDigit+`+)+`)
	ptbRaised = `[⁺⁻₊₋]?(?:[⁰¹²³⁴-⁹]+|[₀-₉]+)`
	ptbRatio  = `(?:` + ptbDigit + `{1,4}[- \x{A0}])?` + ptbDigit + `{1,4}(?:\\?/|⁄)` + ptbDigit + `{1,4}`
	ptbGap    = `[- \x{A0}]`
	ptbPlus   = `(?:\+{1,2})?`
	ptbPhone  = either(
		either(`\([0-9]{2,3}\)[ \x{A0}]?`, ptbPlus+`(?:[0-9]{2,4}`+ptbGap+`){1,2}`)+`[0-9]{3,4}`+ptbGap+`?[0-9]{3,5}`,
		`(?:`+ptbPlus+`[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}`)

	// Abbreviations: those that often end a sentence; those that do not; letters with full stops between them.
	ptbEnding = either(
		caseless("jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri"),
		caseless("ala ariz calif colo conn ct dak fla ga ind kan kans ky md mich minn mo mont neb nev okla penn tenn va vt wis wisc wyo"),
		capitalized("Az Ark Del Ill La Mass Miss Ore Pa Tex Wash"),
		caseless("inc co cos corp ltd plc rt bancorp bhd assn univ intl sys"), `(?i:pp?t(?-i:[ye])s?)`,
		caseless("tel est ext sq jr sr bros ed.d ph.d blvd rd esq etc al seq bldg"))
	ptbTitle = either(
		caseless("mr mrs ms dr drs prof profs sen sens rep reps atty attys lt col gen messrs gov govs adm rev maj sgt cpl pvt capt st ste ave pres"),
		caseless("lieut hon brig cmdr comdr pfc spc supt supts det mt ft adj adv asst assoc ens insp mlle mme msgr sfc"),
		capitalized("Miss"), caseless("vs alex wm jos cie a.k.a cf treas ph invt elec natl dept"), `(?i:m(?-i:[ft])g)`)
	ptbUS       = `(?i:(?:canada|sino|korean|eu|japan|non)-u\.s|u\.s\.-(?:u\.k|u\.s\.s\.r))`
	ptbAcronym  = either(`[A-Za-z](?:\.[A-Za-z])*`, ptbUS)
	ptbAcronym2 = either(`[A-Za-z](?:\.[A-Za-z])+`, ptbUS)
	// ptbStarts are words with which a sentence starts.
	ptbStarts = capitalized("About According Additionally After An A As At But Earlier He Her Here However If In It Last Many More Mr. Ms. " +
		"Now Once One Other Our She Since So Some Such That The Their Then There These They This We When While What Yet You")

	// Tags and addresses. No address has a character of ptbNoWeb, and none ends in punctuation.
	ptbName    = `[A-Za-z][A-Za-z0-9_:.-]*`
	ptbTag     = `<` + either(`[!?][A-Za-z-][^>\r\n]*`, ptbName+`(?: +`+ptbName+`(?: *= *(?:'[^']*'|"[^"]*"))?)* */?`, `/`+ptbName) + ` *>`
	ptbNoWeb   = ` \t\n\f\r"<>|()`
	ptbWebEnd  = `[^.!?,{}` + ptbNoWeb + `-]`
	ptbURL     = either(`(?i:https?)://[^{}`+ptbNoWeb+`]+`+ptbWebEnd, ptbHost+`(?:/[^`+ptbNoWeb+`]+`+ptbWebEnd+`)?`)
	ptbHost    = either(`(?i:www)\.(?:[^.!?,{}`+ptbNoWeb+`]+\.)+[a-zA-Z]{2,4}`, `(?:[a-z#%&*+~[:^ascii:]]+\.)+(?i:com|net|org|edu)`)
	ptbDomain  = `[^.{}\x{A0}` + ptbNoWeb + `]+`
	ptbAddress = `(?:(?i:&lt;)|<)?[a-zA-Z0-9][^{}\x{A0}` + ptbNoWeb + `]*@` + ptbDomain + `(?:\.` + ptbDomain + `)*(?:(?i:&gt;)|>)?`
	ptbFile    = either(ptbLetter, ptbDigit) + `+(?:\.` + either(ptbLetter, ptbDigit) + `+)*\.` + caseless(
		"bat bmp c class cgi cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php pl png ppt ps py sql tar txt wav x xml zip")

	ptbSmiley = `[<>]?[:;=][-o*']?[()DPdpO\\{@|[\]]`
	ptbSymbol = `[+%&~^|\\¦§¨©¬®-³´-º×÷·־׀׃׆׳״؀-؃؆-؊،ؔ؛؞٪٭܃-܍߶-߸।॥๏᾽‖‗†-‣‰-‸※‾-⁂⁄⁺-ⁿ₊-₎℀-⅏←-⇿∀-⯿〒・！-／：-＠［-｀｛-･]`
)

func either(expressions ...string) string { return "(?:" + strings.Join(expressions, "|") + ")" }

// caseless matches words that are separated by spaces, in upper and lower case.
func caseless(words string) string {
	return "(?i:" + strings.ReplaceAll(strings.ReplaceAll(words, ".", `\.`), " ", "|") + ")"
}

// capitalized matches words in upper and lower case but for the first letter.
func capitalized(words string) string {
	var out []string
	for _, word := range strings.Fields(words) {
		out = append(out, word[:1]+"(?:"+caseless(word[1:])+")")
	}
	return either(out...)
}

func ptbConstant(word string) func(string) (string, int) {
	return func(token string) (string, int) { return word, len(token) }
}

func ptbVerbatim(token string) (string, int) { return Lower(token), len(token) }

// ptbSplit leaves bytes of the token for another word.
func ptbSplit(rest int) func(string) (string, int) {
	return func(token string) (string, int) { return Lower(token[:len(token)-rest]), len(token) - rest }
}

func ptbLastAbbreviation(token string) (string, int) { return Lower(token), len(token) - 1 }

// ptbLastAcronym leaves the full stop to the sentence alone if the token is one letter.
func ptbLastAcronym(token string) (string, int) {
	if len(token) == 2 {
		return Lower(token[:1]), 1
	}
	return ptbLastAbbreviation(token)
}

func ptbLeft(token string) (string, int) { return Lower(ptbLeftQuotes.Replace(token)), len(token) }

func ptbRight(token string) (string, int) { return Lower(ptbRightQuotes.Replace(token)), len(token) }

var (
	ptbLeftQuotes  = strings.NewReplacer(append(ptbTypographic, "'", "`", "&apos;", "`", `"`, "``", "&quot;", "``")...)
	ptbRightQuotes = strings.NewReplacer(append(ptbTypographic, "&apos;", "'", `"`, "''", "&quot;", "''")...)
	ptbTypographic = []string{
		"\u0091", "`", "‘", "`", "‛", "`", "‹", "`", "\u0092", "'", "’", "'", "›", "'",
		"\u0093", "``", "“", "``", "«", "``", "\u0094", "''", "”", "''", "»", "''",
	}
)

// ptbLexer is that of the rules. Only one text at a time can go through it.
var ptbLexer = sync.OnceValue(func() *lockedLexer {
	patterns := make([]pattern, len(ptbRules))
	for i, rule := range ptbRules {
		patterns[i] = rule.pattern
	}
	return &lockedLexer{lexer: newLexer(patterns)}
})

type lockedLexer struct {
	sync.Mutex
	*lexer
}
