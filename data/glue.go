package data

import (
	"fmt"
	"slices"

	"autolora/data/metrics"
)

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

func (g glueTask) inside() string { return g.folder }

// GLUETask returns the GLUE task of that name, as NamedTask does.
func GLUETask(name string) (Task, error) {
	t, err := findTask(name)
	if err != nil {
		return Task{}, err
	}
	if _, ok := t.(glueTask); !ok {
		return Task{}, fmt.Errorf("%s is no task of GLUE", name)
	}
	return t.task(), nil
}
