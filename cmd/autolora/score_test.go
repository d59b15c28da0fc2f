package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data/datatest"
)

// twoSentences has one entity found, one of another type, and one too many.
const twoSentences = "XA-1 B-DNA B-DNA\ngene I-DNA I-DNA\nbinds O I-RNA\n\nQB B-protein B-DNA\n"

// The values wanted are those of seqeval, scikit-learn and SciPy.
func TestScore(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, text)
		return path
	}
	tags := file("tags.conll", twoSentences)
	two, other := file("two.txt", "1\n0\n1\n1\n"), file("other.txt", "1\r\n0\r\n0\r\n1\r\n")
	words, guessed := file("words.txt", "good\nbad\nso-so\n"), file("guessed.txt", "good\nbad\nbad")
	numbers, close := file("numbers.txt", "0\n1\n2\n5\n"), file("close.txt", " 0.3\n0.2 \n2\n4e0\n\n")
	same := file("same.txt", "1\n1\n1\n1\n")
	for _, tc := range []struct {
		name  string
		args  []string
		stdin string
		want  string // scores as JSON
		text  string // in the output for people
	}{
		{"tagging", []string{"tagging", "--input", tags}, "", `{"precision": 0.3333333333333333, "recall": 0.5, "f1": 0.4, "support": 2, "accuracy": 0.5,
			"macro": {"precision": 0.16666666666666666, "recall": 0.3333333333333333, "f1": 0.2222222222222222, "support": 2},
			"weighted": {"precision": 0.25, "recall": 0.5, "f1": 0.3333333333333333, "support": 2},
			"per_type": {"DNA": {"precision": 0.5, "recall": 1, "f1": 0.6666666666666666, "support": 1}, "RNA": {"precision": 0, "recall": 0, "f1": 0, "support": 0},
				"protein": {"precision": 0, "recall": 0, "f1": 0, "support": 1}}}`, "accuracy        0.5000   of 4 tags in 2 sentences"},
		{"tagging, strict", []string{"tagging", "--input", tags, "--strict"}, "", `{"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2, "accuracy": 0.5,
			"macro": {"precision": 0.25, "recall": 0.5, "f1": 0.3333333333333333, "support": 2}, "weighted": {"precision": 0.25, "recall": 0.5, "f1": 0.3333333333333333, "support": 2},
			"per_type": {"DNA": {"precision": 0.5, "recall": 1, "f1": 0.6666666666666666, "support": 1}, "protein": {"precision": 0, "recall": 0, "f1": 0, "support": 1}}}`,
			"all             0.5000    0.5000    0.5000         2"},
		{"tagging, stdin, IOBES", []string{"tagging", "--input", "-", "--strict", "--scheme", "iobes"}, "S-x\tS-x\nB-x\tB-x\nE-x\tE-x\n",
			`{"precision": 1, "recall": 1, "f1": 1, "support": 2, "accuracy": 1, "macro": {"precision": 1, "recall": 1, "f1": 1, "support": 2},
			"weighted": {"precision": 1, "recall": 1, "f1": 1, "support": 2}, "per_type": {"x": {"precision": 1, "recall": 1, "f1": 1, "support": 2}}}`, "x               1.0000"},
		{"two classes", []string{"classification", "--hypotheses", other, "--references", two}, "",
			`{"accuracy": 0.75, "f1": 0.8, "f1_macro": 0.7333333333333334, "matthews": 0.5773502691896258}`, "accuracy    0.7500   on 4 examples\nf1          0.8000\n"},
		{"named classes", []string{"classification", "--hypotheses", guessed, "--references", words}, "",
			`{"accuracy": 0.6666666666666666, "f1_macro": 0.5555555555555555, "matthews": 0.6123724356957946}`, "on 3 examples"},
		{"numbers written in other ways", []string{"classification", "--hypotheses", file("floats.txt", "1.0\n0.0\n0.\n1.00\n"), "--references", two}, "",
			`{"accuracy": 0.75, "f1": 0.8, "f1_macro": 0.7333333333333334, "matthews": 0.5773502691896258}`, "accuracy    0.7500   on 4 examples\nf1          0.8000\n"},
		{"what predict writes, a CSV file", []string{"classification", "--hypotheses", "-", "--references", file("gold.csv", "text,label\na,1\nb,0.0\nc,1\nd,1\n")},
			`{"logits":[0,1],"label":"1"}` + "\n" + `{"logits":[1,0],"label":"0"}` + "\n" + `{"logits":[1,0],"label":0}` + "\n" + `{"logits":[0,1],"label":1.0}`,
			`{"accuracy": 0.75, "f1": 0.8, "f1_macro": 0.7333333333333334, "matthews": 0.5773502691896258}`, "on 4 examples"},
		{"a table with predictions beside the right labels", []string{"classification", "--hypotheses", file("both.csv", "label,prediction\n1,1\n0,0\n1,0\n1,1\n"), "--references", file("both2.csv", "prediction,label\n1,1\n0,0\n0,1\n1,1\n")}, "",
			`{"accuracy": 0.75, "f1": 0.8, "f1_macro": 0.7333333333333334, "matthews": 0.5773502691896258}`, "on 4 examples"},
		{"any number of labels, of what predict writes and a table", []string{"multi-label", "--hypotheses", "-", "--references", file("sets.csv", "text,labels\nx,a|b\ny,\nz,c\nw,a\n")},
			`{"logits":[1,1,0],"labels":["b","a"]}` + "\n" + `{"labels":[]}` + "\n" + `{"labels":["a"]}` + "\n" + `{"labels":["a"]}`,
			`{"f1_micro": 0.75, "f1_macro": 0.6, "f1_weighted": 0.65, "subset_accuracy": 0.75}`, "f1_micro         0.7500\n"},
		{"any number of labels, a line each", []string{"multi-label", "--hypotheses", file("sets.txt", "b, a\n\na\na\n"), "--references", file("right.txt", "[\"a\", \"b\"]\n[]\n[\"c\"]\n[\"a\"]\n")}, "",
			`{"f1_micro": 0.75, "f1_macro": 0.6, "f1_weighted": 0.65, "subset_accuracy": 0.75}`, "on 4 examples"},
		{"true of JSON, True of pandas", []string{"classification", "--hypotheses", file("true.jsonl", "{\"label\": true}\n{\"label\": false}\n{\"label\": false}\n{\"label\": true}\n"), "--references", file("true.csv", "label\nTrue\nFalse\nTrue\nTrue\n")}, "",
			`{"accuracy": 0.75, "f1_macro": 0.7333333333333334, "matthews": 0.5773502691896258}`, "on 4 examples"},
		{"classes that differ in case alone", []string{"classification", "--hypotheses", file("us.txt", "us\nUS\nUs\n"), "--references", file("us2.txt", "us\nUS\nUS\n")}, "",
			`{"accuracy": 0.6666666666666666, "f1_macro": 0.5555555555555555, "matthews": 0.6123724356957946}`, "on 3 examples"},
		{"JSON lists", []string{"classification", "--hypotheses", file("list.json", "[\n1, \"0\",\n0, 1]\n"), "--references", file("rows.json", `[{"label": 1}, {"label": 0}, {"label": 1}, {"label": 1.0}]`)}, "",
			`{"accuracy": 0.75, "f1": 0.8, "f1_macro": 0.7333333333333334, "matthews": 0.5773502691896258}`, "on 4 examples"},
		{"a CSV file of one value a line", []string{"classification", "--hypotheses", file("plain.csv", "1\n0\n0\n1\n"), "--references", two}, "",
			`{"accuracy": 0.75, "f1": 0.8, "f1_macro": 0.7333333333333334, "matthews": 0.5773502691896258}`, "on 4 examples"},
		{"tagging, BILOU", []string{"tagging", "--input", file("bilou.conll", "a B-x B-x\nb L-x L-x\nc B-x B-x\nd L-x L-x\ne U-y O\n"), "--strict"}, "",
			`{"precision": 1, "recall": 0.6666666666666666, "f1": 0.8, "support": 3, "accuracy": 0.8, "macro": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 3},
			"weighted": {"precision": 0.6666666666666666, "recall": 0.6666666666666666, "f1": 0.6666666666666666, "support": 3},
			"per_type": {"x": {"precision": 1, "recall": 1, "f1": 1, "support": 2}, "y": {"precision": 0, "recall": 0, "f1": 0, "support": 1}}}`, "of 5 tags"},
		{"regression", []string{"regression", "--hypotheses", "-", "--references", numbers}, " 0.3\n0.2 \n2\n4e0\n\n",
			`{"pearson": 0.9677312585984632, "spearman": 0.8}`, "spearman    0.8000"},
		{"not defined", []string{"regression", "--hypotheses", same, "--references", close}, "", `{"pearson": null, "spearman": null}`, "pearson     not defined   on 4 examples"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			score := func(args ...string) outcome {
				got := hereWith(t, tc.stdin, slices.Concat([]string{"score"}, tc.args, args)...)
				if got.code != exitDone || got.stderr != "" {
					t.Fatalf("exit code %d, stderr %q", got.code, got.stderr)
				}
				return got
			}
			var got, want any
			if err := json.Unmarshal([]byte(score("--json").stdout), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			compareJSON(t, "", got, want)
			if text := score().stdout; !strings.Contains(text, tc.text) {
				t.Errorf("got\n%s\nwant %q in it", text, tc.text)
			}
		})
	}
}

// compareJSON compares decoded values; numbers may differ in the last digits.
func compareJSON(t *testing.T, path string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		if len(object) != len(want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
		for key, value := range want {
			compareJSON(t, path+"/"+key, object[key], value)
		}
	case float64:
		if v, ok := got.(float64); !ok || math.Abs(v-want) > 1e-15 {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	default:
		if got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func TestScoreErrors(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tags.conll": twoSentences, "two.txt": "1\n0\n", "three.txt": "1\n0\n1\n", "gap.txt": "1\n\n0\n", "words.txt": "1\nhigh\n", "empty.txt": "\n \n",
		"names.txt": "good\nbad\n", "texts.jsonl": `{"text": "a"}` + "\n" + `{"text": "b"}`, "null.jsonl": `{"label": null}` + "\n" + `{"label": "1"}`,
		"one.conll": "O\nO\n", "ragged.conll": "a O O\nb O\n", "odd.conll": "a O O\nb O x\n", "binary.conll": "\x00\xff\x01 O O\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	for _, tc := range []struct {
		name string
		args string
		code int
		want string
	}{
		{"no kind", "", exitUsage, "score: KIND is missing"},
		{"unknown kind", "taging --input tags.conll", exitUsage, `score: KIND: got "taging", did you mean tagging?, want one of e2e, webnlg, webnlg2017, tagging, classification, multi-label, regression`},
		{"no input", "tagging", exitUsage, "--input FILE is missing: a word a line"},
		{"no references", "classification --hypotheses two.txt", exitUsage, "--references FILE is missing"},
		{"a flag of another kind", "tagging --input tags.conll --references two.txt", exitUsage, "--references: not a flag of tagging, which takes --input, --strict, --scheme"},
		{"strict classes", "classification --hypotheses two.txt --references two.txt --strict", exitUsage, "--strict: not a flag of classification"},
		{"a scheme without strict", "tagging --input tags.conll --scheme iobes", exitUsage, "--scheme: only --strict goes by a scheme"},
		{"unknown scheme", "tagging --input tags.conll --strict --scheme bio", exitUsage, `--scheme: got "bio", want one of auto, iob1, iob2, ioe2, iobes, bilou, bmes`},
		{"stdin twice", "regression --hypotheses - --references -", exitUsage, "--hypotheses and --references: - is there 2 times, but only one can be stdin"},
		{"two files of right answers", "classification --hypotheses two.txt --references two.txt --references two.txt", exitUsage, "--references: got 2 files, want one: there is one right answer in a classification"},
		{"missing file", "tagging --input none.conll", exitFailed, "open none.conll: no such file or directory"},
		{"empty file", "tagging --input empty.txt", exitFailed, "empty.txt: there are no words in it"},
		{"empty values", "regression --hypotheses empty.txt --references two.txt", exitFailed, "empty.txt: the file is empty"},
		{"one column", "tagging --input one.conll", exitFailed, "one.conll: line 1: 1 column: want at least 2"},
		{"ragged", "tagging --input ragged.conll", exitFailed, "ragged.conll: line 2: 2 columns, want 3 as in the lines before"},
		{"not text", "tagging --input binary.conll", exitFailed, "binary.conll: line 1: byte 2 is not UTF-8 (0xff)"},
		{"no tag of the scheme", "tagging --input odd.conll --strict", exitFailed, `odd.conll: score: predictions, sentence 1: word 2 has the tag "x": the scheme iob2 has tags that begin with B, I, O`},
		{"counts differ", "classification --hypotheses three.txt --references two.txt", exitFailed, "three.txt has 3 lines, two.txt has 2: want as many"},
		{"numbers and names", "classification --hypotheses names.txt --references two.txt", exitFailed, `the predicted classes are like "good", the right ones like "1": want the same names in both files`},
		{"a table without labels", "classification --hypotheses texts.jsonl --references two.txt", exitFailed, `texts.jsonl: line 1: no "prediction": it has "text"`},
		{"a label that is null", "classification --hypotheses null.jsonl --references two.txt", exitFailed, "null.jsonl: line 1 is empty: want one value a line"},
		{"an empty line", "classification --hypotheses gap.txt --references three.txt", exitFailed, "gap.txt: line 2 is empty: want one value a line"},
		{"no number", "regression --hypotheses words.txt --references two.txt", exitFailed, `words.txt: line 2: got "high", want a finite number`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Chdir(dir)
			got := here(t, append([]string{"score"}, strings.Fields(tc.args)...)...)
			line, rest, ok := strings.Cut(got.stderr, "\n")
			if got.code != tc.code || got.stdout != "" || !ok || rest != "" || !strings.Contains(line, tc.want) {
				t.Errorf("exit code %d, want %d; stdout %q; stderr %q, want one line with %q", got.code, tc.code, got.stdout, got.stderr, tc.want)
			}
		})
	}
}

// TestScoreShared scores the tags of a real system on JNLPBA, of the developers' golden set.
func TestScoreShared(t *testing.T) {
	got := here(t, "score", "tagging", "--input", filepath.Join(datatest.Golden(t, "ner"), "jnlpba_perceptron_a.tags"), "--json")
	var scores struct{ Precision, Recall, F1 float64 }
	if err := json.Unmarshal([]byte(got.stdout), &scores); err != nil {
		t.Fatalf("%v: %s", err, got.stderr)
	}
	for _, c := range [][2]float64{{scores.Precision, 0.4884488448844885}, {scores.Recall, 0.529923273657289}, {scores.F1, 0.508341511285574}} {
		if math.Abs(c[0]-c[1]) > 1e-9 {
			t.Errorf("got %.17g, want %.17g", c[0], c[1])
		}
	}
}
