package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/human"

	"gonum.org/v1/plot/vg"
)

// pictures returns all figures that the runs give something to draw for, in
// the order of a page.
func (r *Report) pictures() []picture {
	all := r.rankPictures()
	chosen := []picture{r.tuningPicture(), r.pruningPicture()}
	if r.severalRuns() {
		all = append([]picture{r.scorePicture(), r.differencePicture()}, all...)
	} else {
		all, chosen = append(chosen, all...), nil
	}
	for i := range r.Tasks {
		all = append(all, r.curvePicture(i))
	}
	all = append(append(all, r.alphaPicture()), chosen...)
	return slices.DeleteFunc(all, func(p picture) bool { return len(p.Panels) == 0 })
}

// severalRuns reports whether some task has more than one run.
func (r *Report) severalRuns() bool { return len(r.runs) > len(r.Tasks) }

// dots returns a row of a panel of dots: in the unit of a score, a mean, an
// interval, and single values.
func dots(method string, how score, mean, low, high Number, values []float64) row {
	m := methodOf(method)
	r := row{label: m.Title, of: shadeOf(m), mean: how.scaled(mean), low: how.scaled(low), high: how.scaled(high)}
	for _, v := range values {
		r.values = append(r.values, how.scaled(Number(v)))
	}
	return r
}

// scorePicture is the paper's Figure 2: scores of methods, task by task.
func (r *Report) scorePicture() picture {
	p := picture{name: "scores", Title: "Scores", columns: 3,
		Caption: "Mean over seeds (dot) with the standard deviation; rings are single seeds."}
	for _, t := range r.Tasks {
		how := scoreOf(t.Primary)
		var rows []row
		for _, m := range t.Methods {
			if s := m.score(t.Primary); s.N > 0 {
				rows = append(rows, dots(m.Method, how, s.Mean, s.Mean-s.SD, s.Mean+s.SD, s.Values))
			}
		}
		if rows != nil {
			p.Panels = append(p.Panels, dotPanel(r.name(t)+", "+how.head(), "", false, rows))
		}
	}
	return p
}

// differencePicture is AutoLoRA, or another method, minus the others: by the main score,
// and by the held-out loss.
func (r *Report) differencePicture() picture {
	of, name := r.minus()
	subject := strings.TrimSuffix(of, " minus")
	if subject == of {
		subject = "the first"
	}
	p := picture{name: "differences", Title: of + " the others", columns: 3,
		Caption: "Paired over seeds, losses over examples too: mean (dot) with its 95 % confidence interval; rings are single seeds. An interval that crosses 0 is not more than chance."}
	if subject == "the first" {
		p.Title = "One method minus another"
	}
	below := map[bool]string{false: subject + " is worse ← 0 → better", true: subject + " is better ← 0 → worse"}
	dot := func(c *Comparison, how score, mean Number, i Interval, values []float64) row {
		row := dots(c.Other, how, mean, i.Low, i.High, values)
		row.label = name(c)
		return row
	}
	add := func(title string, of []*Comparison) {
		lower := false
		var rows []row
		for _, c := range of {
			how, values := scoreOf(c.Score), c.Differences.Values
			lower = how.Lower
			if c.Tasks != nil {
				values = nil
			}
			if c.Differences.N > 0 {
				rows = append(rows, dot(c, how, c.Differences.Mean, c.Interval, values))
			}
		}
		if rows != nil {
			p.Panels = append(p.Panels, dotPanel(title, below[lower], true, rows))
		}
	}
	for _, o := range r.Overall {
		add(fmt.Sprintf("Average of %s on %s", human.Count(len(o.Tasks), "task"), o.Model), o.Comparisons)
	}
	for _, t := range r.Tasks {
		add(r.name(t)+", "+scoreOf(t.Primary).head(), t.Comparisons)
		var rows []row
		for _, c := range t.Comparisons {
			if c.Loss != nil {
				rows = append(rows, dot(c, heldOut, c.Loss.Mean, c.Loss.Interval, c.Loss.BySeed))
			}
		}
		if rows != nil {
			p.Panels = append(p.Panels, dotPanel(r.name(t)+", held-out "+heldOut.head(), below[true], true, rows))
		}
	}
	return p
}

// rankPictures are the paper's Figure 3: the learned ranks of all tasks, means
// over seeds; folded, single seeds.
func (r *Report) rankPictures() []picture {
	means := picture{name: "ranks", Title: "Learned ranks", columns: 1,
		Caption: "Means over seeds: a column for every Transformer block, a row for every data set and kind of layer. AdaLoRA's parts are pruned while it trains."}
	bySeed := picture{name: "ranks-by-seed", Title: "Learned ranks, seed by seed", columns: 1, Folded: true,
		Caption: "What differs between these is not the task: a pattern that means something comes out again."}
	for _, model := range r.models() {
		for _, m := range runs.Methods {
			var studies []*RankStudy
			var seeds []uint64
			for _, t := range r.Tasks {
				for _, s := range t.Ranks {
					if t.Model == model && s.Method == m.Name {
						studies, seeds = append(studies, s), append(seeds, s.Seeds...)
					}
				}
			}
			title := m.Title + r.onModel(model)
			means.addRanks(title, studies, func(s *RankStudy) []float64 { return s.Means })
			slices.Sort(seeds)
			if seeds = slices.Compact(seeds); len(seeds) > 1 {
				for _, seed := range seeds {
					bySeed.addRanks(fmt.Sprintf("%s, seed %d", title, seed), studies, func(s *RankStudy) []float64 { return s.of(seed) })
				}
			}
		}
	}
	return []picture{means, bySeed}
}

// addRanks adds the heat map of a method's ranks on all tasks: values of each.
func (p *picture) addRanks(title string, studies []*RankStudy, values func(*RankStudy) []float64) {
	h := heatMap{top: 1}
	for _, s := range studies {
		if slices.ContainsFunc(values(s), func(v float64) bool { return v != math.Trunc(v) }) {
			h.digits = 1 // of all, so that they compare at a glance
		}
		h.top = max(h.top, float64(s.K), float64(slices.Max(slices.Concat(s.Ranks...))))
	}
	for _, s := range studies {
		if v := values(s); v != nil {
			h.rows = append(h.rows, heatRows(s.task, s.Layers, v)...)
		}
	}
	if h.rows != nil {
		p.Panels = append(p.Panels, heatPanel(title, h))
	}
}

// of returns the ranks of one seed; nil where there are none.
func (s *RankStudy) of(seed uint64) []float64 {
	if i := slices.Index(s.Seeds, seed); i >= 0 {
		return toFloats(s.Ranks[i])
	}
	return nil
}

// curvePoints is how many points a curve has at most: a tenth of the pixels.
const curvePoints = 60

// mostCurves is how many methods have a curve with those of controls among them.
const mostCurves = 12

// curvePicture is what the runs of a task logged.
func (r *Report) curvePicture(i int) picture {
	t := r.Tasks[i]
	p := picture{name: fmt.Sprintf("curves-%d", i+1), Title: "Curves, " + r.name(t), columns: 3, Folded: len(r.Tasks) > 2,
		Caption: "Losses are of single batches: each point is the mean over the seeds and over the logged steps around it."}
	add := func(what string, label func(float64) string, curves ...curve) {
		if part, ok := curvePanel(r.name(t)+", "+what, label, curves...); ok {
			p.Panels = append(p.Panels, part)
		}
	}
	var losses, heldOut []curve
	for _, m := range t.Methods {
		if len(t.Methods) > mostCurves && methodOf(m.Method).Of != "" {
			continue // of controls: they look like what they are controls of
		}
		title, style := methodOf(m.Method).Title, strokeOf(m.Method)
		losses = append(losses, curve{title, smooth(m.runs, "train", curvePoints, mean, loss), style})
		style.Dashes = []vg.Length{7, 3}
		heldOut = append(heldOut, curve{title, smooth(m.runs, "train", curvePoints, mean, validationLoss), style})
	}
	for _, curves := range [][]curve{losses, heldOut} {
		slices.SortStableFunc(curves, func(a, b curve) int { return cmp.Compare(a.style.Width, b.style.Width) }) // AutoLoRA's last, on top
	}
	if len(t.Methods) == 1 && len(heldOut[0].points) > 0 { // beside each other
		losses[0].name, heldOut[0].name = "training", "held-out"
		add("loss", shortNumber, losses[0], heldOut[0])
	} else {
		add("training loss", shortNumber, losses...)
		add("held-out loss in training", shortNumber, heldOut...)
	}
	for _, m := range t.Methods {
		of := func(name string, reduce func([]float64) float64, of func(runs.Record) []float64, colour shade, dash ...vg.Length) curve {
			return curve{name, smooth(m.runs, "search", curvePoints, reduce, of), stroke(colour, 1.8, dash...)}
		}
		if how := methodOf(m.Method); how.Ranks == runs.Searched {
			training, validation := of("training", mean, loss, blue), of("validation half", mean, validationLoss, orange, 7, 3)
			if len(validation.points) > 0 { // else it may be all of the data that a rule trains on
				training.name = "training half"
			}
			add("losses of the search, "+how.Title, shortNumber, training, validation)
			add("‖implicit‖ / ‖direct‖, "+how.Title, powerOfTen, of("geometric mean", mean, logRatio, blue))
			add("ranks in the search, "+how.Title, shortNumber, of("mean", mean, ranks, blue), of("highest", slices.Max, ranks, gray, 7, 3), of("lowest", slices.Min, ranks, gray, 2, 2.5))
		}
	}
	if m := t.method(runs.MethodAdaLoRA); m != nil {
		add("AdaLoRA's budget", shortNumber, curve{"sum of ranks", smooth(m.runs, "train", 4*curvePoints, mean, budget), stroke(green, 1.8)})
	}
	return p
}

// alphaPicture is the selection variables of every layer, of one seed of each
// task.
func (r *Report) alphaPicture() picture {
	p := picture{name: "alpha", Title: "Selection variables", columns: 3, Folded: r.severalRuns(),
		Caption: "The α of every layer through the search, or, where that was not logged, at its end; as many as end above the threshold are the rank of a layer."}
	for _, t := range r.Tasks {
		for _, m := range t.Methods {
			if i := slices.IndexFunc(m.runs, (*Run).hasAlpha); i >= 0 && (m.Method == reference || t.method(reference) == nil) {
				p.Panels = append(p.Panels, m.runs[i].alphaPanel(fmt.Sprintf("%s, α, seed %d", r.name(t), m.Seeds[i])))
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
