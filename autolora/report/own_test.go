package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// printed is all that the report prints: text, Markdown and the page.
func printed(t *testing.T, r *Report) (text, markdown, page string) {
	t.Helper()
	var a, b, c bytes.Buffer
	for _, err := range []error{r.Text(&a, 200), r.TextTables(&a, 200), r.Markdown(&b), r.HTML(&c)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return a.String(), b.String(), c.String()
}

// Runs of one's own data have nothing of the paper beside them, begin with the
// verdict and the table, and say the settings.
func TestOwnData(t *testing.T) {
	dir := t.TempDir()
	for _, method := range []string{"lora", "adalora", "autolora", "lora-uniform", "lora-grid", "full"} {
		for seed := uint64(1); seed <= 2; seed++ {
			f := scored("topics", method, seed, 0.8+0.01*float64(seed))
			for name, v := range map[string]any{"lr": 2e-3, "batch-size": 16.0, "accumulate": 2.0, "epochs": 3.0, "steps": 0.0, "rank": 4.0, "k": 8.0, "search-lr": 1e-3,
				"adalora-init-rank": 8.0, "adalora-target-rank": 4.0, "limit-train": 500.0} {
				f.config[name] = v
			}
			if method == "full" {
				f.config["lr"], f.config["steps"] = 1e-4, 200.0
			}
			if method == "lora-grid" {
				f.grid = &runs.Grid{Configurations: make([]runs.Configuration, 4)}
			}
			f.write(t, filepath.Join(dir, method, fmt.Sprint(seed)))
		}
	}
	text, markdown, page := printed(t, load(t, dir))
	for _, all := range []string{text, markdown, page} {
		for _, bad := range []string{"he paper", "Table 1", "Table 5", "Table 6"} {
			if at := strings.Index(all, bad); at >= 0 {
				t.Errorf("%q in …%s", bad, all[max(0, at-100):at+20])
			}
		}
		verdict, scores, settings, cost := strings.Index(all, "topics: AutoLoRA is equal to LoRA"), strings.Index(all, "Scores, own data"), strings.Index(all, "Settings"), strings.Index(all, "Parameters and cost")
		if verdict < 0 || scores < verdict || settings < scores || cost < settings {
			t.Errorf("verdict, scores, settings, cost at %d, %d, %d, %d ", verdict, scores, settings, cost)
		}
	}
	const want = `Settings

method                   learning rate   batch     rank  k  search rate
topics
Full fine-tuning                0.0001  16 × 2
LoRA                             0.002  16 × 2        4
AdaLoRA                          0.002  16 × 2    8 → 4
LoRA, grid search                0.002  16 × 2
AutoLoRA                         0.002  16 × 2  learned  8        0.001
AutoLoRA, spread evenly          0.002  16 × 2
`
	if !strings.Contains(text, want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// The paper's tasks keep its rows beside one's own data.
func TestPaperBesideOwnData(t *testing.T) {
	dir := t.TempDir()
	seeds(t, dir, "sst2", "lora", 0.8, 0.9)
	seeds(t, dir, "topics", "lora", 0.8, 0.9)
	text, _, _ := printed(t, load(t, dir))
	for _, want := range []string{"  paper", "Table 5", "paper's training"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// Own files of one name in two folders, with other data, are other tasks; with the same, as
// on another machine, they are one.
func TestFilesOfOneName(t *testing.T) {
	dir := t.TempDir()
	for i, sums := range [][2]string{{"1", "2"}, {"3", "4"}, {"1", "2"}} {
		f := scored("train", "lora", uint64(i), 0.7)
		f.config["train"], f.config["dev"] = fmt.Sprintf("d%d/train.csv", i%2), fmt.Sprintf("d%d/dev.csv", i%2)
		f.config["about"] = map[string]any{"data": map[string]any{"train": sums[0], "train/dev": sums[1]}}
		f.write(t, filepath.Join(dir, fmt.Sprint(i)))
	}
	if r := load(t, dir); len(r.Tasks) != 2 || r.Tasks[0].With != "dev d0/dev.csv, train d0/train.csv" || r.Tasks[1].With != "dev d1/dev.csv, train d1/train.csv" {
		t.Errorf("tasks %+v", r.Tasks)
	}
	if err := os.Rename(filepath.Join(dir, "1"), filepath.Join(t.TempDir(), "1")); err != nil {
		t.Fatal(err)
	}
	if r := load(t, dir); len(r.Tasks) != 1 || r.Tasks[0].With != "" {
		t.Errorf("tasks %+v", r.Tasks)
	}
}

// Runs with other settings are another row, compared with their like, and none
// is dropped; what does not change results sets nothing apart.
func TestSetApart(t *testing.T) {
	write := func(dir, name, task, method string, seed uint64, score float64, config map[string]any) {
		f := scored(task, method, seed, score)
		for name, v := range config {
			f.config[name] = v
		}
		f.write(t, filepath.Join(dir, name, method, fmt.Sprint(seed)))
	}
	dir := t.TempDir()
	for seed := uint64(1); seed <= 2; seed++ {
		for _, lr := range []float64{5e-4, 2e-3} {
			machine := map[string]any{"lr": lr, "search-lr": lr, "batch-size": 16.0, "text": map[float64]any{5e-4: nil, 2e-3: []string{}}[lr], "threads": lr * 1e4, "out": fmt.Sprint(lr), "data": fmt.Sprint("/m", lr, "/glue")}
			write(dir, fmt.Sprint(lr), "topics", "lora", seed, 0.7+10*lr, machine)
			write(dir, fmt.Sprint(lr), "topics", "autolora", seed, 0.71+10*lr, machine)
		}
	}
	write(dir, "again", "topics", "lora", 1, 0.705, map[string]any{"lr": 5e-4, "search-lr": 5e-4, "batch-size": 16.0, "about": map[string]any{"began": "2025-01-01T00:00:00Z"}})
	rs, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := Summarise(rs)
	if len(rs.Runs) != 8 || len(rs.Replaced) != 1 || filepath.Base(filepath.Dir(filepath.Dir(rs.Replaced[0].Dir))) != "again" || len(r.Tasks) != 2 || r.Overall == nil || len(r.Overall) != 0 {
		t.Fatalf("%d runs, replaced %v, tasks %v, overall %v", len(rs.Runs), rs.Replaced, r.Tasks, r.Overall)
	}
	want := []string{
		"topics (lr 0.0005): AutoLoRA is 1.0 points above LoRA of one rank everywhere with each of 2 seeds; without any spread chance cannot be judged.",
		"topics (lr 0.002): AutoLoRA is 1.0 points above LoRA of one rank everywhere with each of 2 seeds; without any spread chance cannot be judged.",
	}
	if got := r.Headlines(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	const table = `method    parameters  topics accuracy
With lr 0.0005
LoRA          29,952       70.5 ± 0.0
AutoLoRA      29,952       71.5 ± 0.0
With lr 0.002
LoRA          29,952       72.0 ± 0.0
AutoLoRA      29,952       73.0 ± 0.0
`
	text, _, _ := printed(t, r)
	if !strings.Contains(text, table) {
		t.Errorf("got\n%s\nwant\n%s", text, table)
	}

	t.Run("several settings, files, tasks", func(t *testing.T) {
		dir := t.TempDir()
		write(dir, "a", "mine", "lora", 1, 0.7, map[string]any{"lr": 1e-3, "batch-size": 8.0, "train": "x/train-a.csv", "grid-ranks": []int{1, 2}})
		write(dir, "b", "mine", "lora", 1, 0.8, map[string]any{"lr": 2e-3, "batch-size": 16.0, "train": "y/train-b.csv", "grid-ranks": []int{1}})
		write(dir, "c", "mine", "lora", 1, 0.8, nil) // of which nothing is known
		write(dir, "d", "yours", "lora", 1, 0.9, map[string]any{"lr": 5e-3})
		var got []string
		for _, task := range load(t, dir).Tasks {
			got = append(got, task.Title)
		}
		want := []string{"mine", "mine (batch-size 16, grid-ranks 1, lr 0.002, train train-b.csv)", "mine (batch-size 8, grid-ranks 1+2, lr 0.001, train train-a.csv)", "yours"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Over a method that did no better than the commonest answer there is no
// verdict, in words, tables or averages; older runs do not say what that scores.
func TestUnlearnt(t *testing.T) {
	write := func(dir, task, method, primary string, baseline float64, scores ...float64) {
		for seed, v := range scores {
			f := scored(task, method, uint64(seed), 0)
			f.results.Primary, f.results.Scores = primary, metrics.Scores{primary: v}
			if baseline >= 0 {
				f.results.Baseline = metrics.Scores{primary: baseline}
			}
			f.write(t, filepath.Join(dir, task, method, fmt.Sprint(seed)))
		}
	}
	for _, tc := range []struct {
		name, primary  string
		baseline       float64
		autolora, lora []float64
		want           string
	}{
		{"the other", "accuracy", 0.636, []float64{0.70, 0.71, 0.73}, []float64{0.636, 0.636, 0.636},
			"qqp2: no verdict on AutoLoRA and LoRA of one rank everywhere: LoRA of one rank everywhere scored no better than always giving the commonest answer (accuracy 63.6)."},
		{"AutoLoRA", "matthews", 0, []float64{-0.01, 0, 0.01}, []float64{0.3, 0.31, 0.32},
			"qqp2: no verdict on AutoLoRA and LoRA of one rank everywhere: AutoLoRA scored no better than always giving the commonest answer (Matthews 0.0)."},
		{"both, worse than it", "accuracy", 0.636, []float64{0.5, 0.6}, []float64{0.6, 0.5},
			"qqp2: no verdict on AutoLoRA and LoRA of one rank everywhere: AutoLoRA and LoRA of one rank everywhere scored no better than always giving the commonest answer (accuracy 63.6)."},
		{"less is better", "ter", 0.9, []float64{0.5, 0.5, 0.6}, []float64{0.9, 0.95, 1},
			"qqp2, TER (lower is better): no verdict on AutoLoRA and LoRA of one rank everywhere: LoRA of one rank everywhere scored no better than always giving the commonest answer (TER 0.90)."},
		{"learnt", "accuracy", 0.5, []float64{0.83, 0.84, 0.85}, []float64{0.826, 0.847, 0.844},
			"qqp2: AutoLoRA is 0.1 points above LoRA of one rank everywhere (3 seeds, 95 % interval −1.6 to 1.8): not more than the chance of seeds."},
		{"not known", "accuracy", -1, []float64{0.83, 0.84, 0.85}, []float64{0.826, 0.847, 0.844},
			"qqp2: AutoLoRA is 0.1 points above LoRA of one rank everywhere (3 seeds, 95 % interval −1.6 to 1.8): not more than the chance of seeds."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			write(dir, "qqp2", "autolora", tc.primary, tc.baseline, tc.autolora...)
			write(dir, "qqp2", "lora", tc.primary, tc.baseline, tc.lora...)
			r := load(t, dir)
			if got := r.Headlines(); !slices.Equal(got, []string{tc.want}) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			judged, noVerdict := r.Tasks[0].Comparisons[0].Interval.Low.Known(), strings.Contains(tc.want, "no verdict")
			said := strings.Contains(strings.Join(r.Notes, "\n"), "it has learnt nothing that its score shows")
			if judged == noVerdict || said != noVerdict {
				t.Errorf("judged %v; notes %q", judged, r.Notes)
			}
			text, _, page := printed(t, r)
			if row := strings.Contains(text, "Commonest answer"); row != (tc.baseline >= 0) || row != strings.Contains(page, "Commonest answer") {
				t.Errorf("a row of the commonest answer: %v\n%s", row, text)
			}
		})
	}

	dir := t.TempDir()
	for _, task := range []string{"one", "two", "three"} {
		least := 0.5
		if task == "three" {
			least = 0.9
		}
		write(dir, task, "autolora", "accuracy", least, 0.83, 0.84)
		write(dir, task, "lora", "accuracy", least, 0.82, 0.84)
	}
	if c := load(t, dir).Overall[0].Comparisons[0]; !slices.Equal(c.Tasks, []string{"one", "two"}) {
		t.Errorf("over the tasks %q", c.Tasks)
	}

	dir = t.TempDir()
	write(dir, "mine", "lora", "accuracy", 0.636, 0.7)
	want := []string{"mine: LoRA reaches accuracy 70.0, where always giving the commonest answer has 63.6. From one seed nothing can be said about what others would give."}
	if got := load(t, dir).Headlines(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Tasks of the same settings share the rows that say them.
func TestSettingsOfSeveralTasks(t *testing.T) {
	dir := t.TempDir()
	for task, lr := range map[string]float64{"cola": 1e-3, "mrpc": 1e-3, "rte": 5e-3, "qqp": 0} {
		f := scored(task, "lora", 1, 0.8)
		if f.config["batch-size"], f.config["epochs"], f.config["steps"], f.config["accumulate"], f.config["rank"] = 16.0, 3.0, 0.0, 1.0, 4.0; lr > 0 {
			f.config["lr"] = lr
		}
		f.write(t, filepath.Join(dir, task))
	}
	want := []Row{
		{[]string{"CoLA, MRPC"}, Subtitle}, {[]string{"LoRA", "0.001", "16", "4", "", ""}, Ours},
		{[]string{"RTE"}, Subtitle}, {[]string{"LoRA", "0.005", "16", "4", "", ""}, Ours},
	}
	if got := load(t, dir).settingsTable().Rows; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	f := scored("cola", "lora", 1, 0.8) // the title has a task once, however many settings stand below
	f.config["lr"] = 2e-3
	f.write(t, filepath.Join(dir, "again"))
	if title, _ := load(t, dir).titles(); title != "Comparison on CoLA, MRPC, QQP, RTE" {
		t.Errorf("title %q", title)
	}
}

// TestGiven leaves out of what sets runs apart what their command does not read, and what was left open.
func TestGiven(t *testing.T) {
	config := map[string]any{"rank": 4.0, "by": "random", "steps": 0.0, "parameters": 1.5e6, "target": []any{"query", "value"}}
	trained, pruned := &Run{Settings: config}, &Run{Settings: config, Pruning: new(runs.Pruning)}
	last, best := &Run{Settings: map[string]any{"eval-every": 20.0, "keep": "last"}}, &Run{Settings: map[string]any{"eval-every": 20.0, "keep": "best"}}
	for _, tc := range []struct {
		run        *Run
		name, want string
	}{{trained, "rank", "4"}, {trained, "parameters", "1500000"}, {trained, "target", "query+value"}, {trained, "by", ""}, {trained, "steps", ""}, {pruned, "rank", ""}, {pruned, "by", "random"}, {last, "eval-every", ""}, {best, "eval-every", "20"}} {
		if got := tc.run.given(tc.name); got != tc.want {
			t.Errorf("%s of %+v: %q, want %q", tc.name, tc.run, got, tc.want)
		}
	}
}
