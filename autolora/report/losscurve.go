package report

import (
	"fmt"
	"math"
	"slices"

	"autolora/autolora/runs"
	"autolora/human"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

// lossPoint is the held-out loss of one adapter.
type lossPoint struct {
	at, loss, within float64 // within: a standard error; 0: none
	last             bool    // of those that were compared in the end, and not dropped before
}

// lossCurve is what choices of size and learning rate are made by: held-out loss against
// either, on a logarithmic axis.
type lossCurve struct {
	x       lossAxis
	points  []lossPoint
	chosen  lossPoint
	joined  bool    // by a line
	allowed float64 // the highest loss that could be chosen; NaN: any
}

// lossAxis is what the losses are of.
type lossAxis struct {
	title string
	ticks func(values []float64) []float64
	label func(float64) string
}

var (
	// A quarter of the largest, a sixteenth, …
	parameters = lossAxis{"parameters", func(values []float64) (all []float64) {
		for v := slices.Max(values); v >= slices.Min(values); v /= 4 {
			all = append(all, v)
		}
		return all
	}, func(v float64) string { return human.Thousands(int64(math.Round(v))) }}
	learningRate = lossAxis{"learning rate", func(values []float64) []float64 { return values }, human.Rate}
)

// addLosses adds a panel, unless a damaged file would make it one of nothing.
func (p *picture) addLosses(title string, c lossCurve) {
	damaged := func(q lossPoint) bool {
		return !(q.at > 0) || !Number(q.at).Known() || !Number(q.loss).Known() || !(q.within >= 0)
	}
	if len(c.points) > 1 && !slices.ContainsFunc(append(slices.Clone(c.points), c.chosen), damaged) {
		p.Panels = append(p.Panels, c.panel(title))
	}
}

func (c lossCurve) panel(title string) panel {
	line := &plotter.Line{LineStyle: stroke(blue, 1.6)}
	dots := &plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: blue, Radius: 2.5, Shape: draw.RingGlyph{}}}
	dropped := &plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: rule, Radius: 2, Shape: draw.RingGlyph{}}}
	chosen := &plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: blue, Radius: 4.5, Shape: draw.CircleGlyph{}}}
	bars := &plotter.YErrorBars{LineStyle: stroke(soft, 1), CapWidth: 5}
	at := func(q lossPoint) plotter.XY { return plotter.XY{X: math.Log2(q.at), Y: q.loss} }
	var values []float64
	for _, q := range c.points {
		if values = append(values, q.at); !q.last {
			dropped.XYs = append(dropped.XYs, at(q))
			continue
		}
		dots.XYs, bars.XYs = append(dots.XYs, at(q)), append(bars.XYs, at(q))
		bars.YErrors = append(bars.YErrors, struct{ Low, High float64 }{q.within, q.within})
	}
	if c.joined {
		line.XYs = dots.XYs
	}
	chosen.XYs = plotter.XYs{at(c.chosen)}
	p := newPlot()
	p.Add(&plotter.Grid{Horizontal: stroke(faint, 1)}, dropped, bars, line, dots, chosen)
	if p.X.Min == p.X.Max {
		p.X.Min, p.X.Max = p.X.Min-1, p.X.Max+1
	}
	edge := 0.03 * (p.X.Max - p.X.Min)
	p.X.Min, p.X.Max = p.X.Min-edge, p.X.Max+edge
	if !math.IsNaN(c.allowed) {
		p.Add(&plotter.Line{XYs: plotter.XYs{{X: p.X.Min, Y: c.allowed}, {X: p.X.Max, Y: c.allowed}}, LineStyle: stroke(ink, 0.8, 3, 2)})
	}
	p.X.Label.Text = c.x.title
	p.Y.Tick.Marker = ticks(shortNumber)
	var marks []plot.Tick
	for _, v := range c.x.ticks(values) {
		marks = append(marks, plot.Tick{Value: math.Log2(v), Label: c.x.label(v)})
	}
	p.X.Tick.Marker = plot.ConstantTicks(marks)
	const labelRoom = 20 // of the last label
	return panel{title, panelWidth, 190, func(c draw.Canvas) { p.Draw(draw.Crop(c, 0, -labelRoom, 0, 0)) }}
}

// tuningPicture is the held-out loss of trials against their parameters, or where these
// are all the same, against their learning rates.
func (r *Report) tuningPicture() picture {
	p := picture{name: "tuning", Title: "Trials of settings", columns: 3, Folded: r.severalRuns(),
		Caption: "Held-out loss of the trials that were compared in the end (bars: standard error), and faint of those that were dropped after fewer steps. " +
			"Dashed: one standard error above the best; the filled dot is what was chosen. Trials that diverged or learnt nothing are left out."}
	for _, run := range r.runs {
		u := run.Tune
		if u == nil || u.Chosen == nil {
			continue
		}
		c := lossCurve{x: learningRate, allowed: *u.Trials[u.Best].Loss + standardError(u.Trials[u.Best])}
		if slices.ContainsFunc(u.Trials, func(t runs.Trial) bool { return t.Parameters != u.Trials[0].Parameters }) {
			c.x = parameters
		}
		for n, t := range u.Trials {
			s, err := t.Read()
			if err != nil || t.Loss == nil || t.State != "" {
				continue
			}
			q := lossPoint{float64(t.Parameters), *t.Loss, standardError(t), t.Steps == u.Chosen.Steps}
			if c.x.title == learningRate.title {
				q.at = s.LR
			}
			if c.points = append(c.points, q); n == u.Choice {
				c.chosen = q
			}
		}
		task, _ := taskOf(run.Results.Task)
		p.addLosses(fmt.Sprintf("%s, %s, seed %d", task.Title, methodOf(run.Results.Method).Title, run.Results.Seed), c)
	}
	return p
}
