package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"autolora/autolora/runs"
)

// Sums of a few numbers, and distributions that gonum and SciPy compute by
// different series: at most the last four digits differ.
const tolerance = 1e-11

// near compares with a relative tolerance; of 0 only rounding errors are near.
func near(t *testing.T, name string, got Number, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(float64(got)-want) <= tolerance*math.Abs(want)+1e-15) {
		t.Errorf("%s: got %.15g, want %.15g", name, float64(got), want)
	}
}

// interval is what SciPy says of one.
type interval struct{ Mean, SD, Low, High, P, DF float64 }

func (want interval) compare(t *testing.T, name string, got Interval) {
	t.Helper()
	near(t, name+" mean", got.Mean, want.Mean, tolerance)
	near(t, name+" low", got.Low, want.Low, tolerance)
	near(t, name+" high", got.High, want.High, tolerance)
	near(t, name+" p", got.P, want.P, tolerance)
}

// TestStats holds the statistics to SciPy (testdata/make_stats.py).
func TestStats(t *testing.T) {
	text, err := os.ReadFile("testdata/stats.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Paired []struct {
			interval
			Values []float64
		}
		Stratified []struct {
			interval
			Tasks [][]float64
		}
		Bounded []struct {
			interval
			Components [][2]float64
		}
		Sign []struct {
			Wins, Losses int
			P            float64
		}
		Agreement []struct {
			Lists             [][]float64
			Pairs             int
			Pearson, Spearman float64
		}
		Chance []struct {
			Form     string
			K        int
			Spread   float64
			Mean, SD float64
		}
		Against []struct {
			Lists    [][]int
			Mean, SD float64
			MeanP    float64 `json:"mean_p"`
			SDP      float64 `json:"sd_p"`
		}
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	for i, g := range golden.Paired {
		name := fmt.Sprint("paired ", i)
		s := sample(g.Values)
		near(t, name+" sd", s.SD, g.SD, tolerance)
		g.compare(t, name, paired(s))
	}
	for i, g := range golden.Stratified {
		var tasks []Sample
		for _, values := range g.Tasks {
			tasks = append(tasks, sample(values))
		}
		got := stratified(tasks)
		g.compare(t, fmt.Sprint("stratified ", i), got)
		near(t, fmt.Sprint("stratified df ", i), got.DF, g.DF, tolerance)
	}
	for i, g := range golden.Bounded {
		var of []component
		for _, c := range g.Components {
			of = append(of, component{c[0], c[1]})
		}
		g.compare(t, fmt.Sprint("bounded ", i), bounded(g.Mean, of...))
	}
	for _, g := range golden.Sign {
		near(t, fmt.Sprintf("sign test of %d and %d", g.Wins, g.Losses), signTest(g.Wins, g.Losses), g.P, tolerance)
	}
	for i, g := range golden.Agreement {
		a := agreement(g.Lists)
		if a.Lists != len(g.Lists) || a.Pairs != g.Pairs {
			t.Errorf("agreement %d: %+v", i, a)
		}
		near(t, fmt.Sprint("pearson ", i), a.Pearson, g.Pearson, tolerance)
		near(t, fmt.Sprint("spearman ", i), a.Spearman, g.Spearman, tolerance)
	}
	for _, g := range golden.Chance {
		name := fmt.Sprintf("chance of %s at k = %d, spread %v", g.Form, g.K, g.Spread)
		rule := rankRule{Form: g.Form, Counts: runs.CountsAlpha}
		mean, sd := rule.chance(g.K, g.Spread)
		if g.Spread < 0.01 { // the closed form is the limit of small spreads
			m, d := rule.chance(g.K, 0)
			near(t, name+": mean in closed form", Number(m), g.Mean, 0.005)
			near(t, name+": sd in closed form", Number(d), g.SD, 0.005)
		}
		// Both simulated: of 20,000 draws the mean is good to 0.01 and the
		// standard deviation to 0.008, of NumPy's 400,000 to a fourth of it.
		near(t, name+": mean", Number(mean), g.Mean, 0.025/g.Mean)
		near(t, name+": sd", Number(sd), g.SD, 0.025)
	}
	for i, g := range golden.Against {
		study := ranksStudy(g.Lists)
		study.against(g.Mean, g.SD)
		near(t, fmt.Sprint("p of the mean ", i), study.MeanP, g.MeanP, tolerance)
		near(t, fmt.Sprint("p of the spread ", i), study.SDP, g.SDP, tolerance)
	}
	if len(golden.Paired)+len(golden.Stratified)+len(golden.Bounded)+len(golden.Sign)+len(golden.Agreement)+len(golden.Chance)+len(golden.Against) < 30 {
		t.Error("the golden file is too short")
	}
}

// ranksStudy returns the study of these ranks of a method.
func ranksStudy(lists [][]int) *RankStudy {
	m := &Method{Method: "autolora"}
	for seed, list := range lists {
		r := &Run{Ranks: ranksOf(0, list...)}
		r.Results.Seed = uint64(seed)
		m.runs = append(m.runs, r)
	}
	return study(m)
}

// TestAgreementByChance goes through all permutations of small lists: the mean
// correlation is 0, its standard deviation and p are what agreement says.
func TestAgreementByChance(t *testing.T) {
	for _, lists := range [][][]float64{
		{{1, 2, 3, 4, 6}, {1, 3, 2, 4, 4}},
		{{1, 2, 2, 5, 6}, {6, 3, 2, 4, 4}, {1, 1, 1, 1, 2}},
	} {
		a := agreement(lists)
		var sum, squares, above, n float64
		each(permutationsOf(lists[1]), func(x []float64) {
			thirds := [][]float64{nil}
			if len(lists) > 2 {
				thirds = permutationsOf(lists[2])
			}
			for _, y := range thirds {
				all := [][]float64{lists[0], x}
				if y != nil {
					all = append(all, y)
				}
				r := meanOfPairs(all, pearson)
				sum, squares, n = sum+r, squares+r*r, n+1
				if r >= float64(a.Pearson)-1e-12 {
					above++
				}
			}
		})
		near(t, "mean", Number(sum/n), 0, 1e-12)
		near(t, "sd", a.ChanceSD, math.Sqrt(squares/n), 1e-12)
		near(t, "p", a.P, above/n, 0.015/(above/n)) // of 9,999 draws at most three standard errors
	}
}

func each[T any](all []T, fn func(T)) {
	for _, v := range all {
		fn(v)
	}
}

// permutationsOf returns all orders of x.
func permutationsOf(x []float64) [][]float64 {
	if len(x) == 0 {
		return [][]float64{{}}
	}
	var all [][]float64
	for i := range x {
		rest := append(append([]float64{}, x[:i]...), x[i+1:]...)
		for _, p := range permutationsOf(rest) {
			all = append(all, append([]float64{x[i]}, p...))
		}
	}
	return all
}

func TestUnknownNumbers(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  Interval
	}{
		{"nothing", paired(sample(nil))},
		{"one seed", paired(sample([]float64{0.1}))},
		{"equal differences", paired(sample([]float64{0.1, 0.1, 0.1}))},
		{"only NaN", paired(sample([]float64{math.NaN(), math.Inf(1)}))},
		{"no tasks", stratified(nil)},
		{"a task with one seed", stratified([]Sample{sample([]float64{1, 2}), sample([]float64{1})})},
	} {
		if tc.got.Low.Known() || tc.got.High.Known() || tc.got.P.Known() || tc.got.Beyond() {
			t.Errorf("%s: %+v", tc.name, tc.got)
		}
	}
	if p := signTest(0, 0); p.Known() {
		t.Errorf("sign test of nothing: %v", p)
	}
	if a := agreement([][]float64{{4, 4, 4}, {4, 4, 4}}); a.Pairs != 0 || a.Pearson.Known() || a.P.Known() {
		t.Errorf("agreement of constant ranks: %+v", a)
	}
	text, err := json.Marshal([]Number{unknown, 0.25, Number(math.Inf(-1))})
	if err != nil || string(text) != "[null,0.25,null]" {
		t.Errorf("%s, %v", text, err)
	}
}
