package data

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	parquetgo "github.com/parquet-go/parquet-go"
)

// TestComplete guesses what files hold from their columns.
func TestComplete(t *testing.T) {
	rows := func(header string, rows ...string) string { // each row five times
		return header + "\n" + strings.Repeat(strings.Join(rows, "\n")+"\n", 5)
	}
	tests := []struct {
		name, file, content string
		given               FileTask
		kind                Kind
		text, label         string
		missing             string // what is in doubt
	}{
		{"text and label", "a.csv", rows("text,label", "a b,x", "c d,y"), FileTask{}, Classification, "text", "label", ""},
		{"in capitals", "a.csv", rows("Review,Sentiment", "a b,pos", "c d,neg"), FileTask{}, Classification, "Review", "Sentiment", ""},
		{"numbers as classes", "a.tsv", rows("idx\tsentence\tlabel", "1\ta b\t0", "2\tc d\t1.0"), FileTask{}, Classification, "sentence", "label", ""},
		{"a pair", "a.jsonl", rows("", `{"premise": "a b", "hypothesis": "c", "label": "yes"}`, `{"premise": "a", "hypothesis": "d", "label": "no"}`), FileTask{}, Classification, "premise,hypothesis", "label", ""},
		{"scores of a pair", "a.csv", rows("sentence1,sentence2,score", "a,b,1.5", "c,d,3", "e,f,0.25"), FileTask{}, Regression, "sentence1,sentence2", "score", ""},
		{"the habit of naming a kind", "a.csv", rows("sentence1,sentence2,score", "a,b,1", "c,d,3"), FileTask{Kind: "regression"}, Regression, "sentence1,sentence2", "score", ""},
		{"QNLI", "a.tsv", rows("index\tquestion\tsentence\tlabel", "0\ta?\tb\tx", "1\tc?\td\ty"), FileTask{}, Classification, "question,sentence", "label", ""},
		{"other names", "a.csv", rows("id,utt,kind of it", "1,a b c,greet", "2,d e f,leave"), FileTask{}, Classification, "utt", "kind of it", ""},
		{"one given, the other is plain", "a.csv", rows("what,which,n", "a b c,x,1", "d e f,y,2"), FileTask{Label: "which"}, Classification, "what", "which", ""},
		{"the text is given", "a.csv", rows("title,text,label", "a,b c,x", "d,e f,y"), FileTask{Text: []string{"title"}}, Classification, "title", "label", ""},
		{"sentences", "a.jsonl", rows("", `{"tokens": ["a"], "ner_tags": ["O"]}`), FileTask{}, Tagging, "", "", ""},
		{"sentences of words", "a.json", `[{"words": ["a"], "labels": ["O"]}, {"words": ["b"], "labels": ["B-x"]}]`, FileTask{}, Tagging, "words", "labels", ""},
		{"words with lists of parts of speech", "a.json", `[{"tokens": ["a"], "pos_tags": ["N"]}]`, FileTask{Kind: Tagging}, Tagging, "", "pos_tags", ""},
		{"a word a line", "a.conll", "a O\nb B-x\n", FileTask{}, Tagging, "", "", ""},
		{"source and target", "a.csv", rows("source,target", "a b,c d", "e f,g h"), FileTask{}, Generation, "source", "target", ""},
		{"questions about a text", "a.csv", "question,context,answer\na b,c d,e\nf,g h i,j\n", FileTask{}, "", "", "", "kind label"},
		{"prompts", "a.jsonl", rows("", `{"prompt": "a b c", "completion": "d e f"}`), FileTask{}, Generation, "prompt", "completion", ""},
		{"parquet of the hub", "a.parquet", fixture(t, "hub/mnli/train-00000-of-00001.parquet"), FileTask{}, Classification, "premise,hypothesis", "label", ""},
		{"nothing is plain", "a.csv", rows("a,b,c", "1,2,3", "4,5,6"), FileTask{}, "", "", "", "kind text label"},
		{"many whole numbers", "a.csv", "text,label\nq,1\nw,2\ne,3\nr,4\nt,5\n", FileTask{}, "", "", "", "kind"},
		{"every label is another", "a.csv", "text,label\nq a,v w\nw b,x y\ne c,z\nr d,u\n", FileTask{}, "", "", "", "kind"},
		{"no label", "a.csv", rows("text,more", "a b,c d e", "f g,h i j k"), FileTask{Kind: Classification}, Classification, "text", "more", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.given.Train = write(t, test.file, strings.TrimPrefix(test.content, "\n"))
			got, note, err := test.given.Complete()
			if test.missing != "" {
				doubt, ok := errors.AsType[*DoubtError](err)
				if !ok || strings.Join(doubt.Missing, " ") != test.missing || !strings.Contains(err.Error(), "rows have \"") {
					t.Errorf("got %v, want doubt about %s", err, test.missing)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind != test.kind || strings.Join(got.Text, ",") != test.text || got.Label != test.label {
				t.Errorf("got kind %q, text %q, label %q", got.Kind, got.Text, got.Label)
			}
			if !strings.Contains(note, "guessed from "+test.given.Train) && note != "" {
				t.Errorf("note %q", note)
			}
			if _, err := got.Load(); err != nil && !strings.Contains(err.Error(), "want at least two") {
				t.Error(err)
			}
			if again, note, err := got.Complete(); err != nil || again.Kind != got.Kind || note != "" && got.Kind != Tagging {
				t.Errorf("again: %+v, %q, %v", again, note, err)
			}
		})
	}
}

// TestDescribeUnread says why no column of a parquet file can be read.
func TestDescribeUnread(t *testing.T) {
	_, err := Describe("parquet/testdata/brotli.parquet", false, 0)
	if err == nil || !strings.Contains(err.Error(), "none of the columns can be read: column ") || !strings.Contains(err.Error(), "decompress brotli: not supported") {
		t.Errorf("got %v", err)
	}
}

// TestDescribeBytes has a column of bytes beside the texts: a picture's, say.
func TestDescribeBytes(t *testing.T) {
	type row struct {
		Text  string `parquet:"text"`
		Image []byte `parquet:"image"`
	}
	var b bytes.Buffer
	if err := parquetgo.Write(&b, []row{{"good", []byte{0xff, 0xd8}}, {"bad", []byte{0xff}}}); err != nil {
		t.Fatal(err)
	}
	p, err := Describe(write(t, "a.parquet", b.String()), false, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Columns[0].Type + ", " + p.Columns[1].Type; got != "text, other" {
		t.Errorf("the columns are %s", got)
	}
}

// TestFirstLineIsARow finds that a table has no names for its columns.
func TestFirstLineIsARow(t *testing.T) {
	for name, content := range map[string]string{"a.csv": "a fine film,pos\nb dull play,neg\nc good one,pos\n", "a.tsv": "1\ta fine film\n0\ta dull play\n1\ta good one\n"} {
		file := write(t, name, strings.Repeat(content, 5))
		want := file + ": the column "
		if _, _, err := (FileTask{Train: file}).Complete(); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "is its first line a row?") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestParseKind(t *testing.T) {
	for name, want := range map[string]Kind{
		"ner": Tagging, "NER": Tagging, "token-classification": Tagging, "TOKEN_CLS": Tagging, "pair": Classification, "sequence_classification": Classification,
		"SEQ_CLS": Classification, "cls": Classification, "sts": Regression, "seq2seq": Generation, "CAUSAL_LM": Generation, "generation": Generation, "regression": Regression,
	} {
		if got, err := ParseKind(name); err != nil || got != want {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
	if _, err := ParseKind("ranking"); err == nil {
		t.Error("no error")
	}
}

// TestHoldOut makes a dev set of a tenth of the training set.
func TestHoldOut(t *testing.T) {
	var b strings.Builder
	b.WriteString("text,label\n")
	for i := range 100 {
		label := "x"
		if i/2%5 == 0 {
			label = "y"
		}
		b.WriteString(strings.Repeat("a", i/2+1) + "," + label + "\n") // every text twice
	}
	task := FileTask{Train: write(t, "train.csv", b.String()), Kind: Classification, Text: []string{"text"}, Label: "label", HoldOut: 0.1}
	s, err := task.Load()
	if err != nil {
		t.Fatal(err)
	}
	count := func(d *Dataset) (n [2]int) {
		for _, ex := range d.Examples {
			n[ex.Label]++
		}
		return n
	}
	dev := s.Dev[0]
	if n := count(dev); s.Train.Len()+dev.Len() != 100 || n != [2]int{8, 2} {
		t.Errorf("%d and %d examples, of the classes %v", s.Train.Len(), dev.Len(), n)
	}
	if n := dev.known(s.Train); n > 0 {
		t.Errorf("%d examples are in both", n)
	}
	if dev.Name != "train/dev" || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "of the 100 examples are held out as dev set, the same with every seed") {
		t.Errorf("data set %s, notes %q", dev.Name, s.Notes)
	}
	again, err := task.Load()
	if err != nil || !slices.EqualFunc(again.Dev[0].Examples, dev.Examples, func(a, b Example) bool { return a.Line == b.Line }) {
		t.Errorf("another time other examples are held out, %v", err)
	}
	few := FileTask{Train: write(t, "few.csv", "text,label\na,x\na,y\n"), Kind: Classification, Text: []string{"text"}, Label: "label", HoldOut: 0.1}
	if _, err := few.Load(); err == nil || !strings.Contains(err.Error(), "the 2 examples have too few different texts, 1, to hold some of them out") {
		t.Errorf("got %v", err)
	}
	texts := FileTask{Train: write(t, "texts.csv", "source,target\na,b\na,c\nd,e\nf,g\n"), Kind: Generation, Text: []string{"source"}, Label: "target", HoldOut: 0.25}
	if s, err := texts.Load(); err != nil || len(s.Dev[0].Examples[0].References) == 0 || s.Dev[0].known(s.Train) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestOddities notes what is seldom meant.
func TestOddities(t *testing.T) {
	train := "text,label\ngood film,x\n,y\nbad film,y\n  ,x\n"
	task := FileTask{Train: write(t, "train.csv", train), Kind: Classification, Text: []string{"text"}, Label: "label"}
	other := write(t, "other.csv", "text,label\nbad film,y\nnew,x\n")
	tests := []struct {
		name string
		task FileTask
		want []string
	}{
		{"empty", task, []string{task.Train + ": 2 of 4 texts are empty (the first is " + task.Train + ": line 3)"}},
		{"the same file", FileTask{Train: other, Dev: other, Kind: Classification, Text: task.Text, Label: "label"},
			[]string{other + " is both trained on and scored on (2 examples): the scores say nothing about other texts"}},
		{"some of the same rows", FileTask{Train: task.Train, Dev: other, Kind: Classification, Text: task.Text, Label: "label"},
			[]string{": 2 of 4 texts are empty", other + ": 1 of 2 examples are in " + task.Train + " too"}},
		{"the label as text", FileTask{Train: other, Kind: Classification, Text: []string{"label"}, Label: "label"}, []string{other + ": 2 of 2 texts are the label itself"}},
		{"the label in a pair", FileTask{Train: other, Kind: Classification, Text: []string{"text", "label"}, Label: "label"}, []string{other + ": 2 of 2 texts are the label itself"}},
		{"no scheme of tags", FileTask{Train: write(t, "a.conll", "a DT\nb NN\n"), Kind: Tagging}, []string{`a: no F1 of entities is given, only accuracy: the tags ("DT", "NN") are not those of a scheme`}},
	}
	for _, test := range tests {
		s, err := test.task.Load()
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if !slices.EqualFunc(s.Notes, test.want, strings.Contains) {
			t.Errorf("%s: got %q, want %q", test.name, s.Notes, test.want)
		}
	}
}

// TestInputColumns reads inputs whose columns have other usual names, and wants pairs for a task of pairs.
func TestInputColumns(t *testing.T) {
	classes := Task{Kind: Classification, Labels: []string{"a", "b"}}
	for _, test := range []struct {
		file, content string
		task          Task
		text, pair    string
	}{
		{"a.csv", "sentence1,sentence2\nx y,z\n", classes, "x y", "z"},
		{"a.json", `[{"sentence": "x y"}, {"sentence": "z"}]`, classes, "x y", ""},
		{"a.tsv", "id\tpremise\thypothesis\n1\tx\ty\n", classes, "x", "y"},
		{"a.csv", "text,more\nx,y\n", classes, "x", ""},
	} {
		d, err := ReadInputs(write(t, test.file, test.content), test.task)
		if err != nil || d.Examples[0].Text != test.text || d.Examples[0].Pair != test.pair || d.Examples[0].HasPair != (test.pair != "") {
			t.Errorf("%s: %+v, %v", test.content, d, err)
		}
	}
	d, err := ReadInputs(write(t, "a.jsonl", `{"words": ["x", "y"]}`), Task{Kind: Tagging, Labels: []string{"O", "B"}})
	if err != nil || len(d.Examples[0].Words) != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err = ReadInputs(write(t, "a.csv", "prompt,completion\nx,y\n"), Task{Kind: Generation}); err != nil || d.Examples[0].Source != "x" {
		t.Errorf("%+v, %v", d, err)
	}
	mrpc, err := NamedTask("mrpc")
	if err != nil {
		t.Fatal(err)
	}
	single := write(t, "a.jsonl", `{"text": "x"}`)
	if _, err := ReadInputs(single, mrpc); err == nil || !strings.Contains(err.Error(), `no "text_pair": it has "text"`) {
		t.Errorf("got %v", err)
	}
}
