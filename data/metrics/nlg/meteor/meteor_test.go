package meteor

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// sample is testdata/sample.json.
type sample struct {
	Synsets, Exceptions, Paraphrases []string
	Cases                            []struct {
		Output        string
		References    []string
		Plain, Tabled struct {
			Score float64
			Stats []float64
		}
	}
}

// writeSample makes a folder of resources and a table of paraphrases of the sample.
func writeSample(tb testing.TB) (s sample, dir, table string) {
	tb.Helper()
	readJSON(tb, filepath.Join("testdata", "sample.json"), &s)
	dir = tb.TempDir()
	table = filepath.Join(dir, "paraphrases")
	for _, name := range []string{"function/english.words", "nonbreaking/english.prefixes"} { // WordNet is long
		text, err := fs.ReadFile(builtInFiles(tb), name)
		if err != nil {
			tb.Fatal(err)
		}
		write(tb, filepath.Join(dir, name), string(text))
	}
	for name, lines := range map[string][]string{
		"synonym/english.synsets":    s.Synsets,
		"synonym/english.exceptions": s.Exceptions,
		"paraphrases":                s.Paraphrases,
	} {
		write(tb, filepath.Join(dir, name), strings.Join(lines, "\n")+"\n")
	}
	return s, dir, table
}

func write(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		tb.Fatal(err)
	}
}

func compressed(tb testing.TB, text string) string {
	tb.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestSample(t *testing.T) {
	s, dir, table := writeSample(t)
	var outputs []string
	var references [][]string
	var plain, tabled expected
	for _, c := range s.Cases {
		outputs, references = append(outputs, c.Output), append(references, c.References)
		plain.Segments, plain.Stats = append(plain.Segments, c.Plain.Score), append(plain.Stats, c.Plain.Stats)
		tabled.Segments, tabled.Stats = append(tabled.Segments, c.Tabled.Score), append(tabled.Stats, c.Tabled.Stats)
	}
	packed := filepath.Join(dir, "table.gz")
	write(t, packed, compressed(t, strings.Join(s.Paraphrases, "\n")))
	for _, c := range []struct {
		name, table, label string
		want               expected
	}{
		{"no table", "", "meteor (no paraphrase table)", plain},
		{"table", table, "meteor", tabled},
		{"compressed table", packed, "meteor", tabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, dir, c.table)
			if m.Label() != c.label {
				t.Errorf("label %q, want %q", m.Label(), c.label)
			}
			got, err := m.Score(outputs, references)
			if err != nil {
				t.Fatal(err)
			}
			c.want.compareSegments(t, got, tolerance)
		})
	}
}

// The sums are those of METEOR's statistics of the golden set's 200 outputs, less the chunks of perfect segments; the
// scores are what METEOR printed for them.
func TestStatsScore(t *testing.T) {
	for _, c := range []struct {
		stats Stats
		want  float64
	}{
		{Stats{
			Side{5488, 2549, [4]int{2429, 66, 26, 0}, [4]int{1737, 4, 17, 0}},
			Side{5274, 2373, [4]int{2429, 66, 28, 0}, [4]int{1737, 4, 15, 0}}, 1271,
		}, 0.439096901265323},
		{Stats{
			Side{5488, 2549, [4]int{2346, 58, 21, 142}, [4]int{1660, 4, 12, 168}},
			Side{5211, 2333, [4]int{2346, 58, 22, 117}, [4]int{1660, 4, 11, 109}}, 1336,
		}, 0.43717640622713094},
		{Stats{}, 0},
		{Stats{Hypothesis: Side{Words: 3}, Reference: Side{Words: 4}}, 0},
		{Stats{Hypothesis: Side{Words: 3}}, 0},
		{Stats{Side{2, 1, [4]int{1}, [4]int{1}}, Side{2, 1, [4]int{1}, [4]int{1}}, 1}, 1},
	} {
		near(t, c.stats.String(), c.stats.Score(), c.want, tolerance)
	}
}

func TestScoreEdges(t *testing.T) {
	_, dir, _ := writeSample(t)
	m := load(t, dir, "")
	score := func(output string, references ...string) float64 {
		t.Helper()
		s, err := m.Score([]string{output}, [][]string{references})
		if err != nil {
			t.Fatal(err)
		}
		near(t, output, s.Score, s.Segments[0].Score, tolerance) // the corpus is this segment
		return s.Score
	}
	near(t, "no words", score("", ""), 0, tolerance)
	near(t, "no output", score("", "a word"), 0, tolerance)
	near(t, "empty reference", score("a word", ""), 0, tolerance)
	near(t, "best reference", score("a word", "", "nothing", "a word", "a word more"), 1, tolerance)
	near(t, "equal hashes", score("an apple", "c0 apple"), 1, tolerance) // 97·31+110 = 99·31+48

	// The chunk of a perfect segment does not count, so that the corpus has 2 chunks of 4 words, not 3.
	s, err := m.Score([]string{"apple pear", "plum grape"}, [][]string{{"apple pear"}, {"grape plum"}})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "perfect segment", s.Score, Stats{Side{Words: 4, Content: [4]int{4}}, Side{Words: 4, Content: [4]int{4}}, 2}.Score(), tolerance)
}

func TestScoreErrors(t *testing.T) {
	_, dir, _ := writeSample(t)
	m := load(t, dir, "")
	for _, c := range []struct {
		outputs    []string
		references [][]string
		want       string
	}{
		{[]string{"a"}, nil, "meteor (no paraphrase table): 1 outputs and references for 0"},
		{[]string{"a", "b"}, [][]string{{"a"}, {}}, "meteor (no paraphrase table): output 2 has no reference"},
	} {
		if _, err := m.Score(c.outputs, c.references); err == nil || err.Error() != c.want {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	const entry = "three lines an entry: a probability, a phrase, its paraphrase"
	for _, c := range []struct{ name, file, text, want string }{
		{"empty words", "function/english.words", "", "FILE: line 1: the file is empty"},
		{"two words", "function/english.words", "the\nof a\n", `FILE: line 2: got "of a", want one word`},
		{"prefix", "nonbreaking/english.prefixes", "# all\n\nNo #NUMERIC#\n", `FILE: line 3: got "No #NUMERIC#", want a word, alone or before #NUMERIC_ONLY#`},
		{"odd lines", "synonym/english.synsets", "a\n1\nb\n", "FILE: line 3: the file ends, want one more line: there are two to a word"},
		{"empty line", "synonym/english.synsets", "a\n1\n\n2\n", "FILE: line 3: the line is empty"},
		{"synset", "synonym/english.synsets", "a\n1 2x\n", `FILE: line 2: got "2x", want the number of a synset`},
		{"large synset", "synonym/english.synsets", "a\n4294967296\n", `FILE: line 2: got "4294967296", want the number of a synset`},
		{"exceptions", "synonym/english.exceptions", "a\n", "FILE: line 1: the file ends, want one more line: there are two to a word"},
		{"empty table", "paraphrases", "", "FILE: line 1: the table of paraphrases ends: want " + entry},
		{"short table", "paraphrases", "0.5\na\nb\n0.5\nc\n", "FILE: line 6: the table of paraphrases ends: want " + entry},
		{"probability", "paraphrases", "0.5\na\nb\nc\n0.5\nd\n", `FILE: line 4: got "c", want a probability: ` + entry},
		{"no phrase", "paraphrases", "0.5\n \nb\n", "FILE: line 2: the line is empty, want " + entry},
		{"long line", "paraphrases", "0.5\n" + strings.Repeat("a ", 1<<16), "FILE: line 2: table of paraphrases: bufio.Scanner: token too long"},
		{"cut off", "paraphrases", compressed(t, strings.Repeat("0.5\na\nb\n", 100))[:30], "FILE: line 301: table of paraphrases: unexpected EOF"},
		{"not compressed", "paraphrases", "\x1f\x8b0.5\na\nb\n", "FILE: table of paraphrases: gzip: invalid header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, dir, table := writeSample(t)
			file := filepath.Join(dir, c.file)
			write(t, file, c.text)
			m, err := Load(dir, table)
			if want := strings.ReplaceAll(c.want, "FILE", file); m != nil || err == nil || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}

func TestLoadMissing(t *testing.T) {
	for _, name := range []string{"function/english.words", "nonbreaking/english.prefixes", "synonym/english.synsets", "synonym/english.exceptions", "paraphrases"} {
		_, dir, table := writeSample(t)
		file := filepath.Join(dir, name)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		want := "METEOR needs " + file + ", which is not there: the program has these lists, and takes them if no folder is named"
		if file == table {
			want = file + ": there is no such table of paraphrases: it is data/paraphrase-en.gz of METEOR 1.5"
		}
		if _, err := Load(dir, table); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// What would fill the memory, or never come to an end.
func TestLoadUnbounded(t *testing.T) {
	for _, name := range []string{"function/english.words", "nonbreaking/english.prefixes", "synonym/english.synsets", "synonym/english.exceptions", "paraphrases"} {
		for what, bad := range map[string]struct {
			make func(file string) error
			want string
		}{
			"device": {func(file string) error { return os.Symlink("/dev/zero", file) }, " is a "},
			"sparse": {func(file string) error { return errors.Join(os.WriteFile(file, nil, 0o666), os.Truncate(file, 1<<40)) }, "is too long: 1099511627776 bytes"},
		} {
			_, dir, table := writeSample(t)
			file := filepath.Join(dir, name)
			if err := errors.Join(os.Remove(file), bad.make(file)); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir, table); err == nil || !strings.Contains(err.Error(), file+":") || !strings.Contains(err.Error(), bad.want) {
				t.Errorf("%s in place of %s: got %v, want an error with %q", what, name, err, bad.want)
			}
		}
	}
	const rows = "0.5\na b\nc d\n0.5\na b c\nd\n"
	for most, want := range map[int]string{10: "", 9: "line 6: the table of paraphrases is too long: it has more than 9 phrases, paraphrases and words", 8: "line 6", 7: "line 3"} {
		if _, err := readParaphrases(strings.NewReader(rows), most); (want == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("at most %d: got %v, want %q", most, err, want)
		}
	}
}

// The lists of the program are METEOR 1.5's own, to the byte, and their licences go with them.
func TestBuiltIn(t *testing.T) {
	files := builtInFiles(t)
	for name, want := range map[string]string{
		"function/english.words":       "2ae0d5b8c29e2993a0f442b065b946d1a17fbfe8538e66bf5931c4a248cf4c3a",
		"nonbreaking/english.prefixes": "bd909f364224748976f9b8b7cdeb4f9be3bf7c8e66a10f1ed268b12d904ab876",
		"synonym/english.exceptions":   "5feb8fcb5b349d035df1a448149c2ccc860bf32e4b9eea8c8e4f113e90a5a962",
		"synonym/english.synsets":      "20b7cf6ae1cba2395d714d8c2ec2992e88c6d1c75c7c30aa480c6a2a9bb8fef9",
	} {
		text, err := fs.ReadFile(files, name)
		if got := fmt.Sprintf("%x", sha256.Sum256(text)); err != nil || got != want {
			t.Errorf("%s: SHA-256 is %s, want %s; error %v", name, got, want, err)
		}
	}
	for name, want := range map[string]string{"WordNet.txt": "Princeton University", "COPYING": "GNU LESSER GENERAL PUBLIC LICENSE"} {
		if text, err := fs.ReadFile(files, name); !strings.Contains(string(text), want) {
			t.Errorf("%s does not say %q; error %v", name, want, err)
		}
	}
}

func builtInFiles(tb testing.TB) fs.FS {
	tb.Helper()
	files, err := zip.NewReader(strings.NewReader(builtIn), int64(len(builtIn)))
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// What no text of the golden set has.
func TestNormalize(t *testing.T) {
	_, dir, _ := writeSample(t)
	m := load(t, dir, "")
	for text, want := range map[string]string{
		"":                            "",
		"a-b-c":                       "a b-c", // the b belongs to the first hyphen
		"x,,y, 1,000, 1,x":            "x , ,y , 1,000 , 1 , x",
		"wait.. what....":             "wait .. what ....",
		"U.S.A.-based Inc. of No. 5.": "USA based Inc. of No. 5 .",
		"No. No.":                     "No . No .",
		"1990's rock'n'roll ''x''":    `1990 's rock 'n'roll " x "`,
		"a\u00a0b\u2003c \u00a0 d":    "a b c d",
		"Ελλάδα ёлка ꙮ":               "Ε λ λ ά δ α ёлка ꙮ",
		"\x01 a\tb\v c \x02":          "a b\v c",
		"3.5. 🙂.":                     "3.5 . 🙂 .",
		"...":                         "...",
		".":                           ".",
	} {
		if got := m.prefixes.normalize(text); got != want {
			t.Errorf("%q\ngot  %q\nwant %q", text, got, want)
		}
	}
}

func TestJavaHash(t *testing.T) {
	for s, want := range map[string]int32{"": 0, "a": 97, "hello": 99162322, "polygenelubricants": -2147483648, "\U0001f642": 31*0xd83d + 0xde42} {
		if got := javaHash(s); got != want {
			t.Errorf("%q: got %d, want %d", s, got, want)
		}
	}
}
