package report

import (
	"fmt"
	"math"
	"slices"

	"autolora/autolora/human"
	"autolora/autolora/runs"
)

// pictures returns all figures that the runs give something to draw for, in
// the order of a page.
func (r *Report) pictures() []picture {
	all := []picture{r.scorePicture(), r.differencePicture()}
	all = append(all, r.rankPictures()...)
	all = append(all, r.costPicture())
	all = append(all, r.curvePictures()...)
	all = append(all, r.alphaPicture())
	return slices.DeleteFunc(all, func(p picture) bool { return len(p.panels) == 0 })
}

// severalRuns reports whether some task has more than one run.
func (r *Report) severalRuns() bool {
	return slices.ContainsFunc(r.Tasks, func(t *Task) bool { return len(t.Methods) > 1 || len(t.Methods[0].runs) > 1 })
}

// scorePicture is the paper's Figure 2: scores of methods, task by task.
func (r *Report) scorePicture() picture {
	p := picture{name: "scores", title: "Scores", columns: 3,
		caption: "Mean over seeds; the bar of error is the standard deviation, rings are single seeds (as the paper's Figure 2)."}
	if !r.severalRuns() {
		return p
	}
	for _, t := range r.Tasks {
		if part, ok := scorePanel(r.name(t), t); ok {
			p.panels = append(p.panels, part)
		}
	}
	return p
}

// differencePicture is AutoLoRA minus the others.
func (r *Report) differencePicture() picture {
	p := picture{name: "differences", title: "AutoLoRA minus the others", columns: 3,
		caption: "Paired over seeds: mean (dot) with its 95 % confidence interval; rings are single seeds. An interval that crosses 0 is not more than chance."}
	for _, o := range r.Overall {
		var rows []differenceRow
		for _, d := range o.Comparisons {
			rows = append(rows, differenceRow{label: methodOf(d.Other).title, how: d.how, Interval: d.Interval})
		}
		if rows != nil {
			p.panels = append(p.panels, differencePanel(fmt.Sprintf("Average of %s on %s", plural(len(o.Tasks), "task", "tasks"), o.Model), rows))
		}
	}
	for _, t := range r.Tasks {
		var rows []differenceRow
		for _, c := range t.Comparisons {
			if c.Differences.N > 0 {
				rows = append(rows, differenceRow{methodOf(c.Other).title, scoreOf(c.Score), c.Interval, c.Differences.Values})
			}
		}
		if rows != nil {
			p.panels = append(p.panels, differencePanel(r.name(t)+", "+scoreOf(t.Primary).head(), rows))
		}
	}
	return p
}

// rankPictures are the paper's Figure 3: the learned ranks of all tasks, means
// over seeds, AutoLoRA's first; folded, its single seeds and other methods.
func (r *Report) rankPictures() []picture {
	means := picture{name: "ranks", title: "Learned ranks", columns: 1,
		caption: "A column for every Transformer block, a row for every data set and kind of layer (as the paper's Figure 3)."}
	seeds := picture{name: "ranks-by-seed", title: "Learned ranks, seed by seed", columns: 1, folded: true,
		caption: "What differs between these is not the task: a pattern that means something comes out again."}
	others := picture{name: "ranks-others", title: "Learned ranks of other methods", columns: 1, folded: true,
		caption: "AdaLoRA's parts are pruned while it trains; the ablations' ranks come from searches of their own."}
	for _, model := range r.models() {
		for _, m := range methods {
			studies, titles := r.studiesOf(model, m.name)
			if studies == nil {
				continue
			}
			name := m.title
			if r.severalModels() {
				name += ", " + model
			}
			all := seedsOf(studies)
			title := name
			if len(all) > 1 {
				title += ", mean over seeds"
			}
			mean := rankSheet(title, titles, studies, func(s *RankStudy) []Number { return s.Means })
			if m.name != reference {
				others.panels = append(others.panels, mean)
				continue
			}
			means.panels = append(means.panels, mean)
			for _, seed := range all {
				seeds.panels = append(seeds.panels, rankSheet(fmt.Sprintf("%s, seed %d", name, seed), titles, studies, func(s *RankStudy) []Number { return s.of(seed) }))
			}
		}
	}
	if len(seeds.panels) == len(means.panels) { // one seed: the same again
		seeds.panels = nil
	}
	if means.panels == nil {
		others.folded = false
	}
	return []picture{means, seeds, others}
}

// models returns the models of the runs.
func (r *Report) models() []string {
	var models []string
	for _, t := range r.Tasks {
		if !slices.Contains(models, t.Model) {
			models = append(models, t.Model)
		}
	}
	return models
}

// studiesOf returns the ranks of a method on all tasks, and the tasks' titles.
func (r *Report) studiesOf(model, method string) (studies []*RankStudy, titles []string) {
	for _, t := range r.Tasks {
		for _, s := range t.Ranks {
			if t.Model == model && s.Method == method {
				studies, titles = append(studies, s), append(titles, t.Title)
			}
		}
	}
	return studies, titles
}

// seedsOf returns the seeds of all studies.
func seedsOf(studies []*RankStudy) []uint64 {
	var seeds []uint64
	for _, s := range studies {
		seeds = append(seeds, s.Seeds...)
	}
	slices.Sort(seeds)
	return slices.Compact(seeds)
}

// of returns the ranks of one seed; nil where there are none.
func (s *RankStudy) of(seed uint64) []Number {
	i := slices.Index(s.Seeds, seed)
	if i < 0 {
		return nil
	}
	var values []Number
	for _, rank := range s.Ranks[i] {
		values = append(values, Number(rank))
	}
	return values
}

// rankSheet draws numbers of the layers of all studies as one heat map.
func rankSheet(title string, groups []string, studies []*RankStudy, values func(*RankStudy) []Number) panel {
	digits := 0
	for _, s := range studies {
		if slices.ContainsFunc(values(s), func(v Number) bool { return v != Number(math.Trunc(float64(v))) }) {
			digits = 1 // of all, so that they compare at a glance
		}
	}
	var rows []rankRow
	var others []string
	for i, s := range studies {
		if v := values(s); v != nil {
			more, rest := rankRows(groups[i], s.Layers, v, digits)
			rows, others = append(rows, more...), append(others, rest...)
		}
	}
	return heatMap(title, rows, others, topRank(studies...), digits)
}

// costPicture is the paper's Table 5 as bars: the cost of methods relative to
// AdaLoRA, or, where that was not run, in seconds; and that table itself.
func (r *Report) costPicture() picture {
	p := picture{name: "cost", title: "Cost", columns: 3, caption: "Time of search (striped) and training (full), means over seeds."}
	if !r.severalRuns() {
		return p
	}
	relative := false
	for _, t := range r.Tasks {
		ada := t.method(runs.MethodAdaLoRA)
		var rows []costRow
		for _, m := range t.Methods {
			row := costRow{label: methodOf(m.Method).title, of: strokeOf(m.Method).of, search: float64(m.Seconds.Search.Mean), train: float64(m.Seconds.Train.Mean)}
			if ada != nil {
				if !m.RelativeCost.Known() { // no seed in common
					continue
				}
				unit := (row.search + row.train) / float64(m.RelativeCost)
				row.search, row.train = row.search/unit, row.train/unit
			}
			row.number = human.Significant(row.search + row.train)
			rows = append(rows, row)
		}
		below := "seconds; AdaLoRA was not run"
		if ada != nil {
			below, relative = "AdaLoRA = 1", true
		}
		if rows != nil {
			p.panels = append(p.panels, costPanel(r.name(t), below, rows))
		}
	}
	if relative {
		p.panels = append(p.panels, paperCostPanel())
	}
	return p
}

// paperCostPanel draws the paper's own numbers, in gray.
func paperCostPanel() panel {
	var rows []costRow
	for _, m := range methods {
		if cost, ok := paperCost[m.name]; ok {
			rows = append(rows, costRow{label: m.title, train: cost, number: human.Significant(cost), of: gray})
		}
	}
	return costPanel("The paper: mean of SST-2, MNLI, QQP", "Table 5; AdaLoRA = 1", rows)
}

// curvePoints is how many points a curve has at most: a tenth of the pixels.
const curvePoints = 60

// curvePictures are what the runs logged, one picture for every task.
func (r *Report) curvePictures() []picture {
	var all []picture
	for i, t := range r.Tasks {
		p := picture{name: fmt.Sprintf("curves-%d", i+1), title: "Curves, " + r.name(t), columns: 3, folded: len(r.Tasks) > 2,
			caption: "Losses are of single batches: each point is the mean over the seeds and over the logged steps around it."}
		add := func(part panel, ok bool) {
			if ok {
				p.panels = append(p.panels, part)
			}
		}
		title := func(what string) string { return r.name(t) + ", " + what }
		add(curvePanel(title("training loss"), false, t.lossCurves()))
		if m := t.searching(); m != nil {
			series := m.series(func(c Curves) []Point { return c.Search })
			of := func(reduce func([]float64) float64, of func(Point) float64) []xy {
				return smooth(series, curvePoints, reduce, of)
			}
			add(curvePanel(title("losses of the search"), false, []curve{
				{name: "training half", points: of(mean, func(p Point) float64 { return p.Loss }), stroke: strokeOf(runs.MethodAutoLoRA)},
				{name: "validation half", points: of(mean, func(p Point) float64 { return p.ValLoss }), stroke: strokeOf(runs.MethodLoRA)},
			}))
			add(curvePanel(title("‖implicit‖ / ‖direct‖"), true, m.ratios()))
			add(curvePanel(title("ranks in the search"), false, []curve{{
				name: "mean; behind it, lowest to highest", stroke: strokeOf(runs.MethodAutoLoRA),
				points: of(mean, func(p Point) float64 { return p.MeanRank }),
				low:    of(slices.Min, func(p Point) float64 { return p.Low }),
				high:   of(slices.Max, func(p Point) float64 { return p.High }),
			}}))
		}
		if m := t.method(runs.MethodAdaLoRA); m != nil {
			series := m.series(func(c Curves) []Point { return c.Train })
			points := smooth(series, 4*curvePoints, mean, func(p Point) float64 { return p.Budget })
			add(curvePanel(title("AdaLoRA's budget (sum of ranks)"), false, []curve{{points: points, stroke: stroke{green, 2, nil}, steps: true}}))
		}
		all = append(all, p)
	}
	return all
}

// alphaPicture is the selection variables of every layer, of one seed of each
// task.
func (r *Report) alphaPicture() picture {
	p := picture{name: "alpha", title: "Selection variables", columns: 3, folded: r.severalRuns(),
		caption: "The α of every layer through the search, or, where that was not logged, at its end; those that end above the dashed threshold make the rank."}
	for _, t := range r.Tasks {
		if m := t.searching(); m != nil {
			if part, ok := m.alphas(r.name(t)); ok {
				p.panels = append(p.panels, part)
			}
		}
	}
	return p
}

// searching returns the runs whose search is drawn: AutoLoRA's, or the first
// that has one.
func (t *Task) searching() *Method {
	var found *Method
	for _, m := range t.Methods {
		has := slices.ContainsFunc(m.runs, func(r *Run) bool { return len(r.Curves.Search) > 0 && r.Grid == nil })
		if has && (found == nil || m.Method == reference) {
			found = m
		}
	}
	return found
}

// series returns the logged points of all runs.
func (m *Method) series(of func(Curves) []Point) [][]Point {
	var all [][]Point
	for _, r := range m.runs {
		all = append(all, of(r.Curves))
	}
	return all
}

// lossCurves returns the training loss of every method.
func (t *Task) lossCurves() []curve {
	var curves []curve
	for _, m := range t.Methods {
		series := m.series(func(c Curves) []Point { return c.Train })
		curves = append(curves, curve{name: methodOf(m.Method).title, stroke: strokeOf(m.Method),
			points: smooth(series, curvePoints, mean, func(p Point) float64 { return p.Loss })})
	}
	// AutoLoRA's last, on top.
	slices.SortStableFunc(curves, func(a, b curve) int {
		return b2i(a.name == methodOf(reference).title) - b2i(b.name == methodOf(reference).title)
	})
	return curves
}

// seedStrokes tell seeds apart.
var seedStrokes = []stroke{
	{blue, 1.8, nil}, {orange, 1.8, lengths(7, 3)}, {green, 1.8, lengths(2, 2.5)}, {violet, 1.8, lengths(9, 3, 2, 3)}, {magenta, 1.8, lengths(4, 2)},
}

// ratios returns how large the second-order part was, for every seed, of the
// first five at most.
func (m *Method) ratios() []curve {
	var curves []curve
	for i, r := range m.runs[:min(len(m.runs), len(seedStrokes))] {
		points := smooth([][]Point{r.Curves.Search}, curvePoints, geometric, func(p Point) float64 {
			if p.Ratio > 0 {
				return p.Ratio
			}
			return math.NaN() // an axis of logarithms has no 0
		})
		curves = append(curves, curve{name: fmt.Sprintf("seed %d", r.Results.Seed), points: points, stroke: seedStrokes[i]})
	}
	return curves
}

// alphas draws the selection variables of the first run that has some.
func (m *Method) alphas(task string) (panel, bool) {
	for _, r := range m.runs {
		if r.Ranks == nil || r.Ranks.K < 1 || slices.ContainsFunc(r.Ranks.Layers, func(l runs.LayerRank) bool { return len(l.Alpha) == 0 }) {
			continue
		}
		var final [][]float64
		for _, l := range r.Ranks.Layers {
			final = append(final, l.Alpha)
		}
		history := r.Curves.Alpha
		if n := len(history); n > 0 && history[n-1].Step < r.Ranks.Steps {
			history = append(slices.Clone(history), AlphaPoint{r.Ranks.Steps, final})
		}
		return alphaPanel(fmt.Sprintf("%s, α, seed %d", task, r.Results.Seed), r.Ranks.Names(), history, final, parseRule(r.Ranks.Rule).threshold), true
	}
	return panel{}, false
}
