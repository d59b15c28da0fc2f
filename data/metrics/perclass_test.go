package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"testing"
)

// Tables per class, confusion, losses and weights are scikit-learn's.
func TestPerClass(t *testing.T) {
	b, err := os.ReadFile("testdata/classes.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Name                            string
			Gold, Pred                      []int
			Classes, Commonest              int
			Precision, Recall, F1, Balanced []float64
			Support                         []int
			Confusion                       [][]int
			Weighted                        float64 `json:"f1_weighted"`
			Logits                          [][]float64
			Loss, Entropy                   float64
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) != 10 {
		t.Fatalf("%d cases, want 10", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			labels := make([]string, c.Classes)
			for i := range labels {
				labels[i] = fmt.Sprint("class ", i)
			}
			scores, confusion := PerClass(labels, c.Gold, c.Pred)
			if !reflect.DeepEqual(confusion, c.Confusion) {
				t.Errorf("confusion %v, want %v", confusion, c.Confusion)
			}
			for i, s := range scores {
				compare(t, "precision", s.Precision, &c.Precision[i], tolerance)
				compare(t, "recall", s.Recall, &c.Recall[i], tolerance)
				compare(t, "f1", s.F1, &c.F1[i], tolerance)
				predicted := 0
				for _, row := range c.Confusion {
					predicted += row[i]
				}
				if s.Name != labels[i] || s.Support != c.Support[i] || s.Predicted != predicted {
					t.Errorf("class %d: %+v, want support %d, predicted %d", i, s, c.Support[i], predicted)
				}
			}
			loss := 0.0
			for i, row := range c.Logits {
				l, most := CrossEntropy(row, c.Gold[i])
				best, _ := ArgMax(row)
				toBest, _ := CrossEntropy(row, best)
				if math.Abs(most-math.Exp(-toBest)) > tolerance {
					t.Errorf("logits %v: largest probability %v, want %v", row, most, math.Exp(-toBest))
				}
				loss += l / float64(len(c.Logits))
			}
			compare(t, "loss", loss, &c.Loss, 1e-10) // log_loss clips and normalises probabilities
			entropy := Entropy(c.Gold)
			compare(t, "entropy", entropy, &c.Entropy, tolerance)
			weighted := WeightedF1(c.Gold, c.Pred)
			compare(t, "weighted f1", weighted, &c.Weighted, tolerance)
			if got := Commonest(c.Gold); got != c.Commonest {
				t.Errorf("commonest %d, want %d", got, c.Commonest)
			}
			for i, w := range Balanced(c.Gold, c.Classes) {
				compare(t, "balanced weight", w, &c.Balanced[i], tolerance)
			}
		})
	}
	large, most := CrossEntropy([]float64{1000, -1000, 1000}, 1) // no overflow
	if math.Abs(large-2000-math.Ln2) > 1e-9 || most != 0.5 {
		t.Errorf("loss %v, probability %v of large logits", large, most)
	}
	if !math.IsNaN(Entropy(nil)) || !math.IsNaN(WeightedF1(nil, nil)) || Commonest(nil) != -1 {
		t.Error("something of nothing is defined")
	}
}
