package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"autolora/autolora/human"
	"autolora/data/metrics"
)

// scoreTables returns the main tables, one per model and family of tasks: the
// paper's Tables 1 to 4, its rows below ours.
func (r *Report) scoreTables() []*Table {
	var tables []*Table
	for _, tasks := range r.families() {
		tables = append(tables, scoreTable(tasks))
	}
	return tables
}

// scoreColumn is one column of a table of scores.
type scoreColumn struct {
	task  *Task
	score string
}

// of returns a method's values; none where it has none.
func (c scoreColumn) of(method string) Sample {
	if m := c.task.method(method); m != nil {
		return m.Scores[c.score]
	}
	return Sample{}
}

func scoreTable(tasks []*Task) *Table {
	t := &Table{Title: fmt.Sprintf("Scores, %s on %s", tasks[0].Family, tasks[0].Model), Heads: []string{"method", "parameters"}}
	var columns []scoreColumn
	names := methodNames(tasks)
	seeds := make(map[int]bool) // numbers of them
	averaged := len(tasks) > 1  // if that means something: one score of each task, all in the same unit
	for _, task := range tasks {
		scores := tableScores(task.Name, task.Primary)
		for _, s := range scores {
			c := scoreColumn{task, s}
			columns, t.Heads = append(columns, c), append(t.Heads, task.Title+" "+task.head(s))
			averaged = averaged && len(scores) == 1 && scoreOf(s).factor == 100
			for _, name := range names {
				seeds[c.of(name).N] = true
			}
		}
	}
	if averaged {
		t.Heads = append(t.Heads, "average")
	}
	delete(seeds, 0)
	shown := score.spread
	if len(seeds) > 1 {
		shown = score.counted
	}
	var sources []string
	group := ""
	for _, name := range names {
		if g := methodOf(name).Group; g != group {
			group = g
			t.subtitle(g)
		}
		t.add(scoreRow(name, columns, averaged, shown)...)
		if row, source := paperCells(name, columns, averaged); row != nil {
			t.addPaper(row...)
			if !slices.Contains(sources, source) {
				sources = append(sources, source)
			}
		}
	}
	switch {
	case len(seeds) != 1:
		t.Caption = "Mean ± standard deviation over seeds (number of seeds)."
	case seeds[1]:
		t.Caption = "Of one seed."
	default:
		t.Caption = fmt.Sprintf("Mean ± standard deviation over %d seeds.", slices.Max(slices.Collect(maps.Keys(seeds))))
	}
	t.Caption += " Parameters: of the adapter"
	if slices.ContainsFunc(tasks, (*Task).hasHead) {
		t.Caption += ", without the head"
	}
	t.Caption += "; the mean where runs differ." + footnote(t.Heads)
	if sources != nil {
		t.Caption += fmt.Sprintf(" Rows \"paper\" are printed in %s, not measured here.", strings.Join(sources, ", "))
		if averaged {
			t.Caption += " Their average is the printed one where the tasks are the same, else over the tasks here."
		}
	}
	return t
}

// head returns the head of a column with a score of the task. METEOR without
// its table of paraphrases does not pass for METEOR.
func (t *Task) head(score string) string {
	how := scoreOf(score)
	if t.lacksParaphrases(score) {
		how.title += dagger
	}
	return how.head()
}

// dagger marks METEOR without its table of paraphrases.
const dagger = "†"

// footnote explains the dagger, if it is in a head.
func footnote(heads []string) string {
	if !slices.ContainsFunc(heads, func(head string) bool { return strings.Contains(head, dagger) }) {
		return ""
	}
	// Of METEOR 1.5 on the outputs of 39 systems of E2E: 0.0026 lower, at most 0.0036.
	return " " + dagger + " Without METEOR's table of paraphrases (--paraphrases), which the official score has: it is lower for that, on E2E by about 0.3 points."
}

// lacksParaphrases reports whether a score is METEOR, and that of some run was
// computed without its table of paraphrases.
func (t *Task) lacksParaphrases(score string) bool {
	return (score == metrics.NameMETEOR || strings.HasPrefix(score, metrics.NameMETEOR+"_")) && slices.ContainsFunc(t.runs(), func(r *Run) bool {
		_, scored := r.Results.Scores[score]
		return scored && r.Results.Paraphrases != nil && !*r.Results.Paraphrases
	})
}

// hasHead reports whether a head was trained on the task. A language model has
// none but its own.
func (t *Task) hasHead() bool {
	return slices.ContainsFunc(t.Methods, func(m *Method) bool { return m.Head.Mean > 0 })
}

// scoreRow returns a method's row.
func scoreRow(name string, columns []scoreColumn, averaged bool, shown func(score, Sample) string) []string {
	var cells []string
	var sizes []float64
	for i, c := range columns {
		cell := unknownCell
		if s := c.of(name); s.N > 0 {
			cell = shown(scoreOf(c.score), s)
		}
		cells = append(cells, cell)
		if m := c.task.method(name); m != nil && (i == 0 || c.task != columns[i-1].task) {
			for _, v := range m.Adapter.Values {
				sizes = append(sizes, float64(v))
			}
		}
	}
	if averaged {
		cells = append(cells, average(name, columns, shown))
	}
	return append([]string{methodOf(name).Title, count(sample(sizes).Mean)}, cells...)
}

// average returns the mean over the columns of a method's mean scores, with
// the standard deviation of the averages of single seeds where every task has
// the same seeds; "–" unless the method has all tasks.
func average(name string, columns []scoreColumn, shown func(score, Sample) string) string {
	var means, bySeed []float64
	for _, c := range columns {
		if c.of(name).N == 0 {
			return unknownCell
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
	how, s := scoreOf(columns[0].score), sample(bySeed)
	if slices.ContainsFunc(columns, func(c scoreColumn) bool { return c.of(name).N != s.N }) {
		return how.format(Number(mean(means)))
	}
	return shown(how, s)
}

// paperCells returns the row of the paper for a method, and its source; nil
// where the paper has nothing in these columns.
func paperCells(name string, columns []scoreColumn, averaged bool) (row []string, source string) {
	row = []string{"paper", ""}
	var found []float64
	printed := 0.0
	for _, c := range columns {
		p, r, v := paperScore(name, c.task.Name, c.score)
		if p == nil {
			row = append(row, unknownCell)
			continue
		}
		row[1], source = r.Parameters, fmt.Sprintf("%s (%s)", p.Source, p.Model)
		row = append(row, fmt.Sprintf("%.*f", scoreOf(c.score).digits, v))
		if found = append(found, v); len(found) == len(p.Scores) {
			printed = r.Average // its own, which is not the mean of every row
		}
	}
	if found == nil {
		return nil, ""
	}
	switch {
	case averaged && len(found) == len(columns):
		row = append(row, fmt.Sprintf("%.1f", cmp.Or(printed, mean(found))))
	case averaged:
		row = append(row, unknownCell)
	}
	return row, source
}

// differenceTable returns AutoLoRA minus every other method.
func (r *Report) differenceTable() *Table {
	t := &Table{Title: "AutoLoRA minus the others, paired over seeds",
		Heads: []string{"AutoLoRA minus", "seeds", "difference", "sd", "95 % interval", "p"}}
	add := func(title string, of []*Comparison) {
		if len(of) > 0 {
			t.subtitle(title)
		}
		for _, c := range of {
			how, pairs, sd := scoreOf(c.Score), seedList(c.Seeds), c.Differences.SD
			if c.Tasks != nil {
				pairs, sd = fmt.Sprintf("%d tasks", len(c.Tasks)), unknown // that of the tasks says nothing about seeds
			}
			t.add(methodOf(c.Other).Title, pairs, how.signed(c.Differences.Mean), how.difference(sd), how.interval(c.Interval), pValue(c.Interval.P))
		}
	}
	for _, task := range r.Tasks {
		add(r.name(task)+", "+scoreOf(task.Primary).words(), task.Comparisons)
	}
	for _, o := range r.Overall {
		add(fmt.Sprintf("Average over the tasks of %s on %s", o.Family, o.Model), o.Comparisons)
	}
	t.Caption = "Student's t over the seeds that both methods have; over tasks, for the average of just these tasks. " + r.multiplicity()
	return t
}

// costTable returns the parameters of every method, and what its runs cost.
func (r *Report) costTable() *Table {
	t := &Table{Title: "Parameters and cost", Heads: []string{"method", "parameters", "with head", "search s", "train s", "total s", "cost", "passes"}}
	add := func(method string, cells ...string) {
		t.add(append([]string{methodOf(method).Title}, cells...)...)
		if cost, ok := paperCost[method]; ok && (len(r.Overall) == 0 || cells[0] == "") {
			t.addPaper("paper", "", "", "", "", "", times(Number(cost)), "")
		}
	}
	for _, task := range r.Tasks {
		t.subtitle(r.name(task))
		for _, m := range task.Methods {
			add(m.Method, count(m.Adapter.Mean), count(m.Adapter.Mean+m.Head.Mean), seconds(m.Seconds.Search.Mean), seconds(m.Seconds.Train.Mean),
				seconds(m.Seconds.Total.Mean), times(m.RelativeCost), times(m.RelativePasses))
		}
	}
	for _, o := range r.Overall {
		if len(o.Costs) > 0 {
			t.subtitle(fmt.Sprintf("All tasks of %s on %s", o.Family, o.Model))
		}
		for _, c := range o.Costs {
			add(c.Method, "", "", "", "", "", times(c.Relative), "")
		}
	}
	t.Caption = "Means over seeds. Parameters: trained, without and with the task's head. Total: with loading and evaluation. " +
		"Cost: seconds of search and training relative to AdaLoRA's with the same seeds; passes: likewise, forward and backward passes " +
		"through the model, which do not depend on what else the machine does. The controls train at ranks made of AutoLoRA's, whose search is not counted again. Rows \"paper\": Table 5, the mean of SST-2, MNLI and QQP."
	if !slices.ContainsFunc(r.Tasks, (*Task).hasHead) {
		t.Caption = strings.Replace(t.Caption, ", without and with the task's head", "", 1)
		t.drop(2)
	}
	return t
}

// workTable returns what runs did: steps, tokens, passes, memory.
func (r *Report) workTable() *Table {
	t := &Table{Title: "Work",
		Heads: []string{"method", "seeds", "parameters", "load s", "eval s", "search steps", "steps", "tokens", "forward", "backward", "memory"}}
	for _, task := range r.Tasks {
		t.subtitle(r.name(task))
		for _, m := range task.Methods {
			parameters := count(slices.Min(m.Adapter.Values))
			if high := count(slices.Max(m.Adapter.Values)); high != parameters {
				parameters += "–" + high
			}
			t.add(methodOf(m.Method).Title, seedList(m.Seeds), parameters, seconds(m.Seconds.Load.Mean), seconds(m.Seconds.Eval.Mean), count(m.SearchSteps.Mean),
				count(m.TrainSteps.Mean), count(m.Tokens.Mean), count(m.Forward.Mean), count(m.Backward.Mean), human.Bytes(m.PeakMemory))
		}
	}
	t.Caption = "Means over seeds; parameters of the adapter: lowest to highest. Tokens and passes: of search and training. " +
		"Memory: the highest resident size of the process."
	return t
}

// allScoresTable returns every score of every task that has more than the
// main table shows.
func (r *Report) allScoresTable() *Table {
	t := &Table{Title: "All scores", Heads: []string{"method"}}
	var tasks []*Task
	heads := make(map[string]string) // by score
	for _, task := range r.Tasks {
		own, more := make(map[string]string), false
		for _, run := range task.runs() {
			for name := range run.Results.Scores {
				own[name] = task.head(name)
				more = more || !slices.Contains(tableScores(task.Name, task.Primary), name)
			}
		}
		if more {
			tasks = append(tasks, task)
			for name, head := range own {
				heads[name] = max(heads[name], head) // with a dagger, if one has it
			}
		}
	}
	names := slices.Sorted(maps.Keys(heads))
	for _, name := range names {
		t.Heads = append(t.Heads, heads[name])
	}
	t.Caption = strings.TrimSpace(footnote(t.Heads))
	for _, task := range tasks {
		t.subtitle(r.name(task))
		for _, m := range task.Methods {
			row := []string{methodOf(m.Method).Title}
			for _, name := range names {
				cell := unknownCell
				if s, ok := m.Scores[name]; ok {
					cell = scoreOf(name).counted(s)
				}
				row = append(row, cell)
			}
			t.add(row...)
		}
	}
	return t
}

// rankTable returns what the learned ranks come to.
func (r *Report) rankTable() *Table {
	t := &Table{Title: "Learned ranks against chance",
		Heads: []string{"method", "seeds", "mean", "(chance)", "sd", "(chance)", "Pearson", "Spearman", "(chance)", "p"}}
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
	t.Caption = "Mean and standard deviation over the layers, beside what the threshold gives if no selection variable is better than another. " +
		"Pearson and Spearman: mean correlation of the layers' ranks over all pairs of seeds (between tasks: of their means over seeds), beside what permuted layers give; " +
		"p: share of 9,999 random permutations with as high a Pearson correlation."
	return t
}

// sizeTable returns the numbers of examples (the paper's Table 6).
func (r *Report) sizeTable() *Table {
	t := &Table{Title: "Examples", Heads: []string{"task", "training", "paper", "evaluated", "paper"}}
	known := func(n int) string {
		if n == 0 {
			return unknownCell
		}
		return human.Thousands(n)
	}
	for _, task := range r.Tasks {
		s, paper := task.Sizes, paperSizes[task.Name]
		evaluated := known(s.Evaluated)
		if len(s.Parts) > 0 {
			evaluated += " (" + strings.Join(s.Parts, ", ") + ")"
		}
		t.add(r.name(task), known(s.Train), known(paper.train), evaluated, cmp.Or(paper.dev, unknownCell))
	}
	t.Caption = "Paper: Table 6, training and dev set."
	return t
}

// otherTables returns all tables but the main ones that have rows.
func (r *Report) otherTables() []*Table {
	tables := []*Table{r.differenceTable(), r.costTable(), r.workTable(), r.rankTable(), r.allScoresTable(), r.sizeTable()}
	return slices.DeleteFunc(tables, func(t *Table) bool { return len(t.Rows) == 0 })
}
