package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Outputs with references in E2E's form, and their scores from e2e-metrics.
const (
	e2eOutputs = "Alimentum is a family-friendly restaurant in the city centre.\neagle\n" +
		"Loch Fyne serves Japanese food; prices are £20-25. Loch Fyne serves Japanese food; prices are £20-25.\n\nYes.\n"
	e2eReferences = "Alimentum is a family-friendly restaurant in the city centre.\n" +
		"In the city centre there is a family friendly restaurant called Alimentum.\n\n" +
		"The Eagle is a cheap coffee shop near Burger King.\n\n" +
		"Loch Fyne serves Japanese food; prices are £20-25.\nLoch Fyne is a Japanese restaurant with a price range of £20-25.\n" +
		"Japanese food is served at Loch Fyne.\n\n" +
		"The Mill is a pub with a 5 out of 5 rating.\nThe Mill, a pub, is rated 5 out of 5.\n\nYes.\n"
	e2eScores = `{"bleu": 0.424435370146, "nist": 2.323166080836, "rouge_l": 0.5735487768045908, "cider": 2.033249848226087,
		"bleu_pymteval": 0.4672159589685651, "nist_pymteval": 3.1452144147311394}`
	withoutMETEOR = "bleu,nist,rouge_l,cider,bleu_pymteval,nist_pymteval"
)

// textFiles writes the outputs, and their references in each of the forms.
func textFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	file := func(name, text string) { writeFile(t, filepath.Join(dir, name), text) }
	file("outputs.txt", e2eOutputs)
	file("blocks.txt", e2eReferences)
	file("windows.txt", "\ufeff"+strings.ReplaceAll(e2eReferences, "\n", " \r\n")+"\r\n\r\n")
	var lists, table strings.Builder
	columns := make([]string, 3)
	table.WriteString("mr,ref\n")
	for i, block := range strings.Split(e2eReferences, "\n\n") {
		texts := strings.Split(strings.TrimSpace(block), "\n")
		list, err := json.Marshal(texts)
		if err != nil {
			t.Fatal(err)
		}
		lists.Write(append(list, '\n'))
		for k := range columns {
			if k < len(texts) {
				columns[k] += texts[k]
				table.WriteString("input " + string(rune('a'+i)) + `,"` + texts[k] + "\"\n")
			}
			columns[k] += "\n"
		}
	}
	file("lists.txt", lists.String())
	file("lists.jsonl", lists.String())
	file("table.csv", table.String())
	for k, column := range columns {
		file("column"+string(rune('0'+k)), column)
	}
	return dir
}

func TestScoreE2E(t *testing.T) {
	dir := textFiles(t)
	for _, tc := range []struct{ name, args string }{
		{"blocks", "--references blocks.txt"},
		{"CRLF and byte order mark", "--references windows.txt"},
		{"JSON lists", "--references lists.jsonl"},
		{"JSON lists in any file", "--references lists.txt"},
		{"CSV", "--references table.csv"},
		{"columns", "--references column0 --references column1 --references column2"},
		{"references from stdin", "--references -"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := strings.Fields("score e2e --hypotheses outputs.txt --json --metric " + withoutMETEOR + " " + tc.args)
			got := runIn(t, dir, e2eReferences, args...)
			compareScores(t, got.stdout, e2eScores)
		})
	}
}

// runIn runs the program in a folder and expects it to succeed without a word on stderr.
func runIn(t *testing.T, dir, stdin string, args ...string) outcome {
	t.Helper()
	t.Chdir(dir)
	got := hereWith(t, stdin, args...)
	if got.code != exitDone || got.stderr != "" {
		t.Fatalf("exit code %d, stderr %q", got.code, got.stderr)
	}
	return got
}

// compareScores compares scores objects; the official scripts print some scores with 12 digits.
func compareScores(t *testing.T, got, want string) {
	t.Helper()
	var g, w map[string]any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if len(g) != len(w) {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, value := range w {
		want, isNumber := value.(float64)
		got, ok := g[name].(float64)
		if isNumber && (!ok || abs(got-want) > 1e-11) || !isNumber && g[name] != value {
			t.Errorf("%s: got %v, want %v", name, g[name], value)
		}
	}
}

func abs(v float64) float64 { return max(v, -v) }

// One reference a line, and all references of the only output.
func TestScoreReferenceLines(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"two.txt": "a b c d\na b\n", "references.txt": "a b c d\na b c\n", "one.txt": "a b\n"} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	args := strings.Fields("score webnlg --metric ter --references references.txt --json --hypotheses")
	compareScores(t, runIn(t, dir, "", append(args, "two.txt")...).stdout, `{"ter": 0.16666666666666666}`)
	compareScores(t, runIn(t, dir, "", append(args, "one.txt")...).stdout, `{"ter": 0.3333333333333333}`)
}

func TestScoreSegments(t *testing.T) {
	dir := textFiles(t)
	args := strings.Fields("score e2e --hypotheses - --references blocks.txt --metric rouge_l,bleu_pymteval,nist_pymteval --segments each.jsonl")
	got := runIn(t, dir, e2eOutputs, args...)
	want := "rouge_l        0.5735   on 5 texts with 9 references\nbleu_pymteval  0.4672\nnist_pymteval  3.1452\n"
	if got.stdout != want {
		t.Errorf("got\n%s\nwant\n%s", got.stdout, want)
	}
	b, err := os.ReadFile(filepath.Join(dir, "each.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) != 5 {
		t.Fatalf("got %d lines, want 5: %s", len(lines), b)
	}
	for i, want := range map[int]string{
		0: `{"bleu_pymteval": 1, "sentbleu": 1, "nist_pymteval": 4.261695500, "rouge_l": 1}`,
		1: `{"bleu_pymteval": 1.435671837e-09, "sentbleu": 1.435671837, "nist_pymteval": null, "rouge_l": 0.1584415584}`,
		3: `{"bleu_pymteval": 3.455144517e-14, "sentbleu": 0.1633836967, "nist_pymteval": null, "rouge_l": 0}`,
	} {
		var g, w map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &g); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(want), &w); err != nil {
			t.Fatal(err)
		}
		for name, value := range w {
			want, isNumber := value.(float64)
			got, ok := g[name].(float64)
			if len(g) != len(w) || isNumber && (!ok || abs(got-want) > 1e-8) || !isNumber && g[name] != nil {
				t.Errorf("output %d, %s: got %v, want %v", i+1, name, g[name], value)
			}
		}
	}
}

// TestScoreWebNLG takes texts as they are: both pipelines prepare them.
func TestScoreWebNLG(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "outputs"), "Adolfo Suárez Madrid–Barajas Airport is in Madrid.\nThe city of İzmir is in Turkey\n")
	writeFile(t, filepath.Join(dir, "references"), `["adolfo suarez madrid - barajas airport is in madrid ."]`+"\n"+`["the city of izmir is in turkey", "Izmir"]`+"\n")
	for kind, want := range map[string]string{
		"webnlg2017": `{"bleu": 1, "ter": 0}`,
		"webnlg":     `{"bleu": 0.4356136491686105, "ter": 0.3142857142857143}`,
	} {
		got := runIn(t, dir, "", "score", kind, "--hypotheses", "outputs", "--references", "references", "--metric", "ter,bleu", "--json")
		compareScores(t, got.stdout, want)
	}
}

func TestScoreMETEOR(t *testing.T) {
	dir := textFiles(t)
	t.Setenv("HOME", filepath.Join(dir, "nobody")) // a fresh machine has all that it takes
	own := filepath.Join(dir, "own")
	for name, text := range map[string]string{
		"function/english.words": "the\n", "nonbreaking/english.prefixes": "Mr\n", "synonym/english.synsets": "cheap\n1\n", "synonym/english.exceptions": "good\nbest\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(own, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(own, name), text)
	}
	writeFile(t, filepath.Join(dir, "paraphrases"), "0.5\ncheap coffee shop\neagle\n")

	args := strings.Fields("score e2e --hypotheses outputs.txt --references blocks.txt")
	want := strings.TrimSuffix(e2eScores, "}") + `, "meteor": 0.36382557379868513, "meteor_paraphrases": false}`
	compareScores(t, runIn(t, dir, "", append(args, "--json")...).stdout, want)
	text := runIn(t, dir, "", append(args, "--metric", "meteor,bleu")...).stdout
	if want := "bleu                          0.4244   on 5 texts with 9 references\nmeteor (no paraphrase table)  0.3638\n"; text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	args = append(args, "--metric", "meteor", "--meteor", own, "--paraphrases", "paraphrases")
	if text := runIn(t, dir, "", args...).stdout; !strings.HasPrefix(text, "meteor      0.") {
		t.Errorf("got %s, want plain meteor", text)
	}
	writeFile(t, filepath.Join(dir, "paraphrases"), "0.5\ncheap coffee shop\n")
	if got := here(t, args...); got.code != exitFailed || !strings.Contains(got.stderr, "paraphrases: ") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("exit code %d, stderr %q, want one line about the table", got.code, got.stderr)
	}
}

func TestScoreTextErrors(t *testing.T) {
	dir := textFiles(t)
	for name, text := range map[string]string{
		"two.txt": "a\nb\n", "gap.txt": "a\n\n\nb\n", "empty.txt": "", "blank.txt": "\n\n", "latin.txt": "a\n\xe9\n",
		"bad.jsonl": "[\"a\"]\n{\"text\": \"b\"}\n", "numbers.jsonl": "[\"a\"]\n[1]\n", "none.jsonl": "[\"a\"]\n[\"\"]\n", "half.txt": "a\n\n",
		"table2.csv": "mr,text\na,b\n", "quote.csv": "mr,ref\na,\"b\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	for _, tc := range []struct {
		name string
		args string
		code int
		want string
	}{
		{"no references", "--hypotheses two.txt", exitUsage, "--references FILE is missing: the right ones"},
		{"unknown metric", "--hypotheses two.txt --references two.txt --metric bleu,rouge", exitUsage,
			`--metric: got "rouge", did you mean rouge_l?, want some of bleu,nist,meteor,rouge_l,cider,bleu_pymteval,nist_pymteval`},
		{"stdin twice", "--hypotheses two.txt --references - --references -", exitUsage, "- is there 2 times, but only one can be stdin"},
		{"paraphrases without METEOR", "--hypotheses two.txt --references two.txt --metric bleu --paraphrases two.txt", exitUsage,
			"--paraphrases: only meteor goes by them, and --metric leaves it out"},
		{"another kind's flag", "--hypotheses two.txt --references two.txt --strict", exitUsage,
			"--strict: not a flag of e2e, which takes --hypotheses, --references, --metric, --segments, --meteor, --paraphrases"},
		{"no METEOR", "--hypotheses two.txt --references two.txt --meteor nowhere", exitFailed,
			"METEOR needs nowhere/function/english.words, which is not there: the program has these lists"},
		{"counts differ", "--metric bleu --hypotheses two.txt --references blocks.txt", exitFailed,
			"two.txt has 2 outputs, blocks.txt has references for 5: want as many"},
		{"columns differ", "--metric bleu --hypotheses two.txt --references two.txt --references column0", exitFailed,
			"two.txt has 2 lines, column0 has 5 lines: want as many"},
		{"columns without a reference", "--metric bleu --hypotheses two.txt --references half.txt --references half.txt", exitFailed,
			"line 2 is empty in all files of references: want a reference in one of them"},
		{"an empty block", "--metric bleu --hypotheses two.txt --references gap.txt", exitFailed,
			"gap.txt: line 3 is empty as if it ended references, but output 2 has none"},
		{"empty file", "--metric bleu --hypotheses two.txt --references empty.txt", exitFailed, "empty.txt: the file is empty"},
		{"blank file", "--metric bleu --hypotheses two.txt --references blank.txt", exitFailed, "blank.txt: the file has no references"},
		{"no outputs", "--metric bleu --hypotheses empty.txt --references two.txt", exitFailed, "empty.txt: the file is empty"},
		{"not UTF-8", "--metric bleu --hypotheses latin.txt --references two.txt", exitFailed, "latin.txt: line 2 is not UTF-8"},
		{"no list", "--metric bleu --hypotheses two.txt --references bad.jsonl", exitFailed, `bad.jsonl: line 2: want a JSON list of texts as ["one", "another"]`},
		{"no texts", "--metric bleu --hypotheses two.txt --references numbers.jsonl", exitFailed, `numbers.jsonl: line 2: want a JSON list of texts`},
		{"an empty list", "--metric bleu --hypotheses two.txt --references none.jsonl", exitFailed, "none.jsonl: line 2: output 2 has no references"},
		{"no column", "--metric bleu --hypotheses two.txt --references table2.csv", exitFailed, "table2.csv: the first line is \"mr,text\": want the columns mr and ref"},
		{"broken table", "--metric bleu --hypotheses two.txt --references quote.csv", exitFailed, "quote.csv: "},
		{"missing file", "--metric bleu --hypotheses none.txt --references two.txt", exitFailed, "open none.txt: no such file or directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(dir)
			got := here(t, append([]string{"score", "e2e"}, strings.Fields(tc.args)...)...)
			line, rest, ok := strings.Cut(got.stderr, "\n")
			if got.code != tc.code || got.stdout != "" || !ok || rest != "" || !strings.Contains(line, tc.want) {
				t.Errorf("exit code %d, want %d; stdout %q; stderr %q, want one line with %q", got.code, tc.code, got.stdout, got.stderr, tc.want)
			}
		})
	}
}

// The scores of each text do not replace the texts.
func TestSegmentsAreNoInput(t *testing.T) {
	dir := t.TempDir()
	hypotheses, references := filepath.Join(dir, "h.txt"), filepath.Join(dir, "r.txt")
	writeFile(t, hypotheses, "a b c d\n")
	writeFile(t, references, "a b c e\n")
	for _, file := range []string{hypotheses, references, dir} {
		got := here(t, "score", "e2e", "--metric", "bleu", "--hypotheses", hypotheses, "--references", references, "--segments", file)
		if got.code != exitUsage || !strings.Contains(got.stderr, "--segments") {
			t.Errorf("%s: exit code %d, stderr %q", file, got.code, got.stderr)
		}
	}
	for file, want := range map[string]string{hypotheses: "a b c d\n", references: "a b c e\n"} {
		if text, err := os.ReadFile(file); err != nil || string(text) != want {
			t.Errorf("%s has %q, %v", file, text, err)
		}
	}
}
