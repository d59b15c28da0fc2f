package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"io"
	"strings"

	"autolora/human"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// picture is one figure: panels of about the width of a phone, which a page
// lays out as it has room, and a file side by side.
type picture struct {
	name    string // of its files
	Title   string
	Caption string
	Panels  []panel
	columns int  // of panels in a file
	Folded  bool // on a page, shown when it is asked for
}

// Sheets reports whether panels stand one below the other.
func (p picture) Sheets() bool { return p.columns == 1 }

// panel is a part of a picture that is drawn by itself, below its title. A
// length of 1 is one pixel of a page.
type panel struct {
	title         string
	width, height vg.Length // without the title
	draw          func(draw.Canvas)
}

// panelWidth is the width of most panels: that of a phone.
const panelWidth = 360

// Sizes of text, and the room of a title.
const (
	textSize    = 11.5
	titleSize   = 13
	smallSize   = 10
	titleHeight = 24
)

// textStyle is that of all pictures. The widths of the font are those of Arial
// and Helvetica, so a page looks the same with either.
func textStyle(size vg.Length, of shade) text.Style {
	sans := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	return text.Style{Color: of, Font: sans, XAlign: draw.XLeft, YAlign: draw.YCenter, Handler: plot.DefaultTextHandler}
}

// fit cuts a text to a width.
func fit(s string, style text.Style, most vg.Length) string {
	s = human.Line(s)
	if style.Width(s) <= most {
		return s
	}
	letters := []rune(s)
	for len(letters) > 0 && style.Width(string(letters)+"…") > most {
		letters = letters[:len(letters)-1]
	}
	return string(letters) + "…"
}

// paint draws a panel and its title. What panics inside the plot library is an
// error: a picture that cannot be drawn is no reason to lose a report.
func (p panel) paint(c draw.Canvas) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("draw %s: %v", p.title, r)
		}
	}()
	style := textStyle(titleSize, ink)
	style.Font.Weight = xfont.WeightBold
	c.FillText(style, vg.Point{X: c.Min.X, Y: c.Max.Y - 9}, fit(p.title, style, p.width))
	p.draw(draw.Crop(c, 0, 0, 0, -titleHeight))
	return nil
}

// inline returns the panel as SVG for a page, whose style sheet gives the
// colours: var(--ink) and so on.
func (p panel) inline() (string, error) {
	height := p.height + titleHeight
	c := vgsvg.New(p.width, height)
	if err := p.paint(draw.New(c)); err != nil {
		return "", err
	}
	var svg bytes.Buffer
	_, err := c.WriteTo(&svg)
	_, body, _ := strings.Cut(svg.String(), "xlink\">\n") // without the prologue and the opening tag
	return fmt.Sprintf(`<svg viewBox="0 0 %.5g %.5g" role="img" aria-label="%s">`, p.width, height, html.EscapeString(human.Line(p.title))) + "\n" + styled.Replace(body), err
}

// SVG is inline for the template of a page.
func (p panel) SVG() template.HTML {
	svg, err := p.inline()
	if err != nil {
		return template.HTML("<p>This picture could not be drawn: " + html.EscapeString(err.Error()) + "</p>")
	}
	return template.HTML(svg)
}

// Style keeps the text of a panel readable: rather than shrink it, a page scrolls.
func (p panel) Style() template.CSS {
	return template.CSS(fmt.Sprintf("min-width:%.0fpx;max-width:%.0fpx", 0.92*p.width, 1.25*p.width))
}

// write writes the picture as a file: all panels side by side. A PNG file has
// two pixels to one of a page. Programs that show an SVG file and have no
// Liberation Sans take a font of the same widths.
func (p picture) write(to io.Writer, ending string) error {
	const margin = 16
	columns := max(1, min(p.columns, len(p.Panels)))
	tiles := draw.Tiles{Cols: columns, Rows: (len(p.Panels) + columns - 1) / columns,
		PadTop: margin, PadBottom: margin, PadLeft: margin, PadRight: margin, PadX: margin, PadY: margin}
	var w, h vg.Length // of a tile
	for _, part := range p.Panels {
		w, h = max(w, part.width), max(h, part.height+titleHeight)
	}
	width, height := margin+vg.Length(tiles.Cols)*(w+margin), margin+vg.Length(tiles.Rows)*(h+margin)
	var canvas vg.CanvasWriterTo = vgsvg.New(width, height)
	if ending == ".png" {
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(2*72))}
	}
	c := draw.New(canvas)
	c.SetColor(page)
	c.Fill(c.Rectangle.Path())
	for i, part := range p.Panels {
		tile := tiles.At(c, i%columns, i/columns)
		if err := part.paint(draw.Crop(tile, 0, part.width-w, h-part.height-titleHeight, 0)); err != nil {
			return err
		}
	}
	if ending == ".png" {
		_, err := canvas.WriteTo(to)
		return err
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	_, err := to.Write(bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")))
	return err
}
