package job

import (
	"context"

	"autolora/autolora/runs"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/nn"
)

// kind is what a job asks of one kind of task. A new one is an entry of kinds.
type kind struct {
	head    nn.Output // what a model makes of its hidden states
	cut     string    // what is left out of texts that are too long
	compute func(s *session, ctx context.Context, model *nn.Model, d *data.Dataset, work *runs.Work, progress func(done int)) (answers, error)
	score   func(s *session, d *data.Dataset, a answers) (metrics.Scores, error)
	line    func(task data.Task, a answers, from, to int) any // of predict, for the example with these rows
}

// answers are what a model says about the examples of a data set.
type answers struct {
	logits [][]float64 // a row for every example, in tagging for every word
	best   []int       // place of the largest in each row
	texts  []string    // in generation
}

// prediction is one line of predict for a text with a label.
type prediction struct {
	Logits []float64 `json:"logits"`
	Label  any       `json:"label"` // a class's name, or the number of a regression
}

var kinds = map[data.Kind]kind{
	data.Classification: {
		head: nn.SequenceClassification, cut: "examples", compute: (*session).classify,
		score: func(s *session, d *data.Dataset, a answers) (metrics.Scores, error) {
			gold := make([]int, d.Len())
			for i, ex := range d.Examples {
				gold[i] = ex.Label
			}
			return metrics.Classification(s.task.Metrics, gold, a.best)
		},
		line: func(task data.Task, a answers, i, _ int) any { return prediction{a.logits[i], task.Labels[a.best[i]]} },
	},
	data.Regression: {
		head: nn.Regression, cut: "examples", compute: (*session).classify,
		score: func(s *session, d *data.Dataset, a answers) (metrics.Scores, error) {
			gold, pred := make([]float64, d.Len()), make([]float64, d.Len())
			for i, ex := range d.Examples {
				gold[i], pred[i] = ex.Value, a.logits[i][0]
			}
			return metrics.Regression(s.task.Metrics, gold, pred)
		},
		line: func(_ data.Task, a answers, i, _ int) any { return prediction{a.logits[i], a.logits[i][0]} },
	},
	data.Tagging: {
		head: nn.TokenClassification, cut: "words", compute: (*session).classify,
		score: func(s *session, d *data.Dataset, a answers) (metrics.Scores, error) {
			gold, pred, at := make([][]string, d.Len()), make([][]string, d.Len()), d.Rows()
			for i, ex := range d.Examples {
				gold[i], pred[i] = s.task.Names(ex.Tags), s.task.Names(a.best[at[i]:at[i+1]])
			}
			return metrics.Tagging(s.task.Metrics, gold, pred)
		},
		line: func(task data.Task, a answers, from, to int) any {
			return map[string][]string{"tags": task.Names(a.best[from:to])}
		},
	},
	data.Generation: {
		head: nn.CausalLM, cut: "examples", compute: (*session).write,
		score: func(s *session, d *data.Dataset, a answers) (metrics.Scores, error) {
			return s.scorer.score(d, a.texts)
		},
		line: func(_ data.Task, a answers, i, _ int) any { return map[string]string{"text": a.texts[i]} },
	},
}
