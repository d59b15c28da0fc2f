package runs

import (
	"fmt"
	"slices"

	"autolora/data/metrics"
)

// Results is what results.json holds.
type Results struct {
	Task       string         `json:"task"`
	Method     string         `json:"method"`
	Seed       uint64         `json:"seed"`
	Scores     metrics.Scores `json:"scores"` // fractions of 1
	Parameters ParameterCount `json:"parameters"`
	Seconds    Seconds        `json:"seconds"`
	Steps      StepCount      `json:"steps"`
	// PeakMemory is the highest resident size of the process during the run.
	PeakMemory int64 `json:"peak_memory_bytes"`
	// DevicePeakMemory is the most that was in use on the GPU; 0 without one.
	DevicePeakMemory int64 `json:"device_peak_memory_bytes,omitempty"`
	Processes        int   `json:"processes,omitempty"` // that shared the run, where it was several; then PeakMemory is that of the largest

	Primary  string `json:"primary"`  // the task's main score, a key of Scores
	Part     string `json:"part"`     // of the data that was evaluated: dev or test
	Examples int    `json:"examples"` // evaluated
	// Baseline is what always giving the commonest answer to these examples scores: the commonest class, the mean
	// value, the tag O; nil for texts. Its loss is the least that one answer to all can have.
	Baseline metrics.Scores `json:"baseline,omitempty"`
	Details
	// TrainLoss is the mean loss of training in each tenth of its steps.
	TrainLoss []float64 `json:"train_loss,omitempty"`
	LR        float64   `json:"lr,omitempty"` // the highest learning rate of training
	// Evaluations are those while training went on, of the first data set that is evaluated.
	Evaluations []Evaluation `json:"evaluations,omitempty"`
	// BestStep is the one whose weights were kept, by the loss of Evaluations; 0 where those of the last were.
	BestStep int `json:"best_step,omitempty"`
	// PlannedSteps is how many steps training would have had that ended for want of a better evaluation; else 0.
	PlannedSteps int `json:"planned_steps,omitempty"`
	// TrainExamples is the size of the training set; 0 where it is not known.
	TrainExamples int  `json:"train_examples,omitempty"`
	Cost          Cost `json:"cost"`
	// Paraphrases tells whether METEOR had its table of paraphrases, without which
	// its scores are lower than published ones; nil without METEOR.
	Paraphrases *bool `json:"meteor_paraphrases,omitempty"`
}

// Details is what stands behind the scores, of the first data set that was evaluated.
type Details struct {
	F1Class string `json:"f1_class,omitempty"` // the class that f1 is of, where it is of one
	// Threshold is the probability above which a label is given, where an example may have several; nil elsewhere.
	Threshold *float64 `json:"threshold,omitempty"`
	// Classes has the scores of every class, in tagging of every type of entity where the tags make entities; nil
	// where there are more than MaxClasses.
	Classes   []metrics.ClassScores `json:"classes,omitempty"`
	Confusion [][]int               `json:"confusion,omitempty"` // [gold][predicted] examples or words, in the order of Classes
	Mistakes  []Mistake             `json:"mistakes,omitempty"`  // those with the highest loss, at most MaxMistakes
}

// Check returns an error where the confusion matrix is not one of the classes.
func (d *Details) Check() error {
	n := len(d.Confusion)
	if n > 0 && (n != len(d.Classes) || slices.ContainsFunc(d.Confusion, func(row []int) bool { return len(row) != n })) {
		return fmt.Errorf("the confusion matrix of %d rows is not one of %d classes", n, len(d.Classes))
	}
	return nil
}

// The bounds of Details.
const (
	MaxClasses   = 200
	MaxConfusion = 50 // classes
	MaxMistakes  = 10
)

// Mistake is an example, in tagging a word, with a wrong answer; in regression
// one far from right.
type Mistake struct {
	Where       string   `json:"where"` // file and line
	Text        string   `json:"text"`  // on one line, cut
	Word        string   `json:"word,omitempty"`
	Gold        any      `json:"gold"` // a class's name, those of several in one text, or a number
	Predicted   any      `json:"predicted"`
	Probability *float64 `json:"probability,omitempty"` // of what was predicted
	Loss        float64  `json:"loss"`
}

// Evaluation is one after so many steps of training.
type Evaluation struct {
	Step   int            `json:"step"`
	Loss   float64        `json:"loss"`             // held-out, as that of Scores in Results
	Scores metrics.Scores `json:"scores,omitempty"` // the others; none where texts would be written for them
}

// ParameterCount counts what was trained.
type ParameterCount struct {
	Adapter int64 `json:"adapter"` // LoRA factors; of full fine-tuning, the base model
	Head    int64 `json:"head"`
}

// Seconds is wall time by phase.
type Seconds struct {
	Load   float64 `json:"load"`           // data, tokenizer, weights
	Tune   float64 `json:"tune,omitempty"` // trials of settings, with their evaluations
	Search float64 `json:"search"`
	Train  float64 `json:"train"`
	Eval   float64 `json:"eval"`
}

// StepCount counts optimiser steps of W.
type StepCount struct {
	Tune   int `json:"tune,omitempty"` // of all trials of settings
	Search int `json:"search"`
	Train  int `json:"train"`
}

// Cost counts the work of a run by phase. A pass is one batch through the
// model: forwards of the loss, and backwards, of which the exact
// hypergradient's product through the graph of g is one.
type Cost struct {
	Tune   Work `json:"tune,omitzero"` // trials of settings
	Search Work `json:"search"`        // search of ranks, or of a grid
	Train  Work `json:"train"`
	Eval   Work `json:"eval"`
}

// Work counts what one phase computed.
type Work struct {
	Tokens   int64 `json:"tokens"` // real tokens of all forward passes; there is no padding
	Forward  int64 `json:"forward"`
	Backward int64 `json:"backward"`
}

// Add adds other to w.
func (w *Work) Add(other Work) {
	w.Tokens += other.Tokens
	w.Forward += other.Forward
	w.Backward += other.Backward
}

// Subtract takes other from w.
func (w *Work) Subtract(other Work) {
	w.Tokens -= other.Tokens
	w.Forward -= other.Forward
	w.Backward -= other.Backward
}

// Record is one line of metrics.jsonl. Absent numbers are nil: JSON has no NaN.
type Record struct {
	Phase    string         `json:"phase"`
	Step     int            `json:"step"`
	Loss     *float64       `json:"loss,omitempty"`
	ValLoss  *float64       `json:"val_loss,omitempty"` // of the search's other half; in training held-out, with Scores a record of its own
	Direct   *float64       `json:"direct,omitempty"`   // ‖d‖
	Implicit *float64       `json:"implicit,omitempty"` // ‖η ∂(g·u)/∂a‖
	Ratio    *float64       `json:"ratio,omitempty"`    // implicit/direct
	GradNorm *float64       `json:"grad_norm,omitempty"`
	LR       *float64       `json:"lr,omitempty"`
	Scores   metrics.Scores `json:"scores,omitempty"`
	Ranks    []int          `json:"ranks,omitempty"`
	Alpha    [][]float64    `json:"alpha,omitempty"`  // [layers][k]
	Budget   int            `json:"budget,omitempty"` // AdaLoRA's sum of ranks
	Seconds  float64        `json:"seconds"`          // since the phase began
}
