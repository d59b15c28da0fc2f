package report

import (
	"fmt"
	"html/template"
	"image/color"
	"slices"
	"strings"
)

// shade is a colour of pictures: by itself the one on a light page, which the
// files of pictures bring with them. On a page it is the variable of its name,
// which the style sheet gives the colour that the reader's page needs.
type shade struct {
	name        string
	light, dark color.RGBA
}

// RGBA makes a shade a color.Color.
func (s shade) RGBA() (r, g, b, a uint32) { return s.light.RGBA() }

// The shades. Those of curves and bars are far apart for colour-blind readers
// too, and are never all that tells two things apart.
var (
	page  = newShade("page", 0xfcfcfb, 0x1a1a19)
	ink   = newShade("ink", 0x0b0b0b, 0xfdfdfc)   // text
	soft  = newShade("soft", 0x52514e, 0xc3c2b7)  // text of less weight
	rule  = newShade("rule", 0xa9a89f, 0x6b6a64)  // axes
	faint = newShade("faint", 0xe1e0d9, 0x2c2c2a) // grid lines
	black = newShade("black", 0x0b0b0c, 0x0b0b0c) // text on cells in the middle of the ramp
	paper = newShade("paper", 0xffffff, 0x0d0d0d) // text on cells far from the page

	blue    = newShade("blue", 0x2a78d6, 0x3987e5)
	orange  = newShade("orange", 0xeb6834, 0xd95926)
	green   = newShade("green", 0x1baf7a, 0x199e70)
	violet  = newShade("violet", 0x4a3aa7, 0x9085e9)
	red     = newShade("red", 0xe34948, 0xe66767)
	magenta = newShade("magenta", 0xe87ba4, 0xd55181)
	yellow  = newShade("yellow", 0xeda100, 0xc98500)
	gray    = newShade("gray", 0x898781, 0x898782)

	ramp   = newRamp(0xcde2fb, 0xb7d3f6, 0x9ec5f4, 0x86b6ef, 0x6da7ec, 0x5598e7, 0x3987e6, 0x2a78d7, 0x256abf, 0x1c5cab, 0x184f95, 0x104281, 0x0d366b)
	shades = append([]shade{page, ink, soft, rule, faint, black, paper, blue, orange, green, violet, red, magenta, yellow, gray}, ramp...)
)

func newShade(name string, light, dark uint32) shade {
	rgb := func(v uint32) color.RGBA { return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255} }
	return shade{name, rgb(light), rgb(dark)}
}

// newRamp returns the steps of a heat map, the first nearest to the page: one
// hue, of even steps in lightness, turned around on a dark page.
func newRamp(steps ...uint32) []shade {
	var ramp []shade
	for i, step := range steps {
		ramp = append(ramp, newShade(fmt.Sprint("level", i), step, steps[len(steps)-1-i]))
	}
	return ramp
}

// onRamp returns the shade of text on a step of the ramp.
func onRamp(step int) shade {
	switch {
	case step < 5:
		return ink
	case step < 8:
		return black
	}
	return paper
}

// variables returns the shades as variables of CSS, with the colours of one page.
func variables(of func(shade) color.RGBA) template.CSS {
	var b strings.Builder
	for _, s := range shades {
		c := of(s)
		fmt.Fprintf(&b, "--%s:#%02x%02x%02x;", s.name, c.R, c.G, c.B)
	}
	return template.CSS(b.String())
}

// styled replaces the colours in an SVG picture by the variables of the page,
// and leaves out what the page's style sheet says once.
var styled = func() *strings.Replacer {
	const sans = "font-family:Liberation Sans;font-variant:normal;font-weight:%s;font-style:normal;"
	pairs := []string{fmt.Sprintf(sans, "normal"), "", fmt.Sprintf(sans, "bold"), "font-weight:bold;", "\n\tstyle=", " style="}
	for _, s := range shades {
		pairs = slices.Concat(pairs, []string{fmt.Sprintf("#%02X%02X%02X", s.light.R, s.light.G, s.light.B), "var(--" + s.name + ")"})
	}
	return strings.NewReplacer(pairs...)
}()
