package data

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"autolora/data/datatest"
)

// sentences reads a file of sentences into one string a row: the line, then word/tag pairs.
func sentences(file string, words, tags column) ([]string, error) {
	var out []string
	err := readTable(file, sha256.New(), &tableSpec{columns: []column{words, tags}, lists: true}, func(line int, cells []cell) error {
		row := fmt.Sprint(line)
		for k, word := range cells[0].texts() {
			row += " " + word
			if cells[1].kind != missing {
				row += "/" + cells[1].texts()[k]
			}
		}
		out = append(out, row)
		return nil
	})
	if err == nil && out == nil {
		err = errors.New(file + ": no examples: it holds no rows but a header")
	}
	return out, err
}

func TestCoNLL(t *testing.T) {
	optional := tagColumn
	optional.optional = true
	second := listColumn("2")
	tests := []struct {
		name, file, content string
		words, tags         column
		want                []string
	}{
		{"tabs", "a.conll", "IL-2\tB-DNA\ngene\tI-DNA\n\nIt\tO\n", wordColumn, tagColumn, []string{"1 IL-2/B-DNA gene/I-DNA", "4 It/O"}},
		{"spaces", "a.txt", "IL-2 NN B-DNA\ngene  NN   I-DNA\n\nIt PRP O\n", wordColumn, tagColumn, []string{"1 IL-2/B-DNA gene/I-DNA", "4 It/O"}},
		{"columns by number", "a.txt", "1 It PRP O\n2 is VBZ O\n", second, listColumn("-2"), []string{"1 It/PRP is/VBZ"}},
		{"no line end at the end", "a.iob2", "It\tO", wordColumn, tagColumn, []string{"1 It/O"}},
		{"byte order mark, CRLF", "a.BIO", "\ufeffIt\tO\r\n\r\nIs\tO\r\n", wordColumn, tagColumn, []string{"1 It/O", "3 Is/O"}},
		{"several empty lines", "a.tsv", "\n\nIt\tO\n \n\t\n\nIs\tO\n\n\n", wordColumn, tagColumn, []string{"3 It/O", "7 Is/O"}},
		{"MEDLINE lines", "a.iob2", "###MEDLINE:95369245\n\nIt\tO\n\n###MEDLINE:95369246\nIs\tO\n", wordColumn, tagColumn, []string{"3 It/O", "6 Is/O"}},
		{"MEDLINE line between words", "a.iob2", "It\tO\n###MEDLINE:1\nIs\tO\n", wordColumn, tagColumn, []string{"1 It/O", "3 Is/O"}},
		{"MEDLINE lines among spaces", "a.iob2", "###MEDLINE:1\nIt O\n", wordColumn, tagColumn, []string{"2 It/O"}},
		{"document lines", "a.txt", "-DOCSTART- -X- -X- O\n\nIt PRP B-NP O\n\n-DOCSTART- -X- -X- O\nIs VB O O\n", wordColumn, tagColumn, []string{"3 It/O", "6 Is/O"}},
		{"document line with another number of columns", "a.txt", "-DOCSTART- O\n\nIt PRP O\n", wordColumn, tagColumn, []string{"3 It/O"}},
		{"document lines among tabs", "a.conll", "-DOCSTART- -X- -X- O\n\nIt\tPRP\tO\n\n-DOCSTART-\t-X-\tO\nIs\tVB\tO\n-DOCSTART-(2)\tO\nSo\tRB\tO", wordColumn, tagColumn, []string{"3 It/O", "6 Is/O", "8 So/O"}},
		{"a tab among spaces", "a.conll", "It PRP O\nis\tVBZ O\n\nso  RB\tO\nand CC B-x\n", wordColumn, tagColumn, []string{"1 It/O is/O", "4 so/O and/B-x"}},
		{"spaces and a tab in every line", "a.txt", "It PRP\tO\nis VBZ\tO\n", wordColumn, tagColumn, []string{"1 It/O is/O"}},
		{"tabs and a space in some words", "a.txt", "New York\tB-x\nis\tO\n", wordColumn, tagColumn, []string{"1 New York/B-x is/O"}},
		{"lone CRs", "a.txt", "It O\ris O\r\rSo O\r", wordColumn, tagColumn, []string{"1 It/O is/O", "4 So/O"}},
		{"json list", "a.json", "[{\"tokens\": [\"It\"], \"tags\": [\"O\"]},\n{\"tokens\": [\"Is\"], \"tags\": [\"O\"]}]", wordColumn, tagColumn, []string{"1 It/O", "2 Is/O"}},
		{"the word #", "a.conll", "#\tO\nof\tO\n\n# \tO\n", wordColumn, tagColumn, []string{"1 #/O of/O", "4 #/O"}},
		{"the word # among spaces", "a.conll", "# O\n#1 O\n", wordColumn, tagColumn, []string{"1 #/O #1/O"}},
		{"comments", "a.iob2", "# text = It is\n# id = 1\n1\tIt\tO\n# in the middle\n2\tis\tO\n", second, tagColumn, []string{"3 It/O is/O"}},
		{"comments among spaces", "a.conll", "# id 1 domain=en\nIt _ _ O\n# _ _ O\n\n# id 2\n# text = Is\nIs _ _ B-x\n", wordColumn, tagColumn, []string{"2 It/O #/O", "7 Is/B-x"}},
		{"comments with a tab", "a.conll", "# id 1\tdomain=en\nIt _ _ O\n\n# id 2\tdomain=en\nIs _ _ B-x\n", wordColumn, tagColumn, []string{"2 It/O", "5 Is/B-x"}},
		{"comments, CRLF", "a.conll", "# sent 1\r\nIt O\r\n\r\n# sent 2 of 2\r\n# O\r\nIs O\r\n", wordColumn, tagColumn, []string{"2 It/O", "5 #/O Is/O"}},
		{"the word # that begins a sentence", "a.conll", "# # B-NP O\n1 CD I-NP O\n\n# SYM O O\n", wordColumn, tagColumn, []string{"1 #/O 1/O", "4 #/O"}},
		{"the word # alone has its tag", "a.conll", "# SYM\n1 CD\n", wordColumn, tagColumn, []string{"1 #/SYM 1/CD"}},
		{"names of the columns", "a.tsv", "Word\tPOS\tTag\nIt\tPRP\tO\n\nword\tNN\ttag\n", wordColumn, tagColumn, []string{"2 It/O", "4 word/tag"}},
		{"a space inside a word", "a.tsv", "New York\tB-LOC\n", wordColumn, tagColumn, []string{"1 New York/B-LOC"}},
		{"a space around", "a.tsv", " It \tO \n", wordColumn, tagColumn, []string{"1 It/O"}},
		{"a no-break space is part of a word", "a.txt", "a\u00a0b O\n", wordColumn, tagColumn, []string{"1 a\u00a0b/O"}},
		{"words alone", "a.txt", "It\nis\n\nIs\n", wordColumn, optional, []string{"1 It is", "4 Is"}},
		{"jsonl", "a.jsonl", `{"tokens": ["IL-2", "gene"], "tags": ["B-DNA", "I-DNA"]}` + "\n\n" + `{"tags": [0], "tokens": [2000], "more": {}}`, wordColumn, tagColumn,
			[]string{"1 IL-2/B-DNA gene/I-DNA", "3 2000/0"}},
		{"jsonl, the hub's name", "a.json", `{"tokens": ["It"], "ner_tags": [3]}`, wordColumn, tagColumn, []string{"1 It/3"}},
		{"jsonl, both names", "a.json", `{"tokens": ["It"], "ner_tags": [3], "tags": ["O"]}`, wordColumn, tagColumn, []string{"1 It/O"}},
		{"jsonl, own names", "a.ndjson", `{"w": ["It"], "pos": ["PRP"]}`, listColumn("w"), listColumn("pos"), []string{"1 It/PRP"}},
		{"jsonl, no words", "a.jsonl", `{"tokens": [], "tags": []}`, wordColumn, tagColumn, []string{"1"}},
		{"jsonl, no tags", "a.jsonl", `{"tokens": ["a"]}` + "\n" + `{"tokens": ["a"], "tags": null}`, wordColumn, optional, []string{"1 a", "2 a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := sentences(write(t, test.file, test.content), test.words, test.tags)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestCoNLLErrors(t *testing.T) {
	tests := []struct {
		name, file, content string
		words, tags         column
		want                string // after the file's name
	}{
		{"unknown end", "a.xml", "<s/>", wordColumn, tagColumn, `: unknown kind of file ".xml": want words with tags in .conll, .iob2, .tsv, .txt, .jsonl or .parquet`},
		{"csv", "a.CSV", "tokens,tags\n", wordColumn, tagColumn, `: unknown kind of file ".CSV": want words with tags in .conll, .iob2, .tsv, .txt, .jsonl or .parquet`},
		{"empty", "a.conll", "", wordColumn, tagColumn, ": the file is empty"},
		{"empty lines", "a.conll", "\n\n###MEDLINE:1\n", wordColumn, tagColumn, ": there are no words in it"},
		{"no tags", "a.conll", "\nIt\nis\n", wordColumn, tagColumn, ": line 2: 1 column: want at least 2"},
		{"tag missing", "a.conll", "It\tO\nis\n", wordColumn, tagColumn, ": line 2: 1 columns, want 2 as in the lines before"},
		{"tag empty", "a.conll", "It\tO\nis\t\n", wordColumn, tagColumn, ": line 2: 1 columns, want 2 as in the lines before"},
		{"word empty", "a.conll", "It\tO\n\tO\n", wordColumn, tagColumn, ": line 2: column 1 is empty"},
		{"too many columns", "a.txt", "It O\na b O\n", wordColumn, tagColumn, ": line 2: 3 columns, want 2 as in the lines before"},
		{"no such column", "a.txt", "It O\n", wordColumn, listColumn("4"), ": line 1: no column 4 of its own: there are 2 columns"},
		{"one column twice", "a.txt", "It O\n", wordColumn, listColumn("1"), ": line 1: no column 1 of its own: there are 2 columns"},
		{"a column's name", "a.txt", "It O\n", listColumn("tokens"), tagColumn,
			`: column "tokens": the columns of this kind of file have no names: want a number, 1 for the first, -1 for the last`},
		{"not UTF-8", "a.txt", "It O\n\xff O\n", wordColumn, tagColumn, ": line 2: byte 1 is not UTF-8 (0xff): convert the file to UTF-8"},
		{"jsonl, a text", "a.jsonl", `{"tokens": "It is", "tags": ["O"]}`, wordColumn, tagColumn, `: line 1: "tokens": is no list: want a list of strings`},
		{"jsonl, an object", "a.jsonl", `{"tokens": ["It"], "tags": ["O", {}]}`, wordColumn, tagColumn,
			`: line 1: "tags": element 2 is a list or an object: want a string or a number`},
		{"jsonl, a null", "a.jsonl", `{"tokens": [null], "tags": ["O"]}`, wordColumn, tagColumn, `: line 1: "tokens": element 1 is null: want a string or a number`},
		{"jsonl, null", "a.jsonl", `{"tokens": null, "tags": ["O"]}`, wordColumn, tagColumn, `: line 1: "tokens" is null: want a value`},
		{"jsonl, no tags", "a.jsonl", `{"tokens": ["It"]}`, wordColumn, tagColumn, `: line 1: no "tags" or "ner_tags": it has "tokens"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, test.file, test.content)
			_, err := sentences(file, test.words, test.tags)
			if err == nil || err.Error() != file+test.want {
				t.Errorf("got %v\nwant %s%s", err, file, test.want)
			}
		})
	}
}

// TestSentencesParquet reads lists that Arrow wrote.
func TestSentencesParquet(t *testing.T) {
	file := write(t, "a.parquet", fixture(t, "../parquet/testdata/lists.parquet"))
	got, err := sentences(file, wordColumn, tagColumn)
	if err != nil || len(got) != 150 {
		t.Fatalf("%d sentences, %v", len(got), err)
	}
	words := 0
	for i, row := range got {
		line, rest, _ := strings.Cut(row, " ")
		if line != fmt.Sprint(i+1) {
			t.Fatalf("row %d is line %s", i, line)
		}
		words += strings.Count(rest, "/")
	}
	if words < 150 {
		t.Errorf("%d words", words)
	}
	for _, test := range []struct{ words, want string }{
		{"tokens_null", `"tokens_null" is null: want a value`},
		{"elements_null", `"elements_null": element `},
		{"nothing", `no column "nothing": it has "tokens", "tokens_null"`},
	} {
		if _, err := sentences(file, column{name: test.words}, tagColumn); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// TestHubSentences reads what Hugging Face datasets wrote: numbers whose names the file holds.
func TestHubSentences(t *testing.T) {
	dir := filepath.Join("testdata", "tagging")
	hub, err := LoadTask("jnlpba", dir, Train)
	if err != nil {
		t.Fatal(err)
	}
	own, err := FileTask{Kind: Tagging, Train: filepath.Join(dir, "train-00000-of-00001.parquet")}.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Splits{hub, own} {
		want := [][]string{{"B-DNA", "I-DNA", "O", "B-protein", "O"}, {}, {"B-protein", "I-protein"}}
		for i, ex := range s.Train.Examples {
			if got := s.Task.Names(ex.Tags); !slices.Equal(got, want[i]) || len(ex.Words) != len(got) {
				t.Errorf("%q has the tags %q, want %q", ex.Words, got, want[i])
			}
		}
		if s.Train.Len() != 3 || s.Task.Primary != "f1" {
			t.Errorf("%d sentences, task %+v", s.Train.Len(), s.Task)
		}
	}
	if !slices.Equal(own.Task.Labels, []string{"O", "B-DNA", "B-protein", "I-DNA", "I-protein"}) {
		t.Errorf("labels %q", own.Task.Labels)
	}
	b := []byte(fixture(t, "tagging/train-00000-of-00001.parquet"))
	b = bytes.Replace(b, []byte(`"names": ["B-protein", "I-protein", "O", "B-DNA", "I-DNA"]`), []byte(`"names": ["B-protein", "I-protein", "O"                  ]`), 1)
	file := write(t, "few.parquet", string(b))
	if _, err := (FileTask{Kind: Tagging, Train: file}).Load(); err == nil || err.Error() != file+`: row 1: "ner_tags": element 1 is "3": want 0 to 2` {
		t.Errorf("got %v", err)
	}
}

// madeUp are two sentences in the official form of JNLPBA, with invented words: the corpus is not ours to copy.
const madeUp = "###MEDLINE:1\n\nXA-1\tB-DNA\ngene\tI-DNA\nbinds\tO\nQB\tB-protein\n.\tO\n\nT\tB-cell_line\ncells\tI-cell_line\n\n"

func TestLoadJNLPBA(t *testing.T) {
	one := "It\tO\n"
	plain := map[string]string{"train.conll": madeUp, "devel.conll": one, "test.conll": one + "is\tO\n"}
	official := map[string]string{"Genia4ERtask1.iob2": madeUp, "Genia4EReval1.iob2": one}
	tests := []struct {
		name    string
		files   map[string]string // in the folder JNLPBA
		parts   []Part
		lengths string // examples of train, dev, test
		note    string
		err     string
	}{
		{"three parts", plain, []Part{Train, Dev, Test}, "2 [1] [1]", "", ""},
		{"other ends", map[string]string{"train.tsv": madeUp, "dev.iob2": one}, []Part{Train, Dev}, "2 [1] []", "", ""},
		{"official", official, []Part{Train, Dev}, "2 [] []", "jnlpba: there is no dev set in ", ""},
		{"official, the test set when asked for", official, []Part{Test}, "0 [] [1]", "", ""},
		{"official, with documents", map[string]string{"Genia4ERtask2.iob2": madeUp, "Genia4EReval2.iob2": one}, []Part{Train, Test}, "2 [] [1]", "", ""},
		{"devel.conll is a part of the official training set", merge(official, plain), []Part{Train, Dev, Test}, "2 [1] [1]", "", ""},
		{"no test set", map[string]string{"train.conll": madeUp}, []Part{Train, Test}, "", "", "task jnlpba: test set not found: looked for test.conll, Genia4EReval1.conll and validation-*-of-*.parquet in "},
		{"nothing", map[string]string{"readme": "x"}, []Part{Dev}, "", "", "task jnlpba: dev set not found: looked for devel.conll in "},
		{"another tag", map[string]string{"train.conll": "It\tO\nis\tB-gene\n"}, []Part{Train}, "", "",
			`train.conll: line 2: label "B-gene": want "O", "B-DNA", "I-DNA", "B-RNA", "I-RNA", "B-cell_line", "I-cell_line", "B-cell_type", "I-cell_type", "B-protein", "I-protein", or 0 to 10`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			inner := filepath.Join(dir, "JNLPBA")
			if err := os.Mkdir(inner, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, content := range test.files {
				if err := os.WriteFile(filepath.Join(inner, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, dir := range []string{dir, inner} {
				s, err := LoadTask("JNLPBA", dir, test.parts...)
				if test.err != "" {
					if err == nil || !strings.Contains(err.Error(), test.err) {
						t.Errorf("got %v\nwant %s", err, test.err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				train := 0
				if s.Train != nil {
					train = s.Train.Len()
				}
				if got := fmt.Sprint(train, lengths(s.Dev), lengths(s.Test)); got != test.lengths {
					t.Errorf("examples %s, want %s", got, test.lengths)
				}
				if notes := strings.Join(s.Notes, "\n"); (notes == "") != (test.note == "") || !strings.HasPrefix(notes, test.note) {
					t.Errorf("notes %q, want %q", notes, test.note)
				}
			}
		})
	}
}

func lengths(sets []*Dataset) []int {
	out := make([]int, len(sets))
	for i, d := range sets {
		out[i] = d.Len()
	}
	return out
}

func merge(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func TestJNLPBAExamples(t *testing.T) {
	file := write(t, "Genia4ERtask2.iob2", madeUp)
	s, err := LoadTask("jnlpba", filepath.Dir(file), Train)
	if err != nil {
		t.Fatal(err)
	}
	want := []Example{
		{Sentence: &Sentence{Words: []string{"XA-1", "gene", "binds", "QB", "."}, Tags: []int{1, 2, 0, 9, 0}}, File: file, Line: 3},
		{Sentence: &Sentence{Words: []string{"T", "cells"}, Tags: []int{5, 6}}, File: file, Line: 9},
	}
	if !reflect.DeepEqual(s.Train.Examples, want) {
		t.Errorf("got %+v\nwant %+v", s.Train.Examples, want)
	}
	if d := s.Train; d.Kind != Tagging || d.Name != "jnlpba/train" || len(d.Labels) != 11 || !d.Labelled() {
		t.Errorf("got %+v", d)
	}
	if task := s.Task; task.Outputs() != 11 || task.Primary != "f1" || !slices.Equal(task.Metrics, []string{"precision", "recall", "f1"}) {
		t.Errorf("task %+v", task)
	}
}

func TestFileTaskTagging(t *testing.T) {
	train := write(t, "my.conll", "It O\nis B-x\n\nso I-x\nit O\n")
	tests := []struct {
		name    string
		task    FileTask
		labels  string
		metrics string
		tags    string // of the first dev sentence
	}{
		{"O first, then by name", FileTask{Train: train, Dev: write(t, "d.jsonl", `{"tokens": ["a", "b"], "tags": ["I-x", "O"]}`)},
			"[O B-x I-x]", "[precision recall f1 accuracy]", "[2 0]"},
		{"other columns", FileTask{Train: write(t, "p.txt", "1 It PRP O\n2 is VBZ O\n"), Dev: write(t, "d.txt", "1 so VBZ O\n"), Text: []string{"2"}, Label: "3"},
			"[PRP VBZ]", "[accuracy]", "[1]"},
		{"given names", FileTask{Dev: train, Labels: []string{"I-x", "O", "B-x"}}, "[I-x O B-x]", "[precision recall f1 accuracy]", "[1 2]"},
		{"tags without types", FileTask{Train: write(t, "b.txt", "a B\nb O\n"), Dev: write(t, "b.txt", "a B\n")}, "[O B]", "[precision recall f1 accuracy]", "[1]"},
		{"a letter that no scheme has", FileTask{Train: write(t, "b.txt", "a X\nb O\n"), Dev: write(t, "b.txt", "a X\n")}, "[O X]", "[accuracy]", "[1]"},
		{"test without tags", FileTask{Train: train, Dev: train, Test: write(t, "t.txt", "a\nb\n")}, "[O B-x I-x]", "[precision recall f1 accuracy]", "[0 1]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.task.Kind = Tagging
			s, err := test.task.Load()
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(s.Task.Labels); got != test.labels || !slices.Equal(s.Dev[0].Labels, s.Task.Labels) {
				t.Errorf("labels %s, want %s", got, test.labels)
			}
			if got := fmt.Sprint(s.Task.Metrics); got != test.metrics || !slices.Contains(s.Task.Metrics, s.Task.Primary) {
				t.Errorf("metrics %s, primary %s, want %s", got, s.Task.Primary, test.metrics)
			}
			if got := fmt.Sprint(s.Dev[0].Examples[0].Tags); got != test.tags {
				t.Errorf("tags %s, want %s", got, test.tags)
			}
			if s.Test != nil && (s.Test[0].Labelled() || len(s.Test[0].Examples[0].Tags) != 2) {
				t.Errorf("test set %+v", s.Test[0].Examples)
			}
		})
	}
}

func TestFileTaskTaggingErrors(t *testing.T) {
	train := write(t, "my.conll", "It O\nis B-x\n")
	dev := write(t, "dev.conll", "It O\n\nis O\nso B-y\n")
	short := write(t, "short.jsonl", `{"tokens": ["a", "b"], "tags": ["O"]}`)
	other := write(t, "other.jsonl", `{"tokens": ["a", "b"], "tags": ["O", "B-y"]}`)
	one := write(t, "one.conll", "It O\nis O\n")
	numbered := write(t, "numbered.iob2", "# text = del mar\n1-2\tdel\t_\tme\n1\tde\tO\tme\n2\tel\tO\tme\n\n1\tmar\tB-LOC\tyou\n")
	none := write(t, "none.jsonl", `{"tokens": [], "tags": []}`)
	tests := []struct {
		name string
		task FileTask
		want string
	}{
		{"two columns of words", FileTask{Train: train, Text: []string{"1", "2"}}, "2 text columns: want the one with the words"},
		{"no train file", FileTask{Dev: dev}, "no train file and no tags: the meaning of the head's outputs is not known"},
		{"tag that train lacks", FileTask{Train: train, Dev: dev}, dev + `: line 4: label "B-y" is not among the 2 classes of ` + train + ` ("O", "B-x")`},
		{"the same in JSON lines", FileTask{Train: train, Dev: other}, other + `: line 1: word 2: label "B-y" is not among the 2 classes of ` + train + ` ("O", "B-x")`},
		{"fewer tags than words", FileTask{Train: short}, short + ": line 1: 2 words and 1 tags: want as many"},
		{"one tag", FileTask{Train: one}, one + `: all 2 words have the tag "O": want at least two tags`},
		{"numbered words", FileTask{Train: numbered}, numbered + ": the first column numbers the words of each sentence, and so is not that of the words: give the columns of text and label by their numbers, 2 and 3, say"},
		{"no words", FileTask{Train: none}, none + ": no sentence in it has words"},
		{"one given name", FileTask{Dev: dev, Labels: []string{"O"}}, "1 class names are given: want at least two"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.task.Kind = Tagging
			_, err := test.task.Load()
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestReadSentences(t *testing.T) {
	task := Task{Name: "my", Kind: Tagging, Labels: []string{"O", "B-x"}}
	file := write(t, "in.jsonl", `{"tokens": ["a", "b"]}
{"tokens": ["c"], "tags": ["B-x"]}
{"tokens": []}
{"tokens": ["d"], "ner_tags": [1]}`)
	d, err := ReadInputs(file, task)
	if err != nil {
		t.Fatal(err)
	}
	want := []Example{
		{Sentence: &Sentence{Words: []string{"a", "b"}, Tags: []int{NoLabel, NoLabel}}, File: file, Line: 1},
		{Sentence: &Sentence{Words: []string{"c"}, Tags: []int{1}}, File: file, Line: 2},
		{Sentence: &Sentence{Words: []string{}, Tags: []int{}}, File: file, Line: 3},
		{Sentence: &Sentence{Words: []string{"d"}, Tags: []int{1}}, File: file, Line: 4},
	}
	if !reflect.DeepEqual(d.Examples, want) || d.Labelled() {
		t.Errorf("got %+v\nwant %+v", d.Examples, want)
	}
	plain, err := ReadInputs(write(t, "in.txt", "a\nb\n\nc\n"), task)
	if err != nil || len(plain.Examples) != 2 || !slices.Equal(plain.Examples[0].Tags, []int{NoLabel, NoLabel}) {
		t.Errorf("got %+v, %v", plain, err)
	}
	bad := write(t, "in.conll", "a O\nb B-y\n")
	if _, err := ReadInputs(bad, task); err == nil || err.Error() != "input: "+bad+`: line 2: label "B-y": want "O", "B-x", or 0 to 1` {
		t.Errorf("got %v", err)
	}
}

type splitterFunc func(words []string) ([]int, error)

func (f splitterFunc) Split(words []string) ([]int, error) { return f(words) }

// SplitChat makes an example of every turn that is to be written.
func (f splitterFunc) SplitChat(c *Conversation) ([]*Conversation, error) {
	if _, err := f(nil); err != nil {
		return nil, err
	}
	var pieces []*Conversation
	for _, turn := range c.Turns {
		pieces = append(pieces, &Conversation{Messages: c.Messages[:turn+1], Turns: []int{turn}})
	}
	return pieces, nil
}

func TestPieces(t *testing.T) {
	d := &Dataset{Name: "test", Kind: Tagging, Labels: []string{"O", "B-x"}, Fingerprint: "f", Examples: []Example{
		{Sentence: &Sentence{Words: []string{"a", "b", "c", "d", "e"}, Tags: []int{0, 1, 0, 1, 0}}, File: "x.conll", Line: 1},
		{Sentence: &Sentence{Words: []string{}, Tags: []int{}}, File: "x.conll", Line: 7},
		{Sentence: &Sentence{Words: []string{"f", "g"}, Tags: []int{1, 0}}, File: "x.conll", Line: 8},
	}}
	p, cut, err := Pieces(d, splitterFunc(func(words []string) ([]int, error) {
		if len(words) == 5 {
			return []int{2, 2, 1}, nil
		}
		return []int{2}[:min(1, len(words))], nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ex := range p.Examples {
		got = append(got, fmt.Sprint(ex.Line, ex.Words, ex.Tags, ex.Further))
	}
	want := []string{"1 [a b] [0 1] false", "1 [c d] [0 1] true", "1 [e] [0] true", "8 [f g] [1 0] false"}
	if !slices.Equal(got, want) || !slices.Equal(cut, []int{0}) || p.Fingerprint != "f" || d.Len() != 3 {
		t.Errorf("got %q, %v cut, of %d\nwant %q", got, cut, d.Len(), want)
	}
	if got, want := fmt.Sprint(p.Rows(), d.Rows()), "[0 2 4 5 7] [0 5 5 7]"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
	_, _, err = Pieces(d, splitterFunc(func([]string) ([]int, error) { return nil, errBadText }))
	if err == nil || err.Error() != "x.conll: line 1: bad text" {
		t.Errorf("got %v", err)
	}
}

func TestWriteCoNLL(t *testing.T) {
	words := [][]string{{"IL-2", "#", "New York"}, {"it"}}
	tags := [][]string{{"B-DNA", "O", "B-LOC"}, {"O"}}
	var b strings.Builder
	if err := WriteCoNLL(&b, words, tags, tags); err != nil {
		t.Fatal(err)
	}
	const want = "IL-2\tB-DNA\tB-DNA\n#\tO\tO\nNew York\tB-LOC\tB-LOC\n\nit\tO\tO\n\n"
	if b.String() != want {
		t.Errorf("got %q\nwant %q", b.String(), want)
	}
	got, err := sentences(write(t, "a.conll", b.String()), wordColumn, tagColumn)
	if err != nil || !slices.Equal(got, []string{"1 IL-2/B-DNA #/O New York/B-LOC", "5 it/O"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if columns, err := ReadCoNLL("a.conll", []byte(b.String()), 1, -2); err != nil || !reflect.DeepEqual(columns, [][][]string{words, tags}) {
		t.Errorf("got back %q, %v", columns, err)
	}
	if _, err := ReadCoNLL("a.conll", []byte("O\nO\n"), -2, -1); err == nil || err.Error() != "a.conll: line 1: 1 column: want at least 2" {
		t.Errorf("got %v", err)
	}
	for _, test := range []struct {
		name        string
		words, tags [][]string
		want        string
	}{
		{"no words", [][]string{{"a"}, {}}, [][]string{{"O"}, {}}, "write sentence 2: it has no words, which a file with a word a line has no place for"},
		{"fewer tags", [][]string{{"a", "b"}}, [][]string{{"O"}}, "write sentence 1: its columns differ in length"},
		{"fewer sentences", [][]string{{"a"}, {"b"}}, [][]string{{"O"}}, "write sentence 1: its columns differ in length"},
		{"an empty word", [][]string{{"a", ""}}, [][]string{{"O", "O"}}, `write sentence 1: word 2: "" cannot stand in a file with a word a line`},
		{"a tab", [][]string{{"a\tb"}}, [][]string{{"O"}}, `write sentence 1: word 1: "a\tb" cannot stand in a file with a word a line`},
		{"a document", [][]string{{"-DOCSTART-"}}, [][]string{{"O"}}, `write sentence 1: word 1: "-DOCSTART-" cannot stand in a file with a word a line`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := WriteCoNLL(io.Discard, test.words, test.tags); err == nil || err.Error() != test.want {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer full.Close()
	if err := WriteCoNLL(full, words, tags); err == nil {
		t.Error("no error for a full disk")
	}
}

// TestJNLPBAFiles reads all of JNLPBA: the counts are those that grep and wc find in the files, and writing what
// was read gives the same bytes.
func TestJNLPBAFiles(t *testing.T) {
	dir := datatest.Unpack(t, "datasets/jnlpba.tar.xz")
	s, err := LoadTask("jnlpba", dir, Train, Dev, Test)
	if err != nil {
		t.Fatal(err)
	}
	official := filepath.Join(dir, "official")
	if err := os.Mkdir(official, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "jnlpba", "Genia4ERtask1.iob2"), filepath.Join(official, "Genia4ERtask1.iob2")); err != nil {
		t.Fatal(err)
	}
	whole, err := LoadTask("jnlpba", official, Train)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		d                         *Dataset
		sentences, words, protein int
	}{
		{s.Train, 16807, 445090, 27803}, {s.Dev[0], 1739, 47461, 2466}, {s.Test[0], 3856, 101039, 5067}, {whole.Train, 18546, 492551, 30269},
	} {
		words, protein := 0, 0
		var columns [2][][]string
		for _, ex := range test.d.Examples {
			words += len(ex.Words)
			var tags []string
			for _, tag := range ex.Tags {
				if test.d.Labels[tag] == "B-protein" {
					protein++
				}
				tags = append(tags, test.d.Labels[tag])
			}
			columns[0], columns[1] = append(columns[0], ex.Words), append(columns[1], tags)
		}
		if test.d.Len() != test.sentences || words != test.words || protein != test.protein {
			t.Errorf("%s: %d sentences, %d words, %d proteins, want %d, %d, %d", test.d.Name, test.d.Len(), words, protein, test.sentences, test.words, test.protein)
		}
		var b bytes.Buffer
		if err := WriteCoNLL(&b, columns[0], columns[1]); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(test.d.Files[0])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.TrimSpace(b.Bytes()), bytes.TrimSpace(want)) {
			t.Errorf("%s: what was read is not what is written", test.d.Name)
		}
	}
}
