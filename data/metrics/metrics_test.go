package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autolora/data/datatest"
)

// The formulas agree up to the order of additions; sums of some hundred terms lose at most a few last digits.
const tolerance = 1e-12

// golden is one case of testdata/golden.json; null stands for NaN.
type golden struct {
	Name, Kind string
	Gold, Pred []float64
	Want       map[string]*float64
}

func (g golden) scores(t *testing.T) Scores {
	t.Helper()
	var names []string
	for name := range g.Want {
		names = append(names, name)
	}
	var got Scores
	var err error
	if g.Kind == "regression" {
		got, err = Regression(names, g.Gold, g.Pred)
	} else {
		got, err = Classification(names, ints(g.Gold), ints(g.Pred))
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func ints(x []float64) []int {
	out := make([]int, len(x))
	for i, v := range x {
		out[i] = int(v)
	}
	return out
}

func compare(t *testing.T, name string, got float64, want *float64, tolerance float64) {
	t.Helper()
	switch {
	case want == nil && !math.IsNaN(got):
		t.Errorf("%s: got %v, want NaN", name, got)
	case want != nil && !(math.Abs(got-*want) <= tolerance):
		t.Errorf("%s: got %.17g, want %.17g, difference %.3g", name, got, *want, got-*want)
	}
}

func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []golden }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 20 {
		t.Fatalf("%d cases, want at least 20", len(file.Cases))
	}
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			got := c.scores(t)
			for name, want := range c.Want {
				compare(t, name, got[name], want, tolerance)
			}
		})
	}
}

// TestSharedGolden runs the GLUE part of the developers' golden set.
func TestSharedGolden(t *testing.T) {
	out, err := os.ReadFile(filepath.Join(datatest.Golden(t, "glue"), "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases map[string]struct {
			Kind          string
			Labels, Preds []float64
			Expected      map[string]*float64
		}
	}
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 {
		t.Fatal("no cases")
	}
	names := map[string]string{"accuracy": NameAccuracy, "mcc": NameMatthews, "f1_binary": NameF1, "pearson": NamePearson, "spearman": NameSpearman}
	for name, c := range file.Cases {
		t.Run(name, func(t *testing.T) {
			tolerance := 1e-9 // that of the set
			if name == "large_offset" {
				tolerance = 1e-7 // differences of numbers of a million: SciPy itself has lost digits
			}
			g := golden{Kind: c.Kind, Gold: c.Labels, Pred: c.Preds, Want: map[string]*float64{}}
			for official, ours := range names {
				if want, ok := c.Expected[official]; ok {
					g.Want[ours] = want
				}
			}
			got := g.scores(t)
			for name, want := range g.Want {
				compare(t, name, got[name], want, tolerance)
			}
		})
	}
}

func TestUndefined(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name string
		got  float64
		want *float64
	}{
		{"accuracy of nothing", Accuracy([]int{}, []int{}), nil},
		{"f1 of nothing", F1([]int{}, []int{}, 1), nil},
		{"macro f1 of nothing", MacroF1([]int{}, []int{}), nil},
		{"matthews of nothing", Matthews([]int{}, []int{}), nil},
		{"f1 without positives", F1([]int{0}, []int{0}, 1), new(float64)},
		{"matthews of one class", Matthews([]int{3, 3}, []int{3, 3}), new(float64)},
		{"pearson of one", Pearson([]float64{1}, []float64{2}), nil},
		{"pearson of a NaN", Pearson([]float64{1, nan, 3}, []float64{1, 2, 3}), nil},
		{"pearson of an infinity", Pearson([]float64{1, inf, 3}, []float64{1, 2, 3}), nil},
		{"spearman of a NaN", Spearman([]float64{1, 2, 3}, []float64{1, nan, 3}), nil},
		{"spearman of an infinity", Spearman([]float64{1, 2, 3}, []float64{1, inf, 3}), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { compare(t, test.name, test.got, test.want, 0) })
	}
}

func TestErrors(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"lengths", second(Classification([]string{"accuracy"}, []int{1}, []int{1, 0})), "score: 1 labels and 2 predictions"},
		{"nothing", second(Regression([]string{"pearson"}, nil, nil)), "score: no examples"},
		{"no label", second(Classification([]string{"accuracy"}, []int{1, -1}, []int{1, 0})), "score: example 1 has no label"},
		{"unknown", second(Classification([]string{"bleu"}, []int{1}, []int{1})), `score: "bleu" is no score of a classification`},
		{"wrong kind", second(Regression([]string{"f1"}, []float64{1}, []float64{1})), `score: "f1" is no score of a regression`},
		{"NaN label", second(Regression([]string{"pearson"}, []float64{nan}, []float64{1})), "score: example 0 has the label NaN: want a finite number"},
		{"NaN prediction", second(Regression([]string{"pearson"}, []float64{1}, []float64{nan})), "score: example 0 has the prediction NaN: want a finite number"},
		{"NaN logit", second(ArgMax([]float32{1, float32(nan)})), "logit 1 is NaN"},
		{"no logits", second(ArgMax([]float64{})), "no logits"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.err == nil || test.err.Error() != test.want {
				t.Errorf("got %v, want %s", test.err, test.want)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func TestArgMax(t *testing.T) {
	for want, logits := range [][]float64{{3, 1, 3}, {-5, -1, math.Inf(-1)}, {0, 1, 2}} {
		got, err := ArgMax(logits)
		if err != nil || got != want {
			t.Errorf("%v: got %d, %v, want %d", logits, got, err, want)
		}
	}
}

func TestScoresJSON(t *testing.T) {
	b, err := json.Marshal(Scores{"spearman": math.NaN(), "accuracy": 0.30000000000000004})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"accuracy":0.30000000000000004,"spearman":null}`; string(b) != want {
		t.Errorf("got %s, want %s", b, want)
	}
	var back Scores
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if len(back) != 2 || back["accuracy"] != 0.30000000000000004 || !math.IsNaN(back["spearman"]) {
		t.Errorf("got back %v", back)
	}
	if err := json.Unmarshal([]byte(`{"accuracy":"high"}`), &back); err == nil || !strings.Contains(err.Error(), "string") {
		t.Errorf("got %v, want an error about the string", err)
	}
}

func ExampleClassification() {
	gold := []int{1, 0, 1, 1}
	pred := []int{1, 0, 0, 1}
	scores, err := Classification([]string{NameAccuracy, NameF1, NameMatthews}, gold, pred)
	fmt.Printf("%.3f %.3f %.3f %v\n", scores["accuracy"], scores["f1"], scores["matthews"], err)
	// Output: 0.750 0.800 0.577 <nil>
}

func ExampleRegression() {
	scores, err := Regression([]string{NamePearson, NameSpearman}, []float64{0, 1, 2, 5}, []float64{0.3, 0.2, 2, 4})
	fmt.Printf("%.3f %.3f %v\n", scores["pearson"], scores["spearman"], err)
	// Output: 0.968 0.800 <nil>
}
