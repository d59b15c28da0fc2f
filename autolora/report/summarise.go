package report

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"autolora/autolora/runs"
	"autolora/data/metrics"
)

// Summarise turns runs into a report.
func Summarise(rs *Runs) *Report {
	r := &Report{Overall: []*Overall{}, Papers: []*Paper{}, Missing: append([]string{}, rs.Unfinished...), Replaced: append([]Duplicated{}, rs.Replaced...), runs: rs.Runs}
	for _, run := range rs.Runs { // in the order of the tables
		name, model := run.Results.Task, run.Model()
		if n := len(r.Tasks); n == 0 || r.Tasks[n-1].Name != name || r.Tasks[n-1].Model != model || r.Tasks[n-1].With != run.with {
			shown, _ := taskOf(name)
			if run.with != "" {
				shown.Title += " (" + run.with + ")"
			}
			if shown.Family != familyOwn {
				r.Papers = published.Tables
			}
			r.Tasks = append(r.Tasks, &Task{Model: model, Name: name, With: run.with, Title: shown.Title, Family: shown.Family, Comparisons: []*Comparison{}, Ranks: []*RankStudy{}})
		}
		t := r.Tasks[len(r.Tasks)-1]
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
	for _, family := range r.families() {
		for _, tasks := range alike(family) {
			if len(tasks) > 1 {
				r.Overall = append(r.Overall, overall(tasks))
			}
		}
	}
	r.patterns()
	r.note()
	r.Verdict = r.verdict()
	return r
}

// families returns the tasks by model and family, as they stand in one table.
func (r *Report) families() [][]*Task {
	return groups(r.Tasks, func(a, b *Task) bool { return a.Model == b.Model && a.Family == b.Family })
}

// alike returns tasks by the settings that set their runs apart.
func alike(tasks []*Task) [][]*Task {
	return groups(tasks, func(a, b *Task) bool { return a.With == b.With })
}

// groups returns values in groups of those that are the same, both in the order
// in which they come.
func groups[T any](values []T, same func(a, b T) bool) [][]T {
	var all [][]T
	for _, v := range values {
		if i := slices.IndexFunc(all, func(of []T) bool { return same(of[0], v) }); i >= 0 {
			all[i] = append(all[i], v)
		} else {
			all = append(all, []T{v})
		}
	}
	return all
}

func (t *Task) summarise() {
	t.Baseline = make(map[string]Number)
	baselines := make(map[string][]float64)
	for _, m := range t.Methods {
		m.summarise()
		t.Primary = cmp.Or(t.Primary, m.runs[0].Results.Primary)
		for _, r := range m.runs {
			for name, v := range r.Results.Baseline {
				baselines[name] = append(baselines[name], v)
			}
		}
	}
	for name, all := range baselines { // several where seeds were scored on examples of their own, as prunings are
		t.Baseline[name] = sample(all).Mean
	}
	for _, m := range t.Methods {
		m.Unlearnt = m.learntNothing(t)
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

// learntNothing reports whether the method's means are no better than the
// commonest answer, or all its runs give one answer to everything.
func (m *Method) learntNothing(t *Task) bool {
	means, least := metrics.Scores{}, metrics.Scores{}
	for name, s := range m.Scores {
		means[name] = float64(s.Mean)
	}
	for name, v := range t.Baseline {
		least[name] = float64(v)
	}
	return runs.NoBetter(means, least, t.Primary) || !slices.ContainsFunc(m.runs, func(r *Run) bool {
		_, only := r.Results.OnlyClass()
		return !only
	})
}

// method returns the runs of a method; nil if there are none, or no task.
func (t *Task) method(name string) *Method {
	if t != nil {
		for _, m := range t.Methods {
			if m.Method == name {
				return m
			}
		}
	}
	return nil
}

// baseline returns what always giving the commonest answer scores, if that is known.
func (t *Task) baseline(score string) Number {
	if t != nil {
		if v, ok := t.Baseline[score]; ok {
			return v
		}
	}
	return unknown
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

func (m *Method) summarise() {
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
		Load: of(func(r *Run) float64 { return r.Results.Seconds.Load }), Search: of(func(r *Run) float64 { return r.Results.Seconds.Tune + r.Results.Seconds.Search }),
		Train: of(func(r *Run) float64 { return r.Results.Seconds.Train }), Eval: of(func(r *Run) float64 { return r.Results.Seconds.Eval }),
		Cost: of((*Run).cost), Total: of(func(r *Run) float64 { return r.cost() + r.Results.Seconds.Load + r.Results.Seconds.Eval }),
	}
	m.SearchSteps = of(func(r *Run) float64 { return float64(r.Results.Steps.Tune + r.Results.Steps.Search) })
	m.TrainSteps = of(func(r *Run) float64 { return float64(r.Results.Steps.Train) })
	m.Tokens = of(func(r *Run) float64 { return float64(r.work().Tokens) })
	m.Forward = of(func(r *Run) float64 { return float64(r.work().Forward) })
	m.Backward = of(func(r *Run) float64 { return float64(r.work().Backward) })
}

// score returns the values of a score; none where the method has none.
func (m *Method) score(name string) Sample {
	if m != nil {
		if s, ok := m.Scores[name]; ok {
			return s
		}
	}
	return sample(nil)
}

// score returns a score of the run, NaN where it has none, or there is no run.
func (r *Run) score(name string) float64 {
	if r != nil {
		if v, ok := r.Results.Scores[name]; ok {
			return v
		}
	}
	return math.NaN()
}

// scoredWith reports whether both runs were scored on the same examples, as far as that is
// known.
func (r *Run) scoredWith(o *Run) bool {
	return r.Results.Examples == o.Results.Examples && (r.Losses == nil || o.Losses == nil || sameExamples(*r.Losses, *o.Losses))
}

// cost is what Table 5 counts: what it takes to find the settings and the ranks, and to
// train.
func (r *Run) cost() float64 {
	return r.Results.Seconds.Tune + r.Results.Seconds.Search + r.Results.Seconds.Train
}

// work is that of trials, search and training.
func (r *Run) work() runs.Work {
	w := r.Results.Cost.Tune
	w.Add(r.Results.Cost.Search)
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

// pairs returns what is compared with what: AutoLoRA with every other method, another
// that searches ranks with its controls and with LoRA of one rank, and where there is
// neither, LoRA with every other.
func (t *Task) pairs() (all [][2]*Method) {
	add := func(of *Method, wanted func(other runs.Method) bool) {
		for _, other := range t.Methods {
			if m := methodOf(other.Method); other != of && (m.Of == of.Method || m.Of == "" && wanted(m)) {
				all = append(all, [2]*Method{of, other})
			}
		}
	}
	for _, m := range t.Methods {
		if m.Method == reference {
			add(m, func(runs.Method) bool { return true })
		} else if methodOf(m.Method).Ranks == runs.Searched {
			add(m, func(other runs.Method) bool { return other.Name == runs.MethodLoRA })
		}
	}
	if lora := t.method(runs.MethodLoRA); all == nil && lora != nil {
		add(lora, func(runs.Method) bool { return true })
	}
	return all
}

// compare fills in the comparisons of methods that have scores, of each the controls
// first, then LoRA.
func (t *Task) compare() {
	for _, pair := range t.pairs() {
		if of, other := pair[0], pair[1]; of.Scores[t.Primary].N > 0 && other.Scores[t.Primary].N > 0 {
			t.Comparisons = append(t.Comparisons, t.comparison(of, other))
		}
	}
	slices.SortStableFunc(t.Comparisons, func(a, b *Comparison) int {
		return cmp.Or(b2i(a.Of != reference)-b2i(b.Of != reference), byMethod(a.Of, b.Of), b2i(wanted(b))-b2i(wanted(a)),
			b2i(a.Other == runs.MethodLoRA)-b2i(b.Other == runs.MethodLoRA), byMethod(a.Other, b.Other))
	})
}

// comparison returns one method minus another.
func (t *Task) comparison(of, other *Method) *Comparison {
	c := &Comparison{Of: of.Method, Other: other.Method, Score: t.Primary, Loss: compareLosses(of, other), task: t, named: t.named()}
	var differences []float64
	for _, r := range of.runs {
		with := other.run(r.Results.Seed)
		if with != nil && !r.scoredWith(with) { // as of a pruning, which half of the dev set has no say in
			c.others = true
		} else if d := r.score(t.Primary) - with.score(t.Primary); !math.IsNaN(d) {
			c.Seeds = append(c.Seeds, r.Results.Seed)
			differences = append(differences, math.Round(d*1e12)/1e12) // what rounding adds is no spread
		}
	}
	c.settle(differences)
	c.Interval = paired(c.Differences)
	for _, m := range []*Method{of, other} {
		if m.Unlearnt {
			c.Unlearnt = append(c.Unlearnt, m.Method)
		}
	}
	if c.Unlearnt != nil {
		c.Interval = student(float64(c.Differences.Mean), 0, 0)
		if c.Loss != nil {
			c.Loss.Interval = student(float64(c.Loss.Mean), 0, 0)
		}
	}
	c.judge()
	return c
}

// level is the p below which something is said to be more than chance explains. What
// several tests may say is divided among them.
const level = 0.05

// judge chooses the score by which a comparison is judged: a control, whose difference
// is small, by the held-out loss of every example; another method by its main score
// where that differs by more than chance, for a loss can be high for being too sure,
// else by the loss, each at half of the level. Where there are no losses the main score
// is all there is.
func (c *Comparison) judge() {
	control := methodOf(c.Other).Of == c.Of
	loss := c.Loss != nil && len(c.Loss.Seeds) > 1 && (c.Loss.Interval.Low.Known() || c.Loss.same())
	c.level = level
	if loss && !control && c.Interval.Low.Known() {
		c.level /= 2
	}
	switch {
	case c.Unlearnt != nil:
	case loss && (control || !(c.Interval.P < c.level)):
		c.Judged, c.byLoss = metrics.NameLoss, true
	case c.Interval.Low.Known():
		c.Judged = c.Score
	}
}

// verdict returns 1 where the method is better by more than chance explains, −1 where it
// is worse, else 0, which says little where nothing judged.
func (c *Comparison) verdict() int {
	i, how := c.Interval, scoreOf(c.Score)
	if c.byLoss {
		i, how = c.Loss.Interval, heldOut
	}
	switch {
	case c.Judged == "" || !(i.P < c.level):
		return 0
	case i.Mean > 0 != how.Lower:
		return 1
	}
	return -1
}

// wanted reports whether a comparison is one that the reader wants first.
func wanted(c *Comparison) bool {
	return methodOf(c.Other).Of == c.Of || c.Other == runs.MethodLoRA
}

// settle fills in the differences and their signs.
func (c *Comparison) settle(differences []float64) {
	c.Differences = sample(differences)
	better := 1.0
	if scoreOf(c.Score).Lower {
		better = -1
	}
	for _, d := range c.Differences.Values {
		c.Above, c.Below = c.Above+b2i(d*better > 0), c.Below+b2i(d*better < 0)
	}
	c.SignP = signTest(c.Above, c.Below)
}

// overall brings tasks of one model and family together.
func overall(tasks []*Task) *Overall {
	o := &Overall{Model: tasks[0].Model, Family: tasks[0].Family, With: tasks[0].With}
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

// compare fills in the comparisons of two methods over the tasks that have both and
// have learnt something. Scores of different units have no average:
// those like the first count.
func (o *Overall) compare(tasks []*Task) {
	var all []*Comparison
	for _, t := range tasks {
		for _, c := range t.Comparisons {
			if c.Differences.N > 0 && c.Unlearnt == nil && (all == nil || scoreOf(c.Score).like(scoreOf(all[0].Score))) {
				all = append(all, c)
			}
		}
	}
	for len(all) > 0 {
		c := &Comparison{Of: all[0].Of, Other: all[0].Other, Score: all[0].Score, named: all[0].named}
		var samples []Sample
		var means []float64
		all = slices.DeleteFunc(all, func(of *Comparison) bool {
			if of.Of != c.Of || of.Other != c.Other {
				return false
			}
			if of.named != c.named {
				c.named = ""
			}
			if v := of.verdict(); of.byLoss && v != 0 {
				c.ByLoss[b2i(v < 0)] = append(c.ByLoss[b2i(v < 0)], of.task.Name)
			}
			c.byLoss = c.byLoss || of.byLoss
			c.Tasks, samples, means = append(c.Tasks, of.task.Name), append(samples, of.Differences), append(means, float64(of.Differences.Mean))
			return true
		})
		c.settle(means)
		if c.Interval = stratified(samples); len(samples) > 1 {
			o.Comparisons = append(o.Comparisons, c)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
