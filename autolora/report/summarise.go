package report

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"autolora/autolora/runs"
)

// Summarise turns runs into a report.
func Summarise(rs *Runs) *Report {
	r := &Report{Overall: []*Overall{}, Papers: papers, Missing: append([]string{}, rs.Unfinished...), Replaced: append([]Duplicated{}, rs.Replaced...), runs: rs.Runs}
	for _, run := range rs.Runs {
		t := r.task(run)
		m := t.method(run.Results.Method)
		if m == nil {
			m = &Method{Method: run.Results.Method}
			t.Methods = append(t.Methods, m)
		}
		m.runs = append(m.runs, run)
	}
	for _, t := range r.Tasks {
		t.summarise()
	}
	for _, tasks := range r.families() {
		if len(tasks) > 1 {
			r.Overall = append(r.Overall, overall(tasks))
		}
	}
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
	shown, _ := taskOf(name)
	t := &Task{Model: model, Name: name, Title: shown.title, Family: shown.family, Comparisons: []*Comparison{}, Ranks: []*RankStudy{}}
	r.Tasks = append(r.Tasks, t)
	return t
}

// families returns the tasks by model and family, as they stand in one table.
func (r *Report) families() [][]*Task {
	var families [][]*Task
	for _, t := range r.Tasks {
		i := slices.IndexFunc(families, func(of []*Task) bool { return of[0].Model == t.Model && of[0].Family == t.Family })
		if i < 0 {
			families = append(families, []*Task{t})
		} else {
			families[i] = append(families[i], t)
		}
	}
	return families
}

func (t *Task) summarise() {
	for _, m := range t.Methods {
		m.summarise(t.Name)
		t.Primary = cmp.Or(t.Primary, m.runs[0].Results.Primary)
	}
	ada := t.method(runs.MethodAdaLoRA)
	for _, m := range t.Methods {
		m.RelativeCost = ratio(sums(m, ada, (*Run).cost))
		m.RelativePasses = ratio(sums(m, ada, (*Run).passes))
	}
	t.compare()
	t.studyRanks()
	t.size()
}

// method returns the runs of a method; nil if there are none.
func (t *Task) method(name string) *Method {
	if i := slices.IndexFunc(t.Methods, func(m *Method) bool { return m.Method == name }); i >= 0 {
		return t.Methods[i]
	}
	return nil
}

// runs returns the runs of all methods.
func (t *Task) runs() []*Run {
	var all []*Run
	for _, m := range t.Methods {
		all = append(all, m.runs...)
	}
	return all
}

// methodNames returns the methods of tasks, in their order.
func methodNames(tasks []*Task) []string {
	names := make(map[string]bool)
	for _, t := range tasks {
		for _, m := range t.Methods {
			names[m.Method] = true
		}
	}
	return slices.SortedFunc(maps.Keys(names), byMethod)
}

func (m *Method) summarise(task string) {
	of := func(value func(r *Run) float64) Sample {
		values := make([]float64, len(m.runs))
		for i, r := range m.runs {
			values[i] = value(r)
		}
		return sample(values)
	}
	m.Scores = make(map[string]Sample)
	for _, r := range m.runs {
		m.Seeds, m.Dirs = append(m.Seeds, r.Results.Seed), append(m.Dirs, r.Dir)
		m.PeakMemory = max(m.PeakMemory, r.Results.PeakMemory)
		if r.Grid != nil {
			m.Grid = max(m.Grid, len(r.Grid.Configurations))
		}
		for name := range r.Results.Scores {
			m.Scores[name] = of(func(r *Run) float64 { return r.score(name) })
		}
	}
	m.Adapter = of(func(r *Run) float64 { return float64(r.Results.Parameters.Adapter) })
	m.Head = of(func(r *Run) float64 { return float64(r.Results.Parameters.Head) })
	m.Seconds = Seconds{
		Load: of(func(r *Run) float64 { return r.Results.Seconds.Load }), Search: of(func(r *Run) float64 { return r.Results.Seconds.Search }),
		Train: of(func(r *Run) float64 { return r.Results.Seconds.Train }), Eval: of(func(r *Run) float64 { return r.Results.Seconds.Eval }),
		Cost: of((*Run).cost), Total: of(func(r *Run) float64 { return r.cost() + r.Results.Seconds.Load + r.Results.Seconds.Eval }),
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

// sums adds up a quantity of the runs of two methods with the same seeds.
func sums(a, b *Method, of func(*Run) float64) (sumA, sumB float64) {
	for _, r := range a.runs {
		if other := b.run(r.Results.Seed); other != nil {
			sumA, sumB = sumA+of(r), sumB+of(other)
		}
	}
	return sumA, sumB
}

// ratio is unknown where there is nothing to compare.
func ratio(a, b float64) Number {
	if !(a > 0) || !(b > 0) {
		return unknown
	}
	return Number(a / b)
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
	slices.SortStableFunc(t.Comparisons, func(a, b *Comparison) int {
		return cmp.Or(b2i(b.wanted())-b2i(a.wanted()), b2i(a.Other == runs.MethodLoRA)-b2i(b.Other == runs.MethodLoRA), byMethod(a.Other, b.Other))
	})
}

// wanted reports whether a comparison is one that the reader wants first: with
// the controls, then with LoRA.
func (c *Comparison) wanted() bool { return wanted(c.Other) }

func wanted(other string) bool { return methodOf(other).group == controls || other == runs.MethodLoRA }

// overall brings tasks of one model and family together.
func overall(tasks []*Task) *Overall {
	o := &Overall{Model: tasks[0].Model, Family: tasks[0].Family}
	for _, t := range tasks {
		o.Tasks = append(o.Tasks, t.Name)
	}
	o.compare(tasks)
	for _, name := range methodNames(tasks) {
		c := OverallCost{Method: name}
		var top, bottom float64
		for _, t := range tasks {
			if m := t.method(name); m != nil && m.RelativeCost.Known() {
				a, b := sums(m, t.method(runs.MethodAdaLoRA), (*Run).cost)
				top, bottom = top+a, bottom+b
				c.Tasks = append(c.Tasks, t.Name)
			}
		}
		if c.Relative = ratio(top, bottom); c.Relative.Known() {
			o.Costs = append(o.Costs, c)
		}
	}
	return o
}

// compare fills in AutoLoRA minus every other method over the tasks that have
// both. Scores of different units have no average: those like the first count.
func (o *Overall) compare(tasks []*Task) {
	var how score
	samples, named := map[*OverallDiff][]Sample{}, map[*OverallDiff][]string{}
	for _, t := range tasks {
		for _, c := range t.Comparisons {
			if how.factor == 0 {
				how = scoreOf(t.Primary)
			}
			if !scoreOf(t.Primary).like(how) {
				break
			}
			i := slices.IndexFunc(o.Comparisons, func(d *OverallDiff) bool { return d.Other == c.Other })
			if i < 0 {
				i = len(o.Comparisons)
				o.Comparisons = append(o.Comparisons, &OverallDiff{Other: c.Other, how: how})
			}
			d, mean := o.Comparisons[i], c.Differences.Mean
			if !mean.Known() {
				continue
			}
			d.Tasks = append(d.Tasks, t.Name)
			samples[d], named[d] = append(samples[d], c.Differences), append(named[d], t.named())
			if how.better == down {
				mean = -mean
			}
			d.Above, d.Below = d.Above+b2i(mean > 0), d.Below+b2i(mean < 0)
		}
	}
	o.Comparisons = slices.DeleteFunc(o.Comparisons, func(d *OverallDiff) bool { return len(d.Tasks) < 2 })
	for _, d := range o.Comparisons {
		if names := slices.Compact(named[d]); len(names) == 1 {
			d.named = names[0]
		}
		d.Interval, d.SignP = stratified(samples[d]), signTest(d.Above, d.Below)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
