package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Names of the scores, as they stand in results.json.
const (
	NameLoss       = "loss"
	NamePerplexity = "perplexity" // of a token: e to the mean loss
	NameAccuracy   = "accuracy"
	NameF1         = "f1"
	NameMicroF1    = "f1_micro"
	NameMacroF1    = "f1_macro"
	NameWeightedF1 = "f1_weighted"
	NameMatthews   = "matthews"
	NamePearson    = "pearson"
	NameSpearman   = "spearman"
	NamePrecision  = "precision"
	NameRecall     = "recall"

	NameSubsetAccuracy = "subset_accuracy" // of all labels of an example together

	NameBLEU   = "bleu"
	NameNIST   = "nist"
	NameMETEOR = "meteor"
	NameROUGEL = "rouge_l"
	NameCIDEr  = "cider"
	NameTER    = "ter"

	// E2E's official script in its mode -p has a BLEU and a NIST of its own, and for single outputs another BLEU.
	NamePyBLEU   = "bleu_pymteval"
	NamePyNIST   = "nist_pymteval"
	NameSentBLEU = "sentbleu"
)

// Metric is one score: how it is computed, and how tables show it.
type Metric struct {
	Name   string
	Title  string
	Unit   float64 // 100 where tables show a fraction of 1 in percent, else 1
	Digits int     // after the point, in that unit
	Lower  bool    // the lower, the better
	Texts  bool    // of generated texts, which are computed by data/metrics/nlg

	classes func(gold, pred []int) float64
	sets    func(k int, gold, pred [][]int) float64 // of k labels
	values  func(gold, pred []float64) float64
	tags    func(r *EntityReport) float64
}

// table is all metrics: a new one is a function, a name above, and an entry here.
var table = []Metric{
	{Name: NameLoss, Title: "loss", Unit: 1, Digits: 3, Lower: true},
	{Name: NamePerplexity, Title: "perplexity", Unit: 1, Digits: 2, Lower: true},
	{Name: NameAccuracy, Title: "accuracy", Unit: 100, Digits: 1, classes: Accuracy, tags: func(r *EntityReport) float64 { return r.Accuracy }},
	{Name: NameF1, Title: "F1", Unit: 100, Digits: 1, classes: func(gold, pred []int) float64 { return F1(gold, pred, 1) }, tags: func(r *EntityReport) float64 { return r.F1 }},
	{Name: NameMicroF1, Title: "micro F1", Unit: 100, Digits: 1, sets: microF1},
	{Name: NameMacroF1, Title: "macro F1", Unit: 100, Digits: 1, classes: MacroF1, sets: macroF1},
	{Name: NameWeightedF1, Title: "weighted F1", Unit: 100, Digits: 1, classes: WeightedF1, sets: weightedF1},
	{Name: NameSubsetAccuracy, Title: "subset accuracy", Unit: 100, Digits: 1, sets: subsetAccuracy},
	{Name: NameMatthews, Title: "Matthews", Unit: 100, Digits: 1, classes: Matthews},
	{Name: NamePearson, Title: "Pearson", Unit: 100, Digits: 1, values: Pearson},
	{Name: NameSpearman, Title: "Spearman", Unit: 100, Digits: 1, values: Spearman},
	{Name: NamePrecision, Title: "precision", Unit: 100, Digits: 1, tags: func(r *EntityReport) float64 { return r.Precision }},
	{Name: NameRecall, Title: "recall", Unit: 100, Digits: 1, tags: func(r *EntityReport) float64 { return r.Recall }},

	{Name: NameBLEU, Title: "BLEU", Unit: 100, Digits: 1, Texts: true},
	{Name: NameNIST, Title: "NIST", Unit: 1, Digits: 2, Texts: true}, // bits of information per word
	{Name: NameMETEOR, Title: "METEOR", Unit: 100, Digits: 1, Texts: true},
	{Name: NameROUGEL, Title: "ROUGE-L", Unit: 100, Digits: 1, Texts: true},
	{Name: NameCIDEr, Title: "CIDEr", Unit: 1, Digits: 2, Texts: true},          // up to 10
	{Name: NameTER, Title: "TER", Unit: 1, Digits: 2, Lower: true, Texts: true}, // edits per word: more than 1 is possible
	{Name: NameSentBLEU, Title: "sentence BLEU", Unit: 100, Digits: 1, Texts: true},
}

// Find returns the metric of a score. A variant, as "accuracy_mismatched", is that of its metric, with "mismatched"
// in its title; of a score that is not known only the name is.
func Find(name string) Metric {
	var found Metric
	for _, m := range table {
		variant, ok := strings.CutPrefix(name, m.Name+"_")
		switch {
		case name == m.Name:
			return m
		case ok && found.Name == "":
			found = Metric{Name: name, Title: m.Title + " " + variant, Unit: m.Unit, Digits: m.Digits, Lower: m.Lower, Texts: m.Texts} // shown, not computed
		}
	}
	if found.Name == "" {
		return Metric{Name: name, Title: name, Unit: 1, Digits: 3}
	}
	return found
}

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

// compute calls of for the metrics that are named; it says what kind of metric has no value.
func compute(kind string, names []string, of func(Metric) (value float64, ok bool)) (Scores, error) {
	scores := make(Scores, len(names))
	for _, name := range names {
		v, ok := of(Find(name))
		if !ok {
			return nil, fmt.Errorf("score: %q is no score of a %s", name, kind)
		}
		scores[name] = v
	}
	return scores, nil
}

// Classification computes the scores named accuracy, f1 (of class 1), f1_macro, f1_weighted and matthews from the classes,
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
	return compute("classification", names, func(m Metric) (float64, bool) {
		if m.classes == nil {
			return 0, false
		}
		return m.classes(gold, pred), true
	})
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
	return compute("regression", names, func(m Metric) (float64, bool) {
		if m.values == nil {
			return 0, false
		}
		return m.values(gold, pred), true
	})
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
	return compute("tagging", names, func(m Metric) (float64, bool) {
		if m.tags == nil {
			return 0, false
		}
		return m.tags(report), true
	})
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
