package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/data/datatest"
)

// wantScores are scores of testdata/entities.json; null is what seqeval cannot give.
type wantScores struct {
	Precision, Recall, F1 *float64
	Support               int
}

func (w wantScores) compare(t *testing.T, name string, got EntityScores, tolerance float64) {
	t.Helper()
	for _, c := range []struct {
		name string
		got  float64
		want *float64
	}{{"precision", got.Precision, w.Precision}, {"recall", got.Recall, w.Recall}, {"f1", got.F1, w.F1}} {
		want := 0.0 // without any entity
		if c.want != nil {
			want = *c.want
		}
		if !(math.Abs(c.got-want) <= tolerance) {
			t.Errorf("%s, %s: got %.17g, want %.17g", name, c.name, c.got, want)
		}
	}
	if got.Support != w.Support {
		t.Errorf("%s: support %d, want %d", name, got.Support, w.Support)
	}
}

type wantReport struct {
	wantScores
	Macro, Weighted wantScores
	PerType         map[string]wantScores `json:"per_type"`
	Accuracy        float64
}

func (w *wantReport) compare(t *testing.T, gold, pred [][]string, scheme Scheme, tolerance float64) {
	t.Helper()
	got, err := ScoreEntities(gold, pred, scheme)
	if err != nil {
		t.Fatal(err)
	}
	w.wantScores.compare(t, "all", got.EntityScores, tolerance)
	w.Macro.compare(t, "macro", got.Macro, tolerance)
	w.Weighted.compare(t, "weighted", got.Weighted, tolerance)
	if math.Abs(got.Accuracy-w.Accuracy) > tolerance {
		t.Errorf("accuracy %v, want %v", got.Accuracy, w.Accuracy)
	}
	if a, b := slices.Sorted(maps.Keys(got.PerType)), slices.Sorted(maps.Keys(w.PerType)); !slices.Equal(a, b) {
		t.Errorf("types %q, want %q", a, b)
	}
	for kind, want := range w.PerType {
		want.compare(t, kind, got.PerType[kind], tolerance)
	}
}

// TestEntitiesGolden compares with seqeval.
func TestEntitiesGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/entities.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name       string
			Gold, Pred []string
			Want       map[Scheme]*wantReport
		}
		Entities []map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 10 || len(file.Entities) < 20 {
		t.Fatalf("%d cases, %d odd sentences", len(file.Cases), len(file.Entities))
	}
	for _, c := range file.Cases {
		for scheme, want := range c.Want {
			t.Run(fmt.Sprintf("%s/%s", c.Name, scheme), func(t *testing.T) {
				if want == nil {
					t.Fatal("no values")
				}
				want.compare(t, splitTags(c.Gold), splitTags(c.Pred), scheme, tolerance)
			})
		}
	}
	for _, odd := range file.Entities {
		var tags string
		if err := json.Unmarshal(odd["tags"], &tags); err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []Scheme{Lenient, IOB2, IOBES} {
			t.Run(fmt.Sprintf("%s/%s", tags, scheme), func(t *testing.T) {
				entities, err := Entities(strings.Fields(tags), scheme)
				got := "null"
				if err == nil {
					list := [][3]any{}
					for _, e := range entities {
						list = append(list, [3]any{e.Type, e.Start, e.End})
					}
					b, err := json.Marshal(list)
					if err != nil {
						t.Fatal(err)
					}
					got = string(b)
				}
				var want bytes.Buffer
				if err := json.Compact(&want, odd[string(scheme)]); err != nil {
					t.Fatal(err)
				}
				if want := strings.ReplaceAll(want.String(), `\u00e9`, "é"); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
	}
}

func splitTags(sentences []string) [][]string {
	out := make([][]string, len(sentences))
	for i, s := range sentences {
		out[i] = strings.Fields(s)
	}
	return out
}

// TestSharedEntities runs the part of the developers' golden set with the tags of JNLPBA: seqeval's values, and
// what conlleval printed.
func TestSharedEntities(t *testing.T) {
	dir := datatest.Golden(t, "ner")
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	type official struct {
		Micro, Macro, Weighted wantScores
		PerType                map[string]struct {
			Precision, Recall *float64
			F1                *float64 `json:"f1-score"`
			Support           float64
		} `json:"per_type"`
		Accuracy float64
	}
	var files map[string]struct {
		Default   official `json:"seqeval_default"`
		IOB2      official `json:"seqeval_strict_IOB2"`
		IOBES     official `json:"seqeval_strict_IOBES"`
		Conlleval string   `json:"conlleval_perl_stdout"`
	}
	if err := json.Unmarshal(b, &files); err != nil {
		t.Fatal(err)
	}
	if len(files) < 3 {
		t.Fatalf("%d files", len(files))
	}
	for name, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, name+".tags"))
		if err != nil {
			t.Fatal(err)
		}
		var gold, pred [][]string
		for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
			var g, p []string
			for line := range strings.SplitSeq(block, "\n") {
				a, b, _ := strings.Cut(line, " ")
				g, p = append(g, a), append(p, b)
			}
			gold, pred = append(gold, g), append(pred, p)
		}
		for scheme, want := range map[Scheme]official{Lenient: f.Default, IOB2: f.IOB2, IOBES: f.IOBES} {
			if want.PerType == nil {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s", name, scheme), func(t *testing.T) {
				w := wantReport{wantScores: want.Micro, Macro: want.Macro, Weighted: want.Weighted, Accuracy: want.Accuracy, PerType: map[string]wantScores{}}
				for kind, s := range want.PerType {
					w.PerType[kind] = wantScores{s.Precision, s.Recall, s.F1, int(s.Support)}
					w.Support += int(s.Support)
				}
				w.Macro.Support, w.Weighted.Support = w.Support, w.Support
				w.compare(t, gold, pred, scheme, 1e-9)
			})
		}
		if f.Conlleval == "" {
			continue
		}
		t.Run(name+"/conlleval", func(t *testing.T) {
			r, err := ScoreEntities(gold, pred, Lenient)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("accuracy: %14.10f%%; precision: %14.10f%%; recall: %14.10f%%; FB1: %14.10f", 100*r.Accuracy, 100*r.Precision, 100*r.Recall, 100*r.F1)
			if !strings.Contains(f.Conlleval, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("got %s\nwant %s", want, f.Conlleval)
			}
			for kind, s := range r.PerType {
				want := fmt.Sprintf(" %s: precision: %.10f%%; recall: %.10f%%; FB1: %.10f ", kind, 100*s.Precision, 100*s.Recall, 100*s.F1)
				if !strings.Contains(f.Conlleval, want) {
					t.Errorf("got %s\nwant %s", want, f.Conlleval)
				}
			}
		})
	}
}

func TestEntityErrors(t *testing.T) {
	score := func(gold, pred string, scheme Scheme) error {
		return second(ScoreEntities(splitTags(strings.Split(gold, "/")), splitTags(strings.Split(pred, "/")), scheme))
	}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"sentences", score("O/O", "O", Lenient), "score: 2 gold sentences and 1 predicted ones"},
		{"words", score("O/O O", "O/O", Lenient), "score: sentence 2 has 2 gold tags and 1 predicted ones"},
		{"no words", score("/", "/", Lenient), "score: no words"},
		{"gold tag", score("O/O E-x", "O/O O", IOB2), `score: gold, sentence 2: word 2 has the tag "E-x": the scheme iob2 has tags that begin with B, I, O`},
		{"predicted tag", score("O", "x", IOBES), `score: predictions, sentence 1: word 1 has the tag "x": the scheme iobes has tags that begin with B, I, O, E, S`},
		{"tag of another scheme", score("O", "U-x", BMES), `score: predictions, sentence 1: word 1 has the tag "U-x": the scheme bmes has tags that begin with B, M, O, E, S`},
		{"letter of IOBES", score("O", "S-x", BILOU), `score: predictions, sentence 1: word 1 has the tag "S-x": the scheme bilou has tags that begin with B, I, O, L, U`},
		{"empty tag", second(Entities([]string{"O", ""}, Lenient)), "word 2 has an empty tag"},
		{"empty tag, strict", second(Entities([]string{""}, IOB2)), "word 1 has an empty tag"},
		{"unknown scheme", score("O", "O", "bio"), `score: gold, sentence 1: unknown scheme of tags "bio": want lenient or iob1, iob2, ioe2, iobes, bilou, bmes`},
		{"unknown score", second(Tagging([]string{"bleu"}, [][]string{{"O"}}, [][]string{{"O"}})), `score: "bleu" is no score of a tagging`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.err == nil || test.err.Error() != test.want {
				t.Errorf("got %v\nwant %s", test.err, test.want)
			}
		})
	}
}

func TestChunked(t *testing.T) {
	for tags, want := range map[string]bool{
		"O B-x I-x": true, "B-x": true, "O S-x E-x": true, "O": false, "": false, "NOUN VERB": false, "O B-": false, "B-x NN": false,
		"O B I": true, "B I": true, "O I": true, "O U-x L-x B-x I-x": true, "B-x M-x E-x S-x O": true, "B M E S": true, "O I-x E-x": true, "O B_x I_x": true,
		"O B I-x": false, "O S": false, "O E": false, "PER O": false, "B-x O X": false, "B-x N-x": false,
	} {
		if got := Chunked(strings.Fields(tags)); got != want {
			t.Errorf("%q: got %v", tags, got)
		}
	}
}

// TestOtherLetters scores tags of BILOU and BMES, and those of IOBES that mean the same, alike.
func TestOtherLetters(t *testing.T) {
	gold := splitTags([]string{"B-x I-x E-x B-x E-x S-y S-y O", "S-x O B-y I-y I-y E-y"})
	pred := splitTags([]string{"B-x I-x E-x B-x I-x S-y S-y O", "S-x O B-y I-y E-y O"})
	renamed := func(sentences [][]string, letters ...string) [][]string {
		var out [][]string
		for _, tags := range sentences {
			out = append(out, strings.Fields(strings.NewReplacer(letters...).Replace(strings.Join(tags, " "))))
		}
		return out
	}
	for scheme, letters := range map[Scheme][]string{
		IOBES: nil, BILOU: {"E-", "L-", "S-", "U-"}, BMES: {"I-", "M-"}, "bmew": {"I-", "M-", "S-", "W-"}, "untyped": {"-x", "", "-y", ""},
	} {
		g, p := renamed(gold, letters...), renamed(pred, letters...)
		want := scheme
		if scheme == "bmew" {
			want = BMES
		} else if scheme == "untyped" {
			want = IOBES
		}
		if got := SchemeOf(g); got != want {
			t.Errorf("%s: scheme %s, want %s", scheme, got, want)
		}
		for _, mode := range []Scheme{Lenient, want} {
			r, err := ScoreEntities(g, p, mode)
			if err != nil {
				t.Fatal(err)
			}
			hits := 5.0
			if mode != Lenient { // the entity without an end does not count
				hits = 4
			}
			if r.Support != 6 || r.Recall != hits/6 || r.Precision != hits/(hits+1) {
				t.Errorf("%s, %s: got %+v", scheme, mode, r.EntityScores)
			}
		}
	}
	for tags, want := range map[string]Scheme{
		"O B-x I-x": IOB2, "O I-x I-y": IOB1, "I-x E-x O": IOE2, "B-x O": IOB2, "LOC MISC O": IOB2, "O": IOB2, "U-x O": BILOU, "S O": IOBES, "B M E S": BMES,
	} {
		if got := SchemeOf([][]string{strings.Fields(tags)}); got != want {
			t.Errorf("%q: scheme %s, want %s", tags, got, want)
		}
	}
}

func ExampleTagging() {
	gold := [][]string{{"B-DNA", "I-DNA", "O"}, {"B-protein", "O"}}
	pred := [][]string{{"B-DNA", "I-DNA", "O"}, {"I-protein", "B-RNA"}}
	scores, err := Tagging([]string{NamePrecision, NameRecall, NameF1}, gold, pred)
	fmt.Printf("%.3f %.3f %.3f %v\n", scores["precision"], scores["recall"], scores["f1"], err)
	// Output: 0.667 1.000 0.800 <nil>
}
