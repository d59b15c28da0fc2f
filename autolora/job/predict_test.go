package job

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autolora/data"
)

// TestPredictions writes answers of every kind in every form that it has.
func TestPredictions(t *testing.T) {
	classes := data.Task{Kind: data.Classification, Labels: []string{"no", "yes"}}
	said := answers{logits: [][]float64{{0, 0}, {3, -1}}, rows: []answer{{Best: 1}, {}}}
	for _, c := range []struct {
		name, file, content, form string
		task                      data.Task
		said                      answers
		want                      string
	}{
		{"lines", "in.jsonl", `{"id": 1, "text": "a <b>", "label": "gold"}` + "\n" + `{"text": "c", "input_label": null, "label": 2}`, "", classes, said,
			`{"logits":[0,0],"label":"yes","probabilities":{"no":0.5,"yes":0.5},"id":1,"text":"a <b>","input_label":"gold"}` + "\n" +
				`{"logits":[3,-1],"label":"no","probabilities":{"no":0.9820137900379085,"yes":0.017986209962091555},"text":"c","input_label":null,"input_input_label":2}` + "\n"},
		{"a table", "in.csv", "text,n\n\"a, \"\"b\"\"\",1\nc,\n", "", classes, said, "text,n,label,probability\n\"a, \"\"b\"\"\",1,yes,0.500000\nc,,no,0.982014\n"},
		{"a table with tabs", "in.tsv", "text\tlabel\na\tgold\nc\t\n", "", classes, said, "text\tinput_label\tlabel\tprobability\na\tgold\tyes\t0.500000\nc\t\tno\t0.982014\n"},
		{"a table of lines", "in.jsonl", `{"text": "a", "x": {"y": [1]}}` + "\n" + `{"text": "c", "z": 1.50}`, FormCSV, classes, said,
			"text,x,z,label,probability\na,\"{\"\"y\"\":[1]}\",,yes,0.500000\nc,,1.50,no,0.982014\n"},
		{"lines of a table", "in.csv", "text\na\nc\n", FormJSON, classes, said, `{"logits":[0,0],"label":"yes","probabilities":{"no":0.5,"yes":0.5},"text":"a"}` + "\n" +
			`{"logits":[3,-1],"label":"no","probabilities":{"no":0.9820137900379085,"yes":0.017986209962091555},"text":"c"}` + "\n"},
		{"numbers", "in.csv", "text\na\n", "", data.Task{Kind: data.Regression}, answers{logits: [][]float64{{2.5}}, rows: []answer{{Value: 2.5}}}, "text,label\na,2.5\n"},
		{"numbers in lines", "in.txt", "a\n", "", data.Task{Kind: data.Regression}, answers{logits: [][]float64{{2.5}}, rows: []answer{{Value: 2.5}}}, `{"logits":[2.5],"label":2.5,"text":"a"}` + "\n"},
		{"tags", "in.txt", "a b\n", "", data.Task{Kind: data.Tagging, Labels: []string{"O", "B-x"}}, answers{rows: []answer{{Best: 1}, {}}}, `{"tags":["B-x","O"],"tokens":["a","b"]}` + "\n"},
		{"tags beside others", "in.jsonl", `{"words": ["a"], "tags": ["O"]}`, "", data.Task{Kind: data.Tagging, Labels: []string{"O", "B-x"}}, answers{rows: []answer{{Best: 1}}},
			`{"tags":["B-x"],"words":["a"],"input_tags":["O"]}` + "\n"},
		{"texts", "in.csv", "source,text\na,b\n", "", data.Task{Kind: data.Generation}, answers{texts: []string{"c"}}, "source,input_text,text\na,b,c\n"},
		{"tags in a table", "in.txt", "a b\n", FormCSV, data.Task{Kind: data.Tagging, Labels: []string{"O"}}, answers{}, "a table has no place for the tags of words: write JSON lines or CoNLL"},
		{"labels in CoNLL", "in.txt", "a b\n", FormCoNLL, classes, answers{}, "a CoNLL file holds the tags of words, and this model does not label words: write JSON lines or a table"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(file, []byte(c.content), 0o666); err != nil {
				t.Fatal(err)
			}
			form, err := PredictConfig{Input: file, Form: c.form}.form(c.task.Kind)
			if err != nil {
				if err.Error() != c.want {
					t.Errorf("got %v\nwant %s", err, c.want)
				}
				return
			}
			inputs, err := data.ReadTexts(file, c.task, data.InputConfig{})
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if form == FormJSON {
				err = writeLines(&b, c.task, inputs, c.said)
			} else {
				err = writeTable(&b, form, c.task, inputs, c.said)
			}
			if err != nil || b.String() != c.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, b.String(), strings.TrimSpace(c.want))
			}
		})
	}
}
