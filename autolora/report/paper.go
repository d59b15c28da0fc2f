package report

import (
	_ "embed"
	"encoding/json"
	"slices"

	"autolora/data/metrics"
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

// task is a task of the paper's.
type task struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	Family string `json:"family"`
	Train  int    `json:"train"` // Table 6: numbers of examples for training
	Dev    string `json:"dev"`   // and in the dev set
}

// published is what the paper prints: Tables 1 to 4, neither seeds nor spread;
// Table 5, the mean training time on SST-2, MNLI and QQP, that of AdaLoRA being
// 1, with a grid of 16 configurations; and the tasks, in its order. Scores of
// one family stand in one table.
var published struct {
	Tables []*Paper `json:"tables"` // Table 4 without its row of AutoLoRA, which is Table 1's
	Cost   []struct {
		Method string
		Cost   Number
	} `json:"cost"`
	Tasks []task `json:"tasks"`
}

//go:embed paper.json
var paperText []byte

func init() {
	if err := json.Unmarshal(paperText, &published); err != nil {
		panic(err)
	}
}

// familyOwn is the family of tasks that the paper has not.
const familyOwn = "own data"

// taskOf returns how a task is shown, and its place in the order; unknown ones
// come last.
func taskOf(name string) (task, int) {
	if i := slices.IndexFunc(published.Tasks, func(t task) bool { return t.Name == name }); i >= 0 {
		return published.Tasks[i], i
	}
	return task{Name: name, Title: name, Family: familyOwn}, len(published.Tasks)
}

// tableScores returns the scores of a task that stand in the main table: the
// paper's where it has more than one; of other generated texts those that data
// of any kind have, and of other tasks the main one.
func tableScores(name, primary string) []string {
	var scores []string
	for _, p := range published.Tables[:3] {
		for _, c := range p.Scores {
			if c.Task == name {
				scores = append(scores, c.Score)
			}
		}
	}
	switch {
	case len(scores) > 1:
		return scores
	case primary == metrics.NameBLEU:
		return []string{metrics.NameBLEU, metrics.NameROUGEL}
	}
	return []string{primary}
}

// paperScore returns the paper's value for a method, task and score, in the
// unit of its table, and its row and table; nil where it has none.
func paperScore(method, task, score string) (*Paper, *PaperRow, float64) {
	for _, p := range published.Tables {
		column := slices.Index(p.Scores, PaperCol{task, score})
		row := slices.IndexFunc(p.Rows, func(r *PaperRow) bool { return r.Method == method })
		if column >= 0 && row >= 0 {
			return p, p.Rows[row], p.Rows[row].Values[column]
		}
	}
	return nil, nil, 0
}
