package data

import (
	"fmt"
	"slices"
	"strings"

	"autolora/data/metrics"
)

// Task is what a model is trained and scored for.
type Task struct {
	Name    string   // "sst2", or the name of the user's own task
	Kind    Kind     // what the labels are
	Labels  []string // names of the classes in the order of the head's outputs; nil in regression
	Metrics []string // the scores to report, by the names in package metrics
	Primary string   // the score that the paper reports, one of Metrics
}

// Outputs is the number of outputs that a head for the task has: one a class, or one in regression.
func (t Task) Outputs() int {
	if t.Kind == Regression {
		return 1
	}
	return len(t.Labels)
}

// glueTask is where a GLUE task's texts and labels are found. The hub's layout calls the label "label".
type glueTask struct {
	Task
	folder    string   // in the official download
	text      []string // columns of the official TSV files
	label     string   // likewise
	hubText   []string // columns of the hub's parquet files
	header    []string // of train.tsv and dev.tsv where they have none
	variants  []string // the dev and test sets, where there are several; the first must be there
	skipShort bool     // rows that end too early are left out, as the official loaders do
}

// glueTasks are the nine tasks in the order of the paper's Table 1, WNLI last. Names, classes and their
// order are those of the hub's data set "glue"; metrics are those of its metric, and first the paper's.
var glueTasks = []glueTask{
	{
		Task: Task{Name: "cola", Labels: []string{"unacceptable", "acceptable"},
			Metrics: []string{metrics.NameMatthews, metrics.NameAccuracy}},
		folder: "CoLA", text: []string{"sentence"}, label: "label", hubText: []string{"sentence"},
		header: []string{"source", "label", "original_label", "sentence"},
	},
	{
		Task:   Task{Name: "sst2", Labels: []string{"negative", "positive"}, Metrics: []string{metrics.NameAccuracy}},
		folder: "SST-2", text: []string{"sentence"}, label: "label", hubText: []string{"sentence"},
	},
	{
		Task: Task{Name: "mrpc", Labels: []string{"not_equivalent", "equivalent"},
			Metrics: []string{metrics.NameAccuracy, metrics.NameF1}},
		folder: "MRPC", text: []string{"#1 String", "#2 String"}, label: "Quality",
		hubText: []string{"sentence1", "sentence2"},
	},
	{
		Task: Task{Name: "qqp", Labels: []string{"not_duplicate", "duplicate"},
			Metrics: []string{metrics.NameAccuracy, metrics.NameF1}},
		folder: "QQP", text: []string{"question1", "question2"}, label: "is_duplicate",
		hubText: []string{"question1", "question2"}, skipShort: true,
	},
	{
		Task: Task{Name: "mnli", Labels: []string{"entailment", "neutral", "contradiction"},
			Metrics: []string{metrics.NameAccuracy}},
		folder: "MNLI", text: []string{"sentence1", "sentence2"}, label: "gold_label",
		hubText: []string{"premise", "hypothesis"}, variants: []string{"matched", "mismatched"},
	},
	{
		Task:   Task{Name: "qnli", Labels: []string{"entailment", "not_entailment"}, Metrics: []string{metrics.NameAccuracy}},
		folder: "QNLI", text: []string{"question", "sentence"}, label: "label", hubText: []string{"question", "sentence"},
	},
	{
		Task:   Task{Name: "rte", Labels: []string{"entailment", "not_entailment"}, Metrics: []string{metrics.NameAccuracy}},
		folder: "RTE", text: []string{"sentence1", "sentence2"}, label: "label", hubText: []string{"sentence1", "sentence2"},
	},
	{
		Task:   Task{Name: "stsb", Kind: Regression, Metrics: []string{metrics.NameSpearman, metrics.NamePearson}},
		folder: "STS-B", text: []string{"sentence1", "sentence2"}, label: "score", hubText: []string{"sentence1", "sentence2"},
	},
	{
		Task:   Task{Name: "wnli", Labels: []string{"not_entailment", "entailment"}, Metrics: []string{metrics.NameAccuracy}},
		folder: "WNLI", text: []string{"sentence1", "sentence2"}, label: "label", hubText: []string{"sentence1", "sentence2"},
	},
}

// task returns the public part, filled in and safe to change.
func (g glueTask) task() Task {
	t := g.Task
	if t.Kind == "" {
		t.Kind = Classification
	}
	t.Labels = slices.Clone(t.Labels)
	t.Metrics = slices.Clone(t.Metrics)
	t.Primary = t.Metrics[0]
	return t
}

// GLUETasks returns the names of the nine GLUE tasks.
func GLUETasks() []string {
	names := make([]string, len(glueTasks))
	for i, g := range glueTasks {
		names[i] = g.Name
	}
	return names
}

// GLUETask returns the GLUE task of that name; "SST-2" is "sst2", "STS-B" is "stsb".
func GLUETask(name string) (Task, error) {
	g, err := findGLUE(name)
	if err != nil {
		return Task{}, err
	}
	return g.task(), nil
}

func findGLUE(name string) (glueTask, error) {
	plain := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
	for _, g := range glueTasks {
		if g.Name == plain {
			return g, nil
		}
	}
	return glueTask{}, fmt.Errorf("unknown task %q: want one of %s", name, strings.Join(GLUETasks(), ", "))
}
