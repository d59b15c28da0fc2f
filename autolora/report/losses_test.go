package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autolora/autolora/halving"
	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// withLosses adds the held-out losses of examples to a run.
func (f folder) withLosses(losses ...float64) folder {
	f.losses = &runs.Losses{Part: "dev", Data: "digest", Loss: losses}
	f.results.Scores[metrics.NameLoss] = f.losses.Mean()
	return f
}

// Known losses: of two seeds and four examples the differences are −1 −2 −3 −2 and
// −1 0 −1 2; their means over the seeds −1 −1 −2 0.
func TestLossDifference(t *testing.T) {
	method := func(losses ...runs.Losses) *Method {
		m := &Method{}
		for seed := range losses {
			m.runs = append(m.runs, &Run{Results: runs.Results{Seed: uint64(seed)}, Losses: &losses[seed]})
		}
		return m
	}
	of := func(losses ...float64) runs.Losses { return runs.Losses{Data: "a", Loss: losses} }
	a, b := method(of(1, 1, 1, 1), of(2, 2, 2, 2)), method(of(2, 3, 4, 3), of(3, 2, 3, 0))
	d := compareLosses(a, b)
	const examples, seeds = 2.0 / 3 / 4, 2.0 / 2 // variances of the mean
	near(t, "mean", d.Mean, -1, 1e-12)
	near(t, "standard error", d.StandardError, math.Sqrt(examples), 1e-12)
	near(t, "sd of seeds", d.SD, math.Sqrt2, 1e-12)
	near(t, "half of the interval", d.Interval.High+1, bounded(0, component{examples, 3}, component{seeds, 1}).High.float(), 1e-12)
	if d.Examples != 4 || !slices.Equal(d.BySeed, []float64{-2, 0}) {
		t.Errorf("%+v", d)
	}
	if one := compareLosses(method(of(1, 1, 1, 1)), b); one.SD.Known() || !one.Interval.Low.Known() || one.Mean != -2 {
		t.Errorf("of one seed %+v", one)
	}
	if same := compareLosses(a, a); same.Mean != 0 || same.Interval.Low.Known() {
		t.Errorf("of the same runs %+v", same)
	}
	rows := of(1, 2)
	rows.Rows = []int{3, 1}
	if d := compareLosses(method(rows), method(runs.Losses{Data: "a", Loss: []float64{0, 0}, Rows: []int{3, 1}})); d.Mean != 1.25 {
		t.Errorf("words count as %v, want 1.25", d.Mean)
	}
	for name, other := range map[string]runs.Losses{"other data": {Data: "b", Loss: []float64{0, 0, 0, 0}}, "fewer": of(0, 0, 0), "other words": rows} {
		if d := compareLosses(a, method(other)); d != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Where nothing differs but by chance, of seeds, of examples, or of both together, no more
// intervals than one in twenty leave out 0, of two seeds too.
func TestLossDifferenceByChance(t *testing.T) {
	const draws, examples = 1000, 100
	for _, tc := range []struct {
		name                   string
		seeds                  int
		ofSeed, ofExample, odd float64 // standard deviations of the differences
	}{
		{"two seeds", 2, 0.3, 1, 0}, {"three seeds", 3, 0.4, 1, 0}, {"five seeds", 5, 0.5, 1, 0},
		{"examples alone", 2, 0, 1, 0}, {"examples of each seed", 2, 0, 0, 1},
	} {
		rng, beyond := rand.New(rand.NewPCG(5, 6)), 0
		for range draws {
			a, b, ofExample := &Method{}, &Method{}, make([]float64, examples)
			for e := range ofExample {
				ofExample[e] = tc.ofExample * rng.NormFloat64()
			}
			for seed := range tc.seeds {
				of, with, ofSeed := runs.Losses{Data: "a"}, runs.Losses{Data: "a"}, tc.ofSeed*rng.NormFloat64()
				for _, v := range ofExample {
					of.Add(1+ofSeed+v+tc.odd*rng.NormFloat64(), 1)
					with.Add(1, 1)
				}
				results := runs.Results{Seed: uint64(seed)}
				a.runs, b.runs = append(a.runs, &Run{Results: results, Losses: &of}), append(b.runs, &Run{Results: results, Losses: &with})
			}
			beyond += b2i(compareLosses(a, b).Interval.Beyond())
		}
		const most = 0.05 + 3*0.0069 // three standard errors of a share of 0.05 in so many draws
		share := float64(beyond) / draws
		if share > most || tc.name == "examples alone" && share < 0.05-3*0.0069 {
			t.Errorf("%s: %.3f of intervals leave out 0", tc.name, share)
		}
	}
}

func (n Number) float() float64 { return float64(n) }

// rules writes a comparison of rules in which each seed of a method has its own noise,
// and examples have theirs.
func rules(t *testing.T, dir string, better map[string]float64, budget int, rate float64, methods ...string) {
	t.Helper()
	plan, err := json.Marshal(map[string]any{"model": "models/roberta-base", "task": "sst2", "lr": "auto", "parameters": budget, "seed": 1, "seeds": 3, "methods": methods, "controls": true})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, runs.CompareFile), string(plan))
	for _, method := range runs.WithControls(methods) {
		for seed := uint64(1); seed <= 3; seed++ {
			rng, examples := rand.New(rand.NewPCG(seed, uint64(len(method)))), rand.New(rand.NewPCG(7, 7))
			var losses []float64
			for range 400 {
				losses = append(losses, 0.5+0.2*examples.NormFloat64()-better[method]+0.001*rng.NormFloat64())
			}
			f := scored("sst2", method, seed, 0.8+0.01*rng.NormFloat64()).withLosses(losses...)
			f.results.Parameters.Adapter = int64(budget)
			f.config["parameters"], f.config["lr"], f.config["rank"] = budget, rate, 4
			if m := methodOf(method); m.Ranks == runs.Searched && seed == 1 {
				f.config["about"] = map[string]any{"began": "2026-01-02T03:04:05Z", "chosen": []string{"lr", "search-lr"}}
			}
			if method == "autolora-eva" && seed == 1 {
				f.tune = trials(1000)
			}
			f.write(t, filepath.Join(dir, runs.SeedFolder(method, seed)))
		}
	}
}

// trials is a choice among five learning rates, or where parameters are 0, among layers.
func trials(parameters int64) *runs.Tune {
	u := &runs.Tune{Rungs: []halving.Rung{{Trials: 5, Steps: 20}, {Trials: 3, Steps: 100}}, Final: 400}
	for i, loss := range []float64{0.5, 0.32, 0.31, 0.3, 2} {
		size, reached, within, state := parameters, 1, 0.012, runs.State("")
		if parameters == 0 {
			size = int64(9216) << i
		}
		trial := runs.Trial{Settings: json.RawMessage(fmt.Sprintf(`{"method":"lora","target":["query"],"rank":%d,"lr":%g}`, 1<<i, 1e-3*math.Exp2(float64(i)))), Parameters: size}
		if i == 0 || i == 4 {
			reached = 0
		}
		if i == 4 {
			state = runs.Diverged
		}
		for rung := range reached + 1 {
			trial.Reach(rung, runs.Reached{Steps: u.Rungs[rung].Steps, Loss: new(loss), StandardError: &within, State: state})
		}
		u.Trials = append(u.Trials, trial)
	}
	u.Choose()
	return u
}

// Rules at two budgets, each with a rate of its own by trials, are one table, in which
// each rule stands against its own controls; the verdict is by the loss and says so.
func TestRulesAgainstControls(t *testing.T) {
	dir := t.TempDir()
	rules(t, filepath.Join(dir, "small"), map[string]float64{"autolora-eva": 0.01}, 9000, 2e-3, "lora", "autolora", "autolora-eva")
	rules(t, filepath.Join(dir, "large"), nil, 40000, 4e-3, "lora", "autolora", "autolora-eva")
	r := load(t, dir)
	if len(r.Tasks) != 2 || r.Tasks[0].With != "parameters 9000" || r.Tasks[1].With != "parameters 40000" || len(r.Tasks[0].Methods) != 9 {
		t.Fatalf("tasks %+v", r.Tasks)
	}
	var b bytes.Buffer
	table := r.controlTable()
	table.text(&b, 200)
	var rows []string
	for _, row := range table.Rows {
		rows = append(rows, row.Cells[0])
	}
	if !slices.Equal(rows, []string{"SST-2 (parameters 9000)", "AutoLoRA", "Rule eva", "SST-2 (parameters 40000)", "AutoLoRA", "Rule eva"}) {
		t.Errorf("rows %q", rows)
	}
	for _, want := range []string{"minus spread evenly", "−0.0100 (p < 0.0001)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := r.Text(&b, 1000); err != nil {
		t.Fatal(err)
	}
	text := strings.Split(strings.TrimSpace(b.String()), "\n")
	if last := text[len(text)-3]; !strings.HasPrefix(last, "Better than the same parameters placed in other ways, by more than chance explains: the ranks of the rule eva on SST-2 (parameters 9000) (by held-out loss: spread evenly p < 0.0001, shuffled p < 0.0001, at random p < 0.0001); not better") {
		t.Errorf("verdict %q", last)
	}
	if last := text[len(text)-2]; !strings.HasPrefix(last, "Better than plain LoRA within the same budget, by more than chance explains: the rule eva on SST-2 (parameters 9000)") || !strings.Contains(last, "plain LoRA within the same budget is as good, as far as these runs show, as AutoLoRA on SST-2 (parameters 9000), AutoLoRA on SST-2 (parameters 40000)") {
		t.Errorf("verdict %q", last)
	}
	if last, want := text[len(text)-1], "Of these 8 verdicts 2 say that there is a difference; where there is none, one in twenty may say so."; last != want {
		t.Errorf("verdict %q, want %q", last, want)
	}
	if !strings.Contains(b.String(), "0.002") || !strings.Contains(b.String(), "0.004") {
		t.Errorf("the learning rates are not said:\n%s", b.String())
	}
	if !strings.Contains(b.String(), "by budget") { // not the setting rank, of which a budget makes no use
		t.Errorf("the rank of LoRA is not by budget:\n%s", b.String())
	}
	for _, p := range r.pictures() {
		for _, part := range p.Panels {
			if _, err := part.inline(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A control is judged by the losses, another method by its score where that says more
// than chance, one seed by nothing, and of runs without losses, or that learnt nothing,
// there is what there was.
func TestVerdicts(t *testing.T) {
	const shuffled, lora = runs.MethodShuffled, runs.MethodLoRA
	type seeds [][]float64 // the score, then the losses
	base := seeds{{0.83, 0.5, 0.4, 0.6}, {0.84, 0.51, 0.41, 0.6}, {0.85, 0.5, 0.42, 0.6}}
	for _, tc := range []struct {
		name, other string
		of          seeds
		want        string // what it says of both
		verdict     string
	}{
		{"by the loss", shuffled, seeds{{0.83, 0.52, 0.42, 0.62}, {0.85, 0.53, 0.43, 0.62}, {0.84, 0.52, 0.44, 0.62}},
			"SST-2: AutoLoRA is equal to the same ranks shuffled over the layers (3 seeds), and its held-out loss is 0.0200 lower (paired over 3 examples and 3 seeds",
			""},
		{"a control by the loss, whatever the score says", shuffled, seeds{{0.63, 0.52, 0.42, 0.52}, {0.64, 0.51, 0.31, 0.62}, {0.65, 0.52, 0.44, 0.62}},
			"): by the loss, not more than chance.", "Not better than the same parameters placed in other ways, by more than chance explains: the ranks of AutoLoRA on SST-2 (by held-out loss: shuffled p = "},
		{"another by the score", lora, seeds{{0.63, 0.5, 0.4, 0.5}, {0.641, 0.5, 0.4, 0.5}, {0.649, 0.5, 0.4, 0.5}},
			"(3 seeds, 95 % interval 19.8 to 20.2): more than the chance of seeds explains. Its held-out loss is 0.0", "Better than plain LoRA, by more than chance explains: AutoLoRA on SST-2 (by accuracy over seeds: p < 0.0001)."},
		{"one seed", shuffled, seeds{{0.83, 0.52, 0.42, 0.7}}, "from one seed nothing can be said about others.",
			"No verdict, for want of seeds or of anything learnt: AutoLoRA on SST-2."},
		{"no losses", shuffled, seeds{{0.63}, {0.64}, {0.65001}}, "SST-2: AutoLoRA is 20.0 points above the same ranks shuffled over the layers (3 seeds, 95 % interval 20.0 to 20.0): more than the chance of seeds explains.",
			"Better than the same parameters placed in other ways, by more than chance explains: the ranks of AutoLoRA on SST-2 (by accuracy over seeds: shuffled p < 0.0001)."},
		{"nothing learnt", shuffled, seeds{{0.5, 0.7, 0.7, 0.7}, {0.5, 0.7, 0.7, 0.7}, {0.5, 0.7, 0.7, 0.7}}, "SST-2: no verdict on AutoLoRA and the same ranks shuffled over the layers: the same ranks shuffled over the layers scored no better than always giving the commonest answer (accuracy 50.0).",
			"No verdict, for want of seeds or of anything learnt: AutoLoRA on SST-2."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for method, of := range map[string]seeds{runs.MethodAutoLoRA: base, tc.other: tc.of} {
				for i, of := range of {
					f := scored("sst2", method, uint64(i), of[0])
					f.results.Baseline = metrics.Scores{metrics.NameAccuracy: 0.5, metrics.NameLoss: 0.69}
					if len(of) > 1 {
						f = f.withLosses(of[1:]...)
					}
					f.write(t, filepath.Join(dir, method, fmt.Sprint(i)))
				}
			}
			r := load(t, dir)
			if got := strings.Join(r.Headlines(), "\n"); !strings.Contains(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
			if got := strings.Contains(strings.Join(r.Notes, "\n"), "not all runs have held-out losses of the same examples"); got != (tc.name == "no losses") {
				t.Errorf("notes %q", r.Notes)
			}
			if got := strings.Join(r.Verdict, "\n"); !strings.HasPrefix(got, tc.verdict) {
				t.Errorf("verdict\n%s\nwant\n%s", got, tc.verdict)
			}
		})
	}
}

// A seed that learnt nothing is named where others of the method did; one with other
// examples, as their digest says, is not compared; of one seed an interval is of its own kind.
func TestSeedsApart(t *testing.T) {
	dir := t.TempDir()
	for _, method := range []string{runs.MethodAutoLoRA, runs.MethodLoRA} {
		for seed := range uint64(2) {
			score := 0.8
			if method == runs.MethodLoRA && seed == 1 {
				score = 0.5
			}
			f := scored("sst2", method, seed, score).withLosses(0.4, 0.5, 0.1*score)
			f.results.Baseline = metrics.Scores{metrics.NameAccuracy: 0.5}
			if score == 0.5 {
				f.losses.Data = "other"
			}
			f.write(t, filepath.Join(dir, method, fmt.Sprint(seed)))
		}
	}
	f := scored("sst2", runs.MethodLoRA, 0, 0.8).withLosses(0.4, 0.5, 0.2)
	f.write(t, filepath.Join(dir, runs.MethodLoRA, "0"))
	r := load(t, dir)
	if c := r.Tasks[0].Comparisons[0]; !slices.Equal(c.Seeds, []uint64{0}) || !slices.Equal(c.Loss.Seeds, c.Seeds) || !strings.Contains(c.sentence(), ", for other examples alone)") {
		t.Errorf("%+v: %s", c, c.sentence())
	}
	if got := strings.Join(r.Notes, "\n"); !strings.Contains(got, "SST-2: LoRA: no better than the commonest answer with seed 1, which its means have in them.") {
		t.Errorf("notes %s", got)
	}
}

// What several tests may say is divided among them: score and loss of another method, the
// controls of which one is enough, the verdicts of a report.
func TestLevels(t *testing.T) {
	interval := func(mean, p float64) Interval {
		return Interval{Mean: Number(mean), Low: Number(mean - 0.9*math.Abs(mean)), High: Number(mean + 0.9*math.Abs(mean)), P: Number(p)}
	}
	task := &Task{Name: "sst2", Title: "SST-2"}
	judged := func(other string, score, loss Interval) *Comparison {
		c := &Comparison{Of: runs.MethodAutoLoRA, Other: other, Score: metrics.NameAccuracy, Differences: Sample{N: 3, Mean: score.Mean}, Interval: score,
			Loss: &LossDifference{Seeds: []uint64{1, 2, 3}, Mean: loss.Mean, StandardError: 0.01, Interval: loss}, task: task}
		c.judge()
		return c
	}
	for _, tc := range []struct {
		other   string
		p, loss float64
		by      string
		verdict int
	}{
		{runs.MethodLoRA, 0.02, 0.02, metrics.NameAccuracy, 1},
		{runs.MethodLoRA, 0.03, 0.02, metrics.NameLoss, -1},
		{runs.MethodLoRA, 0.03, 0.03, metrics.NameLoss, 0},
		{runs.MethodShuffled, 0.02, 0.03, metrics.NameLoss, -1},
	} {
		c := judged(tc.other, interval(0.1, tc.p), interval(0.1, tc.loss))
		if c.Judged != tc.by || c.verdict() != tc.verdict {
			t.Errorf("%+v: by %s, %d", tc, c.Judged, c.verdict())
		}
		if got := c.sentence(); strings.Contains(got, "not more than chance, for of two scores that may differ one has to have p < 0.025.") != (tc.verdict == 0) {
			t.Errorf("%+v: %s", tc, got)
		}
	}
	r, none := &Report{}, interval(0.1, 0.5)
	better, worse, clearly := judged(runs.MethodShuffled, none, interval(-0.1, 0.001)), judged(runs.MethodUniform, none, interval(0.1, 0.03)), judged(runs.MethodRandom, none, interval(0.1, 0.01))
	for _, tc := range []struct {
		of      []*Comparison
		verdict int
	}{{[]*Comparison{better}, 1}, {[]*Comparison{worse}, -1}, {[]*Comparison{better, worse, better}, 0}, {[]*Comparison{better, clearly, better}, -1}} {
		if f := r.finding(task, tc.of...); f.verdict != tc.verdict {
			t.Errorf("got %+v, want %d", f, tc.verdict)
		}
	}
	one := judged(runs.MethodUniform, none, interval(0.1, 0.001))
	one.Loss.Seeds = one.Loss.Seeds[:1]
	task.Comparisons = []*Comparison{better, worse, one}
	r.Tasks = []*Task{task}
	r.Overall = []*Overall{{Comparisons: []*Comparison{{Interval: interval(0.1, 0.01)}}}}
	for got, want := range map[string]string{
		r.lossDifferenceTable().Caption: "Of 2 intervals 2 exclude 0; where nothing differs one in twenty may, here about 0.1.",
		r.differenceTable().Caption:     "Of 4 intervals 4 exclude 0; where nothing differs one in twenty may, here about 0.2.",
	} {
		if !strings.HasSuffix(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	task.Methods = []*Method{{Method: runs.MethodAutoLoRA}}
	if table := r.controlTable(); table.Rows[1].Cells[3] != "+0.1000 (one seed)" {
		t.Errorf("of one seed %q", table.Rows[1].Cells)
	}
}

// Over tasks it is said on how many the held-out loss decides.
func TestLossesOverTasks(t *testing.T) {
	dir := t.TempDir()
	for task, better := range map[string]float64{"sst2": 0.02, "mrpc": 0, "rte": -0.02} {
		for seed := range uint64(3) {
			noise := 0.001 * float64(seed)
			scored(task, runs.MethodAutoLoRA, seed, 0.8+noise).withLosses(0.5, 0.41+noise, 0.6).write(t, filepath.Join(dir, task, "a", fmt.Sprint(seed)))
			scored(task, runs.MethodShuffled, seed, 0.8).withLosses(0.5+better, 0.411+better, 0.601+better).write(t, filepath.Join(dir, task, "b", fmt.Sprint(seed)))
		}
	}
	r := load(t, dir)
	if got := strings.Join(r.Headlines(), "\n"); !strings.HasSuffix(got, "(sign test p = 0.25), by held-out loss and more than chance explains on 1 and 1.") {
		t.Errorf("got\n%s", got)
	}
	if c := r.Overall[0].Comparisons[0]; !slices.Equal(c.ByLoss[0], []string{"sst2"}) || !slices.Equal(c.ByLoss[1], []string{"rte"}) {
		t.Errorf("%+v", c.ByLoss)
	}
	var b bytes.Buffer
	if err := r.Text(&b, 200); err != nil || !strings.Contains(b.String(), "Held-out loss, GLUE on roberta-base\n\nmethod") {
		t.Errorf("%v: no table of losses in\n%s", err, b.String())
	}
}

// The page of tune has the advice, the trials as a table, and their picture; that of a
// choice of the rate alone has losses by rates. Beside other methods it is a method.
func TestTuneReport(t *testing.T) {
	dir := t.TempDir()
	tuned := scored("sst2", "lora", 1, 0.85)
	tuned.tune = trials(0)
	tuned.config["about"] = map[string]any{"began": "2026-01-02T03:04:05Z", "command": "tune", "chosen": []string{"target", "rank", "lr"}}
	tuned.config["lr"], tuned.config["rank"], tuned.config["target"], tuned.results.Steps.Tune = 4e-3, 4, []string{"query"}, 200
	tuned.write(t, filepath.Join(dir, "tune"))
	r := load(t, filepath.Join(dir, "tune"))
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"tune reaches accuracy 85.0", "trials chose the learning rate of tune (seed 1); their cost counts as search", "| 4 on query | ",
		"Chosen: rank 4, learning rate 4e-3, the smallest adapter whose held-out loss (0.310) is within one standard error (0.0120) of the lowest",
		"| rank 4, learning rate 4e-3 | 36,864 | 100 | 0.3100 | 0.0120 | chosen |", "| 147,456 | 20 | 2.0000 | 0.0120 | diverged |",
	} {
		if !strings.Contains(plainSpaces(b.String()), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	p := r.tuningPicture()
	svg, err := p.Panels[0].inline()
	for _, want := range []string{"parameters", "73,728", "18,432"} {
		if err != nil || !strings.Contains(svg, want) {
			t.Errorf("%v: the picture lacks %q", err, want)
		}
	}
	plain := scored("sst2", "lora", 1, 0.84)
	plain.config["lr"], plain.config["rank"] = 1e-3, 8
	plain.tune = trials(9216)
	plain.write(t, filepath.Join(dir, "lora"))
	r = load(t, dir)
	if len(r.Tasks) != 1 || len(r.Tasks[0].Methods) != 2 || r.Tasks[0].Methods[1].Method != methodTune || len(r.Replaced) != 0 {
		t.Errorf("%+v", r.Tasks)
	}
	if svg, err := r.tuningPicture().Panels[0].inline(); err != nil || !strings.Contains(svg, "learning rate") || !strings.Contains(svg, "4e-3") {
		t.Errorf("%v: no rates in the picture", err)
	}
}
