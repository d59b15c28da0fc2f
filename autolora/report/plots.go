package report

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"autolora/autolora/human"
	"autolora/autolora/runs"

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

// drawn returns a panel that is one plot.
func drawn(title string, height vg.Length, p *plot.Plot) panel {
	return panel{title: title, width: panelWidth, height: height, draw: p.Draw}
}

// row is one row of a panel with a row for every method: a name at the left, a
// number at the right, and between them a mean, an interval around it and
// single values, or a bar in two parts.
type row struct {
	label, number string
	of            shade

	mean, low, high float64 // low and high NaN: no interval
	values          []float64

	search, train float64
}

const rowHeight = 24

// rowPlot returns a plot with the names and numbers of rows, and the values
// from low to high to be drawn between them.
func rowPlot(rows []row, low, high float64, below string) *plot.Plot {
	p := newPlot()
	style := textStyle(textSize, ink)
	style.XAlign = draw.XRight
	numbers := &plotter.Labels{Offset: vg.Point{X: 8, Y: 2}}
	var names []string
	for i, r := range rows {
		names = append(names, fit(r.label, style, 140))
		numbers.XYs, numbers.Labels = append(numbers.XYs, plotter.XY{X: high, Y: float64(i)}), append(numbers.Labels, r.number)
		numbers.TextStyle = append(numbers.TextStyle, style)
		numbers.Offset.X = max(numbers.Offset.X, style.Width(r.number)+8)
	}
	p.Add(&plotter.Grid{Vertical: stroke(faint, 1)}, numbers)
	p.NominalY(names...)
	p.Y.Tick.Label.Font, p.Y.Tick.Label.Color = style.Font, ink
	p.Y.Scale = plot.InvertedScale{Normalizer: plot.LinearScale{}} // the first row on top
	p.Y.Min, p.Y.Max, p.Y.Padding = -0.5, float64(len(rows))-0.5, 6
	p.X.LineStyle.Width, p.X.Padding = 0, 0
	p.X.Min, p.X.Max, p.X.Label.Text = low, high, below
	p.X.Tick.Marker = ticks(shortNumber)
	return p
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
	low, high, far := math.Inf(1), math.Inf(-1), 0.0
	for i, r := range rows {
		means.XYs = append(means.XYs, plotter.XY{X: r.mean, Y: float64(i)})
		for _, v := range r.values {
			seeds.XYs = append(seeds.XYs, plotter.XY{X: v, Y: float64(i)})
		}
		for _, v := range append(r.values, r.mean) {
			low, high = min(low, v), max(high, v)
		}
		if !math.IsNaN(r.low) {
			far = max(far, math.Abs(r.low), math.Abs(r.high))
			bars.XYs = append(bars.XYs, plotter.XY{X: r.mean, Y: float64(i)})
			bars.XErrors = append(bars.XErrors, struct{ Low, High float64 }{r.mean - r.low, r.high - r.mean})
			if !zero {
				low, high = min(low, r.low), max(high, r.high)
			}
		}
	}
	if zero {
		largest := max(math.Abs(low), math.Abs(high))
		high = max(largest, min(far, 4*largest))
		low = -high
	}
	edge := 0.05 * (high - low)
	if edge == 0 {
		edge = max(math.Abs(high)/20, 1e-6)
	}
	p := rowPlot(rows, low-edge, high+edge, below)
	if zero {
		p.Add(&plotter.Line{XYs: plotter.XYs{{X: 0, Y: p.Y.Min}, {X: 0, Y: p.Y.Max}}, LineStyle: stroke(ink, 1.2)})
	}
	p.Add(bars, means, seeds)
	p.X.Min, p.X.Max = low-edge, high+edge
	return drawn(title, vg.Length(len(rows))*rowHeight+36, p)
}

// costPanel draws bars, the search hollow and the training full.
func costPanel(title, below string, rows []row) panel {
	most := 0.0
	for _, r := range rows {
		most = max(most, r.search+r.train)
	}
	p := rowPlot(rows, 0, 1.05*most, below)
	for i, r := range rows {
		bar := func(long float64, fill shade) *plotter.BarChart {
			return &plotter.BarChart{Values: plotter.Values{long}, Width: 14, Horizontal: true, XMin: float64(i), Color: fill, LineStyle: stroke(r.of, 1)}
		}
		search, train := bar(r.search, page), bar(r.train, r.of)
		train.StackOn(search)
		p.Add(search, train)
	}
	return drawn(title, vg.Length(len(rows))*rowHeight+36, p)
}

// curve is one line of a panel.
type curve struct {
	name      string
	points    plotter.XYs
	style     draw.LineStyle
	low, high plotter.XYs // a band behind the line
	step      plotter.StepKind
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
	var legends [2]plot.Legend // side by side
	for i := range legends {
		legends[i] = plot.NewLegend()
		legends[i].TextStyle, legends[i].ThumbnailWidth, legends[i].Padding = textStyle(smallSize, ink), 28, 4
		legends[i].TextStyle.YAlign, legends[i].Top, legends[i].Left = draw.YBottom, true, true
	}
	for i, c := range curves {
		if c.low != nil {
			band := slices.Clone(c.high)
			slices.Reverse(band)
			p.Add(&plotter.Polygon{XYs: []plotter.XYs{append(slices.Clone(c.low), band...)}, Color: faint})
		}
		line := &plotter.Line{XYs: c.points, LineStyle: c.style, StepStyle: c.step}
		p.Add(line)
		if len(c.points) == 1 {
			p.Add(&plotter.Scatter{XYs: c.points, GlyphStyle: draw.GlyphStyle{Color: c.style.Color, Radius: 3, Shape: draw.CircleGlyph{}}})
		}
		legends[i%2].Add(fit(c.name, legends[0].TextStyle, panelWidth/2-40), line)
	}
	p.X.Min = min(p.X.Min, 0)
	if p.Y.Min == p.Y.Max {
		half := max(math.Abs(p.Y.Min)/10, 1e-9)
		p.Y.Min, p.Y.Max = p.Y.Min-half, p.Y.Max+half
	}
	legend := vg.Length((len(curves)+1)/2) * legendHeight
	if len(curves) == 1 && curves[0].low == nil {
		legend = 0
	}
	return panel{title: title, width: panelWidth, height: plotHeight + legend, draw: func(c draw.Canvas) {
		p.Draw(draw.Crop(c, 0, 0, legend, 0))
		for i := range legends {
			if legend > 0 {
				legends[i].Draw(draw.Crop(c, vg.Length(i)*panelWidth/2, 0, 0, -plotHeight))
			}
		}
	}}, true
}

// heatRow is one row of a heat map: the layers of one kind.
type heatRow struct {
	label  string
	values map[int]Number // by block
}

// heatRows lays out one number of every layer; the first row begins with the
// name of the group. Layers outside of the blocks are listed in words.
func heatRows(group string, layers []string, values []Number, digits int) (rows []heatRow, others []string) {
	layout := runs.NewLayout(layers)
	for kind, name := range layout.Kinds {
		r := heatRow{name, map[int]Number{}}
		if kind == 0 {
			r.label = group + "   " + name
		}
		for _, block := range layout.Blocks {
			if i, ok := layout.Layer(kind, block); ok {
				r.values[block] = values[i]
			}
		}
		rows = append(rows, r)
	}
	for _, i := range layout.Others {
		others = append(others, fmt.Sprintf("%s %s %s", group, layers[i], fixed(float64(values[i]), digits)))
	}
	return rows, others
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
			step := min(len(ramp)-1, int(float64(v)/h.top*float64(len(ramp)-1)+0.5))
			at := func(dx, dy float64) vg.Point {
				return vg.Point{X: x(float64(column) + dx), Y: y(float64(row) + dy)}
			}
			c.SetColor(ramp[step])
			c.Fill(vg.Rectangle{Min: at(-0.47, 0.46), Max: at(0.47, -0.46)}.Path())
			style := textStyle(textSize, onRamp(step))
			style.XAlign = draw.XCenter
			c.FillText(style, at(0, 0).Add(vg.Point{Y: 1.5}), fixed(float64(v), h.digits))
		}
	}
}

// heatPanel draws a heat map.
func heatPanel(title string, h heatMap) panel {
	const cellWidth, cellHeight, most = 27, 21, 240
	style := textStyle(textSize, ink)
	var names []string
	var label vg.Length
	for _, r := range h.rows {
		for block := range r.values {
			h.blocks = append(h.blocks, block)
		}
		names = append(names, fit(r.label, style, most))
		label = max(label, style.Width(names[len(names)-1]))
	}
	slices.Sort(h.blocks)
	h.blocks = slices.Compact(h.blocks)
	var blocks []string
	for _, block := range h.blocks {
		blocks = append(blocks, fmt.Sprint(block))
	}
	p := newPlot()
	p.Add(h)
	p.NominalX(blocks...)
	p.NominalY(names...)
	p.Y.Tick.Label.Font, p.Y.Tick.Label.Color = style.Font, ink
	p.Y.Scale = plot.InvertedScale{Normalizer: plot.LinearScale{}}
	p.X.Label.Text, p.X.Padding, p.Y.Padding = "block", 0, 0
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.5, float64(len(blocks))-0.5, -0.5, float64(len(names))-0.5
	part := drawn(title, vg.Length(len(names))*cellHeight+30, p)
	part.width = max(label+12+vg.Length(len(blocks))*cellWidth, 200)
	return part
}

// alphaPanel draws the α of every layer: their way through the search where it
// was logged, else, level, what they came to.
func alphaPanel(title string, layers []string, history []AlphaPoint, final [][]float64, threshold func(alpha []float64) float64) panel {
	const columns, height = 4, 64
	if len(history) < 2 {
		history = []AlphaPoint{{0, final}, {1, final}}
	}
	low, high := math.Inf(1), math.Inf(-1) // of all layers, so that they compare
	for _, p := range history {
		for _, layer := range p.Alpha {
			low, high = min(low, slices.Min(layer)), max(high, slices.Max(layer))
		}
	}
	layout := runs.NewLayout(layers)
	names := slices.Clone(layers)
	var order []int
	for kind, name := range layout.Kinds {
		for _, block := range layout.Blocks {
			if i, ok := layout.Layer(kind, block); ok {
				order, names[i] = append(order, i), fmt.Sprint(name, " ", block)
			}
		}
	}
	order = append(order, layout.Others...)
	tiles := draw.Tiles{Cols: columns, Rows: (len(order) + columns - 1) / columns, PadBottom: 20, PadX: 10, PadY: 8}
	below := fmt.Sprintf("each: α from %s to %s; dashed: threshold", minus(human.Significant(low)), minus(human.Significant(high)))
	return panel{title: title, width: panelWidth, height: vg.Length(tiles.Rows)*height + 20, draw: func(c draw.Canvas) {
		for n, layer := range order {
			p := newPlot()
			p.HideX()
			p.Y.Tick.Marker = plot.ConstantTicks{}
			p.Title.TextStyle = textStyle(smallSize, soft)
			p.Title.Text = fit(names[layer], p.Title.TextStyle, 80)
			p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
			for j := range final[layer] {
				p.Add(&plotter.Line{XYs: way(history, layer, j), LineStyle: stroke(blue, 1)})
			}
			at := threshold(final[layer])
			p.Add(&plotter.Line{XYs: plotter.XYs{{X: p.X.Min, Y: at}, {X: p.X.Max, Y: at}}, LineStyle: stroke(ink, 0.8, 3, 2)})
			p.Y.Min, p.Y.Max = min(p.Y.Min, low), max(p.Y.Max, high)
			p.Draw(tiles.At(c, n%columns, n/columns))
		}
		c.FillText(textStyle(smallSize, soft), vg.Point{X: c.Min.X, Y: c.Min.Y + 7}, below)
	}}
}

// way returns one α of a layer over the steps.
func way(history []AlphaPoint, layer, j int) plotter.XYs {
	var points plotter.XYs
	for _, p := range history {
		if layer < len(p.Alpha) && j < len(p.Alpha[layer]) {
			points = append(points, plotter.XY{X: float64(p.Step), Y: p.Alpha[layer][j]})
		}
	}
	return points
}
