package report

import (
	"fmt"
	"image/color"
	"strings"

	"autolora/autolora/runs"

	"gonum.org/v1/plot/vg"
)

// role is what a colour is for.
type role string

// The roles. Text stands on the page or on cells of a heat map.
const (
	page  role = "page"
	ink   role = "ink"   // text
	soft  role = "soft"  // text of less weight
	rule  role = "rule"  // axes
	faint role = "faint" // grid lines
	black role = "black" // text on cells in the middle of the ramp
	paper role = "paper" // text on cells far from the page

	blue    role = "blue"
	orange  role = "orange"
	green   role = "green"
	violet  role = "violet"
	red     role = "red"
	magenta role = "magenta"
	yellow  role = "yellow"
	gray    role = "gray"
)

// levels is how many steps the ramp of a heat map has.
const levels = 13

// level returns the role of a step of the ramp, 0 nearest to the page.
func level(i int) role { return role(fmt.Sprintf("level%d", i)) }

// theme gives every role a colour. No two roles of one theme have the same.
type theme map[role]color.RGBA

var light, dark = themes()

// themes returns the colours on a light and on a dark page. Those of curves
// and bars are far apart for colour-blind readers too, and are never all that
// tells two things apart. The ramp is one hue, of even steps in lightness, and
// turned around on a dark page: low ranks are near the page on both.
func themes() (light, dark theme) {
	light, dark = theme{}, theme{}
	for _, c := range []struct {
		of          role
		light, dark string
	}{
		{page, "#fcfcfb", "#1a1a19"}, {ink, "#0b0b0b", "#fdfdfc"}, {soft, "#52514e", "#c3c2b7"},
		{rule, "#a9a89f", "#6b6a64"}, {faint, "#e1e0d9", "#2c2c2a"}, {black, "#0b0b0c", "#0b0b0c"}, {paper, "#ffffff", "#0d0d0d"},
		{blue, "#2a78d6", "#3987e5"}, {orange, "#eb6834", "#d95926"}, {green, "#1baf7a", "#199e70"}, {violet, "#4a3aa7", "#9085e9"},
		{red, "#e34948", "#e66767"}, {magenta, "#e87ba4", "#d55181"}, {yellow, "#eda100", "#c98500"}, {gray, "#898781", "#898782"},
	} {
		light[c.of], dark[c.of] = parse(c.light), parse(c.dark)
	}
	ramp := strings.Fields("#cde2fb #b7d3f6 #9ec5f4 #86b6ef #6da7ec #5598e7 #3987e6 #2a78d7 #256abf #1c5cab #184f95 #104281 #0d366b")
	for i, c := range ramp {
		light[level(i)] = parse(c)
		dark[level(levels-1-i)] = parse(c)
	}
	return light, dark
}

func parse(hex string) (c color.RGBA) {
	c.A = 255
	fmt.Sscanf(hex, "#%02x%02x%02x", &c.R, &c.G, &c.B)
	return c
}

// onLevel returns the role of text on a step of the ramp.
func onLevel(i int) role {
	switch {
	case i < 5:
		return ink
	case i < 8:
		return black
	}
	return paper
}

// stroke is how a curve is drawn.
type stroke struct {
	of    role
	width vg.Length
	dash  []vg.Length
}

// strokeOf returns how the curves of a method are drawn: a colour and a dash
// of its own.
func strokeOf(method string) stroke {
	switch method {
	case runs.MethodAutoLoRA:
		return stroke{blue, 2.4, nil}
	case runs.MethodLoRA:
		return stroke{orange, 1.6, lengths(7, 3)}
	case runs.MethodAdaLoRA:
		return stroke{green, 1.6, lengths(2, 2.5)}
	case runs.MethodFull:
		return stroke{gray, 1.6, nil}
	case runs.MethodAdapter:
		return stroke{magenta, 1.6, lengths(9, 3, 2, 3)}
	case runs.MethodLoRAGrid:
		return stroke{yellow, 1.6, lengths(4, 2)}
	case runs.MethodUniform:
		return stroke{orange, 1.6, lengths(1.5, 3)}
	case runs.MethodShuffled:
		return stroke{violet, 1.6, lengths(5, 2, 1.5, 2)}
	case runs.MethodNone:
		return stroke{red, 1.4, lengths(7, 3)}
	case runs.MethodSigmoid:
		return stroke{red, 1.4, lengths(2, 2.5)}
	case runs.MethodEta0:
		return stroke{red, 1.4, lengths(9, 3, 2, 3)}
	}
	return stroke{gray, 1.4, lengths(2, 2)}
}

func lengths(dash ...vg.Length) []vg.Length { return dash }
