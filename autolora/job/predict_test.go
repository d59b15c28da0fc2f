package job

import (
	"bytes"
	"context"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/torchbind"
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
			w := newPredictionWriter(&b, form, c.task, inputs)
			if err = w.write(inputs, c.said); err != nil || b.String() != c.want {
				t.Errorf("%v\ngot  %s\nwant %s", err, b.String(), strings.TrimSpace(c.want))
			}
		})
	}
}

// What is evaluated and predicted for in parts is what it is in one, in every kind
// and form, but for rounding where batches are others.
func TestWindows(t *testing.T) {
	tagging, generation := tinyTagging(t), tinyGeneration(t, "gpt2")
	for _, c := range []struct {
		name, form string
		cfg        settings.Config
	}{{"lines", FormJSON, tinyConfig(t, "exact")}, {"a table", FormCSV, tinyConfig(t, "exact")}, {"words", FormCoNLL, tagging}, {"words in lines", FormJSON, tagging}, {"texts", FormJSON, generation}} {
		t.Run(c.name, func(t *testing.T) {
			cfg := c.cfg
			cfg.Method, cfg.DType, cfg.Out = runs.MethodLoRA, "float64", filepath.Join(t.TempDir(), "out")
			mustRun(t, Train, cfg)
			input := cfg.DevFile
			if c.form == FormCoNLL {
				text, err := os.ReadFile(input)
				if err != nil {
					t.Fatal(err)
				}
				input = filepath.Join(t.TempDir(), "in.conll")
				writeTest(t, input, toCoNLL(t, string(text)))
			}
			both := func() (*Outcome, string, []string) {
				var b bytes.Buffer
				var scores *Outcome
				said := &notes{}
				run(t, func(*torchbind.Scope) {
					_, err := Predict(context.Background(), Host{Reporter: said}, cfg, PredictConfig{Adapter: cfg.Out, Input: input, Form: c.form}, &b)
					if err == nil {
						scores, err = Eval(context.Background(), quiet, cfg, cfg.Out, data.Dev)
					}
					if err != nil {
						t.Fatal(err)
					}
				})
				return scores, b.String(), said.lines
			}
			whole, want, notes := both()
			defer func(all int) { window = all }(window)
			window = 5
			parts, got, notesOfParts := both()
			if number := regexp.MustCompile(`\d\.\d{9}\d*`); number.ReplaceAllString(got, "") != number.ReplaceAllString(want, "") || strings.Count(got, "\n") < 6 {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if !slices.Equal(notesOfParts, notes) {
				t.Errorf("notes %q, want %q", notesOfParts, notes)
			}
			a, b := whole.Results, parts.Results
			if !maps.EqualFunc(a.Scores, b.Scores, func(x, y float64) bool { return math.Abs(x-y) < 1e-9 }) || a.Cost.Eval.Tokens != b.Cost.Eval.Tokens {
				t.Errorf("scores %v and %+v, want %v and %+v", b.Scores, b.Cost, a.Scores, a.Cost)
			}
		})
	}
}
