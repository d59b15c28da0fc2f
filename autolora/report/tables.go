package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"autolora/autolora/human"
	"autolora/data/metrics"
)

// ScoreTables returns the main tables, one per model and family of tasks: the
// paper's Tables 1 to 4, its rows below ours.
func (r *Report) ScoreTables() []*Table {
	var tables []*Table
	for i, first := range r.Tasks {
		same := func(t *Task) bool { return t.Model == first.Model && t.Family == first.Family }
		if slices.ContainsFunc(r.Tasks[:i], same) {
			continue
		}
		var tasks []*Task
		for _, t := range r.Tasks[i:] {
			if same(t) {
				tasks = append(tasks, t)
			}
		}
		tables = append(tables, scoreTable(tasks))
	}
	return tables
}

// scoreColumn is one column of a table of scores.
type scoreColumn struct {
	task  *Task
	score string
}

func scoreTable(tasks []*Task) *Table {
	var columns []scoreColumn
	var names []string
	for _, t := range tasks {
		for _, s := range tableScores(t.Name, t.Primary) {
			columns = append(columns, scoreColumn{t, s})
		}
		for _, m := range t.Methods {
			if !slices.Contains(names, m.Method) {
				names = append(names, m.Method)
			}
		}
	}
	slices.SortFunc(names, byMethod)
	averaged := len(tasks) > 1 && averageable(columns)

	first := tasks[0]
	t := &Table{Title: fmt.Sprintf("Scores, %s on %s", first.Family, first.Model), Heads: []string{"method", "parameters"}}
	for _, c := range columns {
		t.Heads = append(t.Heads, c.task.Title+" "+c.task.head(c.score))
	}
	if averaged {
		t.Heads = append(t.Heads, "average")
	}
	seeds := commonSeeds(columns, names)
	var sources []string
	group := ""
	for _, name := range names {
		if g := groupOf(name); g != group {
			if group = g; g != "" {
				t.subtitle(g)
			}
		}
		t.add(scoreRow(name, tasks, columns, averaged, seeds > 0)...)
		if row, source := paperCells(name, columns, averaged); row != nil {
			t.addPaper(row...)
			if !slices.Contains(sources, source) {
				sources = append(sources, source)
			}
		}
	}
	switch seeds {
	case 0:
		t.Caption = "Mean ± standard deviation over seeds (number of seeds)."
	case 1:
		t.Caption = "Of one seed."
	default:
		t.Caption = fmt.Sprintf("Mean ± standard deviation over %d seeds.", seeds)
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
	if score != metrics.NameMETEOR && !strings.HasPrefix(score, metrics.NameMETEOR+"_") {
		return false
	}
	return slices.ContainsFunc(t.Methods, func(m *Method) bool {
		return slices.ContainsFunc(m.runs, func(r *Run) bool {
			_, scored := r.Results.Scores[score]
			return scored && r.Results.Paraphrases != nil && !*r.Results.Paraphrases
		})
	})
}

// hasHead reports whether a head was trained on the task. A language model has
// none but its own.
func (t *Task) hasHead() bool {
	return slices.ContainsFunc(t.Methods, func(m *Method) bool { return m.Head.Mean > 0 })
}

// groupOf returns the title above the rows of ablations and of controls.
func groupOf(method string) string {
	switch {
	case isAblation(method):
		return "Ablations (Table 4)"
	case isControl(method):
		return "Controls"
	}
	return ""
}

// averageable reports whether an average of the columns means something: one
// score of each task, all in the same unit.
func averageable(columns []scoreColumn) bool {
	for i, c := range columns {
		if scoreOf(c.score).factor != 100 || i > 0 && c.task == columns[i-1].task {
			return false
		}
	}
	return true
}

// commonSeeds returns the number of seeds of every score in the columns; 0 where
// they differ.
func commonSeeds(columns []scoreColumn, names []string) int {
	seeds := 0
	for _, c := range columns {
		for _, name := range names {
			m := c.task.method(name)
			if m == nil || m.Scores[c.score].N == 0 {
				continue
			}
			if n := m.Scores[c.score].N; seeds == 0 {
				seeds = n
			} else if n != seeds {
				return 0
			}
		}
	}
	return seeds
}

// scoreRow returns a method's row, with the number of seeds in each cell unless
// all have the same.
func scoreRow(name string, tasks []*Task, columns []scoreColumn, averaged, sameSeeds bool) []string {
	shown := score.counted
	if sameSeeds {
		shown = score.spread
	}
	row := []string{methodOf(name).title}
	var sizes []float64
	for _, t := range tasks {
		if m := t.method(name); m != nil {
			for _, r := range m.runs {
				sizes = append(sizes, float64(r.Results.Parameters.Adapter))
			}
		}
	}
	row = append(row, count(float64(sample(sizes).Mean)))
	for _, c := range columns {
		m := c.task.method(name)
		if m == nil || m.Scores[c.score].N == 0 {
			row = append(row, "–")
			continue
		}
		row = append(row, shown(scoreOf(c.score), m.Scores[c.score]))
	}
	if averaged {
		row = append(row, average(name, columns, shown))
	}
	return row
}

// average returns the mean over the columns of a method's mean scores, with
// the standard deviation of the averages of single seeds where every task has
// the same seeds; "–" unless the method has all tasks.
func average(name string, columns []scoreColumn, shown func(score, Sample) string) string {
	var sum float64
	var seeds []uint64
	paired := true
	for i, c := range columns {
		m := c.task.method(name)
		if m == nil || m.Scores[c.score].N == 0 {
			return "–"
		}
		sum += float64(m.Scores[c.score].Mean) / float64(len(columns))
		if i == 0 {
			seeds = m.Seeds
		}
		paired = paired && slices.Equal(seeds, m.Seeds)
	}
	how := scoreOf(columns[0].score)
	if !paired {
		return how.format(Number(sum))
	}
	var bySeed []float64
	for _, seed := range seeds {
		of := 0.0
		for _, c := range columns {
			of += c.task.method(name).run(seed).score(c.score) / float64(len(columns))
		}
		bySeed = append(bySeed, of)
	}
	return shown(how, sample(bySeed))
}

// paperCells returns the row of the paper for a method, and its source; nil
// where the paper has nothing in these columns.
func paperCells(name string, columns []scoreColumn, averaged bool) (row []string, source string) {
	row = []string{"paper", ""}
	sum, found, printed := 0.0, 0, 0.0
	for _, c := range columns {
		p, v := paperScore(name, c.task.Name, c.score)
		if p == nil {
			row = append(row, "–")
			continue
		}
		_, r := paperRow(name, c.task.Name)
		row[1], source = r.Parameters, fmt.Sprintf("%s (%s)", p.Source, p.Model)
		row = append(row, fmt.Sprintf("%.*f", scoreOf(c.score).digits, v))
		sum += v
		if found++; found == len(columns) && len(columns) == len(p.Scores) {
			printed = r.Average // its own, which is not the mean of every row
		}
	}
	if found == 0 {
		return nil, ""
	}
	if averaged {
		text := "–"
		if found == len(columns) {
			text = fmt.Sprintf("%.1f", cmp.Or(printed, sum/float64(found)))
		}
		row = append(row, text)
	}
	return row, source
}

// DifferenceTable returns AutoLoRA minus every other method; nil where there
// is nothing to compare.
func (r *Report) DifferenceTable() *Table {
	t := &Table{Title: "AutoLoRA minus the others, paired over seeds",
		Heads: []string{"AutoLoRA minus", "seeds", "difference", "sd", "95 % interval", "p"}}
	for _, task := range r.Tasks {
		if len(task.Comparisons) > 0 {
			t.subtitle(r.name(task) + ", " + scoreOf(task.Primary).words())
		}
		for _, c := range task.Comparisons {
			how := scoreOf(c.Score)
			sd := "–"
			if c.Differences.SD.Known() {
				sd = how.difference(c.Differences.SD)
			}
			t.add(methodOf(c.Other).title, seedList(c.Seeds), difference(how, c.Differences.Mean), sd, intervalCell(how, c.Interval), pCell(c.Interval.P))
		}
	}
	for _, o := range r.Overall {
		if len(o.Comparisons) > 0 {
			t.subtitle(fmt.Sprintf("Average over the tasks of %s on %s", o.Family, o.Model))
		}
		for _, d := range o.Comparisons {
			t.add(methodOf(d.Other).title, fmt.Sprintf("%d tasks", len(d.Tasks)), difference(d.how, d.Interval.Mean), "–", intervalCell(d.how, d.Interval), pCell(d.Interval.P))
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	t.Caption = "Student's t over the seeds that both methods have; over tasks, for the average of just these tasks. " + r.multiplicity()
	return t
}

// difference returns a difference with its sign.
func difference(how score, v Number) string {
	text := how.difference(v)
	if v > 0 {
		return "+" + text
	}
	return text
}

func intervalCell(how score, i Interval) string {
	if !i.Low.Known() {
		return "–"
	}
	return fmt.Sprintf("%s to %s", how.difference(i.Low), how.difference(i.High))
}

func pCell(p Number) string {
	if !p.Known() {
		return "–"
	}
	return pValue(p)
}

// CostTable returns the parameters of every method, and what its runs cost.
func (r *Report) CostTable() *Table {
	t := &Table{Title: "Parameters and cost", Heads: []string{"method", "parameters"}}
	heads := slices.ContainsFunc(r.Tasks, (*Task).hasHead)
	if heads {
		t.Heads = append(t.Heads, "with head")
	}
	t.Heads = append(t.Heads, "search s", "train s", "total s", "cost", "passes")
	short := func(name string, relative Number) []string {
		row := make([]string, len(t.Heads))
		row[0], row[len(row)-2] = name, times(relative)
		return row
	}
	paper := func(method string) {
		if cost, ok := paperCost[method]; ok {
			t.addPaper(short("paper", Number(cost))...)
		}
	}
	for _, task := range r.Tasks {
		t.subtitle(r.name(task))
		for _, m := range task.Methods {
			row := []string{methodOf(m.Method).title, count(float64(m.Adapter.Mean))}
			if heads {
				row = append(row, count(float64(m.Adapter.Mean+m.Head.Mean)))
			}
			t.add(append(row, seconds(m.Seconds.Search.Mean), seconds(m.Seconds.Train.Mean), seconds(m.Seconds.Total.Mean), times(m.RelativeCost), times(m.RelativePasses))...)
			if len(r.Overall) == 0 {
				paper(m.Method)
			}
		}
	}
	for _, o := range r.Overall {
		if len(o.Costs) > 0 {
			t.subtitle(fmt.Sprintf("All tasks of %s on %s", o.Family, o.Model))
		}
		for _, c := range o.Costs {
			t.add(short(methodOf(c.Method).title, c.Relative)...)
			paper(c.Method)
		}
	}
	t.Caption = "Means over seeds. Parameters: trained"
	if heads {
		t.Caption += ", without and with the task's head"
	}
	t.Caption += ". Total: with loading and evaluation. " +
		"Cost: seconds of search and training relative to AdaLoRA's with the same seeds; passes: likewise, forward and backward passes " +
		"through the model, which do not depend on what else the machine does. The controls train at ranks made of AutoLoRA's, whose search is not counted again. Rows \"paper\": Table 5, the mean of SST-2, MNLI and QQP."
	return t
}

// WorkTable returns what runs did: steps, tokens, passes, memory.
func (r *Report) WorkTable() *Table {
	t := &Table{Title: "Work",
		Heads: []string{"method", "seeds", "parameters", "load s", "eval s", "search steps", "steps", "tokens", "forward", "backward", "memory"}}
	for _, task := range r.Tasks {
		t.subtitle(r.name(task))
		for _, m := range task.Methods {
			t.add(methodOf(m.Method).title, seedList(m.Seeds), rangeCell(m.Adapter), seconds(m.Seconds.Load.Mean), seconds(m.Seconds.Eval.Mean),
				count(float64(m.SearchSteps.Mean)), count(float64(m.TrainSteps.Mean)),
				count(float64(m.Tokens.Mean)), count(float64(m.Forward.Mean)), count(float64(m.Backward.Mean)), human.Bytes(m.PeakMemory))
		}
	}
	t.Caption = "Means over seeds; parameters of the adapter: lowest to highest. Tokens and passes: of search and training. " +
		"Memory: the highest resident size of the process."
	return t
}

// rangeCell returns the lowest and the highest value.
func rangeCell(s Sample) string {
	low, high := slices.Min(s.Values), slices.Max(s.Values)
	if low == high {
		return count(float64(low))
	}
	return fmt.Sprintf("%s–%s", count(float64(low)), count(float64(high)))
}

// AllScoresTable returns every score of every task that has more than the
// main table shows; nil where none has.
func (r *Report) AllScoresTable() *Table {
	t := &Table{Title: "All scores", Heads: []string{"method"}}
	var tasks []*Task
	var columns []string
	for _, task := range r.Tasks {
		var more bool
		for _, m := range task.Methods {
			for name := range m.Scores {
				more = more || !slices.Contains(tableScores(task.Name, task.Primary), name)
				if !slices.Contains(columns, name) {
					columns = append(columns, name)
				}
			}
		}
		if more {
			tasks = append(tasks, task)
		}
	}
	if tasks == nil {
		return nil
	}
	columns = slices.DeleteFunc(columns, func(name string) bool {
		return !slices.ContainsFunc(tasks, func(task *Task) bool { return task.has(name) })
	})
	slices.Sort(columns)
	for _, name := range columns {
		head := scoreOf(name).head()
		for _, task := range tasks {
			if task.lacksParaphrases(name) {
				head = task.head(name)
			}
		}
		t.Heads = append(t.Heads, head)
	}
	t.Caption = strings.TrimSpace(footnote(t.Heads))
	for _, task := range tasks {
		t.subtitle(r.name(task))
		for _, m := range task.Methods {
			row := []string{methodOf(m.Method).title}
			for _, name := range columns {
				if s, ok := m.Scores[name]; ok {
					row = append(row, scoreOf(name).counted(s))
				} else {
					row = append(row, "–")
				}
			}
			t.add(row...)
		}
	}
	return t
}

// has reports whether a run of the task has a score of that name.
func (t *Task) has(score string) bool {
	return slices.ContainsFunc(t.Methods, func(m *Method) bool {
		_, ok := m.Scores[score]
		return ok
	})
}

// RankTable returns what the learned ranks come to; nil where none were
// learned.
func (r *Report) RankTable() *Table {
	t := &Table{Title: "Learned ranks against chance",
		Heads: []string{"method", "seeds", "mean", "(chance)", "sd", "(chance)", "Pearson", "Spearman", "(chance)", "p"}}
	agree := func(a Agreement) []string {
		chance := "–"
		if a.ChanceSD.Known() {
			chance = "0 ± " + decimals(a.ChanceSD)
		}
		return []string{cell(a.Pearson), cell(a.Spearman), chance, pCell(a.P)}
	}
	for _, task := range r.Tasks {
		if len(task.Ranks) > 0 {
			t.subtitle(r.name(task))
		}
		for _, s := range task.Ranks {
			row := []string{methodOf(s.Method).title, seedList(s.Seeds), cell(s.Mean), cell(s.ChanceMean), cell(s.SD), cell(s.ChanceSD)}
			t.add(append(row, agree(s.Agreement)...)...)
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	title := ""
	for _, p := range r.Patterns {
		if text := fmt.Sprintf("Between %d tasks on %s", len(p.Tasks), p.Model); text != title {
			title = text
			t.subtitle(title)
		}
		t.add(append([]string{methodOf(p.Method).title, "", "", "", "", ""}, agree(p.Agreement)...)...)
	}
	t.Caption = "Mean and standard deviation over the layers, beside what the threshold gives if no selection variable is better than another. " +
		"Pearson and Spearman: mean correlation of the layers' ranks over all pairs of seeds (between tasks: of their means over seeds), beside what permuted layers give; " +
		"p: share of 9,999 random permutations with as high a Pearson correlation."
	return t
}

// cell returns a number to two decimals, "–" where it is not known.
func cell(n Number) string {
	if !n.Known() {
		return "–"
	}
	return decimals(n)
}

// SizeTable returns the numbers of examples (the paper's Table 6).
func (r *Report) SizeTable() *Table {
	t := &Table{Title: "Examples", Heads: []string{"task", "training", "paper", "evaluated", "paper"}}
	known := func(n int) string {
		if n == 0 {
			return "–"
		}
		return human.Thousands(n)
	}
	for _, task := range r.Tasks {
		train, dev := "–", "–"
		if s, ok := paperSizes[task.Name]; ok {
			train, dev = known(s.train), s.dev
		}
		t.add(r.name(task), known(task.Sizes.Train), train, known(task.Sizes.Evaluated)+task.Sizes.part(), dev)
	}
	t.Caption = "Paper: Table 6, training and dev set."
	return t
}

// otherTables returns all tables but the main ones.
func (r *Report) otherTables() []*Table {
	var tables []*Table
	for _, t := range []*Table{r.DifferenceTable(), r.CostTable(), r.WorkTable(), r.RankTable(), r.AllScoresTable(), r.SizeTable()} {
		if t != nil {
			tables = append(tables, t)
		}
	}
	return tables
}
