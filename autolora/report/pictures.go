package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"autolora/autolora/human"
	"autolora/autolora/runs"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// pictures returns all figures that the runs give something to draw for, in
// the order of a page.
func (r *Report) pictures() []picture {
	all := r.rankPictures()
	if r.severalRuns() {
		all = slices.Concat([]picture{r.scorePicture(), r.differencePicture()}, all, []picture{r.costPicture()})
	}
	for i := range r.Tasks {
		all = append(all, r.curvePicture(i))
	}
	all = append(all, r.alphaPicture())
	return slices.DeleteFunc(all, func(p picture) bool { return len(p.panels) == 0 })
}

// severalRuns reports whether some task has more than one run.
func (r *Report) severalRuns() bool {
	return slices.ContainsFunc(r.Tasks, func(t *Task) bool { return len(t.Methods) > 1 || len(t.Methods[0].runs) > 1 })
}

// dots returns a row of a panel of dots.
func dots(m runs.Method, number string, how score, mean, low, high Number, values []Number) row {
	r := row{label: m.Title, number: number, of: shadeOf(m), mean: how.scaled(mean), low: how.scaled(low), high: how.scaled(high)}
	for _, v := range values {
		r.values = append(r.values, how.scaled(v))
	}
	return r
}

// scorePicture is the paper's Figure 2: scores of methods, task by task.
func (r *Report) scorePicture() picture {
	p := picture{name: "scores", title: "Scores", columns: 3,
		caption: "Mean over seeds (dot) with the standard deviation; rings are single seeds (the paper's Figure 2)."}
	for _, t := range r.Tasks {
		how := scoreOf(t.Primary)
		var rows []row
		for _, m := range t.Methods {
			if s := m.Scores[t.Primary]; s.N > 0 {
				rows = append(rows, dots(methodOf(m.Method), how.spread(s), how, s.Mean, s.Mean-s.SD, s.Mean+s.SD, s.Values))
			}
		}
		if rows != nil {
			p.panels = append(p.panels, dotPanel(r.name(t)+", "+how.head(), "", false, rows))
		}
	}
	return p
}

// differencePicture is AutoLoRA minus the others.
func (r *Report) differencePicture() picture {
	p := picture{name: "differences", title: "AutoLoRA minus the others", columns: 3,
		caption: "Paired over seeds: mean (dot) with its 95 % confidence interval; rings are single seeds. An interval that crosses 0 is not more than chance."}
	add := func(title string, of []*Comparison) {
		below := "AutoLoRA is worse ← 0 → better"
		var rows []row
		for _, c := range of {
			how, values := scoreOf(c.Score), c.Differences.Values
			number := how.signed(c.Differences.Mean)
			if c.Interval.Low.Known() {
				number += fmt.Sprintf(" [%s, %s]", how.difference(c.Interval.Low), how.difference(c.Interval.High))
			}
			if how.better == down {
				below = "AutoLoRA is better ← 0 → worse"
			}
			if c.Tasks != nil {
				values = nil
			}
			if c.Differences.N > 0 {
				rows = append(rows, dots(methodOf(c.Other), number, how, c.Differences.Mean, c.Interval.Low, c.Interval.High, values))
			}
		}
		if rows != nil {
			p.panels = append(p.panels, dotPanel(title, below, true, rows))
		}
	}
	for _, o := range r.Overall {
		add(fmt.Sprintf("Average of %s on %s", plural(len(o.Tasks), "task", "tasks"), o.Model), o.Comparisons)
	}
	for _, t := range r.Tasks {
		add(r.name(t)+", "+scoreOf(t.Primary).head(), t.Comparisons)
	}
	return p
}

// rankPictures are the paper's Figure 3: the learned ranks of all tasks, means
// over seeds, AutoLoRA's first; folded, its single seeds and other methods.
func (r *Report) rankPictures() []picture {
	means := picture{name: "ranks", title: "Learned ranks", columns: 1,
		caption: "A column for every Transformer block, a row for every data set and kind of layer (as the paper's Figure 3)."}
	bySeed := picture{name: "ranks-by-seed", title: "Learned ranks, seed by seed", columns: 1, folded: true,
		caption: "What differs between these is not the task: a pattern that means something comes out again."}
	others := picture{name: "ranks-others", title: "Learned ranks of other methods", columns: 1, folded: true,
		caption: "AdaLoRA's parts are pruned while it trains; the ablations' ranks come from searches of their own."}
	for _, model := range r.models() {
		for _, m := range runs.Methods {
			var studies []*RankStudy
			seeds := make(map[uint64]bool)
			for _, t := range r.Tasks {
				for _, s := range t.Ranks {
					if t.Model == model && s.Method == m.Name {
						studies = append(studies, s)
						for _, seed := range s.Seeds {
							seeds[seed] = true
						}
					}
				}
			}
			title, into := m.Title, &others
			if m.Name == reference {
				into = &means
			}
			if r.severalModels() {
				title += ", " + model
			}
			if len(seeds) < 2 {
				into.addRanks(title, studies, func(s *RankStudy) []Number { return s.Means })
				continue
			}
			into.addRanks(title+", mean over seeds", studies, func(s *RankStudy) []Number { return s.Means })
			for _, seed := range slices.Sorted(maps.Keys(seeds)) {
				if m.Name == reference {
					bySeed.addRanks(fmt.Sprintf("%s, seed %d", title, seed), studies, func(s *RankStudy) []Number { return s.of(seed) })
				}
			}
		}
	}
	others.folded = means.panels != nil
	return []picture{means, bySeed, others}
}

// addRanks adds the heat map of a method's ranks on all tasks: values of each.
func (p *picture) addRanks(title string, studies []*RankStudy, values func(*RankStudy) []Number) {
	h := heatMap{top: 1}
	for _, s := range studies {
		if slices.ContainsFunc(values(s), func(v Number) bool { return float64(v) != math.Trunc(float64(v)) }) {
			h.digits = 1 // of all, so that they compare at a glance
		}
		h.top = max(h.top, float64(s.K), float64(slices.Max(slices.Concat(s.Ranks...))))
	}
	for _, s := range studies {
		if v := values(s); v != nil {
			rows, others := heatRows(s.task, s.Layers, v, h.digits)
			h.rows = append(h.rows, rows...)
			if others != nil {
				p.caption += fmt.Sprintf(" %s, outside of the blocks: %s.", title, strings.Join(others, ", "))
			}
		}
	}
	if h.rows != nil {
		p.panels = append(p.panels, heatPanel(title, h))
	}
}

// of returns the ranks of one seed; nil where there are none.
func (s *RankStudy) of(seed uint64) (values []Number) {
	if i := slices.Index(s.Seeds, seed); i >= 0 {
		for _, rank := range s.Ranks[i] {
			values = append(values, Number(rank))
		}
	}
	return values
}

// models returns the models of the runs.
func (r *Report) models() []string {
	var models []string
	for _, t := range r.Tasks { // in the order of their models
		models = append(models, t.Model)
	}
	return slices.Compact(models)
}

// costPicture is the paper's Table 5 as bars: the cost of methods relative to
// AdaLoRA, or, where that was not run, in seconds; and that table itself.
func (r *Report) costPicture() picture {
	p := picture{name: "cost", title: "Cost", columns: 3, caption: "Time of search (hollow) and training (full), means over seeds."}
	relative := false
	for _, t := range r.Tasks {
		ada := t.method(runs.MethodAdaLoRA) != nil
		relative = relative || ada
		var rows []row
		for _, m := range t.Methods {
			search, train := float64(m.Seconds.Search.Mean), float64(m.Seconds.Train.Mean)
			unit := 1.0
			if ada {
				unit = (search + train) / float64(m.RelativeCost)
			}
			if shown := methodOf(m.Method); !ada || m.RelativeCost.Known() { // else no seed in common
				rows = append(rows, row{label: shown.Title, of: shadeOf(shown), search: search / unit, train: train / unit, number: human.Significant((search + train) / unit)})
			}
		}
		below := "seconds; AdaLoRA was not run"
		if ada {
			below = "AdaLoRA = 1"
		}
		if rows != nil {
			p.panels = append(p.panels, costPanel(r.name(t), below, rows))
		}
	}
	if relative {
		var rows []row
		for _, m := range runs.Methods {
			if cost, ok := paperCost[m.Name]; ok {
				rows = append(rows, row{label: m.Title, train: cost, number: human.Significant(cost), of: gray})
			}
		}
		p.panels = append(p.panels, costPanel("The paper: mean of SST-2, MNLI, QQP", "Table 5; AdaLoRA = 1", rows))
	}
	return p
}

// curvePoints is how many points a curve has at most: a tenth of the pixels.
const curvePoints = 60

// curvePicture is what the runs of a task logged.
func (r *Report) curvePicture(i int) picture {
	t := r.Tasks[i]
	p := picture{name: fmt.Sprintf("curves-%d", i+1), title: "Curves, " + r.name(t), columns: 3, folded: len(r.Tasks) > 2,
		caption: "Losses are of single batches: each point is the mean over the seeds and over the logged steps around it."}
	add := func(what string, label func(float64) string, curves ...curve) {
		if part, ok := curvePanel(r.name(t)+", "+what, label, curves...); ok {
			p.panels = append(p.panels, part)
		}
	}
	ours := stroke(shadeOf(methodOf(reference)), 2.4)
	var losses []curve
	for _, m := range t.Methods {
		c := curve{name: methodOf(m.Method).Title, style: stroke(shadeOf(methodOf(m.Method)), 1.6, dashOf(methodOf(m.Method))...),
			points: smooth(m.series("train"), curvePoints, mean, func(p Point) float64 { return p.Loss })}
		if m.Method == reference {
			c.style = ours
		}
		losses = append(losses, c)
	}
	slices.SortStableFunc(losses, func(a, b curve) int { return int(a.style.Width - b.style.Width) }) // AutoLoRA's last, on top
	add("training loss", shortNumber, losses...)
	if m := t.searching(); m != nil {
		series := m.series("search")
		of := func(reduce func([]float64) float64, of func(Point) float64) plotter.XYs {
			return smooth(series, curvePoints, reduce, of)
		}
		add("losses of the search", shortNumber,
			curve{name: "training half", points: of(mean, func(p Point) float64 { return p.Loss }), style: ours},
			curve{name: "validation half", points: of(mean, func(p Point) float64 { return p.ValLoss }), style: stroke(orange, 1.6, dash(7, 3)...)})
		add("‖implicit‖ / ‖direct‖", powerOfTen, m.ratios()...)
		add("ranks in the search", shortNumber, curve{name: "mean, lowest, highest", style: ours,
			points: of(mean, func(p Point) float64 { return p.MeanRank }), low: of(slices.Min, func(p Point) float64 { return p.Low }), high: of(slices.Max, func(p Point) float64 { return p.High })})
	}
	if m := t.method(runs.MethodAdaLoRA); m != nil {
		points := smooth(m.series("train"), 4*curvePoints, mean, func(p Point) float64 { return p.Budget })
		add("AdaLoRA's budget (sum of ranks)", shortNumber, curve{points: points, style: stroke(green, 2), step: plotter.PostStep})
	}
	return p
}

// searching returns the runs whose search is drawn: AutoLoRA's, or the first
// that has one.
func (t *Task) searching() *Method {
	var found *Method
	for _, m := range t.Methods {
		has := slices.ContainsFunc(m.runs, func(r *Run) bool { return len(r.Curves.Points["search"]) > 0 && r.Grid == nil })
		if has && (found == nil || m.Method == reference) {
			found = m
		}
	}
	return found
}

// series returns the logged points of all runs.
func (m *Method) series(phase string) [][]Point {
	var all [][]Point
	for _, r := range m.runs {
		all = append(all, r.Curves.Points[phase])
	}
	return all
}

// seedShades and seedDashes tell seeds apart.
var (
	seedShades = []shade{blue, orange, green, violet, magenta}
	seedDashes = [][]vg.Length{nil, dash(7, 3), dash(2, 2.5), dash(9, 3, 2, 3), dash(4, 2)}
)

// ratios returns how large the second-order part was, in powers of ten, for
// every seed, of the first five at most.
func (m *Method) ratios() []curve {
	var curves []curve
	for i, r := range m.runs[:min(len(m.runs), len(seedShades))] {
		points := smooth([][]Point{r.Curves.Points["search"]}, curvePoints, mean, func(p Point) float64 { return math.Log10(p.Ratio) })
		curves = append(curves, curve{name: fmt.Sprintf("seed %d", r.Results.Seed), points: points, style: stroke(seedShades[i], 1.8, seedDashes[i]...)})
	}
	return curves
}

// alphaPicture is the selection variables of every layer, of one seed of each
// task.
func (r *Report) alphaPicture() picture {
	p := picture{name: "alpha", title: "Selection variables", columns: 3, folded: r.severalRuns(),
		caption: "The α of every layer through the search, or, where that was not logged, at its end; those that end above the dashed threshold make the rank."}
	for _, t := range r.Tasks {
		for _, m := range t.Methods {
			if i := slices.IndexFunc(m.runs, (*Run).hasAlpha); i >= 0 && (m.Method == reference || t.method(reference) == nil) {
				p.panels = append(p.panels, m.runs[i].alphas(r.name(t)))
				break
			}
		}
	}
	return p
}

// hasAlpha reports whether the ranks came from selection variables.
func (r *Run) hasAlpha() bool {
	return r.Ranks != nil && r.Ranks.K > 0 && !slices.ContainsFunc(r.Ranks.Layers, func(l runs.LayerRank) bool { return len(l.Alpha) == 0 })
}

// alphas draws the selection variables of a run.
func (r *Run) alphas(task string) panel {
	var final [][]float64
	for _, l := range r.Ranks.Layers {
		final = append(final, l.Alpha)
	}
	history := r.Curves.Alpha
	if n := len(history); n > 0 && history[n-1].Step < r.Ranks.Steps {
		history = append(slices.Clone(history), AlphaPoint{r.Ranks.Steps, final})
	}
	return alphaPanel(fmt.Sprintf("%s, α, seed %d", task, r.Results.Seed), r.Ranks.Names(), history, final, rankRule(r.Ranks.Rule).threshold)
}

func mean(values []float64) float64 { return stat.Mean(values, nil) }
