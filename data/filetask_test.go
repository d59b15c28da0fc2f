package data

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestFileTaskClasses(t *testing.T) {
	tests := []struct {
		name, train, dev string
		given            []string
		labels           []string
		trainClasses     []int
		devClasses       []int
	}{
		{"strings in order", "pos neg neutral pos", "neutral pos", nil, []string{"neg", "neutral", "pos"}, []int{2, 0, 1, 2}, []int{1, 2}},
		{"whole numbers by value", "10 2 -1 2", "2", nil, []string{"-1", "2", "10"}, []int{2, 1, 0, 1}, []int{1}},
		{"numbers with a point", "1.0 0.0 1", "0", nil, []string{"0", "1"}, []int{1, 0, 1}, []int{0}},
		{"spaces around", "\u00a0pos\u00a0 neg pos", "pos", nil, []string{"neg", "pos"}, []int{1, 0, 1}, []int{1}},
		{"not all numbers", "10 2 x", "10", nil, []string{"10", "2", "x"}, []int{0, 1, 2}, []int{0}},
		{"given names", "b a", "a", []string{"b", "c", "a"}, []string{"b", "c", "a"}, []int{0, 2}, []int{2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			task := FileTask{
				Train: write(t, "train.tsv", "text\tlabel\nx\t"+strings.ReplaceAll(test.train, " ", "\nx\t")+"\n"),
				Dev:   write(t, "dev.jsonl", `{"text":"x","label":"`+strings.ReplaceAll(test.dev, " ", `"}`+"\n"+`{"text":"x","label":"`)+`"}`),
				Kind:  Classification, Text: []string{"text"}, Label: "label", Labels: test.given,
			}
			s, err := task.Load()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Task.Labels, test.labels) || !slices.Equal(s.Train.Labels, test.labels) {
				t.Errorf("labels %q, want %q", s.Task.Labels, test.labels)
			}
			for _, d := range []struct {
				*Dataset
				want []int
			}{{s.Train, test.trainClasses}, {s.Dev[0], test.devClasses}} {
				var got []int
				for _, ex := range d.Examples {
					got = append(got, ex.Label)
				}
				if !slices.Equal(got, d.want) {
					t.Errorf("%s: classes %v, want %v", d.Name, got, d.want)
				}
			}
		})
	}
}

func TestFileTaskKinds(t *testing.T) {
	pair := FileTask{
		Train: write(t, "my.csv", "a,b,score\nx,y,1.5\n\"\",\"z\nz\",-2e1\n"),
		Test:  write(t, "test.csv", "b,a\nv,u\n"),
		Kind:  Regression, Text: []string{"a", "b"}, Label: "score",
	}
	s, err := pair.Load()
	if err != nil {
		t.Fatal(err)
	}
	if ex := s.Train.Examples[1]; ex.Text != "" || ex.Pair != "z\nz" || !ex.HasPair || ex.Value != -20 || ex.Label != 0 {
		t.Errorf("got %+v", ex)
	}
	if ex := s.Test[0].Examples[0]; ex.Text != "u" || ex.Pair != "v" || !math.IsNaN(ex.Value) || s.Test[0].Labelled() {
		t.Errorf("got %+v", ex)
	}
	if task := s.Task; task.Name != "my" || task.Primary != "spearman" || task.Outputs() != 1 || s.Train.Name != "my/train" {
		t.Errorf("task %+v, data set %s", task, s.Train.Name)
	}

	hub := FileTask{
		Train: filepath.Join("testdata", "hub", "mnli", "train-00000-of-00001.parquet"),
		Kind:  Classification, Text: []string{"premise", "hypothesis"}, Label: "label",
	}
	s, err = hub.Load()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Task.Labels, []string{"0", "1", "2"}) || !slices.Equal(s.Task.Metrics, []string{"accuracy", "f1_macro", "f1_weighted", "matthews"}) {
		t.Errorf("task %+v", s.Task)
	}
}

func TestFileTaskErrors(t *testing.T) {
	train := write(t, "train.tsv", "text\tlabel\nfine\tpos\nbad\tneg\n")
	one := write(t, "one.tsv", "text\tlabel\nfine\tpos\nbad\tpos\n")
	dev := write(t, "dev.tsv", "text\tlabel\nfine\tpos\nwell\tmeh\n")
	scores := write(t, "scores.tsv", "text\tlabel\nfine\t1.5\nwell\t+Inf\n")
	words := write(t, "words.tsv", "text\tlabel\nfine\t1.5\nwell\thigh\n")
	header := write(t, "header.tsv", "text\tlabel\n")
	text := []string{"text"}
	tests := []struct {
		name string
		task FileTask
		want string
	}{
		{"no files", FileTask{Kind: Classification, Text: text, Label: "label"}, "no data files are named: want at least one"},
		{"no kind", FileTask{Train: train, Text: text, Label: "label"}, `unknown kind of task "": want classification, multi-label, regression, tagging, generation or chat`},
		{"unknown kind", FileTask{Train: train, Kind: "ranking", Text: text, Label: "label"}, `unknown kind of task "ranking": want classification, multi-label, regression, tagging, generation or chat`},
		{"no text", FileTask{Train: train, Kind: Classification, Label: "label"}, "0 text columns: want one, or two for a pair"},
		{"three texts", FileTask{Train: train, Kind: Classification, Text: []string{"a", "b", "c"}, Label: "label"}, "3 text columns: want one, or two for a pair"},
		{"one text twice", FileTask{Train: train, Kind: Classification, Text: []string{"text", "text"}, Label: "label"}, `both text columns are "text": want two different ones`},
		{"no label column named", FileTask{Dev: dev, Kind: Classification, Text: text}, "no label column is named: training and scoring need one"},
		{"classes not known", FileTask{Dev: dev, Kind: Classification, Text: text, Label: "label"}, "no train file and no class names: the meaning of the labels is not known"},
		{"one class name", FileTask{Dev: dev, Kind: Classification, Text: text, Label: "label", Labels: []string{"pos"}}, "1 class names are given: want at least two"},
		{"class names of a regression", FileTask{Dev: dev, Kind: Regression, Text: text, Label: "label", Labels: []string{"a", "b"}}, "class names are given, but a regression has no classes"},
		{"one class", FileTask{Train: one, Kind: Classification, Text: text, Label: "label"}, one + `: all 2 examples have the label "pos": want at least two classes`},
		{"unknown label", FileTask{Train: train, Dev: dev, Kind: Classification, Text: text, Label: "label"},
			dev + `: line 3: label "meh" is not among the 2 classes of ` + train + ` ("neg", "pos")`},
		{"label that the head lacks", FileTask{Dev: dev, Kind: Classification, Text: text, Label: "label", Labels: []string{"pos", "neg"}},
			dev + `: line 3: label "meh" is not among the 2 classes of the model ("pos", "neg")`},
		{"infinite score", FileTask{Train: scores, Kind: Regression, Text: text, Label: "label"}, scores + `: line 3: label "+Inf": want a finite number`},
		{"score is a word", FileTask{Train: words, Kind: Regression, Text: text, Label: "label"}, words + `: line 3: label "high": want a finite number`},
		{"no such column", FileTask{Train: train, Kind: Classification, Text: []string{"sentence"}, Label: "label"}, train + `: no column "sentence": it has "text", "label"`},
		{"no such label column", FileTask{Train: train, Kind: Classification, Text: text, Label: "y"}, train + `: no column "y": it has "text", "label"`},
		{"no examples", FileTask{Train: header, Kind: Classification, Text: text, Label: "label"}, header + ": no examples: it holds no rows but a header"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.task.Load()
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestReadInputs(t *testing.T) {
	sst2, err := NamedTask("sst2")
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "in.jsonl", `{"text": "a"}
{"text": "b", "text_pair": "", "label": 1}
{"text": "c", "text_pair": null, "label": "negative"}`)
	d, err := ReadInputs(file, sst2)
	if err != nil {
		t.Fatal(err)
	}
	want := []Example{
		{Text: "a", Label: NoLabel, File: file, Line: 1},
		{Text: "b", HasPair: true, Label: 1, File: file, Line: 2},
		{Text: "c", Label: 0, File: file, Line: 3},
	}
	if !reflect.DeepEqual(d.Examples, want) {
		t.Errorf("got %+v\nwant %+v", d.Examples, want)
	}
	pipe := filepath.Join(t.TempDir(), "pipe.jsonl")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go os.WriteFile(pipe, []byte(`{"sentence": "a", "label": 1}`), 0o600)
	if d, err := ReadInputs(pipe, sst2); err != nil || d.Examples[0].Text != "a" { // which can be read once only
		t.Errorf("a pipe: got %+v, %v", d, err)
	}
	bad := write(t, "bad.jsonl", `{"text": "a", "label": 2}`)
	if _, err := ReadInputs(bad, sst2); err == nil || err.Error() != "input: "+bad+`: line 1: label "2": want "negative", "positive", or 0 to 1` {
		t.Errorf("got %v", err)
	}
	stars := Task{Kind: Classification, Labels: []string{"1", "2", "3"}}
	if _, err := ReadInputs(write(t, "0.jsonl", `{"text": "a", "label": 0}`), stars); err == nil || !strings.HasSuffix(err.Error(), `label "0": want "1", "2", "3"`) {
		t.Errorf("got %v", err)
	}
	d, err = ReadInputs(write(t, "1.jsonl", `{"text": "a", "label": 2.5}`), Task{Kind: Regression})
	if err != nil || d.Examples[0].Value != 2.5 {
		t.Errorf("got %+v, %v", d, err)
	}
}

// The order of the classes of a head that is given says what a number means, where the names are none.
func TestClassesOfAHead(t *testing.T) {
	for _, c := range []struct {
		names []string
		rows  string
		want  []int
		err   string
	}{
		{[]string{"neg", "pos"}, "pos neg NEG", []int{1, 0, 0}, ""},
		{[]string{"neg", "pos"}, "0 1 1", []int{0, 1, 1}, ""},
		{[]string{"LABEL_0", "LABEL_1"}, "0 1", []int{0, 1}, ""},
		{[]string{"1", "2"}, "1 2", []int{0, 1}, ""},
		{[]string{"1", "2"}, "0 1", nil, `line 2: label "0" is not among the 2 classes of the model ("1", "2")`},
		{[]string{"a", "A"}, "A a", []int{1, 0}, ""},
		{[]string{"neg", "pos"}, "good", nil, `line 2: label "good" is not among the 2 classes of the model ("neg", "pos")`},
	} {
		file := write(t, "dev.csv", "text,label\nx,"+strings.ReplaceAll(c.rows, " ", "\nx,")+"\n")
		s, err := FileTask{Dev: file, Kind: Classification, Text: []string{"text"}, Label: "label", Labels: c.names}.Load()
		if c.err != "" {
			if err == nil || !strings.HasSuffix(err.Error(), c.err) {
				t.Errorf("%v: got %v, want %s", c, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, ex := range s.Dev[0].Examples {
			got = append(got, ex.Label)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: got %v", c, got)
		}
	}
}

func TestFitHead(t *testing.T) {
	tests := []struct {
		name         string
		labels, head []string
		want         []int
		err          string
	}{
		{"same", []string{"no", "yes"}, []string{"no", "yes"}, []int{0, 1}, ""},
		{"upper case", []string{"no", "yes"}, []string{"NO", "Yes"}, []int{0, 1}, ""},
		{"other order", []string{"entailment", "neutral", "contradiction"}, []string{"CONTRADICTION", "NEUTRAL", "ENTAILMENT"}, []int{2, 1, 0}, ""},
		{"default names", []string{"no", "yes"}, []string{"LABEL_0", "LABEL_1"}, []int{0, 1}, ""},
		{"default names for numbers", []string{"1", "2"}, []string{"LABEL_0", "LABEL_1"}, []int{0, 1}, ""},
		{"numbers in the data", []string{"0", "1"}, []string{"negative", "positive"}, []int{0, 1}, ""},
		{"numbers in the head", []string{"negative", "positive"}, []string{"0", "1"}, []int{0, 1}, ""},
		{"numbers in other order", []string{"0", "1"}, []string{"1", "0"}, []int{1, 0}, ""},
		{"too few outputs", []string{"a", "b", "c"}, []string{"a", "b"}, nil,
			`the data have 3 classes ("a", "b", "c"), the model's head has 2 ("a", "b"): want the same number`},
		{"other names", []string{"entailment", "not_entailment"}, []string{"negative", "positive"}, nil,
			`the data have the classes "entailment", "not_entailment", the model's head has "negative", "positive": want the same`},
		{"other numbers", []string{"1", "2"}, []string{"0", "1"}, nil, `the data have the classes "1", "2", the model's head has "0", "1": want the same`},
		{"names that fall together", []string{"a", "A"}, []string{"a", "b"}, nil, `the data have the classes "a", "A", the model's head has "a", "b": want the same`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := FitHead(test.labels, test.head)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if !slices.Equal(got, test.want) || message != test.err {
				t.Errorf("got %v, %s\nwant %v, %s", got, message, test.want, test.err)
			}
		})
	}
}
