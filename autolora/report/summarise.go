package report

import (
	"cmp"
	"math"
	"slices"

	"autolora/autolora/runs"
)

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
// both. Scores of different units have no average: those like the first count.
func (o *Overall) compare(tasks []*Task) {
	first := slices.IndexFunc(tasks, func(t *Task) bool { return len(t.Comparisons) > 0 })
	if first < 0 {
		return
	}
	how := scoreOf(tasks[first].Primary)
	tasks = slices.DeleteFunc(slices.Clone(tasks), func(t *Task) bool { return !scoreOf(t.Primary).like(how) })
	for _, t := range tasks {
		for _, c := range t.Comparisons {
			if !slices.ContainsFunc(o.Comparisons, func(d *OverallDiff) bool { return d.Other == c.Other }) {
				o.Comparisons = append(o.Comparisons, &OverallDiff{Other: c.Other, how: how})
			}
		}
	}
	for _, d := range o.Comparisons {
		var samples []Sample
		var named []string
		for _, t := range tasks {
			i := slices.IndexFunc(t.Comparisons, func(c *Comparison) bool { return c.Other == d.Other })
			if i < 0 || t.Comparisons[i].Differences.N == 0 {
				continue
			}
			s := t.Comparisons[i].Differences
			samples = append(samples, s)
			d.Tasks = append(d.Tasks, t.Name)
			named = append(named, t.named())
			mean := s.Mean
			if how.better == down {
				mean = -mean
			}
			switch {
			case mean > 0:
				d.Above++
			case mean < 0:
				d.Below++
			}
		}
		if named = slices.Compact(named); len(named) == 1 {
			d.named = named[0]
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
