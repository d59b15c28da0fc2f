package report

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// scale maps numbers to places.
type scale struct {
	low, high float64
	x0, x1    vg.Length
}

func (s scale) at(v float64) vg.Length {
	return s.x0 + vg.Length((v-s.low)/(s.high-s.low))*(s.x1-s.x0)
}

// ticks draws grid lines and their numbers below, at most as many as fit.
func (c *canvas) ticks(s scale, bottom, top vg.Length, text func(float64) string) {
	var ends vg.Length = math.MinInt32
	for _, tick := range (plot.DefaultTicks{}).Ticks(s.low, s.high) {
		if tick.IsMinor() || tick.Value < s.low || tick.Value > s.high {
			continue
		}
		x := s.at(tick.Value)
		c.line(stroke{faint, 1, nil}, vg.Point{X: x, Y: bottom}, vg.Point{X: x, Y: top})
		label := text(tick.Value)
		half := width(label, smallSize, false) / 2
		if x-half < ends || x+half > c.Max.X {
			continue
		}
		c.text(x, bottom-9, middle, label, smallSize, soft, false)
		ends = x + half + 6
	}
}

// Sizes of panels with a row for every method.
const (
	rowHeight  = 24
	axisHeight = 22
)

// rowsPanel is a panel with a row for every label: names at the left, numbers
// at the right, and between them what draw draws, row by row.
type rowsPanel struct {
	title, below string // below: under the axis
	labels       []string
	numbers      []string
	low, high    float64
	tick         func(float64) string
	back         func(c *canvas, s scale, bottom, top vg.Length) // behind the rows
	row          func(c *canvas, s scale, i int, y vg.Length)
}

func (r rowsPanel) panel() panel {
	p := panel{title: r.title, width: panelWidth, height: titleHeight + vg.Length(len(r.labels))*rowHeight + axisHeight}
	if r.below != "" {
		p.height += 14
	}
	p.draw = func(c *canvas) {
		c = c.title(r.title)
		var labels, numbers vg.Length
		for i := range r.labels {
			labels = max(labels, min(140, width(r.labels[i], textSize, false)))
			numbers = max(numbers, width(r.numbers[i], textSize, false))
		}
		bottom := c.Max.Y - vg.Length(len(r.labels))*rowHeight
		s := scale{r.low, r.high, c.Min.X + labels + 10, c.Max.X - numbers - 10}
		c.ticks(s, bottom, c.Max.Y, r.tick)
		if r.back != nil {
			r.back(c, s, bottom, c.Max.Y)
		}
		for i := range r.labels {
			y := c.Max.Y - (vg.Length(i)+0.5)*rowHeight
			c.text(c.Min.X+labels, y, right, fit(r.labels[i], textSize, labels+0.1, false), textSize, ink, false)
			c.text(c.Max.X, y, right, r.numbers[i], textSize, ink, false)
			r.row(c, s, i, y)
		}
		if r.below != "" {
			c.text(c.Max.X-numbers-10, c.Min.Y+6, right, r.below, smallSize, soft, false)
		}
	}
	return p
}

// scorePanel draws the scores of a task: a bar to the mean, its standard
// deviation, a dot for every seed.
func scorePanel(title string, t *Task) (panel, bool) {
	how := scoreOf(t.Primary)
	r := rowsPanel{title: title + ", " + how.head(), tick: func(v float64) string { return minus(fmt.Sprintf("%.4g", v)) }}
	var samples []Sample
	var strokes []stroke
	low, high := math.Inf(1), math.Inf(-1)
	for _, m := range t.Methods {
		s := m.Scores[t.Primary]
		if s.N == 0 {
			continue
		}
		samples, strokes = append(samples, s), append(strokes, strokeOf(m.Method))
		r.labels = append(r.labels, methodOf(m.Method).title)
		r.numbers = append(r.numbers, how.spread(s))
		for _, v := range append(s.Values, s.Mean-s.SD, s.Mean+s.SD) {
			if v.Known() {
				low, high = min(low, how.factor*float64(v)), max(high, how.factor*float64(v))
			}
		}
	}
	if samples == nil {
		return panel{}, false
	}
	r.low, r.high = barRange(low, high)
	if r.low > 0 {
		r.below = "bars do not begin at 0"
	}
	r.row = func(c *canvas, s scale, i int, y vg.Length) {
		of := strokes[i].of
		mean := s.at(how.factor * float64(samples[i].Mean))
		c.rect(s.at(max(s.low, 0)), y-6, mean, y+6, of)
		if sd := samples[i].SD; sd.Known() {
			a, b := s.at(how.factor*float64(samples[i].Mean-sd)), s.at(how.factor*float64(samples[i].Mean+sd))
			whisker(c, a, b, y, ink)
		}
		if samples[i].N > 1 {
			for _, v := range samples[i].Values {
				c.dot(s.at(how.factor*float64(v)), y, 2.2, ink, true)
			}
		}
	}
	return r.panel(), true
}

// barRange returns the range of an axis for bars of values from low to high:
// from 0, unless they would look the same.
func barRange(low, high float64) (from, to float64) {
	spread := high - low
	if spread == 0 {
		spread = max(math.Abs(high)/20, 1e-6)
	}
	to = high + 0.08*spread
	if from = low - 0.4*spread; low >= 0 && from < 0.3*low || low < 0 && high > 0 {
		from = min(0, low-0.08*spread)
	}
	return from, max(to, 0)
}

// whisker draws a bar of error.
func whisker(c *canvas, a, b, y vg.Length, of role) {
	s := stroke{of, 1.2, nil}
	c.line(s, vg.Point{X: a, Y: y}, vg.Point{X: b, Y: y})
	for _, x := range []vg.Length{a, b} {
		c.line(s, vg.Point{X: x, Y: y - 4}, vg.Point{X: x, Y: y + 4})
	}
}

// differenceRow is one row of a panel of differences.
type differenceRow struct {
	label string
	how   score
	Interval
	values []Number // of single seeds
}

// signed returns a number with its sign, and 0 as it is.
func signed(v float64) string {
	if math.Abs(v) < 1e-12 {
		return "0"
	}
	return minus(fmt.Sprintf("%+.3g", v))
}

// differencePanel draws AutoLoRA minus other methods: means with their 95 %
// intervals beside 0.
func differencePanel(title string, rows []differenceRow) panel {
	r := rowsPanel{title: title, below: "AutoLoRA is worse ← 0 → better", tick: signed}
	reach := 0.0
	for _, row := range rows {
		f := row.how.factor
		r.labels = append(r.labels, row.label)
		number := difference(row.how, row.Mean)
		if row.Low.Known() {
			number += fmt.Sprintf(" [%s, %s]", row.how.difference(row.Low), row.how.difference(row.High))
		}
		r.numbers = append(r.numbers, number)
		largest := f * math.Abs(float64(row.Mean))
		for _, v := range row.values {
			largest = max(largest, f*math.Abs(float64(v)))
		}
		if row.Low.Known() { // a very wide interval, as two seeds give, would hide the others
			largest = max(largest, min(f*max(math.Abs(float64(row.Low)), math.Abs(float64(row.High))), 4*largest))
		}
		reach = max(reach, largest)
	}
	if reach == 0 {
		reach = 1
	}
	r.low, r.high = -1.08*reach, 1.08*reach
	if rows[0].how.better == down {
		r.below = "AutoLoRA is better ← 0 → worse"
	}
	r.back = func(c *canvas, s scale, bottom, top vg.Length) {
		c.line(stroke{ink, 1.2, nil}, vg.Point{X: s.at(0), Y: bottom}, vg.Point{X: s.at(0), Y: top})
	}
	r.row = func(c *canvas, s scale, i int, y vg.Length) {
		row := rows[i]
		f := row.how.factor
		within := func(v Number) vg.Length { return s.at(max(s.low, min(s.high, f*float64(v)))) }
		if row.Low.Known() {
			c.line(stroke{blue, 2, nil}, vg.Point{X: within(row.Low), Y: y}, vg.Point{X: within(row.High), Y: y})
			for _, end := range []struct {
				v    Number
				sign vg.Length
			}{{row.Low, 1}, {row.High, -1}} {
				if x := within(end.v); f*math.Abs(float64(end.v)) > s.high { // goes on: an arrow
					c.line(stroke{blue, 1.6, nil}, vg.Point{X: x + 5*end.sign, Y: y + 4}, vg.Point{X: x, Y: y}, vg.Point{X: x + 5*end.sign, Y: y - 4})
				} else {
					c.line(stroke{blue, 1.6, nil}, vg.Point{X: x, Y: y - 4}, vg.Point{X: x, Y: y + 4})
				}
			}
		}
		for _, v := range row.values {
			c.dot(within(v), y, 2, soft, true)
		}
		c.dot(within(row.Mean), y, 4, blue, !row.Low.Known())
	}
	return r.panel()
}

// costRow is one row of a panel of costs.
type costRow struct {
	label         string
	search, train float64
	number        string
	of            role
}

// costPanel draws costs as bars, the search striped.
func costPanel(title, below string, rows []costRow) panel {
	r := rowsPanel{title: title, below: below, tick: func(v float64) string { return fmt.Sprintf("%.4g", v) }}
	for _, row := range rows {
		r.labels, r.numbers = append(r.labels, row.label), append(r.numbers, row.number)
		r.high = max(r.high, 1.05*(row.search+row.train))
	}
	if r.high == 0 {
		r.high = 1
	}
	r.row = func(c *canvas, s scale, i int, y vg.Length) {
		row := rows[i]
		a, b := s.at(row.search), s.at(row.search+row.train)
		c.rect(a, y-7, b, y+7, row.of)
		for x := s.at(0); x < a; x += 4 {
			c.rect(x, y-7, min(x+2, a), y+7, row.of)
		}
		if row.search > 0 {
			c.line(stroke{row.of, 1, nil}, vg.Point{X: s.at(0), Y: y - 7}, vg.Point{X: a, Y: y - 7}, vg.Point{X: a, Y: y + 7}, vg.Point{X: s.at(0), Y: y + 7}, vg.Point{X: s.at(0), Y: y - 7})
		}
	}
	return r.panel()
}

// legendRows breaks a legend into rows of the width of a panel.
func legendRows(names []string, most vg.Length) [][]int {
	var rows [][]int
	var used vg.Length
	for i, name := range names {
		w := legendItem(name)
		if len(rows) == 0 || used+w > most {
			rows, used = append(rows, nil), 0
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], i)
		used += w
	}
	return rows
}

// legendItem returns the width of a name with its sample of a line.
func legendItem(name string) vg.Length { return 34 + width(name, smallSize, false) + 10 }
