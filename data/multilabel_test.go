package data

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	parquetgo "github.com/parquet-go/parquet-go"
)

// TestMultiLabel reads the labels of examples in each of their forms.
func TestMultiLabel(t *testing.T) {
	lists := `{"text":"x y","labels":["b","a"]}` + "\n" + `{"text":"z","labels":[]}` + "\n" + `{"text":"w","labels":["c","b","b"]}` + "\n"
	type row struct {
		Text   string  `parquet:"text"`
		Labels []int64 `parquet:"labels,list"`
	}
	parquet := write(t, "train.parquet", "")
	if err := parquetgo.WriteFile(parquet, []row{{"x y", []int64{1, 0}}, {"z", []int64{}}, {"w", []int64{2, 1}}}); err != nil {
		t.Fatal(err)
	}
	abc := []string{"a", "b", "c"}
	for _, test := range []struct {
		name, train string // a file, or the content of one with that name
		label       string
		labels      []string
	}{
		{"train.jsonl", lists, "labels", abc},
		{"json.csv", "text,labels\nx y,\"[\"\"b\"\", \"\"a\"\"]\"\nz,[]\nw,\"[\"\"c\"\",\"\"b\"\"]\"\n", "labels", abc},
		{"python.csv", "text,labels\nx y,\"['b', 'a']\"\nz,[]\nw,\"['c' 'b']\"\n", "labels", abc},
		{"bars.tsv", "text\tlabels\nx y\tb | a\nz\t\nw\tc|b|\n", "labels", abc},
		{"commas.jsonl", `{"text":"x y","tags":"b, a"}` + "\n" + `{"text":"z","tags":""}` + "\n" + `{"text":"w","tags":"b,c"}`, "tags", abc},
		{"columns.csv", "text,a,b,c\nx y,1,1,0\nz,0,0,0\nw,0.0,1.0,1\n", "a,b,c", abc},
		{"truths.csv", "text,a,b,c\nx y,True,True,False\nz,False,False,False\nw,False,True,True\n", "a,b,c", abc},
		{"hot.jsonl", `{"text":"x y","labels":[1.0,1.0,0.0]}` + "\n" + `{"text":"z","labels":[0,0,0]}` + "\n" + `{"text":"w","labels":[0,1,1]}`, "labels", []string{"0", "1", "2"}},
		{parquet, "", "labels", []string{"0", "1", "2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.train != "" {
				test.name = write(t, test.name, test.train)
			}
			task := FileTask{Train: test.name, Dev: test.name, Kind: MultiLabel, Text: []string{"text"}, Label: test.label}
			s, err := task.Load()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Task.Labels, test.labels) || !slices.Equal(s.Train.Labels, test.labels) || s.Task.Outputs() != 3 || s.Task.Primary != "f1_micro" {
				t.Errorf("task %+v, want the labels %q", s.Task, test.labels)
			}
			for _, d := range []*Dataset{s.Train, s.Dev[0]} {
				var got [][]int
				for _, ex := range d.Examples {
					got = append(got, ex.Classes)
				}
				if fmt.Sprint(got) != "[[0 1] [] [1 2]]" || !d.Labelled() {
					t.Errorf("labels %v", got)
				}
				if counts := fmt.Sprint(d.LabelCounts()); counts != fmt.Sprintf("[{%s 2} {%s 1} {%s 1}]", test.labels[1], test.labels[0], test.labels[2]) {
					t.Errorf("counts %s", counts)
				}
			}
			if !slices.Contains(s.Notes, test.name+": 1 of 3 examples have none of the labels") {
				t.Errorf("notes %q", s.Notes)
			}
			// The labels of a model in another order count.
			places := "[1 2]"
			if strings.Contains(test.train, "[1.0,") { // labels go by their places
				places = "[0 1]"
			}
			task.Train, task.Labels = "", []string{test.labels[2], test.labels[1], test.labels[0]}
			if s, err = task.Load(); err != nil || fmt.Sprint(s.Dev[0].Examples[0].Classes) != places {
				t.Errorf("with a model's labels: %+v, %v", s, err)
			}
			batch, err := NewCorpus(s.Dev[0], words{}).Batch([]int{2, 0})
			if err != nil || len(batch.Labels) != 6 {
				t.Errorf("batch %+v, %v", batch, err)
			}
			checkAlone(t, NewCorpus(s.Dev[0], words{}), batch)
			// The kind and the columns are plain but where labels are texts.
			guessed, _, err := FileTask{Train: test.name}.Complete()
			flat := strings.Contains(test.train, "b | a") || strings.Contains(test.train, "b, a\"") || strings.HasSuffix(test.name, ".csv") && test.label == "labels"
			if !flat && (err != nil || guessed.Kind != MultiLabel || guessed.Label != test.label) {
				t.Errorf("guessed %+v, %v", guessed, err)
			}
			guessed, _, err = FileTask{Train: test.name, Kind: MultiLabel}.Complete()
			if err != nil || guessed.Label != test.label {
				t.Errorf("guessed of the kind %+v, %v", guessed, err)
			}
		})
	}
}

// words gives a token for every word.
type words struct{}

func (words) Encode(ex Example) (Encoded, error) {
	return Encoded{IDs: make([]int32, len(strings.Fields(ex.Text)))}, nil
}

// The labels of a test set may be missing in its first row.
func TestManyHotUnknown(t *testing.T) {
	train := write(t, "train.jsonl", `{"text":"x","labels":[1,1,0]}`+"\n"+`{"text":"z","labels":[0,0,1]}`)
	test := write(t, "test.jsonl", `{"text":"x","labels":null}`+"\n"+`{"text":"z","labels":[0,0,1]}`)
	s, err := FileTask{Train: train, Test: test, Kind: MultiLabel, Text: []string{"text"}, Label: "labels"}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Test[0]; d.Examples[0].LabelSet != nil || fmt.Sprint(d.Examples[1].Classes) != "[2]" || d.Labelled() {
		t.Errorf("got %+v", d.Examples)
	}
}

// Of two labels each example may have one.
func TestManyHotOfTwo(t *testing.T) {
	file := write(t, "train.jsonl", `{"text":"x","labels":[1,0]}`+"\n"+`{"text":"z","labels":[0,1]}`)
	s, err := FileTask{Train: file, Dev: file, Kind: MultiLabel, Text: []string{"text"}, Label: "labels"}.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Dataset{s.Train, s.Dev[0]} {
		if got := fmt.Sprint(d.Labels, d.Examples[0].Classes, d.Examples[1].Classes); got != "[0 1] [0] [1]" {
			t.Errorf("got %s", got)
		}
	}
}

func TestMultiLabelErrors(t *testing.T) {
	text := []string{"text"}
	lists := write(t, "lists.jsonl", `{"text":"x","labels":["b","a"]}`+"\n"+`{"text":"z","labels":["c"]}`)
	for _, c := range []struct {
		name, content string
		task          FileTask
		want          string
	}{
		{"two separators", "text\tlabels\nx\ta|b\ny\tc;d\n", FileTask{Label: "labels"}, `the labels have "|" and ";" in them: which stands between labels is not plain: give lists, as ["a", "b"], or a column of 0 and 1 for each label`},
		{"one label", "text\tlabels\nx\ta\ny\t\n", FileTask{Label: "labels"}, `the only label is "a": want at least two different ones`},
		{"no label", "text\tlabels\nx\t[]\ny\t\n", FileTask{Label: "labels"}, `no example has a label: want at least two different ones`},
		{"not 0 or 1", "text\ta\tb\nx\t1\t2\n", FileTask{Label: "a,b"}, `line 2: "b": label "2": want 1 where the example has it, else 0`},
		{"missing", "text\ta\tb\nx\t1\t\n", FileTask{Label: "a,b"}, `line 2: "b": label "": want 1 where the example has it, else 0`},
		{"no such column", "text\ta\tb\nx\t1\t1\n", FileTask{Label: "a,c"}, `no column "c": it has "text", "a", "b"`},
		{"a column twice", "text\ta\tb\nx\t1\t1\n", FileTask{Label: "a,a"}, `the label columns "a", "a": want names, each once`},
		{"the text", "text\ta\tb\nx\t1\t1\n", FileTask{Label: "a,text"}, `the column "text" is that of a label and of a text: want one of them`},
		{"another model's column", "text\ta\tb\nx\t1\t1\n", FileTask{Label: "a,b", Labels: []string{"a", "c"}}, `the label column "b" is none of the model's labels ("a", "c"): want a column for each of these`},
		{"too few columns", "text\ta\tb\nx\t1\t1\n", FileTask{Label: "a,b", Labels: []string{"a", "b", "c"}}, `2 label columns: want one for each of the model's labels ("a", "b", "c")`},
		{"unknown label", "text\tlabels\nx\ta|b\ny\td\n", FileTask{Train: lists, Label: "labels"}, `line 3: label "d" is not among the 3 classes of ` + lists + ` ("a", "b", "c")`},
		{"lists of lists", `{"text":"x","labels":[["a"]]}`, FileTask{Label: "labels"}, `line 1: "labels": element 1 is a list or an object: want a string or a number`},
		{"null", `{"text":"x","labels":null}`, FileTask{Label: "labels"}, `line 1: "labels" is null: want a value`},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := "a.tsv"
			if strings.HasPrefix(c.content, "{") {
				name = "a.jsonl"
			}
			file := write(t, name, c.content)
			if c.task.Kind, c.task.Text = MultiLabel, text; c.task.Train != "" {
				c.task.Dev = file
			} else {
				c.task.Train = file
			}
			if _, err := c.task.Load(); err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// What is joined is split again as it was.
func TestJoinLabels(t *testing.T) {
	for _, all := range [][]string{{"a", "b"}, {"a, b", "c"}, {"a;b", "c,d"}, {"a;b", "c,d", `"|'`}} {
		joined := []string{JoinLabels(all, all), JoinLabels(nil, all)}
		if got, err := SplitLabels("f", joined); err != nil || !slices.Equal(got[0], all) || len(got[1]) > 0 {
			t.Errorf("%q becomes %q, %v", joined, got, err)
		}
	}
}
