package tok

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

type sample struct {
	In, PTB, NLTK, LoRA string
	MTEval              string `json:"mteval13a"`
}

func readSample(tb testing.TB) []sample {
	tb.Helper()
	b, err := os.ReadFile("testdata/sample.jsonl")
	if err != nil {
		tb.Fatal(err)
	}
	var out []sample
	for line := range strings.Lines(string(b)) {
		var s sample
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			tb.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// TestSample compares with the official tokenisers.
func TestSample(t *testing.T) {
	samples := readSample(t)
	if len(samples) < 25 {
		t.Fatalf("%d lines", len(samples))
	}
	texts := make([]string, len(samples))
	for i, s := range samples {
		texts[i] = s.In
	}
	for i, words := range PTB(texts) {
		s := samples[i]
		for _, c := range []struct{ name, got, want string }{
			{"PTB", strings.Join(words, " "), s.PTB},
			{"mteval", strings.Join(MTEval13a(s.In), " "), s.MTEval},
			{"NLTK", strings.Join(NLTK(s.In), " "), s.NLTK},
			{"LoRA", LoRA(s.In), s.LoRA},
		} {
			if c.got != c.want {
				t.Errorf("%s of %q:\n got %q\nwant %q", c.name, s.In, c.got, c.want)
			}
		}
	}
}

func TestPTBLines(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"none", nil, ""},
		{"one", []string{"a b"}, "a b"},
		{"empty ones", []string{"", "a", "", ""}, "|a||"},
		{"line ends inside", []string{"a\nb", "c\r\nd\u2028e\vf", "g"}, "a b|c d e f|g"},
		{"abbreviation before a capital", []string{"Acme Inc.", "Then"}, "acme inc. .|then"},
		{"abbreviation before a small letter", []string{"Acme Inc.", "then"}, "acme inc.|then"},
		{"abbreviation at the end", []string{"Acme Inc."}, "acme inc. ."},
		{"nothing that it knows", []string{"\u200b😀\x00\x7f", "\xff"}, "|"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, words := range PTB(c.lines) {
				got = append(got, strings.Join(words, " "))
			}
			if len(got) != len(c.lines) || strings.Join(got, "|") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestPTBConcurrently(t *testing.T) {
	samples := readSample(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, s := range samples {
				first := PTB([]string{s.In})[0]
				if again := PTB([]string{s.In})[0]; !slices.Equal(first, again) {
					t.Errorf("%q: %q and %q", s.In, first, again)
				}
			}
		})
	}
	wg.Wait()
}

func TestLower(t *testing.T) {
	for text, want := range map[string]string{"ABC é É": "abc é é", "İzmir": "i̇zmir", "ΟΔΟΣ Σ": "οδος σ"} {
		if got := Lower(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := LowerASCII("AZ[É\xff"); got != "az[É\xff" {
		t.Errorf("got %q", got)
	}
}

// mteval13aRules are the rules of mteval-v13a.pl as it has them, which MTEval13a takes in one pass.
var mteval13aRules = NewRules(
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

func checkMTEval(t *testing.T, text string) {
	t.Helper()
	want := strings.FieldsFunc(mteval13aRules.Replace(text), isSpace)
	if got := MTEval13a(text); !slices.Equal(got, want) {
		t.Fatalf("mteval of %q:\n got %q\nwant %q", text, got, want)
	}
}

// shortTexts calls check with all texts of up to so many of these characters.
func shortTexts(longest int, characters []string, check func(text string)) {
	var add func(text string, more int)
	add = func(text string, more int) {
		check(text)
		if more > 0 {
			for _, c := range characters {
				add(text+c, more-1)
			}
		}
	}
	add("", longest)
}

func TestPTBPlain(t *testing.T) {
	shortTexts(4, []string{"1", "a", "É", ".", ",", "-", "/", " ", "\u0301", "'", "&amp;", "£"}, func(text string) { checkPlain(t, text) })
	for _, text := range []string{"3 1/2", "3 10/12", "1,000.5", "no. 5", "St. 5", "5. ", "5.,", "L20.", "20-25, 3", "ǅ.", "1. . ."} {
		checkPlain(t, text)
	}
}

// TestMTEvalRules compares with the rules.
func TestMTEvalRules(t *testing.T) {
	shortTexts(5, []string{"1", "a", ".", ",", "-", " ", "£", "\n", "&", "\xff"}, func(text string) { checkMTEval(t, text) })
	for c := range rune(0x3100) {
		for _, text := range []string{"%c", "a%cb", "1%c2", ".%c,", "1.%c.1", "-%c-", "1,,%c"} {
			checkMTEval(t, fmt.Sprintf(text, c))
		}
	}
	for c := range 256 {
		for _, text := range []string{"", "1.", ",,"} {
			checkMTEval(t, text+string([]byte{byte(c)})+text)
		}
	}
	for _, text := range []string{
		"&amp;lt;", "&amp;amp;quot;", "&&lt;gt;", "a-\nb", "1-\n.5", "<ski<skipped>pped>", "&lt;skipped>", "-&\n", "1-2--3", "a.,b", "1.5.",
	} {
		checkMTEval(t, text)
	}
}

// checkPlain compares ptbPlain with the expression, from each character of a text on.
func checkPlain(t *testing.T, text string) {
	t.Helper()
	for i := range text {
		rest := text[i:]
		n := ptbPlain(rest)
		if n == 0 {
			continue
		}
		got, want := rest[:n], ptbToken().FindString(rest)
		got, want = got[:ptbLength(got, rest[n:])], want[:ptbLength(want, rest[len(want):])]
		if got != want {
			t.Fatalf("token of %q: got %q, want %q", rest, got, want)
		}
		if spelling := ptbInside.Replace(got); spelling != got || ptbSigns[got] != "" {
			t.Fatalf("%q is spelt %q", got, spelling)
		}
	}
}

// No text makes a tokeniser fail, lose a line, or give an empty word or a space in one; the characters of LoRA's
// words are those of the text.
func FuzzWords(f *testing.F) {
	for _, s := range readSample(f) {
		f.Add(s.In)
	}
	f.Add("\"'\xff. .\x00”.?--,:")
	f.Fuzz(func(t *testing.T, text string) {
		checkMTEval(t, text)
		checkPlain(t, text)
		lines := strings.Split(text, "\n")
		ptb := PTB(lines)
		if len(ptb) != len(lines) {
			t.Fatalf("%d lines, want %d", len(ptb), len(lines))
		}
		for name, words := range map[string][]string{
			"PTB": slices.Concat(ptb...), "mteval": MTEval13a(text), "NLTK": NLTK(text),
		} {
			for _, word := range words {
				if word == "" || strings.Contains(word, " ") {
					t.Errorf("%s: word %q", name, word)
				}
			}
		}
		if utf8.ValidString(text) && strings.ReplaceAll(LoRA(text), " ", "") != strings.ReplaceAll(Lower(text), " ", "") {
			t.Errorf("LoRA: %q", LoRA(text))
		}
	})
}

func ExamplePTB() {
	for _, words := range PTB([]string{"It isn't £20-25 (yet).", "He left Acme Inc."}) {
		fmt.Printf("%q\n", WithoutPunctuation(words))
	}
	// Output:
	// ["it" "is" "n't" "#" "20-25" "-lrb-" "yet" "-rrb-"]
	// ["he" "left" "acme" "inc."]
}

func ExampleNLTK() {
	fmt.Printf("%q\n", NLTK(`Dr. Jones said "hello." She cannot stay.`))
	// Output: ["Dr." "Jones" "said" "``" "hello" "." "''" "She" "can" "not" "stay" "."]
}

func ExampleMTEval13a() {
	fmt.Printf("%q\n", MTEval13a("Prices are £20-25, i.e. low."))
	// Output: ["Prices" "are" "£20" "-" "25" "," "i" "." "e" "." "low" "."]
}

func ExampleLoRA() {
	fmt.Printf("%q\n", LoRA("Rock-a-bye, Baby"))
	// Output: "rock - a - bye ,    baby"
}
