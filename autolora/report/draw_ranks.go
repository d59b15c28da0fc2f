package report

import (
	"fmt"
	"math"
	"slices"

	"autolora/autolora/human"
	"autolora/autolora/runs"

	"gonum.org/v1/plot/vg"
)

// rankRow is one row of a heat map: the layers of one kind.
type rankRow struct {
	group  string         // written once, for the first of equal rows in a row
	kind   string         // "query"
	values map[int]Number // by block
}

// rankRows lays out one number of every layer.
func rankRows(group string, layers []string, values []Number, digits int) (rows []rankRow, others []string) {
	layout := runs.NewLayout(layers)
	for kind, name := range layout.Kinds {
		row := rankRow{group, name, map[int]Number{}}
		for _, block := range layout.Blocks {
			if i, ok := layout.Layer(kind, block); ok {
				row.values[block] = values[i]
			}
		}
		rows = append(rows, row)
	}
	for _, i := range layout.Others {
		others = append(others, fmt.Sprintf("%s  %s  %s", group, layers[i], fixed(float64(values[i]), digits)))
	}
	return rows, others
}

// Sizes of a heat map.
const (
	cellWidth  = 27
	cellHeight = 21
	labelGap   = 8
)

// heatMap draws ranks: a column for every Transformer block, a row for every
// group and kind of layer, the number in each cell. top is the rank of the end
// of the ramp.
func heatMap(title string, rows []rankRow, others []string, top float64, digits int) panel {
	var blocks []int
	var groupWidth, kindWidth vg.Length
	for _, row := range rows {
		for block := range row.values {
			if !slices.Contains(blocks, block) {
				blocks = append(blocks, block)
			}
		}
		groupWidth = max(groupWidth, width(row.group, textSize, true))
		kindWidth = max(kindWidth, width(row.kind, textSize, false))
	}
	slices.Sort(blocks)
	groupWidth, kindWidth = min(groupWidth, 120), min(kindWidth, 150)
	label := groupWidth + labelGap + kindWidth + labelGap
	legendWidth := vg.Length(levels*9 + 90)
	p := panel{title: title,
		width:  max(label+vg.Length(len(blocks))*cellWidth, label+legendWidth, 200),
		height: titleHeight + vg.Length(len(rows)+1)*cellHeight + vg.Length(len(others))*cellHeight + 30,
	}
	p.draw = func(c *canvas) {
		c = c.title(title)
		y := c.Max.Y - cellHeight/2
		c.text(c.Min.X+label-labelGap, y, right, "block", smallSize, soft, false)
		for i, block := range blocks {
			c.text(c.Min.X+label+(vg.Length(i)+0.5)*cellWidth, y, middle, fmt.Sprint(block), smallSize, soft, false)
		}
		group := ""
		for i, row := range rows {
			y -= cellHeight
			if row.group != group || i == 0 {
				if group = row.group; i > 0 {
					c.line(stroke{faint, 1, nil}, vg.Point{X: c.Min.X, Y: y + cellHeight/2}, vg.Point{X: c.Min.X + label - labelGap, Y: y + cellHeight/2})
				}
				c.text(c.Min.X, y, left, fit(group, textSize, groupWidth, true), textSize, ink, true)
			}
			c.text(c.Min.X+label-labelGap, y, right, fit(row.kind, textSize, kindWidth, false), textSize, ink, false)
			for j, block := range blocks {
				v, ok := row.values[block]
				if !ok {
					continue
				}
				x := c.Min.X + label + vg.Length(j)*cellWidth
				step := min(levels-1, int(float64(v)/top*(levels-1)+0.5))
				c.rect(x+0.75, y-cellHeight/2+0.75, x+cellWidth-0.75, y+cellHeight/2-0.75, level(step))
				c.text(x+cellWidth/2, y, middle, fixed(float64(v), digits), textSize, onLevel(step), false)
			}
		}
		for _, line := range others {
			y -= cellHeight
			c.text(c.Min.X, y, left, fit(line, textSize, c.Max.X-c.Min.X, false), textSize, ink, false)
		}
		// The ramp.
		x := c.Min.X + label
		y = c.Min.Y + 9
		c.text(x-labelGap, y, right, "rank", smallSize, soft, false)
		c.text(x, y, left, "0", smallSize, soft, false)
		x += 12
		for i := range levels {
			c.rect(x, y-5, x+9, y+5, level(i))
			x += 9
		}
		c.text(x+6, y, left, fixed(top, 0), smallSize, soft, false)
	}
	return p
}

// topRank returns the rank at the end of the ramp of studies: k, or more where
// a layer has more.
func topRank(studies ...*RankStudy) float64 {
	top := 1
	for _, s := range studies {
		top = max(top, s.K)
		for _, list := range s.Ranks {
			top = max(top, slices.Max(list))
		}
	}
	return float64(top)
}

// alphaPanel draws the α of every layer, by kind and block: their way through
// the search where it was logged, else what they came to.
func alphaPanel(title string, layers []string, history []AlphaPoint, final [][]float64, threshold func(alpha []float64) float64) panel {
	const columns, cellW, cellH, gapX, gapY = 4, 84, 62, 10, 8
	layout := runs.NewLayout(layers)
	var order []int // of the panels
	var names []string
	for kind, name := range layout.Kinds {
		for _, block := range layout.Blocks {
			if i, ok := layout.Layer(kind, block); ok {
				order, names = append(order, i), append(names, fmt.Sprintf("%s %d", name, block))
			}
		}
	}
	for _, i := range layout.Others {
		order, names = append(order, i), append(names, layers[i])
	}
	low, high := math.Inf(1), math.Inf(-1)
	see := func(alpha [][]float64) {
		for _, layer := range alpha {
			for _, a := range layer {
				low, high = min(low, a), max(high, a)
			}
		}
	}
	see(final)
	for _, p := range history {
		see(p.Alpha)
	}
	if len(history) < 2 {
		low = min(low, 0) // bars
	}
	if high == low {
		high = low + 1
	}
	rows := (len(order) + columns - 1) / columns
	p := panel{title: title, width: columns*cellW + (columns-1)*gapX, height: titleHeight + vg.Length(rows)*(cellH+gapY) + 16}
	p.draw = func(c *canvas) {
		c = c.title(title)
		for n, layer := range order {
			x0 := c.Min.X + vg.Length(n%columns)*(cellW+gapX)
			top := c.Max.Y - vg.Length(n/columns)*(cellH+gapY)
			c.text(x0, top-6, left, fit(names[n], smallSize, cellW, false), smallSize, soft, false)
			y0, y1 := top-cellH, top-14
			at := func(a float64) vg.Length { return y0 + vg.Length((a-low)/(high-low))*(y1-y0) }
			c.line(stroke{faint, 1, nil}, vg.Point{X: x0, Y: y1}, vg.Point{X: x0, Y: y0}, vg.Point{X: x0 + cellW, Y: y0})
			if len(history) > 1 {
				drawAlphaLines(c, history, layer, x0, x0+cellW, at)
			} else {
				drawAlphaBars(c, final[layer], threshold(final[layer]), x0, x0+cellW, at)
			}
			y := at(threshold(final[layer]))
			c.line(stroke{ink, 0.8, lengths(3, 2)}, vg.Point{X: x0, Y: y}, vg.Point{X: x0 + cellW, Y: y})
		}
		c.text(c.Min.X, c.Min.Y+7, left, fmt.Sprintf("each: α from %s to %s; dashed: threshold", minus(human.Significant(low)), minus(human.Significant(high))), smallSize, soft, false)
	}
	return p
}

// drawAlphaLines draws the α of a layer over the steps; those that end above
// the threshold are the layer's rank.
func drawAlphaLines(c *canvas, history []AlphaPoint, layer int, x0, x1 vg.Length, at func(float64) vg.Length) {
	first, last := history[0].Step, history[len(history)-1].Step
	if layer >= len(history[0].Alpha) {
		return
	}
	for j := range history[0].Alpha[layer] {
		var points []vg.Point
		for _, p := range history {
			if layer < len(p.Alpha) && j < len(p.Alpha[layer]) {
				points = append(points, vg.Point{X: x0 + (x1-x0)*vg.Length(p.Step-first)/vg.Length(max(1, last-first)), Y: at(p.Alpha[layer][j])})
			}
		}
		c.line(stroke{blue, 1, nil}, points...)
	}
}

// drawAlphaBars draws the α of a layer as bars, those that count in full.
func drawAlphaBars(c *canvas, alpha []float64, threshold float64, x0, x1 vg.Length, at func(float64) vg.Length) {
	w := (x1 - x0) / vg.Length(max(1, len(alpha)))
	for j, a := range alpha {
		of := gray
		if a >= threshold {
			of = blue
		}
		c.rect(x0+vg.Length(j)*w+1, at(0), x0+vg.Length(j+1)*w-1, at(a), of)
	}
}
