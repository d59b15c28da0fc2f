package runs

import (
	"encoding/json"
	"testing"
)

// A rule is said in a sentence, and comes back from JSON as it is.
func TestRule(t *testing.T) {
	for _, tt := range []struct {
		rule Rule
		want string
	}{
		{Rule{Name: "alpha", Form: "softmax", Counts: CountsAlpha, Scale: 1, Threshold: Mean}, "softmax: number of α ≥ 1/k"},
		{Rule{Name: "alpha", Form: "softmax", Counts: CountsAlpha, Scale: 4, Threshold: Mean}, "4·softmax: number of α ≥ 4/k"},
		{Rule{Name: "alpha", Form: "none", Counts: CountsAlpha, Threshold: Mean}, "none: number of α ≥ the layer's mean α"},
		{Rule{Name: "alpha", Form: "sigmoid", Counts: CountsAlpha, Threshold: "0.5"}, "sigmoid: number of α ≥ 0.5"},
		{Rule{Name: "raw", Form: "softmax", Counts: CountsRaw, Scale: 4, Threshold: Mean}, "softmax: number of raw a ≥ the layer's mean a"},
		{Rule{Name: "alpha", Form: "sigmoid", Counts: CountsAlpha, Budget: 50000}, "sigmoid: the highest α of all layers for their cost, within 50000 parameters"},
		{Rule{Name: "raw", Form: "softmax", Counts: CountsRaw, Scale: 1, Budget: 9}, "softmax: the highest raw a of all layers for their cost, within 9 parameters"},
		{Rule{Name: RuleAdaLoRA}, "adalora: parts that the budget left"},
		{Rule{Name: RuleGrid, Tried: 16, Metric: "accuracy"}, "grid search: the best of 16 configurations by accuracy"},
		{Rule{Name: RuleSpread, From: "ranks.json"}, "control: the parameters of ranks.json spread evenly"},
		{Rule{Name: RulePermuted, From: "ranks.json"}, "control: the ranks of ranks.json permuted over the layers"},
		{Rule{Name: RuleDrawn, From: "ranks.json"}, "control: the parameters of ranks.json placed at random"},
	} {
		text, err := json.Marshal(tt.rule)
		if err != nil {
			t.Fatal(err)
		}
		var again Rule
		if err := json.Unmarshal(text, &again); err != nil || again != tt.rule || again.String() != tt.want {
			t.Errorf("%s: got %+v, %q, %v, want %q", text, again, again, err, tt.want)
		}
	}
	var old Rule
	if err := json.Unmarshal([]byte(`"softmax: number of α ≥ 1/k"`), &old); err != nil || old.String() != "softmax: number of α ≥ 1/k" {
		t.Errorf("a sentence becomes %+v, %v", old, err)
	}
}
