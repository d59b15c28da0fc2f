package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"autolora/autolora/human"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// curve is one line of a panel.
type curve struct {
	name   string
	points []xy
	stroke stroke
	low    []xy // with high: a band behind the line
	high   []xy
	steps  bool // the value stays until the next point
}

// curvePanel draws curves over the steps of a phase. With log, only what is
// above 0 is drawn. Curves without points are left out; the panel is too where
// none has any.
func curvePanel(title string, log bool, curves []curve) (panel, bool) {
	var shown []curve
	for _, c := range curves {
		if log {
			c.points = positive(c.points)
		}
		if len(c.points) > 0 {
			shown = append(shown, c)
		}
	}
	if shown == nil {
		return panel{}, false
	}
	var names []string
	for _, c := range shown {
		names = append(names, c.name)
	}
	const plotHeight, legendHeight = 190, 16
	var legend [][]int
	if len(shown) > 1 || shown[0].low != nil {
		legend = legendRows(names, panelWidth)
	}
	p := panel{title: title, width: panelWidth, height: titleHeight + plotHeight + vg.Length(len(legend))*legendHeight}
	p.draw = func(c *canvas) {
		c = c.title(title)
		bottom := c.Min.Y + vg.Length(len(legend))*legendHeight
		drawPlot(&canvas{draw.Crop(c.Canvas, 0, 0, bottom-c.Min.Y, 0), c.theme}, log, shown)
		for row, items := range legend {
			x, y := c.Min.X, bottom-(vg.Length(row)+0.5)*legendHeight
			for _, i := range items {
				c.line(shown[i].stroke, vg.Point{X: x, Y: y}, vg.Point{X: x + 28, Y: y})
				c.text(x+34, y, left, names[i], smallSize, ink, false)
				x += legendItem(names[i])
			}
		}
	}
	return p, true
}

func positive(points []xy) []xy {
	var kept []xy
	for _, p := range points {
		if p.y > 0 {
			kept = append(kept, p)
		}
	}
	return kept
}

// drawPlot draws axes and curves with the plot library.
func drawPlot(c *canvas, log bool, curves []curve) {
	p := plot.New()
	p.BackgroundColor = nil
	style := func(of role) text.Style {
		return text.Style{Color: c.theme[of], Font: font.From(face(smallSize, false).Font, smallSize), Handler: plot.DefaultTextHandler}
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.LineStyle = draw.LineStyle{Color: c.theme[rule], Width: 1}
		axis.Tick.LineStyle = draw.LineStyle{Color: c.theme[rule], Width: 1}
		axis.Tick.Length = 4
		axis.Padding = 2
		label, title := style(soft), style(soft)
		label.XAlign, label.YAlign = axis.Tick.Label.XAlign, axis.Tick.Label.YAlign
		title.XAlign, title.YAlign = axis.Label.TextStyle.XAlign, axis.Label.TextStyle.YAlign
		axis.Tick.Label, axis.Label.TextStyle = label, title
	}
	p.X.Label.Text = "step"
	p.X.Tick.Marker = ticker(stepTicks)
	p.Y.Tick.Marker = ticker(valueTicks)
	p.Add(grid{c})
	for _, cv := range curves {
		p.Add(drawn{c, cv})
	}
	if log {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, ticker(decadeTicks)
		if p.Y.Max < 10*p.Y.Min { // at least a decade, so that there are numbers beside it
			middle := math.Sqrt(p.Y.Min) * math.Sqrt(p.Y.Max)
			p.Y.Min, p.Y.Max = middle/math.Sqrt(11), middle*math.Sqrt(11)
		}
	} else if p.Y.Min == p.Y.Max {
		half := max(math.Abs(p.Y.Min)/10, 1e-9)
		p.Y.Min, p.Y.Max = p.Y.Min-half, p.Y.Max+half
	}
	p.Draw(c.Canvas)
}

// drawn is a curve as a plot.Plotter.
type drawn struct {
	c *canvas
	curve
}

// DataRange returns what the axes must hold.
func (d drawn) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, xmax, ymin, ymax = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, points := range [][]xy{d.points, d.low, d.high} {
		for _, p := range points {
			xmin, xmax, ymin, ymax = min(xmin, p.x), max(xmax, p.x), min(ymin, p.y), max(ymax, p.y)
		}
	}
	return min(xmin, 0), xmax, ymin, ymax
}

// Plot draws the band and the line.
func (d drawn) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	place := func(points []xy) []vg.Point {
		var out []vg.Point
		for i, q := range points {
			if d.steps && i > 0 {
				out = append(out, vg.Point{X: x(q.x), Y: out[len(out)-1].Y})
			}
			out = append(out, vg.Point{X: x(q.x), Y: y(q.y)})
		}
		return out
	}
	if band := place(d.low); len(band) > 0 {
		high := place(d.high)
		for i := range high {
			band = append(band, high[len(high)-1-i])
		}
		c.FillPolygon(d.c.theme[faint], band)
	}
	line := place(d.points)
	c.StrokeLines(draw.LineStyle{Color: d.c.theme[d.stroke.of], Width: d.stroke.width, Dashes: d.stroke.dash}, line)
	if len(line) == 1 {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: d.c.theme[d.stroke.of], Radius: 3, Shape: draw.CircleGlyph{}}, line[0])
	}
}

// grid draws horizontal lines at the ticks.
type grid struct{ c *canvas }

func (g grid) Plot(c draw.Canvas, p *plot.Plot) {
	_, y := p.Transforms(&c)
	for _, tick := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if !tick.IsMinor() && tick.Value >= p.Y.Min && tick.Value <= p.Y.Max {
			c.StrokeLine2(draw.LineStyle{Color: g.c.theme[faint], Width: 1}, c.Min.X, y(tick.Value), c.Max.X, y(tick.Value))
		}
	}
}

// ticker makes a plot.Ticker of a function.
type ticker func(low, high float64) []plot.Tick

// Ticks returns the ticks of an axis.
func (t ticker) Ticks(low, high float64) []plot.Tick { return t(low, high) }

func stepTicks(low, high float64) []plot.Tick {
	ticks := relabelled(plot.DefaultTicks{}.Ticks(low, high), func(v float64) string { return human.Thousands(int(math.Round(v))) })
	return slices.DeleteFunc(ticks, func(t plot.Tick) bool { return math.Abs(t.Value-math.Round(t.Value)) > 1e-6 })
}

func valueTicks(low, high float64) []plot.Tick {
	return relabelled(plot.DefaultTicks{}.Ticks(low, high), func(v float64) string { return minus(strconv.FormatFloat(v, 'g', 4, 64)) })
}

// relabelled leaves the ticks that have numbers, with new ones.
func relabelled(ticks []plot.Tick, label func(float64) string) []plot.Tick {
	var major []plot.Tick
	for _, t := range ticks {
		if !t.IsMinor() {
			major = append(major, plot.Tick{Value: t.Value, Label: label(t.Value)})
		}
	}
	return major
}

// decadeTicks are the powers of ten, or every second or so where they are many.
func decadeTicks(low, high float64) []plot.Tick {
	first, last := int(math.Ceil(math.Log10(low))), int(math.Floor(math.Log10(high)))
	every := 1 + (last-first)/6
	var ticks []plot.Tick
	for e := first; e <= last; e += every {
		label := fmt.Sprintf("1e%d", e)
		if e >= -4 && e <= 4 {
			label = strconv.FormatFloat(math.Pow(10, float64(e)), 'f', -1, 64)
		}
		ticks = append(ticks, plot.Tick{Value: math.Pow(10, float64(e)), Label: minus(label)})
	}
	return ticks
}
