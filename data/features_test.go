package data

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// TestHubFeatures reads the names of classes in every form in which Hugging Face datasets writes them.
func TestHubFeatures(t *testing.T) {
	const (
		tags  = `{"names": ["O", "B-PER", "B-LOC"], "_type": "ClassLabel"}`
		text  = `{"dtype": "string", "_type": "Value"}`
		label = `{"names": ["walk", "run"], "_type": "ClassLabel"}`
	)
	list := func(kind string) string { return `{"feature": ` + tags + `, "_type": "` + kind + `"}` }
	names := []string{"O", "B-LOC", "B-PER"}
	tests := []struct {
		name, features string
		tags           []string
		labels         []string // of label
		err            string
	}{
		{"Sequence", `"ner_tags": ` + list("Sequence"), names, nil, ""},
		{"List, with the length", `"ner_tags": {"feature": ` + tags + `, "length": -1, "_type": "List"}`, names, nil, ""},
		{"LargeList", `"ner_tags": ` + list("LargeList"), names, nil, ""},
		{"a list", `"ner_tags": [` + tags + `]`, names, nil, ""},
		{"another column as a list", `"tokens": [` + text + `], "ner_tags": ` + list("List"), names, nil, ""},
		{"another column of structs", `"meta": {"a": ` + text + `, "b": [{"c": ` + text + `}]}, "ner_tags": [` + tags + `]`, names, nil, ""},
		{"a struct called names", `"names": {"names": ` + text + `}, "ner_tags": [` + tags + `]`, names, nil, ""},
		{"another column that cannot be read", `"tokens": 7, "ner_tags": ` + list("List"), names, nil, ""},
		{"of a label", `"label": ` + label, []string{"0", "1", "2"}, []string{"walk", "run"}, ""},
		{"without names", `"ner_tags": {"feature": {"dtype": "int64", "_type": "Value"}, "_type": "List"}`, []string{"0", "1", "2"}, []string{"0", "1"}, ""},
		{"not of this column", `"tokens": [` + text + `]`, []string{"0", "1", "2"}, nil, ""},
		{"too few names", `"ner_tags": [{"names": ["O", "B-PER"], "_type": "ClassLabel"}]`, nil, nil, `row 2: "ner_tags": element 1 is "2": want 0 to 1`},
		{"no list of names", `"ner_tags": [{"names": {"0": "O"}, "_type": "ClassLabel"}]`, nil, nil, `row 1: "ner_tags": element 1 is a number, and its class is not known: the file's metadata "huggingface" cannot be read (the class names "{\"0\": \"O\"}")`},
		{"of another form", `"ner_tags": 7`, nil, nil, `its class is not known`},
		{"broken", `"ner_tags": [`, nil, nil, `its class is not known`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			note := `{"info": {"features": {` + test.features + `}}}`
			content := strings.Replace(fixture(t, "tagging/features.parquet"), strings.Repeat("@", 500), fmt.Sprintf("%-500s", note), 1)
			file := write(t, "train.parquet", content)
			s, err := FileTask{Kind: Tagging, Train: file}.Load()
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Task.Labels, test.tags) {
				t.Errorf("tags %q, want %q", s.Task.Labels, test.tags)
			}
			if test.labels == nil {
				return
			}
			s, err = FileTask{Kind: Classification, Train: file, Text: []string{"text"}, Label: "label"}.Load()
			if err != nil || !slices.Equal(s.Task.Labels, test.labels) || s.Train.Examples[0].Label != 1 {
				t.Errorf("labels %q, %v; want %q in this order, the first example's the second", s.Task.Labels, err, test.labels)
			}
			// A file that has the names themselves means the same, and a number in a regression is a number.
			names := write(t, "dev.csv", "text,label\na,"+test.labels[1]+"\n")
			s, err = FileTask{Kind: Classification, Train: file, Dev: names, Text: []string{"text"}, Label: "label"}.Load()
			if err != nil || s.Dev[0].Examples[0].Label != 1 {
				t.Errorf("class %+v, %v", s, err)
			}
			s, err = FileTask{Kind: Regression, Train: file, Text: []string{"text"}, Label: "label"}.Load()
			if err != nil || s.Train.Examples[0].Value != 1 {
				t.Errorf("value %+v, %v", s, err)
			}
		})
	}
}

// TestNullColumns reads columns without any value, of Arrow's null type and in JSON.
func TestNullColumns(t *testing.T) {
	for _, file := range []string{
		write(t, "a.parquet", fixture(t, "nulls.parquet")),
		write(t, "a.jsonl", `{"text": "a", "text_pair": null, "label": null, "tokens": ["a"], "tags": null}`+"\n"+
			`{"text": "b", "text_pair": null, "label": null, "tokens": ["b", "c"], "tags": null}`),
	} {
		d, err := ReadInputs(file, Task{Kind: Classification, Labels: []string{"x", "y"}})
		if err != nil || d.Examples[0].Label != NoLabel || d.Examples[0].HasPair || d.Examples[1].Text != "b" {
			t.Errorf("%s: %+v, %v", file, d, err)
		}
		if d, err = ReadInputs(file, Task{Kind: Regression}); err != nil || !math.IsNaN(d.Examples[0].Value) {
			t.Errorf("%s: %+v, %v", file, d, err)
		}
		d, err = ReadInputs(file, Task{Kind: Tagging, Labels: []string{"O", "x"}})
		if err != nil || !slices.Equal(d.Examples[1].Tags, []int{NoLabel, NoLabel}) {
			t.Errorf("%s: %+v, %v", file, d, err)
		}
		unit := "row 1"
		if !isParquet(file) {
			unit = "line 1"
		}
		for _, kind := range []Kind{Classification, Regression} {
			want := file + ": " + unit + `: "label" is null: want a value`
			if _, err := (FileTask{Kind: kind, Train: file, Text: []string{"text"}, Label: "label"}).Load(); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
}

// TestMissingLabels has labels that are not there, in training and in dev files.
func TestMissingLabels(t *testing.T) {
	text := []string{"text"}
	tests := []struct{ name, file, content, want string }{
		{"blank cell", "a.csv", "text,label\na,x\nb,\nc,y\n", `: line 3: the label is missing: the cell holds "": give it one, or leave the row out`},
		{"spaces", "a.tsv", "text\tlabel\na\tx\nb\t \n", `: line 3: the label is missing: the cell holds " "`},
		{"NaN, as pandas writes it", "a.csv", "text,label\na,1.0\nb,NaN\n", `: line 3: the label is missing: the cell holds "NaN"`},
		{"nan", "a.jsonl", `{"text": "a", "label": "x"}` + "\n" + `{"text": "b", "label": "nan"}`, `: line 2: the label is missing: the cell holds "nan"`},
		{"null in quotes", "a.csv", "text,label\na,x\nb,\"NULL\"\n", `: line 3: the label is missing: the cell holds "NULL"`},
		{"null", "a.json", "[{\"text\": \"a\", \"label\": \"x\"},\n{\"text\": \"b\", \"label\": null}]", `: line 2: "label" is null: want a value`},
		{"no key", "a.jsonl", `{"text": "a", "label": "x"}` + "\n" + `{"text": "b"}`, `: line 2: no "label": it has "text"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, test.file, test.content)
			for _, kind := range []Kind{Classification, Regression} {
				_, err := FileTask{Kind: kind, Train: file, Text: text, Label: "label"}.Load()
				if err == nil || kind == Classification && !strings.HasPrefix(err.Error(), file+test.want) || !strings.Contains(err.Error(), "line ") {
					t.Errorf("%s: got %v\nwant %s%s", kind, err, file, test.want)
				}
			}
			_, err := FileTask{Kind: Classification, Train: write(t, "train.csv", "text,label\na,x\nb,y\nc,1\n"), Dev: file, Text: text, Label: "label"}.Load()
			if err == nil || !strings.HasPrefix(err.Error(), file+": line ") {
				t.Errorf("dev: got %v", err)
			}
			// A file of texts to label may have none.
			d, err := ReadInputs(file, Task{Kind: Classification, Labels: []string{"x", "y", "1"}})
			if err != nil || d.Examples[1].Label != NoLabel {
				t.Errorf("inputs: %+v, %v", d, err)
			}
		})
	}
	for _, test := range []struct{ file, content, want string }{
		{"a.conll", "a\tO\nb\tB-x\n\nc\tNaN\n", ": line 4: the label is missing"},
		{"a.jsonl", `{"tokens": ["a", "b"], "tags": ["O", ""]}`, ": line 1: word 2: the label is missing"},
	} {
		file := write(t, test.file, test.content)
		if _, err := (FileTask{Kind: Tagging, Train: file}).Load(); err == nil || !strings.HasPrefix(err.Error(), file+test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	// These are classes of some data.
	s, err := FileTask{Kind: Classification, Train: write(t, "a.csv", "text,label\na,None\nb,NA\nc,n/a\n"), Text: text, Label: "label"}.Load()
	if err != nil || !slices.Equal(s.Task.Labels, []string{"NA", "None", "n/a"}) {
		t.Errorf("%+v, %v", s, err)
	}
}
