package report

import (
	"fmt"
	"image/color"
	"maps"
	"math"
	"slices"

	"autolora/autolora/runs"
	"autolora/human"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// newPlot returns an empty plot as all pictures have it.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.LineStyle, axis.Tick.LineStyle = stroke(rule, 1), stroke(rule, 1)
		axis.Tick.Length, axis.Padding = 4, 2
		for _, style := range []*text.Style{&axis.Tick.Label, &axis.Label.TextStyle} {
			style.Color, style.Font = soft, textStyle(smallSize, soft).Font
		}
	}
	return p
}

func stroke(of color.Color, width vg.Length, dash ...vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: of, Width: width, Dashes: dash}
}

// ticks are at round numbers, named by label; "" is no tick.
func ticks(label func(float64) string) plot.Ticker {
	return plot.TickerFunc(func(low, high float64) []plot.Tick {
		var ticks []plot.Tick
		if !Number(high - low).Known() {
			return nil // the library would look for some for ever
		}
		for _, t := range (plot.DefaultTicks{}).Ticks(low, high) {
			if !t.IsMinor() && label(t.Value) != "" {
				ticks = append(ticks, plot.Tick{Value: t.Value, Label: label(t.Value)})
			}
		}
		return ticks
	})
}

func shortNumber(v float64) string { return minus(fmt.Sprintf("%.4g", v)) }

func wholeNumber(v float64) string {
	if math.Abs(v-math.Round(v)) > 1e-6 {
		return ""
	}
	return human.Thousands(int64(math.Round(v)))
}

func powerOfTen(v float64) string { return human.Significant(math.Pow(10, v)) }

// row is one row of a panel of dots: of a method, a mean, an interval around it
// and single values.
type row struct {
	label           string
	of              shade
	mean, low, high float64 // low and high NaN: no interval
	values          []float64
}

// dotPanel draws means as dots, intervals as bars of error, and single values
// as rings. With zero in the middle, an interval that is so wide that it would
// hide the others is cut.
func dotPanel(title, below string, zero bool, rows []row) panel {
	means := &plotter.Scatter{GlyphStyleFunc: func(i int) draw.GlyphStyle {
		return draw.GlyphStyle{Color: rows[i].of, Radius: 4.5, Shape: draw.CircleGlyph{}}
	}}
	seeds := &plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: ink, Radius: 2.2, Shape: draw.RingGlyph{}}}
	bars := &plotter.XErrorBars{LineStyle: stroke(soft, 1.3), CapWidth: 8}
	axis := &plotter.Line{LineStyle: stroke(ink, 1.2)}
	low, high, far := math.Inf(1), math.Inf(-1), 0.0
	var names []string
	for i, r := range rows {
		y := float64(i)
		names = append(names, fit(r.label, textStyle(textSize, ink), 155))
		means.XYs = append(means.XYs, plotter.XY{X: r.mean, Y: y})
		for _, v := range r.values {
			seeds.XYs = append(seeds.XYs, plotter.XY{X: v, Y: y})
		}
		low, high = min(low, r.mean, slices.Min(append(r.values, r.mean))), max(high, slices.Max(append(r.values, r.mean)))
		if !math.IsNaN(r.low) {
			far = max(far, math.Abs(r.low), math.Abs(r.high))
			bars.XYs = append(bars.XYs, plotter.XY{X: r.mean, Y: y})
			bars.XErrors = append(bars.XErrors, struct{ Low, High float64 }{r.mean - r.low, r.high - r.mean})
			if !zero {
				low, high = min(low, r.low), max(high, r.high)
			}
		}
	}
	if zero {
		largest := max(-low, high)
		high = max(largest, min(far, 4*largest))
		low = -high
		axis.XYs = plotter.XYs{{X: 0, Y: -0.5}, {X: 0, Y: float64(len(rows)) - 0.5}}
	}
	edge := 0.05 * (high - low)
	switch {
	case edge == 0 && high == 0: // where nothing differs
		edge = 1
	case edge == 0:
		edge = max(math.Abs(high)/20, 1e-6)
	}
	p := newPlot()
	p.Add(&plotter.Grid{Vertical: stroke(faint, 1)}, axis, bars, means, seeds)
	nameRows(p, names)
	p.Y.Padding, p.X.LineStyle.Width, p.X.Padding = 6, 0, 0
	p.X.Min, p.X.Max, p.X.Label.Text = low-edge, high+edge, below
	p.X.Tick.Marker = ticks(shortNumber)
	return panel{title, panelWidth, vg.Length(len(rows))*24 + 36, p.Draw}
}

// nameRows puts names beside the rows of a plot, the first on top.
func nameRows(p *plot.Plot, names []string) {
	p.NominalY(names...)
	p.Y.Tick.Label.Font, p.Y.Tick.Label.Color = textStyle(textSize, ink).Font, ink
	p.Y.Scale = plot.InvertedScale{Normalizer: plot.LinearScale{}}
	p.Y.Min, p.Y.Max = -0.5, float64(len(names))-0.5
}

// curve is one line of a panel.
type curve struct {
	name   string
	points plotter.XYs
	style  draw.LineStyle
}

// curvePanel draws curves over the steps of a phase. Curves without points are
// left out; the panel is too where none has any.
func curvePanel(title string, label func(float64) string, curves ...curve) (panel, bool) {
	const plotHeight, legendHeight = 190, 16
	curves = slices.DeleteFunc(curves, func(c curve) bool { return len(c.points) == 0 })
	if len(curves) == 0 {
		return panel{}, false
	}
	p := newPlot()
	p.X.Label.Text = "step"
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks(wholeNumber), ticks(label)
	p.Add(&plotter.Grid{Horizontal: stroke(faint, 1)})
	legend := plot.NewLegend()
	legend.TextStyle, legend.ThumbnailWidth, legend.Padding = textStyle(smallSize, ink), 28, 4
	legend.TextStyle.YAlign, legend.Top, legend.Left = draw.YBottom, true, true
	var room vg.Length
	for _, c := range curves {
		line := &plotter.Line{XYs: c.points, LineStyle: c.style}
		p.Add(line)
		if len(c.points) == 1 {
			p.Add(&plotter.Scatter{XYs: c.points, GlyphStyle: draw.GlyphStyle{Color: c.style.Color, Radius: 3, Shape: draw.CircleGlyph{}}})
		}
		legend.Add(fit(c.name, legend.TextStyle, panelWidth-40), line)
		room += legendHeight
	}
	p.X.Min = min(p.X.Min, 0)
	if p.Y.Min == p.Y.Max {
		half := max(math.Abs(p.Y.Min)/10, 1e-9)
		p.Y.Min, p.Y.Max = p.Y.Min-half, p.Y.Max+half
	}
	// Where a reader has a wider font, the last label of the axis is longer than
	// what the plot leaves for it.
	const labelRoom = 8
	return panel{title, panelWidth, plotHeight + room, func(c draw.Canvas) {
		p.Draw(draw.Crop(c, 0, -labelRoom, room, 0))
		legend.Draw(draw.Crop(c, 0, 0, 0, -plotHeight))
	}}, true
}

// heatRow is one row of a heat map: the layers of one kind.
type heatRow struct {
	label  string
	values map[int]float64 // by block
}

// outside is the column of layers outside of the blocks.
const outside = -1

// heatRows lays out one number of every layer; the first row begins with the
// name of the group.
func heatRows(group string, layers []string, values []float64) []heatRow {
	var rows []heatRow
	layout := runs.NewLayout(layers)
	for kind, name := range layout.Kinds {
		r := heatRow{name, map[int]float64{}}
		for _, block := range layout.Blocks {
			if i, ok := layout.Layer(kind, block); ok {
				r.values[block] = values[i]
			}
		}
		rows = append(rows, r)
	}
	for _, i := range layout.Others {
		rows = append(rows, heatRow{layers[i], map[int]float64{outside: values[i]}})
	}
	rows[0].label = group + "   " + rows[0].label
	return rows
}

// heatMap is ranks as a plotter: a column for every Transformer block, a row
// for every group and kind of layer, the number in each cell.
type heatMap struct {
	rows   []heatRow
	blocks []int
	top    float64 // rank of the last step of the ramp
	digits int
}

// Plot draws the cells.
func (h heatMap) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for row, r := range h.rows {
		for column, block := range h.blocks {
			v, ok := r.values[block]
			if !ok {
				continue
			}
			step := min(len(ramp)-1, int(v/h.top*float64(len(ramp)-1)+0.5))
			at := func(dx, dy float64) vg.Point {
				return vg.Point{X: x(float64(column) + dx), Y: y(float64(row) + dy)}
			}
			c.SetColor(ramp[step])
			c.Fill(vg.Rectangle{Min: at(-0.47, 0.46), Max: at(0.47, -0.46)}.Path())
			style := textStyle(textSize, onRamp(step))
			style.XAlign = draw.XCenter
			c.FillText(style, at(0, 0).Add(vg.Point{Y: 1.5}), fixed(v, h.digits))
		}
	}
}

// heatPanel draws a heat map.
func heatPanel(title string, h heatMap) panel {
	const cellWidth, cellHeight, most = 27, 21, 240
	style := textStyle(textSize, ink)
	seen := make(map[int]bool)
	var names, blocks []string
	var label vg.Length
	for _, r := range h.rows {
		for block := range r.values {
			seen[block] = true
		}
		names = append(names, fit(r.label, style, most))
		label = max(label, style.Width(names[len(names)-1]))
	}
	h.blocks = slices.Sorted(maps.Keys(seen))
	for _, block := range h.blocks {
		if block == outside {
			blocks = append(blocks, "")
		} else {
			blocks = append(blocks, fmt.Sprint(block))
		}
	}
	p := newPlot()
	p.Add(h)
	p.NominalX(blocks...)
	nameRows(p, names)
	p.X.Label.Text, p.X.Padding, p.Y.Padding = "block", 0, 0
	p.X.Min, p.X.Max = -0.5, float64(len(blocks))-0.5
	return panel{title, max(label+12+vg.Length(len(blocks))*cellWidth, 200), vg.Length(len(names))*cellHeight + 30, p.Draw}
}

// alphaPanel draws the α of every layer, each in a plot of its own below the
// layer's name, with the threshold: their way through the search where it was
// logged, else, level, what they came to.
func (r *Run) alphaPanel(title string) panel {
	const columns, height = 4, 64
	last := runs.Record{}
	for _, l := range r.Ranks.Layers {
		last.Alpha = append(last.Alpha, l.Alpha)
	}
	history := r.loggedAlpha()
	if len(history) == 0 {
		history = []runs.Record{last}
	}
	last.Step = max(r.Ranks.Steps, history[len(history)-1].Step+1)
	history = append(history, last)
	low, high := math.Inf(1), math.Inf(-1) // of all layers, so that they compare
	for _, p := range history {
		values := slices.Concat(p.Alpha...)
		low, high = min(low, slices.Min(values)), max(high, slices.Max(values))
	}
	names := r.Ranks.Names()
	layout := runs.NewLayout(names)
	var order []int
	blocks := make([]string, len(names))
	for kind, name := range layout.Kinds {
		for _, block := range layout.Blocks {
			if i, ok := layout.Layer(kind, block); ok {
				order, names[i], blocks[i] = append(order, i), name, fmt.Sprint(" ", block)
			}
		}
	}
	order = append(order, layout.Others...)
	tiles := draw.Tiles{Cols: columns, Rows: (len(order) + columns - 1) / columns, PadBottom: 20, PadX: 10, PadY: 8}
	return panel{title, panelWidth, vg.Length(tiles.Rows)*height + 20, func(c draw.Canvas) {
		for n, layer := range order {
			p := newPlot()
			p.HideX()
			p.Y.Tick.Marker = plot.ConstantTicks{}
			p.Title.TextStyle = textStyle(smallSize, soft)
			p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
			p.Title.Text = fit(names[layer], p.Title.TextStyle, 80-p.Title.TextStyle.Width(blocks[layer])) + blocks[layer]
			final := last.Alpha[layer]
			for j := range final {
				line := &plotter.Line{LineStyle: stroke(blue, 1)}
				for _, p := range history {
					if layer < len(p.Alpha) && j < len(p.Alpha[layer]) {
						line.XYs = append(line.XYs, plotter.XY{X: float64(p.Step), Y: p.Alpha[layer][j]})
					}
				}
				p.Add(line)
			}
			if at := rankRule(r.Ranks.Rule).threshold(final, r.Ranks.Layers[layer].Rank); !math.IsInf(at, 0) {
				threshold := plotter.NewFunction(func(float64) float64 { return at })
				threshold.LineStyle = stroke(ink, 0.8, 3, 2)
				p.Add(threshold)
			}
			p.Y.Min, p.Y.Max = low, high
			p.Draw(tiles.At(c, n%columns, n/columns))
		}
		c.FillText(textStyle(smallSize, soft), vg.Point{X: c.Min.X, Y: c.Min.Y + 7},
			fmt.Sprintf("each: α from %s to %s; dashed: threshold", minus(human.Significant(low)), minus(human.Significant(high))))
	}}
}
