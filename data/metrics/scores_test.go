package metrics

import (
	"strings"
	"testing"
)

// Every metric has one entry, with all that tables need; a variant goes by its
// metric, and what is not known by its name.
func TestFind(t *testing.T) {
	seen := make(map[string]bool)
	for _, m := range table {
		if got := Find(m.Name); got.Title != m.Title || seen[m.Name] || m.Title == "" || m.Unit == 0 || m.Digits == 0 {
			t.Errorf("%+v, found %+v", m, got)
		}
		seen[m.Name] = true
	}
	for name, want := range map[string]Metric{
		"accuracy_mismatched": {Title: "accuracy mismatched", Unit: 100, Digits: 1},
		"f1_macro":            {Title: "macro F1", Unit: 100, Digits: 1},
		"f1_weighted":         {Title: "weighted F1", Unit: 100, Digits: 1},
		"ter_unseen":          {Title: "TER unseen", Unit: 1, Digits: 2, Lower: true, Texts: true},
		"nist_pymteval":       {Title: "NIST pymteval", Unit: 1, Digits: 2, Texts: true},
		"loss":                {Title: "loss", Unit: 1, Digits: 3, Lower: true},
		"mine":                {Title: "mine", Unit: 1, Digits: 3},
		"accuracyish":         {Title: "accuracyish", Unit: 1, Digits: 3},
	} {
		got := Find(name)
		if got.Name != name || got.Title != want.Title || got.Unit != want.Unit || got.Digits != want.Digits || got.Lower != want.Lower || got.Texts != want.Texts {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

// A score is computed of what it is a score of, and of nothing else.
func TestScoresOfAnotherKind(t *testing.T) {
	for _, name := range []string{NamePearson, NameRecall, NameBLEU, NameLoss, "accuracy_mismatched", "none"} {
		if _, err := Classification([]string{name}, []int{0, 1}, []int{0, 1}); err == nil || !strings.Contains(err.Error(), `"`+name+`" is no score of a classification`) {
			t.Errorf("%s of classes: %v", name, err)
		}
	}
	if _, err := Regression([]string{NameAccuracy}, []float64{0, 1}, []float64{0, 1}); err == nil {
		t.Error("accuracy of numbers")
	}
	if _, err := Tagging([]string{NameMatthews}, [][]string{{"B-x"}}, [][]string{{"B-x"}}); err == nil {
		t.Error("Matthews of tags")
	}
}
