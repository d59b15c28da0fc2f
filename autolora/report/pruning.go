package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"autolora/autolora/runs"
	"autolora/human"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"
)

// PruningWords says how much of an adapter was left out and what that cost, where
// what is left lies, and what would do as well.
func PruningWords(p *runs.Pruning, ranks *runs.Ranks) []string {
	whole, chosen := p.Whole(), p.Chosen
	first := fmt.Sprintf("Of %s parameters %s are left, chosen by %s: the loss of the %s that chose rose by %s",
		human.Thousands(whole.Parameters), human.Thousands(chosen.Parameters), weighedBy[p.By], human.Count(p.Choosing, "example"), rise(chosen))
	switch {
	case chosen.Parameters == whole.Parameters:
		first = fmt.Sprintf("Nothing could be left out within the tolerance of %.4f: every smaller adapter lost more", p.Tolerance)
	case p.Budget == 0:
		first += fmt.Sprintf("; %.4f was allowed", p.Tolerance)
	}
	all := []string{first + "."}
	if r := p.Reported; r != nil {
		after := ""
		if p.Steps > 0 {
			after = fmt.Sprintf(" after %s of training", human.Count(p.Steps, "more step"))
		}
		all = append(all, fmt.Sprintf("On the %s that had no say it is %.4f%s, %s above the whole adapter's.", human.Count(p.Reporting, "other example"), r.Loss, after, rise(*r)))
	}
	if ranks != nil {
		if where := whereLeft(*ranks); where != "" {
			all = append(all, "What is left lies in "+where+".")
		}
	}
	return append(all, "Where there is no adapter yet, training a small one is as good as cutting a large one.")
}

var weighedBy = map[string]string{runs.ByTrained: "singular values", runs.ByAblation: "ablation", runs.ByRandom: "chance"}

func rise(c runs.Cut) string {
	return fmt.Sprintf("%s (standard error %.4f)", minus(fmt.Sprintf("%.4f", c.Rise)), c.RiseError)
}

// whereLeft counts the parts of each kind of layer.
func whereLeft(ranks runs.Ranks) string {
	layout, list := runs.NewLayout(ranks.Names()), ranks.List()
	type kind struct {
		name  string
		parts int
	}
	var kinds []kind
	for i, name := range layout.Kinds {
		parts := 0
		for _, block := range layout.Blocks {
			if layer, ok := layout.Layer(i, block); ok {
				parts += list[layer]
			}
		}
		if parts > 0 {
			kinds = append(kinds, kind{name, parts})
		}
	}
	slices.SortStableFunc(kinds, func(a, b kind) int { return b.parts - a.parts })
	var words []string
	for _, k := range kinds {
		words = append(words, fmt.Sprintf("%s (%s)", k.name, human.Count(k.parts, "part")))
	}
	return strings.Join(words, ", ")
}

// pruningPicture is the held-out loss of adapters against their parameters.
func (r *Report) pruningPicture() picture {
	p := picture{name: "pruning", Title: "Pruning", columns: 3,
		Caption: "Held-out loss of what is left of an adapter, on the examples that choose (bars: standard error of the rise). Dashed: what was allowed; the filled dot is what was chosen."}
	for _, run := range r.runs {
		empty := func(c runs.Cut) bool { return c.Parameters <= 0 }
		if cuts := run.Pruning; cuts != nil && len(cuts.Curve) > 1 && !slices.ContainsFunc(append(cuts.Curve, cuts.Chosen), empty) {
			p.Panels = append(p.Panels, pruningPanel(fmt.Sprintf("%s, by %s", run.Results.Task, weighedBy[run.Pruning.By]), run.Pruning))
		}
	}
	return p
}

func pruningPanel(title string, cuts *runs.Pruning) panel {
	line := &plotter.Line{LineStyle: stroke(blue, 1.6)}
	dots := &plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: blue, Radius: 2.5, Shape: draw.RingGlyph{}}}
	chosen := &plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: blue, Radius: 4.5, Shape: draw.CircleGlyph{}}}
	bars := &plotter.YErrorBars{LineStyle: stroke(soft, 1), CapWidth: 5}
	at := func(c runs.Cut) plotter.XY { return plotter.XY{X: math.Log2(float64(c.Parameters)), Y: c.Loss} }
	for _, c := range cuts.Curve {
		line.XYs, bars.XYs = append(line.XYs, at(c)), append(bars.XYs, at(c))
		bars.YErrors = append(bars.YErrors, struct{ Low, High float64 }{c.RiseError, c.RiseError})
	}
	dots.XYs, chosen.XYs = line.XYs, plotter.XYs{at(cuts.Chosen)}
	p := newPlot()
	p.Add(&plotter.Grid{Horizontal: stroke(faint, 1)}, bars, line, dots, chosen)
	if cuts.Budget == 0 {
		allowed := cuts.Whole().Loss + cuts.Tolerance
		p.Add(&plotter.Line{XYs: plotter.XYs{{X: p.X.Min, Y: allowed}, {X: p.X.Max, Y: allowed}}, LineStyle: stroke(ink, 0.8, 3, 2)})
	}
	p.X.Label.Text = "parameters"
	p.Y.Tick.Marker = ticks(shortNumber)
	p.X.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick { // a quarter, a sixteenth, …
		var all []plot.Tick
		for v := at(cuts.Whole()).X; v >= low; v -= 2 {
			all = append(all, plot.Tick{Value: v, Label: human.Thousands(int64(math.Round(math.Exp2(v))))})
		}
		return all
	})
	const labelRoom = 20 // of the last label
	return panel{title, panelWidth, 190, func(c draw.Canvas) { p.Draw(draw.Crop(c, 0, -labelRoom, 0, 0)) }}
}
