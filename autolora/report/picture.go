package report

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	_ "gonum.org/v1/plot" // puts the Liberation fonts into font.DefaultCache
)

// picture is one figure: panels of about the width of a phone, which a page
// lays out as it has room, and a file side by side.
type picture struct {
	name    string // of its files
	title   string
	caption string
	panels  []panel
	columns int  // of panels in a file
	folded  bool // on a page, shown when it is asked for
}

// panel is a part of a picture that is drawn by itself. A length of 1 is one
// pixel of a page.
type panel struct {
	title         string // what it shows, for those who do not see it
	width, height vg.Length
	draw          func(c *canvas)
}

// panelWidth is the width of most panels: that of a phone.
const panelWidth = 360

// canvas is what a panel is drawn on, with colours by their role.
type canvas struct {
	draw.Canvas
	theme theme
}

// Sizes of text.
const (
	textSize  = 11.5
	titleSize = 13
	smallSize = 10
)

// face returns the font of all pictures. Its widths are those of Arial and
// Helvetica, so a page looks the same with either.
func face(size vg.Length, bold bool) font.Face {
	f := font.Font{Typeface: "Liberation", Variant: "Sans"}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return font.DefaultCache.Lookup(f, size)
}

// Alignments of a text to its place.
const (
	left   = 0
	middle = 0.5
	right  = 1
)

// capHeight is the height of digits and capitals of the font.
const capHeight = 0.72

// text writes s with the middle of its capitals at height y.
func (c *canvas) text(x, y vg.Length, align float64, s string, size vg.Length, of role, bold bool) {
	f := face(size, bold)
	c.SetColor(c.theme[of])
	c.FillString(f, vg.Point{X: x - f.Width(s)*vg.Length(align), Y: y - capHeight/2*size}, s)
}

// width returns that of a text.
func width(s string, size vg.Length, bold bool) vg.Length {
	f := face(size, bold)
	return f.Width(s)
}

// fit cuts a text to a width.
func fit(s string, size, most vg.Length, bold bool) string {
	if width(s, size, bold) <= most {
		return s
	}
	letters := []rune(s)
	for len(letters) > 0 && width(string(letters)+"…", size, bold) > most {
		letters = letters[:len(letters)-1]
	}
	return string(letters) + "…"
}

// rect fills the rectangle between two corners.
func (c *canvas) rect(x0, y0, x1, y1 vg.Length, of role) {
	c.SetColor(c.theme[of])
	c.Fill(vg.Rectangle{Min: vg.Point{X: x0, Y: y0}, Max: vg.Point{X: x1, Y: y1}}.Path())
}

// line draws a line through points.
func (c *canvas) line(s stroke, points ...vg.Point) {
	c.StrokeLines(draw.LineStyle{Color: c.theme[s.of], Width: s.width, Dashes: s.dash}, points)
}

// dot draws a dot, hollow or not.
func (c *canvas) dot(x, y, radius vg.Length, of role, hollow bool) {
	var glyph draw.GlyphDrawer = draw.CircleGlyph{}
	if hollow {
		c.DrawGlyphNoClip(draw.GlyphStyle{Color: c.theme[page], Radius: radius, Shape: draw.CircleGlyph{}}, vg.Point{X: x, Y: y})
		c.SetLineWidth(1.3)
		glyph = draw.RingGlyph{}
	}
	c.DrawGlyphNoClip(draw.GlyphStyle{Color: c.theme[of], Radius: radius, Shape: glyph}, vg.Point{X: x, Y: y})
}

// title writes the title of a panel into its first line, and returns the rest
// of the canvas.
func (c *canvas) title(text string) *canvas {
	c.text(c.Min.X, c.Max.Y-9, left, fit(text, titleSize, c.Max.X-c.Min.X, true), titleSize, ink, true)
	return &canvas{draw.Crop(c.Canvas, 0, 0, 0, -titleHeight), c.theme}
}

const titleHeight = 24

// paint draws a panel. What panics inside the plot library is an error: a
// picture that cannot be drawn is no reason to lose a report.
func (p panel) paint(c draw.Canvas, t theme) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("draw %s: %v", p.title, r)
		}
	}()
	p.draw(&canvas{c, t})
	return nil
}

// inline returns the panel as SVG for a page, whose style sheet gives the
// colours: var(--ink) and so on.
func (p panel) inline() (string, error) {
	c := vgsvg.New(p.width, p.height)
	if err := p.paint(draw.New(c), light); err != nil {
		return "", err
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	_, body, _ := strings.Cut(string(withLengths(b.Bytes())), "xlink\">\n") // without the prologue and the opening tag
	return fmt.Sprintf(`<svg viewBox="0 0 %.5g %.5g" role="img" aria-label="%s">`, p.width, p.height, html.EscapeString(p.title)) + "\n" + styled.Replace(body), nil
}

// svgText is a text in a file of vgsvg.
var svgText = regexp.MustCompile(`<text x="([^"]*)"([^>]*)style="([^"]*)font-size:([0-9.]+)px([^"]*)">([^<]*)</text>`)

// withLengths gives every text of an SVG file the length that it was laid out
// for: with other fonts than Liberation Sans it keeps its place.
func withLengths(svg []byte) []byte {
	return svgText.ReplaceAllFunc(svg, func(found []byte) []byte {
		m := svgText.FindSubmatch(found)
		size, err := strconv.ParseFloat(string(m[4]), 64)
		if err != nil {
			return found
		}
		length := width(html.UnescapeString(string(m[6])), vg.Length(size), bytes.Contains(m[3], []byte("bold")))
		return bytes.Replace(found, []byte("<text "), fmt.Appendf(nil, `<text textLength="%.4g" lengthAdjust="spacingAndGlyphs" `, length), 1)
	})
}

// styled replaces the colours of the light theme by variables of CSS, and
// leaves out what the style sheet says once.
var styled = func() *strings.Replacer {
	pairs := []string{
		"font-family:Liberation Sans;font-variant:normal;font-weight:normal;font-style:normal;", "",
		"font-family:Liberation Sans;font-variant:normal;font-weight:bold;font-style:normal;", "font-weight:bold;",
		"\n\tstyle=", " style=",
	}
	for of, c := range light {
		pairs = append(pairs, fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B), "var(--"+string(of)+")")
	}
	return strings.NewReplacer(pairs...)
}()

// margin is around and between the panels of a file.
const margin = 16

// sheet draws all panels of the picture onto one page, row by row.
func (p picture) sheet() panel {
	columns := max(1, min(p.columns, len(p.panels)))
	widths, heights := make([]vg.Length, columns), make([]vg.Length, (len(p.panels)+columns-1)/columns)
	for i, part := range p.panels {
		widths[i%columns] = max(widths[i%columns], part.width)
		heights[i/columns] = max(heights[i/columns], part.height)
	}
	whole := panel{title: p.title, width: margin, height: margin}
	for _, w := range widths {
		whole.width += w + margin
	}
	for _, h := range heights {
		whole.height += h + margin
	}
	whole.draw = func(c *canvas) {
		c.rect(c.Min.X, c.Min.Y, c.Max.X, c.Max.Y, page)
		y := c.Max.Y - margin
		for row, h := range heights {
			x := c.Min.X + margin
			for column, w := range widths {
				if i := row*columns + column; i < len(p.panels) {
					part := p.panels[i]
					part.draw(&canvas{draw.Canvas{Canvas: c.Canvas.Canvas, Rectangle: vg.Rectangle{
						Min: vg.Point{X: x, Y: y - part.height}, Max: vg.Point{X: x + part.width, Y: y},
					}}, c.theme})
				}
				x += w + margin
			}
			y -= h + margin
		}
	}
	return whole
}

// svg returns the picture as an SVG file. Programs without Liberation Sans
// take a font of the same widths.
func (p picture) svg(t theme) ([]byte, error) {
	whole := p.sheet()
	c := vgsvg.New(whole.width, whole.height)
	if err := whole.paint(draw.New(c), t); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(withLengths(b.Bytes()), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

// png returns the picture as a PNG file, of two pixels to one of a page.
func (p picture) png(t theme) ([]byte, error) {
	whole := p.sheet()
	c := vgimg.NewWith(vgimg.UseWH(whole.width, whole.height), vgimg.UseDPI(2*72), vgimg.UseBackgroundColor(t[page]))
	if err := whole.paint(draw.New(c), t); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
