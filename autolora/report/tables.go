package report

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/data/metrics"
	"autolora/human"
)

// scoreTables returns the main tables, one per model and family of tasks: the
// paper's Tables 1 to 4, its rows below ours.
func (r *Report) scoreTables() []*Table {
	var tables []*Table
	for _, tasks := range r.families() {
		tables = append(tables, scoreTable(tasks), lossTable(tasks))
	}
	return tables
}

// mainTables are those that a reader wants first.
func (r *Report) mainTables() []*Table {
	tables := append(r.scoreTables(), r.controlTable(), r.settingsTable())
	if len(r.runs) == 1 {
		tables = append(tables, r.trialTable())
	}
	return withRows(tables)
}

// withRows leaves out tables without rows.
func withRows(tables []*Table) []*Table {
	return slices.DeleteFunc(tables, func(t *Table) bool { return len(t.Rows) == 0 })
}

// scoreColumn is one column of a table of scores. Where runs are set apart the
// task may be missing.
type scoreColumn struct {
	task  *Task
	score string
}

// commonest is the row of what always giving the commonest answer scores.
const commonest = "Commonest answer"

// of returns a method's values.
func (c scoreColumn) of(method string) Sample {
	if method == commonest {
		return Sample{Mean: c.task.baseline(c.score), SD: unknown}
	}
	return c.task.method(method).score(c.score)
}

// scoreTable has the scores of tasks, of one task the held-out loss too.
func scoreTable(tasks []*Task) *Table {
	return methodTable(fmt.Sprintf("Scores, %s on %s", tasks[0].Family, tasks[0].Model), tasks, func(of *Task) []string {
		scores := tableScores(of.Name, of.Primary)
		alone := !slices.ContainsFunc(tasks, func(t *Task) bool { return t.Name != of.Name })
		if alone && of.scores(metrics.NameLoss) && !slices.Contains(scores, metrics.NameLoss) {
			scores = append(slices.Clone(scores), metrics.NameLoss)
		}
		return scores
	})
}

// lossTable has the held-out losses of several tasks.
func lossTable(tasks []*Task) *Table {
	tasks = slices.DeleteFunc(slices.Clone(tasks), func(t *Task) bool { return !t.scores(metrics.NameLoss) })
	if len(groups(tasks, func(a, b *Task) bool { return a.Name == b.Name })) < 2 {
		return &Table{}
	}
	return methodTable(fmt.Sprintf("Held-out loss, %s on %s", tasks[0].Family, tasks[0].Model), tasks, func(*Task) []string { return []string{metrics.NameLoss} })
}

// scores reports whether some method of the task has a score.
func (t *Task) scores(name string) bool {
	return slices.ContainsFunc(t.Methods, func(m *Method) bool { return m.score(name).N > 0 })
}

// methodTable has a row for every method, and of each task columns with some scores.
func methodTable(title string, tasks []*Task, scoresOf func(*Task) []string) *Table {
	t := &Table{Title: title, Heads: []string{"method", "parameters"}}
	named, blocks := groups(tasks, func(a, b *Task) bool { return a.Name == b.Name }), alike(tasks)
	columns := make([][]scoreColumn, len(blocks))
	for _, same := range named {
		task, _ := taskOf(same[0].Name)
		for _, s := range scoresOf(same[0]) {
			t.Heads = append(t.Heads, task.Title+" "+head(s, same...))
			for b, block := range blocks {
				c := scoreColumn{nil, s}
				if i := slices.IndexFunc(block, func(t *Task) bool { return t.Name == task.Name }); i >= 0 {
					c.task = block[i]
				}
				columns[b] = append(columns[b], c)
			}
		}
	}
	// An average means something of one score of each task, all in the same unit.
	averaged := len(named) > 1 && len(columns[0]) == len(named) && !slices.ContainsFunc(columns[0], func(c scoreColumn) bool { return scoreOf(c.score).Unit != 100 })
	if averaged {
		t.Heads = append(t.Heads, "average")
	}
	spread, shown := spreads(slices.Concat(columns...))
	var parts []string
	for _, task := range tasks {
		parts = append(parts, task.Sizes.Parts...)
	}
	slices.Sort(parts)
	if parts = slices.Compact(parts); len(parts) == 1 { // data of one's own are named "train" for their file
		spread += fmt.Sprintf(" Scores: of the %s set.", parts[0])
	}
	t.Caption = spread + " Parameters: of the adapter; the mean where runs differ." + footnote(t.Heads)
	var sources []string
	for b, block := range blocks {
		if block[0].With != "" {
			t.subtitle("With " + block[0].With)
		}
		names, group := methodNames(block), ""
		if slices.ContainsFunc(columns[b], func(c scoreColumn) bool { return c.of(commonest).Mean.Known() }) {
			names = append([]string{commonest}, names...)
		}
		for _, name := range names {
			if g := methodOf(name).Group; g != group {
				group = g
				t.subtitle(g)
			}
			var sizes []float64
			for _, task := range block {
				if m := task.method(name); m != nil {
					sizes = append(sizes, m.Adapter.Values...)
				}
			}
			cells := []string{methodOf(name).Title, count(sample(sizes).Mean)}
			for _, c := range columns[b] {
				cells = append(cells, shown(scoreOf(c.score), c.of(name)))
			}
			if averaged {
				cells = append(cells, shown(scoreOf(columns[b][0].score), average(name, columns[b])))
			}
			if name == commonest { // the same whatever sets runs apart
				t.addOnce(Row{Cells: cells})
			} else {
				t.add(cells...)
			}
			if cells, source := paperCells(name, columns[b], averaged); source != "" {
				t.addPaper("paper", cells...)
				sources = append(sources, source)
			}
		}
	}
	if sources != nil {
		t.Caption += fmt.Sprintf(" Rows \"paper\" are printed in %s, not measured here.", strings.Join(slices.Compact(sources), ", "))
		if averaged {
			t.Caption += " Their average is the printed one where the tasks are the same, else over the tasks here."
		}
	}
	return t
}

// spreads says what of several seeds stands in columns, and returns what writes it.
func spreads(columns []scoreColumn) (caption string, write func(score, Sample) string) {
	seeds := make(map[int]bool) // numbers of them
	for _, c := range columns {
		if c.task != nil {
			for _, m := range c.task.Methods {
				seeds[m.score(c.score).N] = true
			}
		}
	}
	delete(seeds, 0)
	switch n := slices.Collect(maps.Keys(seeds)); {
	case len(n) != 1:
		return "Mean ± standard deviation over seeds (number of seeds).", score.counted
	case n[0] == 1:
		return "Of one seed.", score.spread
	default:
		return fmt.Sprintf("Mean ± standard deviation over %d seeds.", n[0]), score.spread
	}
}

// head returns the head of a column with a score of tasks. METEOR without its
// table of paraphrases does not pass for METEOR.
func head(score string, of ...*Task) string {
	how := scoreOf(score)
	without := func(r *Run) bool { return r.Results.Paraphrases != nil && !*r.Results.Paraphrases }
	if strings.HasPrefix(score, metrics.NameMETEOR) && slices.ContainsFunc(of, func(t *Task) bool { return slices.ContainsFunc(t.runs(), without) }) {
		how.Title += dagger
	}
	return how.head()
}

// dagger marks METEOR without its table of paraphrases.
const dagger = "†"

// footnote explains the dagger, if it is in a head.
func footnote(heads []string) string {
	if !strings.Contains(strings.Join(heads, ""), dagger) {
		return ""
	}
	// Of METEOR 1.5 on the outputs of 39 systems of E2E: 0.0026 lower, at most 0.0036.
	return " " + dagger + " Without METEOR's table of paraphrases, which the official score has: it is lower for that, on E2E by about 0.3 points."
}

// average returns the mean over the columns of a method's mean scores, with
// the standard deviation of the averages of single seeds where every task has
// the same seeds; nothing unless the method has all tasks.
func average(name string, columns []scoreColumn) Sample {
	var means, bySeed []float64
	for _, c := range columns {
		if c.of(name).N == 0 {
			return sample(nil)
		}
		means = append(means, float64(c.of(name).Mean))
	}
	for _, seed := range columns[0].task.method(name).Seeds {
		sum := 0.0
		for _, c := range columns {
			sum += c.task.method(name).run(seed).score(c.score)
		}
		bySeed = append(bySeed, sum/float64(len(columns)))
	}
	s := sample(bySeed)
	if slices.ContainsFunc(columns, func(c scoreColumn) bool { return c.of(name).N != s.N }) {
		return Sample{Mean: Number(mean(means)), SD: unknown}
	}
	return s
}

// paperCells returns the row of the paper for a method, and its source; "" where
// the paper has nothing in these columns.
func paperCells(name string, columns []scoreColumn, averaged bool) (cells []string, source string) {
	cells = []string{""}
	var found []float64
	printed := 0.0
	for _, c := range columns {
		var p *Paper
		var r *PaperRow
		var v float64
		if c.task != nil {
			p, r, v = paperScore(name, c.task.Name, c.score)
		}
		if p == nil {
			cells = append(cells, unknownCell)
			continue
		}
		cells[0], source = r.Parameters, fmt.Sprintf("%s (%s)", p.Source, p.Model)
		cells = append(cells, fixed(v, scoreOf(c.score).Digits))
		if found = append(found, v); len(found) == len(p.Scores) {
			printed = r.Average // its own, which is not the mean of every row
		}
	}
	switch {
	case averaged && len(found) == len(columns):
		cells = append(cells, fixed(cmp.Or(printed, mean(found)), 1))
	case averaged:
		cells = append(cells, unknownCell)
	}
	return cells, source
}

// controlTable returns, of every method that searches ranks, how its held-out loss
// differs from that of its controls.
func (r *Report) controlTable() *Table {
	t := &Table{Title: "Learned ranks against the same parameters placed in other ways", Heads: []string{"method", "parameters", head(metrics.NameLoss)},
		Caption: "Held-out loss, and how it differs from that of each control, paired over examples and seeds (two-sided p; none of one seed): negative where the learned ranks are better."}
	column := make(map[string]int)
	for _, m := range runs.Methods {
		if m.Of == reference {
			column[m.Placed] = len(t.Heads)
			t.Heads = append(t.Heads, "minus "+m.Placed)
		}
	}
	for _, task := range r.Tasks {
		var rows []Row
		for _, m := range task.Methods {
			cells, found := slices.Repeat([]string{unknownCell}, len(t.Heads)), false
			cells[0], cells[1], cells[2] = methodOf(m.Method).Title, count(m.Adapter.Mean), scoreOf(metrics.NameLoss).counted(m.score(metrics.NameLoss))
			for _, c := range task.Comparisons {
				if other := methodOf(c.Other); c.Of == m.Method && other.Of == c.Of && c.Loss != nil {
					p := pEquals(c.Loss.Interval.P)
					switch {
					case c.Loss.same():
						p = "the same"
					case len(c.Loss.Seeds) == 1: // it would be of other examples alone
						p = "one seed"
					}
					cells[column[other.Placed]], found = fmt.Sprintf("%s (%s)", heldOut.signed(c.Loss.Mean), p), true
				}
			}
			if found {
				rows = append(rows, Row{Cells: cells})
			}
		}
		if rows != nil {
			t.subtitle(r.name(task))
			t.Rows = append(t.Rows, rows...)
		}
	}
	return t
}

// minus names the comparisons of a table: where all are of one method, by the other.
func (r *Report) minus() (of string, name func(*Comparison) string) {
	var subjects []string
	for _, task := range r.Tasks {
		for _, c := range task.Comparisons {
			if !slices.Contains(subjects, c.Of) {
				subjects = append(subjects, c.Of)
			}
		}
	}
	if len(subjects) == 1 {
		return methodOf(subjects[0]).Title + " minus", func(c *Comparison) string { return methodOf(c.Other).Title }
	}
	return "method minus another", func(c *Comparison) string {
		other := methodOf(c.Other)
		return methodOf(c.Of).Title + " − " + cmp.Or(other.Placed, other.Title)
	}
}

// differenceTable returns the differences of the main scores.
func (r *Report) differenceTable() *Table {
	of, name := r.minus()
	t := &Table{Title: of + " the others, paired over seeds",
		Heads:   []string{of, "seeds", "difference", "sd", "95 % interval", "p"},
		Caption: "Student's t over the seeds that both methods have, on these very examples; over tasks, for the average of just these tasks. " + r.multiplicity(func(c *Comparison) Interval { return c.Interval })}
	if strings.HasSuffix(of, "another") {
		t.Title = "Differences of scores, paired over seeds"
	}
	add := func(title string, of []*Comparison) {
		if len(of) > 0 {
			t.subtitle(title)
		}
		for _, c := range of {
			how, pairs, sd := scoreOf(c.Score), seedList(c.Seeds), c.Differences.SD
			if c.Tasks != nil {
				pairs, sd = fmt.Sprintf("%d tasks", len(c.Tasks)), unknown // that of the tasks says nothing about seeds
			}
			t.add(name(c), pairs, how.signed(c.Differences.Mean), how.difference(sd), how.interval(c.Interval), pValue(c.Interval.P))
		}
	}
	for _, task := range r.Tasks {
		add(r.name(task)+", "+scoreOf(task.Primary).words(), task.Comparisons)
	}
	for _, o := range r.Overall {
		add(fmt.Sprintf("Average over the tasks of %s on %s", o.Family, o.Model), o.Comparisons)
	}
	return t
}

// lossDifferenceTable returns the differences of the held-out losses.
func (r *Report) lossDifferenceTable() *Table {
	of, name := r.minus()
	t := &Table{Title: "Differences of held-out loss, paired over examples and seeds",
		Heads: []string{of, "examples", "seeds", "difference", "standard error", "sd of seeds", "95 % interval", "p"},
		Caption: "Lower is better. Standard error: of the mean over examples, for other examples and these trainings; sd of seeds: of the differences of whole runs. " +
			"Interval and p are for other examples and other trainings, by both variances added; of one seed for other examples alone, where another seed of the same method may differ as much. " +
			r.multiplicity(func(c *Comparison) Interval {
				if c.Loss == nil || len(c.Loss.Seeds) == 1 {
					return Interval{Low: unknown}
				}
				return c.Loss.Interval
			})}
	for _, task := range r.Tasks {
		first := true
		for _, c := range task.Comparisons {
			if d := c.Loss; d != nil {
				if first {
					t.subtitle(r.name(task))
				}
				first = false
				t.add(name(c), human.Thousands(d.Examples), seedList(d.Seeds), heldOut.signed(d.Mean), heldOut.difference(d.StandardError), heldOut.difference(d.SD),
					heldOut.interval(d.Interval), pValue(d.Interval.P))
			}
		}
	}
	return t
}

// trialTable returns the trials of settings.
func (r *Report) trialTable() *Table {
	t := &Table{Title: "Trials of settings", Heads: []string{"trial", "parameters", "steps", head(metrics.NameLoss), "standard error", ""},
		Caption: "Held-out loss on a part of the training data, after the steps that each had."}
	for _, task := range r.Tasks {
		for _, run := range task.runs() {
			u := run.Tune
			if u == nil {
				continue
			}
			t.subtitle(fmt.Sprintf("%s: %s, seed %d", r.name(task), methodOf(run.Results.Method).Title, run.Results.Seed))
			for n, trial := range u.Trials {
				loss, mark := unknown, string(trial.State)
				if trial.Loss != nil {
					loss = Number(*trial.Loss)
				}
				if u.Chosen != nil && n == u.Choice {
					mark = "chosen"
				}
				t.add(u.Words(n), human.Thousands(trial.Parameters), human.Thousands(trial.Steps), heldOut.format(loss), heldOut.difference(Number(standardError(trial))), mark)
			}
			if len(r.runs) > 1 && run.Results.Method == methodTune {
				t.Caption += fmt.Sprintf(" Seed %d: %s.", run.Results.Seed, strings.Join(Advice(u, &run.Results), "; "))
			}
		}
	}
	return t
}

// costTable returns the parameters of every method, and what its runs cost.
func (r *Report) costTable() *Table {
	t := &Table{Title: "Parameters and cost", Heads: []string{"method", "parameters", "search s", "train s", "total s", "cost", "passes"},
		Caption: "Means over seeds. Total: with loading and evaluation. Cost: seconds of search and training relative to AdaLoRA's with the same seeds; " +
			"passes: likewise, forward and backward passes through the model, which do not depend on what else the machine does. " +
			"The controls train at ranks made of AutoLoRA's, whose search is not counted again."}
	for _, task := range r.Tasks {
		t.addMethods(r.name(task), task, func(m *Method) []string {
			parameters := count(m.Adapter.Mean)
			if m.Head.Mean > 0 { // a language model has none but its own
				t.Heads[1] = "parameters + head"
				parameters += " + " + count(m.Head.Mean)
			}
			return []string{parameters, seconds(m.Seconds.Search.Mean), seconds(m.Seconds.Train.Mean), seconds(m.Seconds.Total.Mean), times(m.RelativeCost), times(m.RelativePasses)}
		})
	}
	for _, o := range r.Overall {
		if len(o.Costs) > 0 {
			t.subtitle(fmt.Sprintf("All tasks of %s on %s", o.Family, o.Model))
		}
		for _, c := range o.Costs {
			t.add(methodOf(c.Method).Title, "", "", "", "", times(c.Relative), "")
		}
	}
	if len(r.Papers) > 0 {
		t.subtitle("The paper's Table 5, mean of SST-2, MNLI and QQP")
		for _, c := range published.Cost {
			t.addPaper(methodOf(c.Method).Title, "", "", "", "", times(c.Cost), "")
		}
	}
	return t
}

// settingsTable returns the settings that a reader asks for first, once for the
// tasks that have the same.
func (r *Report) settingsTable() *Table {
	t := &Table{Title: "Settings", Heads: []string{"method", "learning rate", "batch", "rank", "k", "search rate"},
		Caption: "k: the highest rank that a search can give."}
	rows := func(task *Task) (rows []Row) {
		for _, m := range task.Methods {
			how := methodOf(m.Method)
			if cells := m.settings(how); cells[0] != "" { // a pruning may train nothing
				rows = append(rows, Row{Cells: append([]string{how.Title}, cells...)})
			}
		}
		return rows
	}
	for _, same := range groups(r.Tasks, func(a, b *Task) bool { return reflect.DeepEqual(rows(a), rows(b)) }) {
		if of := rows(same[0]); of != nil {
			t.subtitle(r.names(same))
			t.Rows = append(t.Rows, of...)
		}
	}
	return t
}

// settings returns the cells of the table of settings.
func (m *Method) settings(how runs.Method) []string {
	of := func(name string) string { return strings.Join(values(m.runs, name), ", ") }
	batch, rank, k, rate := of("batch-size"), "", "", ""
	if times := of("accumulate"); times != "1" && times != "" {
		batch += " × " + times
	}
	switch {
	case how.Ranks == runs.Searched:
		rank, k, rate = "learned", of("k"), of("search-lr")
	case how.Ranks == runs.Allocated:
		rank = of("adalora-init-rank") + " → " + of("adalora-target-rank")
	case how.Ranks == runs.OneRank && how.Trains == runs.TrainsLoRA:
		if rank = of("rank"); rank != "" && of("parameters") != "0" && of("parameters") != "" { // which gives all layers the highest that it allows
			rank = "by budget"
		}
	}
	lr := of("lr")
	if m.Method == runs.MethodPrune && m.TrainSteps.Mean == 0 {
		lr = "" // which trained nothing
	}
	if m.Method == methodTune {
		rank += " on " + of("target")
	}
	return []string{lr, batch, rank, k, rate}
}

// workTable returns what runs did: steps, tokens, passes, memory.
func (r *Report) workTable() *Table {
	t := &Table{Title: "Work",
		Heads: []string{"method", "seeds", "parameters", "load s", "eval s", "search steps", "steps", "tokens", "forward", "backward", "memory"},
		Caption: "Means over seeds; parameters of the adapter: lowest to highest. Tokens and passes: of search and training. " +
			"Memory: the highest resident size of the process."}
	for _, task := range r.Tasks {
		t.addMethods(r.name(task), task, func(m *Method) []string {
			parameters := count(Number(slices.Min(m.Adapter.Values)))
			if high := count(Number(slices.Max(m.Adapter.Values))); high != parameters {
				parameters += "–" + high
			}
			return []string{seedList(m.Seeds), parameters, seconds(m.Seconds.Load.Mean), seconds(m.Seconds.Eval.Mean), count(m.SearchSteps.Mean),
				count(m.TrainSteps.Mean), count(m.Tokens.Mean), count(m.Forward.Mean), count(m.Backward.Mean), human.Bytes(m.PeakMemory)}
		})
	}
	return t
}

// allScoresTable returns every score, if there are more than the main tables
// show.
func (r *Report) allScoresTable() *Table {
	t := &Table{Title: "All scores", Heads: []string{"method"}}
	heads, more := make(map[string]string), false // by score
	for _, task := range r.Tasks {
		for _, m := range task.Methods {
			for name := range m.Scores {
				heads[name] = max(heads[name], head(name, task)) // with a dagger, if one has it
				more = more || !slices.Contains(tableScores(task.Name, task.Primary), name)
			}
		}
	}
	if !more {
		return t
	}
	names := slices.Sorted(maps.Keys(heads))
	for _, name := range names {
		t.Heads = append(t.Heads, heads[name])
	}
	t.Caption = strings.TrimSpace(footnote(t.Heads))
	for _, task := range r.Tasks {
		t.addMethods(r.name(task), task, func(m *Method) (cells []string) {
			for _, name := range names {
				cells = append(cells, scoreOf(name).counted(m.score(name)))
			}
			return cells
		})
	}
	return t
}

// rankTable returns what the learned ranks come to.
func (r *Report) rankTable() *Table {
	t := &Table{Title: "Learned ranks against chance",
		Heads: []string{"method", "seeds", "mean", "(chance)", "sd", "(chance)", "Pearson", "Spearman", "(chance)", "p"},
		Caption: "Mean and standard deviation over the layers, beside what the threshold gives if no selection variable is better than another. " +
			"Pearson and Spearman: mean correlation of the layers' ranks over all pairs of seeds (between tasks: of their means over seeds), beside what permuted layers give; " +
			"p: share of 9,999 random permutations with as high a Pearson correlation."}
	add := func(method string, a Agreement, cells ...string) {
		chance := unknownCell
		if a.ChanceSD.Known() {
			chance = "0 ± " + decimals(a.ChanceSD)
		}
		t.add(slices.Concat([]string{methodOf(method).Title}, cells, []string{decimals(a.Pearson), decimals(a.Spearman), chance, pValue(a.P)})...)
	}
	for _, task := range r.Tasks {
		if len(task.Ranks) > 0 {
			t.subtitle(r.name(task))
		}
		for _, s := range task.Ranks {
			add(s.Method, s.Agreement, seedList(s.Seeds), decimals(s.Mean), decimals(s.ChanceMean), decimals(s.SD), decimals(s.ChanceSD))
		}
	}
	title := ""
	for _, p := range r.Patterns {
		if text := fmt.Sprintf("Between %d tasks on %s", len(p.Tasks), p.Model); text != title {
			title = text
			t.subtitle(title)
		}
		add(p.Method, p.Agreement, "", "", "", "", "")
	}
	return t
}

// sizeTable returns the numbers of examples (the paper's Table 6).
func (r *Report) sizeTable() *Table {
	t := &Table{Title: "Examples", Heads: []string{"task", "training", "evaluated"}}
	if len(r.Papers) > 0 {
		t.Heads, t.Caption = []string{"task", "training", "evaluated", "paper's training", "paper's dev"}, "Paper: Table 6."
	}
	known := func(n int) string {
		if n == 0 {
			return unknownCell
		}
		return human.Thousands(n)
	}
	for _, task := range r.Tasks {
		s := task.Sizes
		paper, _ := taskOf(task.Name)
		evaluated := known(s.Evaluated)
		if len(s.Parts) > 0 {
			evaluated += " (" + strings.Join(s.Parts, ", ") + ")"
		}
		t.add([]string{r.name(task), known(s.Train), evaluated, known(paper.Train), cmp.Or(paper.Dev, unknownCell)}[:len(t.Heads)]...)
	}
	return t
}

// otherTables returns all tables but the main ones that have rows.
func (r *Report) otherTables() []*Table {
	tables := r.detailTables()
	if len(r.runs) > 1 {
		tables = append(tables, r.trialTable())
	}
	return withRows(append(tables, r.lossDifferenceTable(), r.differenceTable(), r.costTable(), r.workTable(), r.rankTable(), r.allScoresTable(), r.sizeTable()))
}
