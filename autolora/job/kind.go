package job

import (
	"context"
	"encoding/json"
	"strconv"

	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
	"autolora/plainjson"
)

// kind is what a job asks of one kind of task. A new one is an entry of kinds.
type kind struct {
	head    nn.Output // what a model makes of its hidden states
	cut     string    // what is left out of texts that are too long
	compute func(s *session, ctx context.Context, model *nn.Model, d *data.Dataset, how computing) (answers, error)
	score   func(s *session, ctx context.Context, model *nn.Model, d *data.Dataset, a answers, how computing) (scored, error)
	losses  func(s *session, ctx context.Context, model *nn.Model, d *data.Dataset, how computing) (runs.Losses, error)
	say     func(task data.Task, a answers, from, to int) []saying // what predict writes for the example with these rows
}

// computing says what to do beside computing answers, their scores or losses.
type computing struct {
	logits   bool           // keep them
	texts    bool           // write them, where they are not scored too
	work     *runs.Work     // what is computed is added to it
	progress func(done int) // told how many examples are done
}

// silently is computing of which nobody is told.
func silently(work *runs.Work) computing { return computing{work: work, progress: func(int) {}} }

// answers are what a model says about the examples of a data set.
type answers struct {
	rows   []answer    // one for every example, in tagging for every word (data.Dataset.Rows); nil in generation
	logits [][]float64 // of each row, where they are kept
	// threshold is the probability above which a label is given, where an example may
	// have several.
	threshold float64
	texts     []string // in generation, of every example
}

// answer is what a model says of an example, in tagging of a word.
type answer struct {
	Best        int       // the class with the largest logit
	Probability float64   // of it
	Value       float64   // in regression
	Each        []float64 // the probability of each label, where an example may have several
	Loss        float64   // of the right answer; 0 where that is not known
	Weighed     float64   // Loss by the weights of classes, where they have any
}

// best returns the classes of the rows from one to another.
func (a answers) best(from, to int) []int {
	classes := make([]int, to-from)
	for i := range classes {
		classes[i] = a.rows[from+i].Best
	}
	return classes
}

// given returns the labels of a row, of which an example may have several, with a
// probability above the threshold.
func (a answers) given(row int) []int {
	given := []int{}
	for label, p := range a.rows[row].Each {
		if p > a.threshold {
			given = append(given, label)
		}
	}
	return given
}

// saying is a part of what is said of an example.
type saying struct {
	name  string
	value any
	in    output
}

// output is a set of forms in which predictions are written.
type output int

const (
	inLines output = 1 << iota // JSON
	inTable                    // CSV, TSV
)

var kinds = map[data.Kind]kind{
	data.Classification: {
		head: nn.SequenceClassification, cut: "examples", compute: (*session).classify,
		score: labelled(scoreClasses), losses: (*session).rowLosses,
		say: func(task data.Task, a answers, i, _ int) []saying {
			all := softmax(a.logits[i])
			best := a.rows[i].Best
			return []saying{
				{"logits", a.logits[i], inLines}, {"label", task.Labels[best], inLines | inTable},
				{"probabilities", byLabel(task, all), inLines}, {"probability", json.Number(strconv.FormatFloat(all[best], 'f', 6, 64)), inTable},
			}
		},
	},
	data.MultiLabel: {
		head: nn.MultiLabel, cut: "examples", compute: (*session).classify,
		score: (*session).scoreSets, losses: (*session).rowLosses,
		say: func(task data.Task, a answers, i, _ int) []saying {
			given := task.Names(a.given(i))
			return []saying{
				{"logits", a.logits[i], inLines}, {"labels", given, inLines}, {"labels", data.JoinLabels(given, task.Labels), inTable},
				{"probabilities", byLabel(task, a.rows[i].Each), inLines},
			}
		},
	},
	data.Regression: {
		head: nn.Regression, cut: "examples", compute: (*session).classify,
		score: labelled(scoreNumbers), losses: (*session).rowLosses,
		say: func(_ data.Task, a answers, i, _ int) []saying {
			return []saying{{"logits", a.logits[i], inLines}, {"label", a.rows[i].Value, inLines | inTable}}
		},
	},
	data.Tagging: {
		head: nn.TokenClassification, cut: "words", compute: (*session).classify,
		score: labelled(scoreTags), losses: (*session).rowLosses,
		say: func(task data.Task, a answers, from, to int) []saying {
			return []saying{{"tags", task.Names(a.best(from, to)), inLines}}
		},
	},
	data.Generation: {
		head: nn.CausalLM, cut: "examples", compute: (*session).write,
		score: (*session).scoreTexts, losses: (*session).targetLosses, say: sayText,
	},
	data.Chat: {
		head: nn.CausalLM, cut: "conversations", compute: (*session).answer,
		score: (*session).scoreChats, losses: (*session).targetLosses, say: sayText,
	},
}

func sayText(_ data.Task, a answers, i, _ int) []saying {
	return []saying{{"text", a.texts[i], inLines | inTable}}
}

// byLabel is an object of the probabilities of a task's labels.
func byLabel(task data.Task, probabilities []float64) json.RawMessage {
	each := make([]plainjson.Member, len(probabilities))
	for k, p := range probabilities {
		each[k] = plainjson.Member{Key: task.Labels[k], Value: strconv.AppendFloat(nil, p, 'g', -1, 64)}
	}
	return plainjson.Object(each)
}

// labelled scores the answers alone.
func labelled(score func(task data.Task, d *data.Dataset, a answers) (scored, error)) func(*session, context.Context, *nn.Model, *data.Dataset, answers, computing) (scored, error) {
	return func(s *session, _ context.Context, _ *nn.Model, d *data.Dataset, a answers, _ computing) (scored, error) {
		return score(s.task, d, a)
	}
}
