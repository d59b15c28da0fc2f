package report

import (
	"slices"

	"autolora/autolora/runs"
)

// Paper is a table of Zhang et al., "AutoLoRA: Automatically Tuning Matrix
// Ranks in Low-Rank Adaptation Based on Meta Learning" (2024), in the units of
// its tables: what a report shows beside its own numbers.
type Paper struct {
	Source string      `json:"source"` // "Table 1"
	Model  string      `json:"model"`
	Scores []PaperCol  `json:"columns"`
	Rows   []*PaperRow `json:"rows"`
}

// PaperCol is one column of a table: a score of a task.
type PaperCol struct {
	Task  string `json:"task"`
	Score string `json:"score"`
}

// PaperRow is what the paper reports of one method.
type PaperRow struct {
	Method     string    `json:"method"`
	Parameters string    `json:"parameters"` // as printed: "0.3M"
	Values     []float64 `json:"values"`
	Average    float64   `json:"average,omitempty"`
}

// glueColumns are the columns of Tables 1 and 4.
var glueColumns = []PaperCol{
	{"cola", "matthews"}, {"sst2", "accuracy"}, {"mrpc", "accuracy"}, {"qqp", "accuracy"},
	{"mnli", "accuracy"}, {"qnli", "accuracy"}, {"rte", "accuracy"}, {"stsb", "spearman"},
}

// papers are Tables 1 to 4. The paper prints neither seeds nor spread.
var papers = []*Paper{
	{"Table 1", "RoBERTa-base", glueColumns, []*PaperRow{
		{runs.MethodFull, "125.0M", []float64{61.6, 94.8, 89.3, 90.3, 86.7, 92.8, 76.9, 91.2}, 85.5},
		{runs.MethodAdapter, "0.9M", []float64{58.8, 94.0, 88.4, 89.1, 86.5, 92.5, 71.2, 89.9}, 83.8},
		{runs.MethodLoRA, "0.3M", []float64{59.0, 94.5, 89.1, 89.6, 86.9, 92.9, 75.8, 91.1}, 84.9},
		{runs.MethodAdaLoRA, "0.3M", []float64{58.8, 94.0, 89.4, 89.9, 87.0, 93.0, 75.9, 90.6}, 85.0},
		{runs.MethodAutoLoRA, "0.3M", []float64{61.3, 94.9, 89.4, 90.3, 87.0, 92.9, 77.0, 90.8}, 85.5},
	}},
	{"Table 2", "GPT2-medium", []PaperCol{
		{"e2e", "bleu"}, {"e2e", "nist"}, {"e2e", "meteor"}, {"e2e", "rouge_l"}, {"e2e", "cider"},
		{"webnlg", "bleu"}, {"webnlg", "meteor"}, {"webnlg", "ter"},
	}, []*PaperRow{
		{runs.MethodFull, "354.9M", []float64{68.0, 8.61, 46.1, 69.0, 2.38, 46.5, 38.0, 0.53}, 0},
		{runs.MethodAdapter, "11.1M", []float64{67.0, 8.50, 45.2, 66.9, 2.31, 50.2, 38.0, 0.46}, 0},
		{runs.MethodLoRA, "0.3M", []float64{67.1, 8.54, 45.7, 68.0, 2.33, 50.7, 39.5, 0.46}, 0},
		{runs.MethodAdaLoRA, "0.3M", []float64{67.0, 8.55, 45.5, 68.1, 2.32, 50.6, 39.4, 0.44}, 0},
		{runs.MethodAutoLoRA, "0.3M", []float64{67.9, 8.68, 46.0, 68.9, 2.37, 50.8, 39.6, 0.44}, 0},
	}},
	{"Table 3", "RoBERTa-base", []PaperCol{{"jnlpba", "precision"}, {"jnlpba", "f1"}}, []*PaperRow{
		{runs.MethodFull, "125.0M", []float64{70.3, 74.9}, 0},
		{runs.MethodAdapter, "0.9M", []float64{66.9, 71.3}, 0},
		{runs.MethodLoRA, "0.3M", []float64{68.5, 72.2}, 0},
		{runs.MethodAdaLoRA, "0.3M", []float64{69.4, 73.0}, 0},
		{runs.MethodAutoLoRA, "0.3M", []float64{70.1, 74.2}, 0},
	}},
	{"Table 4", "RoBERTa-base", glueColumns, []*PaperRow{ // its row of AutoLoRA is Table 1's
		{runs.MethodNone, "", []float64{61.0, 93.7, 88.5, 90.0, 87.2, 92.1, 77.5, 90.5}, 85.1},
		{runs.MethodSigmoid, "", []float64{59.7, 94.1, 88.3, 89.8, 86.9, 92.6, 75.7, 90.7}, 84.7},
		{runs.MethodEta0, "", []float64{61.2, 94.8, 89.3, 90.1, 87.1, 92.8, 77.3, 90.5}, 85.2},
	}},
}

// paperScore returns the paper's value for a method, task and score, in the
// unit of its table, and its row and table; nil where it has none.
func paperScore(method, task, score string) (*Paper, *PaperRow, float64) {
	for _, p := range papers {
		column := slices.Index(p.Scores, PaperCol{task, score})
		row := slices.IndexFunc(p.Rows, func(r *PaperRow) bool { return r.Method == method })
		if column >= 0 && row >= 0 {
			return p, p.Rows[row], p.Rows[row].Values[column]
		}
	}
	return nil, nil, 0
}

// paperCost is Table 5: mean training time on SST-2, MNLI and QQP, that of
// AdaLoRA being 1. The grid has 16 configurations.
var paperCost = []struct {
	method string
	cost   Number
}{{runs.MethodAdaLoRA, 1}, {runs.MethodLoRAGrid, 14.29}, {runs.MethodAutoLoRA, 1.91}}

// paperSizes is Table 6: numbers of examples for training and in the dev set.
var paperSizes = map[string]struct {
	train int
	dev   string
}{
	"cola": {8551, "1,043"}, "rte": {2490, "277"}, "qnli": {104_743, "5,463"}, "stsb": {5749, "1,500"}, "mrpc": {3668, "408"},
	"wnli": {635, "71"}, "sst2": {67_349, "872"}, "mnli": {392_702, "9,815 + 9,832"}, "qqp": {363_871, "40,432"},
}
