package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"autolora/autolora/human"
	"autolora/autolora/runs"
)

// Report is what runs come to: plain data, which report.json holds and from
// which tables, sentences and pictures are made.
type Report struct {
	Tasks    []*Task      `json:"tasks"`
	Overall  []*Overall   `json:"overall"` // per model and family of at least two tasks
	Patterns []*Pattern   `json:"patterns"`
	Notes    []string     `json:"notes"`
	Papers   []*Paper     `json:"paper"` // the paper's tables; nothing in them was run here
	Missing  []string     `json:"unfinished"`
	Replaced []Duplicated `json:"replaced"`

	runs []*Run
}

// Task is the runs of one task on one model.
type Task struct {
	Model       string        `json:"model"`
	Name        string        `json:"task"`
	Title       string        `json:"title"`
	Family      string        `json:"family"`
	Primary     string        `json:"primary"`
	Methods     []*Method     `json:"methods"`
	Comparisons []*Comparison `json:"comparisons"`
	Ranks       []*RankStudy  `json:"ranks"`
	Sizes       Sizes         `json:"sizes"`
}

// Method is the runs of one method on one task.
type Method struct {
	Method string            `json:"method"`
	Seeds  []uint64          `json:"seeds"`
	Dirs   []string          `json:"folders"` // of the seeds
	Scores map[string]Sample `json:"scores"`  // as results.json has them
	Paper  *Beside           `json:"paper,omitempty"`

	Adapter Sample  `json:"adapter_parameters"`
	Head    Sample  `json:"head_parameters"`
	Seconds Seconds `json:"seconds"`
	// The cost of the runs, by time and by passes through the model, relative
	// to that of AdaLoRA's runs with the same seeds.
	RelativeCost   Number `json:"relative_cost"`
	RelativePasses Number `json:"relative_passes"`

	SearchSteps Sample `json:"search_steps"`
	TrainSteps  Sample `json:"train_steps"`
	Tokens      Sample `json:"tokens"`    // of search and training, as the three below
	Forward     Sample `json:"forward"`   // passes
	Backward    Sample `json:"backward"`  // passes
	Grid        int    `json:"grid_size"` // configurations of a grid search
	PeakMemory  int64  `json:"peak_memory_bytes"`

	runs []*Run
}

// Beside is the paper's numbers for a method and task, in the units of its
// table.
type Beside struct {
	Source     string            `json:"source"`
	Model      string            `json:"model"`
	Parameters string            `json:"parameters"`
	Scores     map[string]Number `json:"scores"`
}

// Seconds is wall time by phase.
type Seconds struct {
	Load   Sample `json:"load"`
	Search Sample `json:"search"`
	Train  Sample `json:"train"`
	Eval   Sample `json:"eval"`
	Cost   Sample `json:"cost"` // search and training
	Total  Sample `json:"total"`
}

// Sizes is numbers of examples; 0 where they are not known.
type Sizes struct {
	Train     int      `json:"train"`
	Evaluated int      `json:"evaluated"`
	Parts     []string `json:"parts"`  // of the data that were evaluated: "dev"
	Limits    []string `json:"limits"` // what was smaller than the paper's: in words
}

// Comparison is AutoLoRA minus another method, paired over seeds.
type Comparison struct {
	Other       string   `json:"other"`
	Score       string   `json:"score"`
	Seeds       []uint64 `json:"seeds"` // of both
	Differences Sample   `json:"differences"`
	Interval    Interval `json:"interval"`
}

// Overall is several tasks of one family and model together.
type Overall struct {
	Model       string         `json:"model"`
	Family      string         `json:"family"`
	Tasks       []string       `json:"tasks"`
	Comparisons []*OverallDiff `json:"comparisons"`
	Costs       []OverallCost  `json:"costs"`
}

// OverallDiff is AutoLoRA minus another method over the tasks that have both.
type OverallDiff struct {
	Other    string   `json:"other"`
	Tasks    []string `json:"tasks"`
	Interval Interval `json:"interval"` // of the average over these tasks
	Above    int      `json:"above"`    // tasks in which AutoLoRA is better
	Below    int      `json:"below"`
	SignP    Number   `json:"sign_p"`

	score string // whose unit is that of all the tasks
}

// OverallCost is a method's time over tasks relative to AdaLoRA's, on the same
// tasks and seeds: the ratio of the sums, as in the paper's Table 5.
type OverallCost struct {
	Method   string   `json:"method"`
	Tasks    []string `json:"tasks"`
	Relative Number   `json:"relative"`
}

// reference is the method that the others are compared with.
const reference = runs.MethodAutoLoRA

// Summarise turns runs into a report.
func Summarise(rs *Runs) *Report {
	r := &Report{Overall: []*Overall{}, Papers: papers, Missing: append([]string{}, rs.Unfinished...), Replaced: append([]Duplicated{}, rs.Replaced...), runs: rs.Runs}
	for _, run := range rs.Runs {
		t := r.task(run)
		i := slices.IndexFunc(t.Methods, func(m *Method) bool { return m.Method == run.Results.Method })
		if i < 0 {
			i = len(t.Methods)
			t.Methods = append(t.Methods, &Method{Method: run.Results.Method})
		}
		t.Methods[i].runs = append(t.Methods[i].runs, run)
	}
	for _, t := range r.Tasks {
		t.summarise()
	}
	r.overall()
	r.patterns()
	r.note()
	return r
}

// task returns the task of a run, a new one if it is the first.
func (r *Report) task(run *Run) *Task {
	name, model := run.Results.Task, run.Model()
	for _, t := range r.Tasks {
		if t.Name == name && t.Model == model {
			return t
		}
	}
	t := &Task{Model: model, Name: name, Title: taskTitle(name), Family: taskFamily(name), Primary: run.Results.Primary,
		Comparisons: []*Comparison{}, Ranks: []*RankStudy{}}
	r.Tasks = append(r.Tasks, t)
	return t
}

func (t *Task) summarise() {
	for _, m := range t.Methods {
		m.summarise(t.Name)
		if t.Primary == "" {
			t.Primary = m.runs[0].Results.Primary
		}
	}
	ada := t.method(runs.MethodAdaLoRA)
	for _, m := range t.Methods {
		m.RelativeCost = relative(m, ada, (*Run).cost)
		m.RelativePasses = relative(m, ada, (*Run).passes)
	}
	t.compare()
	t.studyRanks()
	t.size()
}

// method returns the runs of a method; nil if there are none.
func (t *Task) method(name string) *Method {
	for _, m := range t.Methods {
		if m.Method == name {
			return m
		}
	}
	return nil
}

func (m *Method) summarise(task string) {
	of := func(value func(r *Run) float64) Sample {
		values := make([]float64, len(m.runs))
		for i, r := range m.runs {
			values[i] = value(r)
		}
		return sample(values)
	}
	names := make(map[string]bool)
	for _, r := range m.runs {
		m.Seeds, m.Dirs = append(m.Seeds, r.Results.Seed), append(m.Dirs, r.Dir)
		m.PeakMemory = max(m.PeakMemory, r.Results.PeakMemory)
		if r.Grid != nil {
			m.Grid = max(m.Grid, len(r.Grid.Configurations))
		}
		for name := range r.Results.Scores {
			names[name] = true
		}
	}
	m.Scores = make(map[string]Sample, len(names))
	for name := range names {
		m.Scores[name] = of(func(r *Run) float64 { return r.score(name) })
	}
	m.Adapter = of(func(r *Run) float64 { return float64(r.Results.Parameters.Adapter) })
	m.Head = of(func(r *Run) float64 { return float64(r.Results.Parameters.Head) })
	m.Seconds = Seconds{
		Load: of(func(r *Run) float64 { return r.Results.Seconds.Load }), Search: of(func(r *Run) float64 { return r.Results.Seconds.Search }),
		Train: of(func(r *Run) float64 { return r.Results.Seconds.Train }), Eval: of(func(r *Run) float64 { return r.Results.Seconds.Eval }),
		Cost: of((*Run).cost), Total: of((*Run).total),
	}
	m.SearchSteps = of(func(r *Run) float64 { return float64(r.Results.Steps.Search) })
	m.TrainSteps = of(func(r *Run) float64 { return float64(r.Results.Steps.Train) })
	m.Tokens = of(func(r *Run) float64 { return float64(r.work().Tokens) })
	m.Forward = of(func(r *Run) float64 { return float64(r.work().Forward) })
	m.Backward = of(func(r *Run) float64 { return float64(r.work().Backward) })

	if p, row := paperRow(m.Method, task); p != nil {
		m.Paper = &Beside{Source: p.Source, Model: p.Model, Parameters: row.Parameters, Scores: map[string]Number{}}
		for i, c := range p.Scores {
			if c.Task == task {
				m.Paper.Scores[c.Score] = Number(row.Values[i])
			}
		}
	}
}

// score returns a score of the run, NaN where it has none.
func (r *Run) score(name string) float64 {
	if v, ok := r.Results.Scores[name]; ok {
		return v
	}
	return math.NaN()
}

// cost is what Table 5 counts.
func (r *Run) cost() float64 { return r.Results.Seconds.Search + r.Results.Seconds.Train }

func (r *Run) total() float64 { return r.cost() + r.Results.Seconds.Load + r.Results.Seconds.Eval }

// work is that of search and training.
func (r *Run) work() runs.Work {
	w := r.Results.Cost.Search
	w.Add(r.Results.Cost.Train)
	return w
}

func (r *Run) passes() float64 { return float64(r.work().Forward + r.work().Backward) }

// run returns the run with that seed, nil if there is none. A nil method has
// none.
func (m *Method) run(seed uint64) *Run {
	if m != nil {
		for _, r := range m.runs {
			if r.Results.Seed == seed {
				return r
			}
		}
	}
	return nil
}

// relative returns the ratio of what m's and base's runs of the same seeds
// come to; unknown where there are none.
func relative(m, base *Method, of func(*Run) float64) Number {
	top, bottom := sums(m, base, of)
	if !(bottom > 0) || !(top > 0) {
		return unknown
	}
	return Number(top / bottom)
}

// sums adds up a quantity of the runs of two methods with the same seeds.
func sums(a, b *Method, of func(*Run) float64) (sumA, sumB float64) {
	for _, r := range a.runs {
		if other := b.run(r.Results.Seed); other != nil {
			sumA += of(r)
			sumB += of(other)
		}
	}
	return sumA, sumB
}

// compare fills in AutoLoRA minus every other method that has scores.
func (t *Task) compare() {
	ours := t.method(reference)
	if ours == nil || ours.Scores[t.Primary].N == 0 {
		return
	}
	for _, other := range t.Methods {
		if other == ours || other.Scores[t.Primary].N == 0 {
			continue
		}
		c := &Comparison{Other: other.Method, Score: t.Primary, Seeds: []uint64{}}
		var differences []float64
		for _, r := range ours.runs {
			pair := other.run(r.Results.Seed)
			if pair == nil {
				continue
			}
			if d := r.score(t.Primary) - pair.score(t.Primary); !math.IsNaN(d) {
				c.Seeds = append(c.Seeds, r.Results.Seed)
				differences = append(differences, math.Round(d*1e12)/1e12) // what rounding adds is no spread
			}
		}
		c.Differences = sample(differences)
		c.Interval = paired(c.Differences)
		t.Comparisons = append(t.Comparisons, c)
	}
	// What the reader wants first: the controls, then LoRA, then the others.
	rank := func(name string) int {
		switch {
		case isControl(name):
			return 0
		case name == runs.MethodLoRA:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(t.Comparisons, func(a, b *Comparison) int {
		return cmp.Or(cmp.Compare(rank(a.Other), rank(b.Other)), byMethod(a.Other, b.Other))
	})
}

// overall brings the tasks of each model and family together.
func (r *Report) overall() {
	for _, first := range r.Tasks {
		if slices.ContainsFunc(r.Overall, func(o *Overall) bool { return o.Model == first.Model && o.Family == first.Family }) {
			continue
		}
		var tasks []*Task
		o := &Overall{Model: first.Model, Family: first.Family}
		for _, t := range r.Tasks {
			if t.Model == first.Model && t.Family == first.Family {
				tasks = append(tasks, t)
				o.Tasks = append(o.Tasks, t.Name)
			}
		}
		if len(tasks) < 2 {
			continue
		}
		o.compare(tasks)
		o.weigh(tasks)
		r.Overall = append(r.Overall, o)
	}
}

// compare fills in AutoLoRA minus every other method over the tasks that have
// both. Scores of different units have no average.
func (o *Overall) compare(tasks []*Task) {
	for _, t := range tasks {
		for _, c := range t.Comparisons {
			if !slices.ContainsFunc(o.Comparisons, func(d *OverallDiff) bool { return d.Other == c.Other }) {
				o.Comparisons = append(o.Comparisons, &OverallDiff{Other: c.Other, score: c.Score})
			}
		}
	}
	for _, d := range o.Comparisons {
		var samples []Sample
		for _, t := range tasks {
			i := slices.IndexFunc(t.Comparisons, func(c *Comparison) bool { return c.Other == d.Other })
			if i < 0 || t.Comparisons[i].Differences.N == 0 || scoreOf(t.Primary).factor != scoreOf(d.score).factor {
				continue
			}
			s := t.Comparisons[i].Differences
			samples = append(samples, s)
			d.Tasks = append(d.Tasks, t.Name)
			mean := s.Mean
			if scoreOf(t.Primary).less {
				mean = -mean
			}
			switch {
			case mean > 0:
				d.Above++
			case mean < 0:
				d.Below++
			}
		}
		d.Interval, d.SignP = stratified(samples), signTest(d.Above, d.Below)
	}
	o.Comparisons = slices.DeleteFunc(o.Comparisons, func(d *OverallDiff) bool { return len(d.Tasks) < 2 })
}

// weigh fills in the costs relative to AdaLoRA.
func (o *Overall) weigh(tasks []*Task) {
	var names []string
	for _, t := range tasks {
		for _, m := range t.Methods {
			if !slices.Contains(names, m.Method) {
				names = append(names, m.Method)
			}
		}
	}
	slices.SortFunc(names, byMethod)
	for _, name := range names {
		c := OverallCost{Method: name, Relative: unknown}
		var top, bottom float64
		for _, t := range tasks {
			m := t.method(name)
			if m == nil || !m.RelativeCost.Known() {
				continue
			}
			a, b := sums(m, t.method(runs.MethodAdaLoRA), (*Run).cost)
			top, bottom = top+a, bottom+b
			c.Tasks = append(c.Tasks, t.Name)
		}
		if bottom > 0 {
			c.Relative = Number(top / bottom)
			o.Costs = append(o.Costs, c)
		}
	}
}

// size fills in the numbers of examples and what was limited.
func (t *Task) size() {
	limits := make(map[string]bool)
	limit := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if !limits[text] {
			limits[text] = true
			t.Sizes.Limits = append(t.Sizes.Limits, text)
		}
	}
	t.Sizes.Limits, t.Sizes.Parts = []string{}, []string{}
	for _, m := range t.Methods {
		for _, r := range m.runs {
			t.Sizes.Evaluated = max(t.Sizes.Evaluated, r.Results.Examples)
			if part := r.Results.Part; part != "" && !slices.Contains(t.Sizes.Parts, part) {
				t.Sizes.Parts = append(t.Sizes.Parts, part)
			}
			if r.Ranks != nil {
				t.Sizes.Train = max(t.Sizes.Train, trainExamples(r.Ranks.Split))
			}
		}
	}
	for _, m := range t.Methods {
		for _, r := range m.runs {
			s := r.Settings
			if s.LimitTrain > 0 {
				limit("training on %s examples (--limit-train)", human.Thousands(s.LimitTrain))
			}
			if s.Search > 0 && r.Results.Steps.Search > 0 {
				limit("search of %s steps (--search-steps%s)", human.Thousands(s.Search), t.epochs(r, s.Search, s.Split))
			}
			if s.Steps > 0 && r.Results.Steps.Train > 0 {
				limit("training of %s steps (--steps%s)", human.Thousands(s.Steps), t.epochs(r, s.Steps*max(1, s.Accumulate), 1))
			}
		}
	}
}

// part says which part of the data was evaluated: " (dev)".
func (s Sizes) part() string {
	if len(s.Parts) == 0 {
		return ""
	}
	return " (" + strings.Join(s.Parts, ", ") + ")"
}

// trainExamples returns the size of a training set that a search split into
// two: of "300/700", 1000. It is 0 where it is not known.
func trainExamples(split string) int {
	var train, val int
	if n, err := fmt.Sscanf(split, "%d/%d", &train, &val); n < 2 || err != nil {
		return 0
	}
	return train + val
}

// epochs returns how often that many batches go through a share of the
// training examples, in words; "" where it is not known.
func (t *Task) epochs(r *Run, batches int, share float64) string {
	if t.Sizes.Train == 0 || r.Settings.BatchSize == 0 || share == 0 {
		return ""
	}
	return fmt.Sprintf(", %.2g times the examples", float64(batches*r.Settings.BatchSize)/(share*float64(t.Sizes.Train)))
}

// note says what a reader should know about how the numbers came about. What
// is so of several tasks is said once.
func (r *Report) note() {
	r.Notes = []string{}
	if n := len(r.Missing); n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s not finished and not counted: %s.", plural(n, "run is", "runs are"), strings.Join(r.Missing, ", ")))
	}
	for _, d := range r.Replaced {
		r.Notes = append(r.Notes, fmt.Sprintf("%s is not counted: %s has the same model, task, method and seed, and is newer.", d.Dir, d.Newer))
	}
	var texts []string
	of := make(map[string][]string) // titles of tasks by what is said about them
	note := func(t *Task, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if of[text] == nil {
			texts = append(texts, text)
		}
		of[text] = append(of[text], r.name(t))
	}
	for _, t := range r.Tasks {
		if len(t.Sizes.Limits) > 0 {
			note(t, "%s. The paper's numbers are from training without such limits.", strings.Join(t.Sizes.Limits, "; "))
		}
		for _, m := range t.Methods {
			for _, text := range m.remarks() {
				note(t, "%s: %s.", methodOf(m.Method).title, text)
			}
		}
		for _, text := range unequal(t.Methods, sharedSettings) {
			note(t, "runs of different methods differ in %s: their scores are not for the same conditions.", text)
		}
		if ours := t.method(reference); ours != nil && ours.Scores[t.Primary].N > 0 && !slices.ContainsFunc(t.Comparisons, func(c *Comparison) bool { return isControl(c.Other) }) {
			note(t, "no control was run (%s, %s), so whether it matters in which layers the ranks are high cannot be said.", runs.MethodUniform, runs.MethodShuffled)
		}
	}
	for _, text := range texts {
		r.Notes = append(r.Notes, strings.Join(of[text], ", ")+": "+text)
	}
}

// remarks says what is special about the runs of a method.
func (m *Method) remarks() []string {
	var remarks []string
	var without, undefined, read []string
	for _, r := range m.runs {
		seed := fmt.Sprint(r.Results.Seed)
		v, scored := r.Results.Scores[r.Results.Primary]
		switch {
		case !scored:
			without = append(without, seed)
		case math.IsNaN(v):
			undefined = append(undefined, seed)
		}
		if learnsRanks(m.Method) && m.Method != runs.MethodAdaLoRA && r.Results.Steps.Search == 0 {
			read = append(read, seed)
		}
	}
	if without != nil {
		remarks = append(remarks, "no scores with seed "+strings.Join(without, ", "))
	}
	if undefined != nil {
		remarks = append(remarks, fmt.Sprintf("the score is undefined with seed %s and left out of the mean", strings.Join(undefined, ", ")))
	}
	if read != nil {
		remarks = append(remarks, fmt.Sprintf("the ranks of seed %s were read from a file, so its cost is without their search", strings.Join(read, ", ")))
	}
	if m.Grid > 0 {
		remarks = append(remarks, fmt.Sprintf("the grid has %s (the paper's: 16)", plural(m.Grid, "configuration", "configurations")))
	}
	for _, text := range unequal([]*Method{m}, nil) {
		remarks = append(remarks, fmt.Sprintf("its seeds differ in %s: the mean mixes settings", text))
	}
	return remarks
}

// sharedSettings are those that make scores of different methods comparable.
var sharedSettings = []string{"limit-train", "max-length", "dtype", "data", "train", "dev", "new-head", "eval-on"}

// ownSettings are those that differ from run to run and mean nothing.
var ownSettings = []string{"model", "out", "seed", "overwrite", "resume", "save-every", "tensorboard", "threads", "device", "log-every", "ranks",
	"method", "methods", "seeds", "controls", "with", "about"}

// unequal returns the settings in which runs differ, with the values: of
// those named, or of all but ownSettings.
func unequal(methods []*Method, names []string) []string {
	var all []*Run
	for _, m := range methods {
		all = append(all, m.runs...)
	}
	if names == nil {
		for _, r := range all {
			for name := range r.Settings.all {
				if !slices.Contains(ownSettings, name) && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
		slices.Sort(names)
	}
	var texts []string
	for _, name := range names {
		var values []string
		for _, r := range all {
			if v, ok := r.Settings.all[name]; ok && !slices.Contains(values, fmt.Sprint(v)) {
				values = append(values, fmt.Sprint(v))
			}
		}
		if len(values) > 1 {
			texts = append(texts, fmt.Sprintf("--%s (%s)", name, strings.Join(values, ", ")))
		}
	}
	return texts
}
