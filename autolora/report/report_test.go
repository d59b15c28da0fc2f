package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/human"
)

// seeds writes runs of one task and method with these scores, seeds from 1.
func seeds(t *testing.T, dir, task, method string, scores ...float64) {
	t.Helper()
	for i, v := range scores {
		f := scored(task, method, uint64(i+1), v)
		if method == runs.MethodAutoLoRA {
			f.results.Seconds.Search, f.results.Steps.Search, f.results.Cost.Search = 90, 300, runs.Work{Tokens: 240_000, Forward: 600, Backward: 900}
			f.ranks = ranksOf(8, 3, 5, 4, 4)
		}
		f.write(t, filepath.Join(dir, task, method, fmt.Sprintf("seed-%d", i+1)))
	}
}

// TestHeadlines is what the differences of known scores come to in words. The
// interval of {1, 0, −1} points is 0 ± 4.303/√3; that of {2, 1, 3} 2 ± the same.
func TestHeadlines(t *testing.T) {
	for _, tc := range []struct {
		name  string
		write func(dir string)
		want  []string
	}{
		{"not more than chance", func(dir string) {
			seeds(t, dir, "sst2", "autolora", 0.83, 0.84, 0.85)
			seeds(t, dir, "sst2", "lora-uniform", 0.826, 0.847, 0.844)
		}, []string{"SST-2: AutoLoRA is 0.1 points above LoRA of the same size, spread evenly (3 seeds, 95 % interval −1.6 to 1.8): not more than the chance of seeds."}},
		{"above", func(dir string) {
			seeds(t, dir, "sst2", "autolora", 0.85, 0.84, 0.86)
			seeds(t, dir, "sst2", "autolora-shuffled", 0.81, 0.81, 0.81)
		}, []string{"SST-2: AutoLoRA is 4.0 points above the same ranks shuffled over the layers (3 seeds, 95 % interval 1.5 to 6.5): more than the chance of seeds explains."}},
		{"below, the control first", func(dir string) {
			seeds(t, dir, "cola", "autolora", 0.50, 0.51)
			seeds(t, dir, "cola", "lora", 0.50, 0.51)
			seeds(t, dir, "cola", "lora-uniform", 0.60, 0.62)
			seeds(t, dir, "cola", "full", 0.60, 0.62)
		}, []string{
			"CoLA: AutoLoRA is 10.5 points below LoRA of the same size, spread evenly (2 seeds, 95 % interval −16.9 to −4.1): more than the chance of seeds explains.",
			"CoLA: AutoLoRA is equal to LoRA of one rank everywhere with each of 2 seeds; without any spread chance cannot be judged.",
		}},
		{"one seed in common", func(dir string) {
			seeds(t, dir, "mrpc", "autolora", 0.7004)
			seeds(t, dir, "mrpc", "lora", 0.70, 0.71)
		}, []string{"MRPC: AutoLoRA is 0.04 points above LoRA of one rank everywhere with the one seed that both have; from one seed nothing can be said about chance."}},
		{"no seed in common", func(dir string) {
			seeds(t, dir, "mrpc", "autolora", 0.70)
			scored("mrpc", "lora", 9, 0.7).write(t, filepath.Join(dir, "nine"))
		}, []string{"MRPC: AutoLoRA and LoRA of one rank everywhere have no seed in common, so they are not compared."}},
		{"several tasks", func(dir string) {
			seeds(t, dir, "mrpc", "autolora", 0.72, 0.71, 0.73)
			seeds(t, dir, "mrpc", "lora-uniform", 0.70, 0.70, 0.70)
			seeds(t, dir, "rte", "autolora", 0.60, 0.60, 0.60)
			seeds(t, dir, "rte", "lora-uniform", 0.59, 0.60, 0.61)
			seeds(t, dir, "cola", "autolora", 0.60, 0.60)
		}, []string{"Over 2 tasks AutoLoRA is on average 1.0 points above LoRA of the same size, spread evenly (95 % interval −0.1 to 2.1 for these tasks): not more than the chance of seeds. It is better on 1 and worse on 0 of the tasks (sign test p = 1)."}},
		{"several tasks, one seed", func(dir string) {
			seeds(t, dir, "mrpc", "autolora", 0.72)
			seeds(t, dir, "mrpc", "lora", 0.70)
			seeds(t, dir, "rte", "autolora", 0.60)
			seeds(t, dir, "rte", "lora", 0.59)
		}, []string{"Over 2 tasks AutoLoRA is on average 1.5 points above LoRA of one rank everywhere; with one seed of a task nothing can be said about other seeds. It is better on 2 and worse on 0 of the tasks (sign test p = 0.5)."}},
		{"nothing to compare", func(dir string) { seeds(t, dir, "stsb", "lora", 0.8, 0.9) },
			[]string{"STS-B: LoRA reaches Spearman 85.0 ± 7.1 (mean and standard deviation of 2 seeds)."}},
		{"one run", func(dir string) { seeds(t, dir, "stsb", "full", 0.8) },
			[]string{"STS-B: Full fine-tuning reaches Spearman 80.0. From one seed nothing can be said about what others would give."}},
		{"two models", func(dir string) {
			seeds(t, dir, "sst2", "lora", 0.8)
			f := scored("sst2", "lora", 1, 0.9)
			f.config["model"] = "models/roberta-large/"
			f.write(t, filepath.Join(dir, "large"))
		}, []string{
			"SST-2, roberta-base: LoRA reaches accuracy 80.0. From one seed nothing can be said about what others would give.",
			"SST-2, roberta-large: LoRA reaches accuracy 90.0. From one seed nothing can be said about what others would give.",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			tc.write(dir)
			if got := load(t, dir).Headlines(); !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

// TestText is all that a terminal shows of a small comparison.
func TestText(t *testing.T) {
	dir := t.TempDir()
	seeds(t, dir, "sst2", "lora", 0.83, 0.84, 0.83)
	seeds(t, dir, "sst2", "autolora", 0.83, 0.85, 0.84)
	seeds(t, dir, "sst2", "lora-uniform", 0.84, 0.84, 0.85)
	seeds(t, dir, "mrpc", "lora", 0.70)
	seeds(t, dir, "mrpc", "adalora", 0.71)
	var b bytes.Buffer
	if err := load(t, dir).Text(&b, 80); err != nil {
		t.Fatal(err)
	}
	const want = `SST-2: AutoLoRA is 0.3 points below LoRA of the same size, spread evenly (3
seeds, 95 % interval −3.2 to 2.5): not more than the chance of seeds.
SST-2: AutoLoRA is 0.7 points above LoRA of one rank everywhere (3 seeds, 95 %
interval −0.8 to 2.1): not more than the chance of seeds.

Scores, GLUE on roberta-base

method                   parameters  SST-2 accuracy  MRPC accuracy  average
LoRA                         29,952  83.3 ± 0.6 (3)       70.0 (1)     76.7
  paper                        0.3M            94.5           89.1     91.8
AdaLoRA                      29,952               –       71.0 (1)        –
  paper                        0.3M            94.0           89.4     91.7
AutoLoRA                     29,952  84.0 ± 1.0 (3)              –        –
  paper                        0.3M            94.9           89.4     92.2
Controls
AutoLoRA, spread evenly      29,952  84.3 ± 0.6 (3)              –        –
`
	if got := b.String(); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, want := range []string{
		"\nMean ± standard deviation over seeds (number of seeds). Parameters: of the\nadapter;",
		"\nSST-2: AutoLoRA's ranks have a mean of 4.00",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// TestCost is Table 5 with known times: AdaLoRA 100 s, AutoLoRA 100 + 90.
func TestCost(t *testing.T) {
	dir := t.TempDir()
	for _, task := range []string{"sst2", "mrpc"} {
		seeds(t, dir, task, "adalora", 0.7, 0.7)
		seeds(t, dir, task, "autolora", 0.7, 0.7, 0.7)
	}
	scored("mrpc", "lora", 9, 0.7).write(t, filepath.Join(dir, "nine"))
	f := scored("sst2", "lora-grid", 1, 0.7)
	f.results.Seconds.Search, f.grid = 900, &runs.Grid{Configurations: make([]runs.Configuration, 9)}
	f.write(t, filepath.Join(dir, "grid"))
	r := load(t, dir)
	task := r.Tasks[0]
	if m := task.method("autolora"); m.RelativeCost != 1.9 || m.RelativePasses != 2.25 || m.Seconds.Cost.Mean != 190 || m.Seconds.Total.Mean != 200 {
		t.Errorf("AutoLoRA %+v", m)
	}
	if m := task.method("lora-grid"); m.RelativeCost != 10 || m.Grid != 9 {
		t.Errorf("grid search %+v", m)
	}
	if m := r.Tasks[1].method("lora"); m.RelativeCost.Known() {
		t.Errorf("LoRA with another seed has the relative cost %v", m.RelativeCost)
	}
	if table := r.costTable(); !slices.ContainsFunc(table.Rows, func(row Row) bool { return slices.Equal(row.Cells, []string{"AutoLoRA", "", "", "", "", "1.90×", ""}) }) {
		t.Errorf("over the tasks: %q", table.Rows)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "SST-2: LoRA, grid search: the grid has 9 configurations (the paper's: 16).") {
		t.Errorf("notes %s", notes)
	}
}

func TestNotes(t *testing.T) {
	dir := t.TempDir()
	for seed := range 2 {
		f := scored("sst2", "autolora", uint64(seed), 0.8)
		f.config["lr"], f.config["limit-train"], f.config["steps"], f.config["batch-size"], f.config["out"] = 1e-3, 1000, 125, 16, fmt.Sprint(seed)
		f.ranks, f.results.TrainExamples = ranksOf(8, 4, 4), 1000
		f.write(t, filepath.Join(dir, fmt.Sprint(seed)))
	}
	f := scored("sst2", "lora", 1, 0.8)
	f.config["limit-train"] = 2000
	f.write(t, filepath.Join(dir, "lora"))
	r := load(t, dir)
	want := []string{
		"SST-2: training on 2,000 examples (--limit-train); training on 1,000 examples (--limit-train); training of 125 steps (--steps, 2 times the examples). The paper's numbers are from training without such limits.",
		"SST-2: AutoLoRA: the ranks of seed 0, 1 were read from a file, so its cost is without their search.",
		"SST-2: runs of different methods differ in --limit-train (2000, 1000): their scores are not for the same conditions.",
		"SST-2: not all runs have held-out losses of the same examples, as those of earlier versions have none: without them scores alone are compared.",
		"SST-2: no control was run (lora-uniform, autolora-shuffled, autolora-random), so whether it matters in which layers the ranks are high cannot be said.",
	}
	if !slices.Equal(r.Notes, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(r.Notes, "\n"), strings.Join(want, "\n"))
	}
}

// TestRanks holds the study of known ranks: rank 0, seeds of other layers,
// ranks that are all equal.
func TestRanks(t *testing.T) {
	write := func(t *testing.T, lists ...*runs.Ranks) *RankStudy {
		dir := t.TempDir()
		for seed, ranks := range lists {
			f := scored("sst2", "autolora", uint64(seed+1), 0.8)
			f.ranks = ranks
			f.write(t, filepath.Join(dir, fmt.Sprint(seed)))
		}
		return load(t, dir).Tasks[0].Ranks[0]
	}
	t.Run("agree", func(t *testing.T) {
		s := write(t, ranksOf(8, 0, 1, 2, 3, 4, 5, 6, 7), ranksOf(8, 1, 2, 3, 4, 5, 6, 7, 8), ranksOf(8, 0, 1, 2, 3, 4, 5, 6, 7))
		if s.Agreement.Pearson < 0.9999 || s.Agreement.P != 0.0001 {
			t.Errorf("%+v", s)
		}
		near(t, "mean of a layer", Number(s.Means[0]), 1.0/3, 1e-12)
		near(t, "mean", s.Mean, 3.5+1.0/3, 1e-12)
		const want = "AutoLoRA's ranks have a mean of 3.83 and a standard deviation of 2.45 over the layers, other than what the threshold gives by itself, " +
			"4.00 and 0.85 at k = 8 (p = 0.34 and p < 0.0001). " +
			"Seeds agree more than chance about the layers: mean correlation 1.00, where permuted layers give 0 ± 0.22 (p = 0.0001)."
		if got := s.sentence(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("two tests", func(t *testing.T) {
		s := &RankStudy{Method: "autolora", SD: 1, MeanP: 0.03, SDP: 0.4}
		if got := s.sentence(); !strings.Contains(got, "no different from") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("one seed", func(t *testing.T) {
		s := write(t, ranksOf(8, 4, 5, 3, 4, 4, 3, 5, 4))
		const want = "AutoLoRA's ranks have a mean of 4.00 and a standard deviation of 0.76 over the layers, no different from what the threshold gives by itself, " +
			"4.00 and 0.85 at k = 8 (p = 1 and p = 0.81). From one seed nothing can be said about whether they would come out again."
		if got := s.sentence(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("all equal, and other layers", func(t *testing.T) {
		s := write(t, ranksOf(8, 4, 4, 4, 4), ranksOf(8, 4, 4, 4, 4), ranksOf(8, 1, 2))
		if got := s.sentence(); s.Unlike != 1 || !strings.Contains(got, "No two seeds have ranks that differ between layers") || !strings.HasSuffix(got, "Left out: 1 seed with other layers.") {
			t.Errorf("%d, %s", s.Unlike, got)
		}
	})
	t.Run("one layer", func(t *testing.T) {
		if got := write(t, ranksOf(8, 4), ranksOf(8, 5)).sentence(); !strings.HasPrefix(got, "AutoLoRA's ranks have a mean of 4.50. ") {
			t.Errorf("%s", got)
		}
	})
	t.Run("spread of α", func(t *testing.T) {
		r := ranksOf(2, 1, 1)
		for i := range r.Layers {
			r.Layers[i].Alpha = []float64{1 / (1 + math.Exp(2)), 1 / (1 + math.Exp(-2))} // log α differ by 2
		}
		s := write(t, r)
		near(t, "spread", s.Spread, math.Sqrt2, 1e-12)
		near(t, "mean by chance", s.ChanceMean, 1, 0) // of two, one is at or above the mean
	})
}

func TestRules(t *testing.T) {
	alpha := []float64{0.5, 0.25, 0.125, 0.125}
	for _, tc := range []struct {
		rule      runs.Rule
		threshold float64 // of alpha
	}{
		{runs.Rule{Form: softmax, Counts: runs.CountsAlpha}, 0.25},
		{runs.Rule{Form: softmax, Counts: runs.CountsAlpha, Scale: 8}, 0.25},
		{runs.Rule{Form: free, Counts: runs.CountsAlpha}, 0.25},
		{runs.Rule{Form: sigmoid, Counts: runs.CountsAlpha}, 0.5},
		{runs.Rule{Form: softmax, Counts: runs.CountsRaw}, math.Pow(2, -9.0/4)},
		{runs.Rule{Form: free, Counts: runs.CountsRaw}, 0.25},
		{runs.Rule{Form: sigmoid, Counts: runs.CountsRaw}, 1 / (1 + math.Pow(3*49, 0.25))}, // odds 1, 1/3, 1/7, 1/7
		{runs.Rule{Name: runs.RuleAdaLoRA}, 0.25},
		{runs.Rule{}, 0.25},
	} {
		near(t, tc.rule.String(), Number(rankRule(tc.rule).threshold(alpha, 0)), tc.threshold, 1e-12)
	}
	within := rankRule{Form: softmax, Counts: runs.CountsAlpha, Budget: 5000} // whatever reaches it
	for rank, want := range []float64{math.Inf(1), 0.5, 0.25, 0.125} {
		if got := within.threshold(alpha, rank); got != want {
			t.Errorf("rank %d within a budget: threshold %v, want %v", rank, got, want)
		}
	}
	raw := rankRule{Form: softmax, Counts: runs.CountsRaw}
	if mean, sd := raw.chance(8, 3); mean != 4 || math.Abs(sd-0.85) > 0.001 { // whatever the spread
		t.Errorf("chance of the raw rule %v, %v", mean, sd)
	}
}

// Tasks of several families stand in tables of their own, with the paper's
// scores in the paper's units.
func TestFamilies(t *testing.T) {
	dir := t.TempDir()
	for _, task := range []string{"e2e", "webnlg", "jnlpba", "mytask", "sst2"} {
		f := scored(task, "autolora", 1, 0.679)
		f.results.Scores = map[string]float64{"bleu": 0.679, "nist": 8.68, "meteor": 0.46, "rouge_l": 0.689, "cider": 2.37, "ter": 0.44, "precision": 0.701, "f1": 0.742, "accuracy": 0.9}
		f.write(t, filepath.Join(dir, task))
	}
	var b bytes.Buffer
	if err := load(t, dir).Text(&b, 200); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"method    parameters  E2E BLEU ↑  E2E NIST ↑  E2E METEOR ↑  E2E ROUGE-L ↑  E2E CIDEr ↑  WebNLG BLEU ↑  WebNLG METEOR ↑  WebNLG TER ↓\n" +
			"AutoLoRA      29,952        67.9        8.68          46.0           68.9         2.37           67.9             46.0          0.44\n" +
			"  paper         0.3M        67.9        8.68          46.0           68.9         2.37           50.8             39.6          0.44\n",
		"method    parameters  JNLPBA precision  JNLPBA F1\nAutoLoRA      29,952              70.1       74.2\n  paper         0.3M              70.1       74.2\n",
		"Scores, own data on roberta-base\n\nmethod    parameters  mytask accuracy\nAutoLoRA      29,952             90.0\n\nOf one seed. Parameters: of the adapter;",
		"Table 2 (GPT2-medium)", "Table 3 (RoBERTa-base)",
	} {
		if text := plainSpaces(b.String()); !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// The paper's average is the printed one for all of its tasks, and of fewer,
// theirs.
func TestPaperAverage(t *testing.T) {
	for _, tc := range []struct {
		tasks []string
		want  string
	}{
		{[]string{"cola", "sst2", "mrpc", "qqp", "mnli", "qnli", "rte", "stsb"}, "85.0"}, // the mean is 84.8
		{[]string{"sst2", "mrpc"}, "91.7"},
		{[]string{"sst2", "wnli"}, "–"}, // it has no WNLI
	} {
		dir := t.TempDir()
		for _, task := range tc.tasks {
			seeds(t, dir, task, runs.MethodAdaLoRA, 0.8)
		}
		rows := load(t, dir).scoreTables()[0].Rows
		if cells := rows[1].Cells; rows[1].Kind != OfPaper || cells[len(cells)-1] != tc.want {
			t.Errorf("%q: %q, want the average %s", tc.tasks, cells, tc.want)
		}
	}
}

// report.json has every number, and null for what is not known.
func TestJSON(t *testing.T) {
	dir := t.TempDir()
	seeds(t, dir, "sst2", "autolora", 0.83)
	seeds(t, dir, "sst2", "lora", 0.81)
	text, err := json.Marshal(load(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Tasks []struct {
			Task    string
			Methods []struct {
				Method       string
				Scores       map[string]struct{ Mean, SD *float64 }
				RelativeCost *float64 `json:"relative_cost"`
				Folders      []string
			}
			Comparisons []struct {
				Other       string
				Differences struct{ Mean, SD *float64 }
				Interval    struct{ Low, P *float64 }
			}
		}
		Paper []struct{ Source string }
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	m := r.Tasks[0].Methods[1]
	if m.Method != "autolora" || *m.Scores["accuracy"].Mean != 0.83 || m.Scores["accuracy"].SD != nil || m.RelativeCost != nil || len(m.Folders) != 1 {
		t.Errorf("%s", text)
	}
	c := r.Tasks[0].Comparisons[0]
	if c.Other != "lora" || *c.Differences.Mean != 0.02 || c.Differences.SD != nil || c.Interval.Low != nil || c.Interval.P != nil || len(r.Paper) != 4 {
		t.Errorf("%s", text)
	}
	if bytes.Contains(text, []byte(`"overall":null`)) || bytes.Contains(text, []byte(`"unfinished":null`)) {
		t.Errorf("%s", text)
	}
}

func TestNumbersInWords(t *testing.T) {
	for want, got := range map[string]string{
		"0.4 points above": apart(scoreOf("accuracy"), 0.004, "above", "below", "equal to"), "0.04 points below": apart(scoreOf("matthews"), -0.0004, "above", "below", "equal to"), "equal to": apart(scoreOf("f1"), 0, "above", "below", "equal to"),
		"0.05 below": apart(scoreOf("ter"), -0.05, "above", "below", "equal to"), "0.003 above": apart(scoreOf("nist"), 0.003, "above", "below", "equal to"), "0.0001": pValue(0.0001), "< 0.0001": pValue(0.00009), "0.046": pValue(0.0459), "1": pValue(0.999),
		"124.6M": count(124_645_632), "9,000,000": count(9e6), "1.5G": count(1.5e9), "1, 2, 3, 7": seedList([]uint64{1, 2, 3, 7}), "4, 5": seedList([]uint64{4, 5}), "": seedList(nil),
		"−0.50": decimals(-0.5), "0.00": decimals(-0.0001), "–": decimals(unknown), "p < 0.0001": pEquals(0), "p = 1": pEquals(1),
		"3 seeds": human.Count(3, "seed"), "1 seed": human.Count(1, "seed"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
