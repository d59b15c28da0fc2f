package job

import (
	"context"

	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
)

// kind is what a job asks of one kind of task. A new one is an entry of kinds.
type kind struct {
	head    nn.Output // what a model makes of its hidden states
	cut     string    // what is left out of texts that are too long
	compute func(s *session, ctx context.Context, model *nn.Model, d *data.Dataset, work *runs.Work, progress func(done int)) (answers, error)
	score   func(s *session, ctx context.Context, model *nn.Model, d *data.Dataset, a answers, work *runs.Work) (scored, error)
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
		score: labelled(scoreClasses),
		line:  func(task data.Task, a answers, i, _ int) any { return prediction{a.logits[i], task.Labels[a.best[i]]} },
	},
	data.Regression: {
		head: nn.Regression, cut: "examples", compute: (*session).classify,
		score: labelled(scoreNumbers),
		line:  func(_ data.Task, a answers, i, _ int) any { return prediction{a.logits[i], a.logits[i][0]} },
	},
	data.Tagging: {
		head: nn.TokenClassification, cut: "words", compute: (*session).classify,
		score: labelled(scoreTags),
		line: func(task data.Task, a answers, from, to int) any {
			return map[string][]string{"tags": task.Names(a.best[from:to])}
		},
	},
	data.Generation: {
		head: nn.CausalLM, cut: "examples", compute: (*session).write,
		score: (*session).scoreTexts,
		line:  func(_ data.Task, a answers, i, _ int) any { return map[string]string{"text": a.texts[i]} },
	},
}

// labelled scores the answers alone.
func labelled(score func(task data.Task, d *data.Dataset, a answers) (scored, error)) func(*session, context.Context, *nn.Model, *data.Dataset, answers, *runs.Work) (scored, error) {
	return func(s *session, _ context.Context, _ *nn.Model, d *data.Dataset, a answers, _ *runs.Work) (scored, error) {
		return score(s.task, d, a)
	}
}
