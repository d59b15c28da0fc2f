package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
)

// logit returns logits by which class is taken with the probability p, of k.
func logit(k, class int, p float64) []float64 {
	row := make([]float64, k)
	row[class] = math.Log(p * float64(k-1) / (1 - p))
	return row
}

// answersOf returns what logits say of the rows of d.
func answersOf(t *testing.T, d *data.Dataset, rows ...[]float64) answers {
	t.Helper()
	var a answers
	at := d.Rows()
	for i := range d.Examples {
		for row := at[i]; row < at[i+1]; row++ {
			said, err := newAnswer(&d.Examples[i], row-at[i], d.Kind, rows[row])
			if err != nil {
				t.Fatal(err)
			}
			a.rows = append(a.rows, said)
		}
	}
	return a
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) < 1e-9) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// The loss, the commonest answer, the table per class and the worst mistakes, of
// one class an example.
func TestScoreClasses(t *testing.T) {
	task := data.Task{Kind: data.Classification, Labels: []string{"ham", "spam"}, Metrics: []string{metrics.NameAccuracy, metrics.NameF1, metrics.NameMacroF1}, Primary: metrics.NameAccuracy}
	d := &data.Dataset{Kind: data.Classification}
	long := strings.Repeat("é", 500)
	for i, ex := range []data.Example{{Text: "fine", Label: 0}, {Text: "so\n so\x1b[31m", Pair: "pair", HasPair: true, Label: 1}, {Text: long, Label: 0}, {Text: "good", Label: 0}} {
		ex.File, ex.Line = "dev.csv", i+2
		d.Examples = append(d.Examples, ex)
	}
	got, err := scoreClasses(task, d, answersOf(t, d, logit(2, 0, 0.9), logit(2, 0, 0.8), logit(2, 1, 0.99), logit(2, 0, 0.7)))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", got.losses.Mean(), -(math.Log(0.9)+math.Log(0.2)+math.Log(0.01)+math.Log(0.7))/4)
	near(t, "accuracy", got.scores[metrics.NameAccuracy], 0.5)
	near(t, "accuracy of ham", got.baseline[metrics.NameAccuracy], 0.75)
	near(t, "f1 of ham", got.baseline[metrics.NameF1], 0)
	near(t, "macro f1 of ham", got.baseline[metrics.NameMacroF1], 3.0/7)
	near(t, "loss of the shares", got.baseline[metrics.NameLoss], -(3*math.Log(0.75)+math.Log(0.25))/4)
	x := got.details
	if x.F1Class != "spam" || !reflect.DeepEqual(x.Confusion, [][]int{{2, 1}, {1, 0}}) || len(x.Classes) != 2 || x.Classes[0].Name != "ham" || x.Classes[0].Support != 3 || x.Classes[1].Predicted != 1 {
		t.Errorf("details %+v", x)
	}
	if len(x.Mistakes) != 2 || x.Mistakes[0].Where != "dev.csv: line 4" || x.Mistakes[0].Gold != "ham" || x.Mistakes[0].Predicted != "spam" || len([]rune(x.Mistakes[0].Text)) != shownText ||
		x.Mistakes[1].Text != "so so�[31m | pair" {
		t.Errorf("mistakes %+v", x.Mistakes)
	}
	near(t, "probability", *x.Mistakes[0].Probability, 0.99)
	near(t, "loss", x.Mistakes[0].Loss, -math.Log(0.01))

	// However many examples and classes there are, what is kept is bounded.
	many := data.Task{Kind: data.Classification, Metrics: []string{metrics.NameAccuracy}, Primary: metrics.NameAccuracy}
	for _, k := range []int{runs.MaxConfusion + 1, runs.MaxClasses + 1} {
		many.Labels, d.Examples = nil, nil
		var rows [][]float64
		for i := range k {
			many.Labels = append(many.Labels, fmt.Sprint(i))
			d.Examples = append(d.Examples, data.Example{Label: i})
			rows = append(rows, logit(k, (i+1)%k, 0.5+float64(i)/float64(3*k)))
		}
		got, err := scoreClasses(many, d, answersOf(t, d, rows...))
		if x := got.details; err != nil || x.Confusion != nil || (x.Classes != nil) != (k <= runs.MaxClasses) || len(x.Mistakes) != runs.MaxMistakes || x.Mistakes[0].Gold != fmt.Sprint(k-1) || x.Mistakes[9].Gold != fmt.Sprint(k-10) {
			t.Errorf("%d classes: %v, %d classes, mistakes %+v", k, err, len(x.Classes), x.Mistakes)
		}
	}
}

// Of tags, the commonest answer is O, the table is of the types of entities, and a
// mistake is a word. Where tags make no entities the table is of the tags.
func TestScoreTags(t *testing.T) {
	task := data.Task{Kind: data.Tagging, Labels: []string{"O", "B-x", "B-y"}, Metrics: []string{metrics.NameF1, metrics.NameAccuracy}, Primary: metrics.NameF1}
	d := &data.Dataset{Kind: data.Tagging, Examples: []data.Example{
		{Sentence: &data.Sentence{Words: strings.Fields("a b c d e f g h i j k"), Tags: []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}}, File: "dev.conll", Line: 1}, {Sentence: &data.Sentence{}}, {Sentence: &data.Sentence{Words: []string{"l", "m"}, Tags: []int{2, 0}}},
	}}
	rows := make([][]float64, 13)
	for i := range rows {
		rows[i] = logit(3, 1, 0.5)
	}
	rows[10], rows[12] = logit(3, 2, 0.9), logit(3, 0, 0.6)
	got, err := scoreTags(task, d, answersOf(t, d, rows...))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "f1 of O", got.baseline[metrics.NameF1], 0)
	near(t, "accuracy of O", got.baseline[metrics.NameAccuracy], 2.0/13)
	near(t, "loss", got.losses.Mean(), -(10*math.Log(0.5)+math.Log(0.05)+math.Log(0.25)+math.Log(0.6))/13)
	near(t, "loss of the shares", got.baseline[metrics.NameLoss], -(10*math.Log(10.0/13)+2*math.Log(2.0/13)+math.Log(1.0/13))/13)
	if x := got.details; x.Confusion != nil || len(x.Classes) != 2 || x.Classes[0].Name != "x" || x.Classes[0].Support != 10 || x.Classes[0].Predicted != 11 || x.Classes[1].F1 != 0 || x.Classes[1].Predicted != 1 {
		t.Errorf("details %+v", x)
	}
	m := got.details.Mistakes
	if len(m) != 2 || m[0].Word != "k" || m[0].Text != "c d e f g h i j k" || m[0].Gold != "O" || m[0].Predicted != "B-y" || m[1].Word != "l" || m[1].Text != "l m" {
		t.Errorf("mistakes %+v", m)
	}

	task.Labels, task.Metrics, task.Primary = []string{"VERB", "NOUN", "X"}, []string{metrics.NameAccuracy}, metrics.NameAccuracy
	if got, err = scoreTags(task, d, answersOf(t, d, rows...)); err != nil {
		t.Fatal(err)
	}
	near(t, "accuracy of NOUN", got.baseline[metrics.NameAccuracy], 10.0/13)
	if x := got.details; len(x.Classes) != 3 || len(x.Confusion) != 3 || x.Confusion[1][1] != 10 {
		t.Errorf("details %+v", x)
	}
}

// Of numbers, the commonest answer is the mean, whose correlation is not defined.
func TestScoreNumbers(t *testing.T) {
	task := data.Task{Kind: data.Regression, Metrics: []string{metrics.NamePearson}, Primary: metrics.NamePearson}
	d := &data.Dataset{Kind: data.Regression, Examples: []data.Example{{Text: "a", Value: 1}, {Text: "b", Value: 2}, {Text: "c", Value: 6}}}
	got, err := scoreNumbers(task, d, answersOf(t, d, []float64{1}, []float64{3}, []float64{4}))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "loss", got.losses.Mean(), 5.0/3)
	near(t, "loss of the mean", got.baseline[metrics.NameLoss], 14.0/3)
	if !math.IsNaN(got.baseline[metrics.NamePearson]) || len(got.details.Mistakes) != 2 || got.details.Mistakes[0].Text != "c" || got.details.Mistakes[0].Predicted != 4.0 {
		t.Errorf("%+v", got)
	}
	if runs.NoBetter(metrics.Scores{"pearson": 1, "loss": got.losses.Mean()}, got.baseline, metrics.NamePearson) || !runs.NoBetter(metrics.Scores{"pearson": math.NaN(), "loss": 5}, got.baseline, metrics.NamePearson) {
		t.Error("the loss does not decide where the score is not defined")
	}
}

// A run says what its scores are to be measured by and what its loss did; a
// session that was stopped in between changes nothing of it.
func TestRunDetails(t *testing.T) {
	cfg := tinyConfig(t, "exact")
	cfg.Method, cfg.Steps = runs.MethodLoRA, 13
	cfg.LR, cfg.SearchLR = 0, 0
	out := mustRun(t, Train, cfg)
	r := out.Results
	if len(r.TrainLoss) != 10 || r.LR != 1e-3 || len(r.Confusion) != 2 || len(r.Baseline) != len(r.Scores) {
		t.Errorf("results %+v", r)
	}
	loss := map[int][]float64{}
	var config map[string]any
	readJSON(t, filepath.Join(cfg.Out, runs.ConfigFile), &config)
	if config["lr"] != 1e-3 || config["search-lr"] != 1e-3 {
		t.Errorf("config.json has the rates %v and %v", config["lr"], config["search-lr"])
	}
	cfg.LogEvery, cfg.Out = 1, cfg.Out+"-again"
	out = mustRun(t, Train, cfg)
	records := readRecords(t, cfg.Out)
	for _, record := range records {
		if record.Phase == "train" {
			part := (record.Step - 1) * 10 / 13
			loss[part] = append(loss[part], *record.Loss)
		}
	}
	for part, all := range loss {
		sum := 0.0
		for _, v := range all {
			sum += v
		}
		near(t, fmt.Sprint("mean loss of tenth ", part), out.Results.TrainLoss[part], sum/float64(len(all)))
	}
	last := records[len(records)-1]
	if _, ok := last.Scores[metrics.NameLoss]; last.Phase != "eval" || !ok {
		t.Errorf("the last record is %+v", last)
	}
}

// Balanced weights are those of the training data's classes, and only a task with
// classes takes them.
func TestClassWeights(t *testing.T) {
	train := &data.Dataset{Examples: []data.Example{
		{Label: 0, Sentence: &data.Sentence{Tags: []int{0, 0, 1}}, LabelSet: &data.LabelSet{Classes: []int{0, 2}}},
		{Label: 2, Sentence: &data.Sentence{Tags: []int{0}}, LabelSet: &data.LabelSet{}},
		{Label: 0, Sentence: &data.Sentence{}, LabelSet: &data.LabelSet{Classes: []int{2}}},
	}}
	for _, tc := range []struct {
		kind data.Kind
		want []float64
	}{{data.Classification, []float64{0.75, 0, 1.5}}, {data.Tagging, []float64{2.0 / 3, 2, 0}}, {data.MultiLabel, []float64{0.75, 1.5, 1, 0, 1.5, 0.75}}, {data.Regression, nil}, {data.Generation, nil}} {
		got, err := balanced(data.Task{Name: "mine", Kind: tc.kind, Labels: []string{"a", "b", "c"}}, train)
		var wrong *settings.Error
		if (tc.want == nil) != errors.As(err, &wrong) || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v, %v; want %v", tc.kind, got, err, tc.want)
		}
	}

	cfg := tinyConfig(t, "exact")
	cfg.Method, cfg.Accumulate, cfg.ClassWeights = runs.MethodLoRA, 2, settings.BalancedWeights
	weighted := mustRun(t, Train, cfg)
	cfg.Out, cfg.ClassWeights = cfg.Out+"-plain", settings.EqualWeights
	if plain := mustRun(t, Train, cfg); plain.Results.TrainLoss[0] == weighted.Results.TrainLoss[0] {
		t.Error("the weights change nothing")
	}
}

// readRecords reads the metrics.jsonl of a run.
func readRecords(t *testing.T, dir string) (records []runs.Record) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, runs.MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r runs.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// Losses by the weights of classes are those losses that a training by them lowers; of
// weights that make all classes alike the best constant answer's is that of a fair guess.
func TestWeighed(t *testing.T) {
	for name, tc := range map[string]struct {
		task     data.Task
		examples []data.Example
		logits   [][]float64 // a row each
		guess    float64
	}{
		"classes": {data.Task{Kind: data.Classification, Labels: []string{"a", "b", "c"}}, []data.Example{{Label: 0}, {Label: 0}, {Label: 1}, {Label: 2}},
			[][]float64{logit(3, 0, 0.9), logit(3, 1, 0.8), logit(3, 1, 0.7), logit(3, 0, 0.6)}, math.Log(3)},
		"words": {data.Task{Kind: data.Tagging, Labels: []string{"O", "X"}}, []data.Example{{Sentence: &data.Sentence{Words: []string{"x", "y"}, Tags: []int{0, 0}}}, {Sentence: &data.Sentence{Words: []string{"x", "y"}, Tags: []int{0, 1}}}},
			[][]float64{logit(2, 0, 0.9), logit(2, 1, 0.8), logit(2, 1, 0.7), logit(2, 0, 0.6)}, math.Log(2)},
		"labels": {data.Task{Kind: data.MultiLabel, Labels: []string{"a", "b"}},
			[]data.Example{{LabelSet: &data.LabelSet{Classes: []int{0}}}, {LabelSet: &data.LabelSet{Classes: []int{0, 1}}}, {LabelSet: &data.LabelSet{}}},
			[][]float64{{1, -2}, {0.5, 3}, {-1, 0}}, math.Log(2)},
	} {
		t.Run(name, func(t *testing.T) {
			d := &data.Dataset{Kind: tc.task.Kind, Examples: tc.examples}
			s := &session{task: tc.task}
			var err error
			if s.weights, err = balanced(tc.task, d); err != nil {
				t.Fatal(err)
			}
			near(t, "loss of a guess", s.weighedEntropy(d), tc.guess)
			a, at := answersOf(t, d, tc.logits...), d.Rows()
			sum := func(of func(ex *data.Example, k, row int) float64) (sum float64) {
				for i := range d.Examples {
					for row := at[i]; row < at[i+1]; row++ {
						sum += of(&d.Examples[i], row-at[i], row)
					}
				}
				return sum
			}
			weighed := func(ex *data.Example, k, row int) float64 { return s.weighed(ex, k, tc.logits[row], a.rows[row].Loss) }
			if got, plain := sum(weighed), sum(func(_ *data.Example, _, row int) float64 { return a.rows[row].Loss }); math.Abs(got-plain) < 1e-3 {
				t.Errorf("weights change nothing: %v", got)
			}
			for i := range s.weights {
				s.weights[i] = 1
			}
			sum(func(ex *data.Example, k, row int) float64 {
				near(t, "loss by equal weights", weighed(ex, k, row), a.rows[row].Loss)
				return 0
			})
		})
	}
}
