package metrics

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// Scores, the table per label and losses are scikit-learn's.
func TestMultiLabel(t *testing.T) {
	b, err := os.ReadFile("testdata/multilabel.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name                  string
			Labels                int
			Gold, Pred            [][]int
			Micro                 float64 `json:"f1_micro"`
			Macro                 float64 `json:"f1_macro"`
			Weighted              float64 `json:"f1_weighted"`
			Subset                float64 `json:"subset_accuracy"`
			Precision, Recall, F1 []float64
			Support               []int
			Logits                [][]float64
			Loss, Entropy         float64
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) != 8 {
		t.Fatalf("%d cases, want 8", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			names := []string{NameMicroF1, NameMacroF1, NameWeightedF1, NameSubsetAccuracy}
			scores, err := MultiLabel(names, c.Labels, c.Gold, c.Pred)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []float64{c.Micro, c.Macro, c.Weighted, c.Subset} {
				compare(t, names[i], scores[names[i]], &want, tolerance)
			}
			for i, s := range PerLabel(strings.Split("abcde", "")[:c.Labels], c.Gold, c.Pred) {
				compare(t, "precision", s.Precision, &c.Precision[i], tolerance)
				compare(t, "recall", s.Recall, &c.Recall[i], tolerance)
				compare(t, "f1", s.F1, &c.F1[i], tolerance)
				if s.Name != "abcde"[i:i+1] || s.Support != c.Support[i] {
					t.Errorf("label %d: %+v, want support %d", i, s, c.Support[i])
				}
			}
			loss := 0.0
			for i, row := range c.Logits {
				loss += BinaryCrossEntropy(row, c.Gold[i]) / float64(len(c.Logits))
			}
			compare(t, "loss", loss, &c.Loss, tolerance)
			compare(t, "entropy", BinaryEntropy(c.Labels, c.Gold), &c.Entropy, tolerance)
			checkThreshold(t, c.Labels, c.Gold, c.Logits)
		})
	}
}

// checkThreshold makes sure that no number between two probabilities has a higher
// micro F1 than the threshold.
func checkThreshold(t *testing.T, k int, gold [][]int, logits [][]float64) {
	t.Helper()
	probabilities, all := make([][]float64, len(logits)), []float64{0, 1}
	for i, row := range logits {
		for _, v := range row {
			probabilities[i] = append(probabilities[i], 1/(1+math.Exp(-v)))
		}
		all = append(all, probabilities[i]...)
	}
	f1 := func(threshold float64) float64 {
		pred := make([][]int, len(gold))
		for i, row := range probabilities {
			for label, p := range row {
				if p > threshold {
					pred[i] = append(pred[i], label)
				}
			}
		}
		return microF1(k, gold, pred)
	}
	slices.Sort(all)
	threshold := Threshold(gold, probabilities)
	got := f1(threshold)
	for i := range all[1:] {
		at := (all[i] + all[i+1]) / 2
		if other := f1(at); other > got+tolerance || other > got-tolerance && math.Abs(at-0.5) < math.Abs(threshold-0.5)-tolerance {
			t.Errorf("threshold %v has F1 %v, %v has %v", threshold, got, at, other)
		}
	}
}

func TestCommonestSet(t *testing.T) {
	for _, c := range []struct {
		gold [][]int
		want []int
	}{
		{nil, nil},
		{[][]int{{0}, {0, 1}, {1, 0}}, []int{0, 1}},
		{[][]int{{}, {2}, {2}, nil}, []int{}},
		{[][]int{{1}, {2}}, []int{1}},
	} {
		if got := CommonestSet(c.gold); !slices.Equal(got, c.want) {
			t.Errorf("of %v: %v, want %v", c.gold, got, c.want)
		}
	}
	if _, err := MultiLabel([]string{NameMicroF1}, 2, [][]int{{0}}, [][]int{{2}}); err == nil || err.Error() != "score: example 0 has the labels [2]: want 0 to 1" {
		t.Errorf("got %v", err)
	}
	if _, err := MultiLabel([]string{NameMatthews}, 2, [][]int{{0}}, [][]int{{1}}); err == nil {
		t.Error("Matthews of several labels")
	}
}
