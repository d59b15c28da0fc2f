package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Names of the scores, as they stand in results.json.
const (
	NameAccuracy  = "accuracy"
	NameF1        = "f1"
	NameMacroF1   = "f1_macro"
	NameMatthews  = "matthews"
	NamePearson   = "pearson"
	NameSpearman  = "spearman"
	NamePrecision = "precision"
	NameRecall    = "recall"

	NameBLEU   = "bleu"
	NameNIST   = "nist" // not a fraction: bits of information per word
	NameMETEOR = "meteor"
	NameROUGEL = "rouge_l"
	NameCIDEr  = "cider" // not a fraction: up to 10
	NameTER    = "ter"   // edits per word: lower is better, and more than 1 is possible

	// E2E's official script in its mode -p has a BLEU and a NIST of its own, and for single outputs another BLEU.
	NamePyBLEU   = "bleu_pymteval"
	NamePyNIST   = "nist_pymteval"
	NameSentBLEU = "sentbleu"
)

// Scores are values by name, fractions of 1 unless the name says otherwise. A score that is not defined is NaN, and null in JSON.
type Scores map[string]float64

// MarshalJSON writes the scores in the order of their names.
func (s Scores) MarshalJSON() ([]byte, error) {
	values := make(map[string]*float64, len(s))
	for name, v := range s {
		values[name] = nil
		if !math.IsNaN(v) {
			values[name] = &v
		}
	}
	return json.Marshal(values)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Scores) UnmarshalJSON(b []byte) error {
	var values map[string]*float64
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	*s = make(Scores, len(values))
	for name, v := range values {
		(*s)[name] = math.NaN()
		if v != nil {
			(*s)[name] = *v
		}
	}
	return nil
}

// The scores of each kind of predictions: a new one is a function, a name above, and an entry here.
var (
	classScores = map[string]func(gold, pred []int) float64{
		NameAccuracy: Accuracy,
		NameF1:       func(gold, pred []int) float64 { return F1(gold, pred, 1) },
		NameMacroF1:  MacroF1,
		NameMatthews: Matthews,
	}
	valueScores = map[string]func(gold, pred []float64) float64{NamePearson: Pearson, NameSpearman: Spearman}
	tagScores   = map[string]func(r *EntityReport) float64{
		NamePrecision: func(r *EntityReport) float64 { return r.Precision },
		NameRecall:    func(r *EntityReport) float64 { return r.Recall },
		NameF1:        func(r *EntityReport) float64 { return r.F1 },
		NameAccuracy:  func(r *EntityReport) float64 { return r.Accuracy },
	}
)

// compute calls the functions of a table that are named.
func compute[F any](kind string, table map[string]F, names []string, call func(F) float64) (Scores, error) {
	scores := make(Scores, len(names))
	for _, name := range names {
		f, ok := table[name]
		if !ok {
			return nil, fmt.Errorf("score: %q is no score of a %s", name, kind)
		}
		scores[name] = call(f)
	}
	return scores, nil
}

// Classification computes the scores named accuracy, f1 (of class 1), f1_macro and matthews from the classes,
// given as indices. It is an error if the lists differ in length or are empty, or a gold class is negative: that
// is an example without a label.
func Classification(names []string, gold, pred []int) (Scores, error) {
	if err := checkLengths(len(gold), len(pred)); err != nil {
		return nil, err
	}
	for i, g := range gold {
		if g < 0 {
			return nil, fmt.Errorf("score: example %d has no label", i)
		}
	}
	return compute("classification", classScores, names, func(f func(gold, pred []int) float64) float64 { return f(gold, pred) })
}

// Regression computes the scores named pearson and spearman. It is an error if the lists differ in length
// or are empty, or a value is NaN or infinite.
func Regression(names []string, gold, pred []float64) (Scores, error) {
	if err := checkLengths(len(gold), len(pred)); err != nil {
		return nil, err
	}
	for i := range gold {
		switch {
		case !finite(gold[i : i+1]):
			return nil, fmt.Errorf("score: example %d has the label %v: want a finite number", i, gold[i])
		case !finite(pred[i : i+1]):
			return nil, fmt.Errorf("score: example %d has the prediction %v: want a finite number", i, pred[i])
		}
	}
	return compute("regression", valueScores, names, func(f func(gold, pred []float64) float64) float64 { return f(gold, pred) })
}

// Tagging computes the scores named precision, recall and f1 of entities, leniently, and accuracy, from the
// tags of sentences. The errors are those of ScoreEntities.
func Tagging(names []string, gold, pred [][]string) (Scores, error) {
	accuracy, err := tagAccuracy(gold, pred)
	if err != nil {
		return nil, err
	}
	report := &EntityReport{Accuracy: accuracy}
	if !slices.Equal(names, []string{NameAccuracy}) { // for which tags of any form will do
		if report, err = ScoreEntities(gold, pred, Lenient); err != nil {
			return nil, err
		}
	}
	return compute("tagging", tagScores, names, func(f func(r *EntityReport) float64) float64 { return f(report) })
}

func checkLengths(gold, pred int) error {
	switch {
	case gold != pred:
		return fmt.Errorf("score: %d labels and %d predictions", gold, pred)
	case gold == 0:
		return errors.New("score: no examples")
	}
	return nil
}

// ArgMax returns the place of the largest logit, the first of equal ones. A NaN or an empty list is an error.
func ArgMax[F float32 | float64](logits []F) (int, error) {
	best := -1
	for i, v := range logits {
		if v != v {
			return 0, fmt.Errorf("logit %d is NaN", i)
		}
		if best < 0 || v > logits[best] {
			best = i
		}
	}
	if best < 0 {
		return 0, errors.New("no logits")
	}
	return best, nil
}
