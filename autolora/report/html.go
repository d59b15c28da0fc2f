package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// htmlPage is what the template shows.
type htmlPage struct {
	Title, Subtitle string
	Several         bool // runs
	Light, Dark     template.CSS
	Headlines       []string
	Scores          []*Table
	Words, Notes    []string
	Pictures        []htmlPicture
	Tables          []*Table
}

type htmlPicture struct {
	Title, Caption string
	Folded         bool
	Sheets         bool // each panel as wide as it is
	Panels         []htmlPanel
}

type htmlPanel struct {
	SVG   template.HTML
	Style template.CSS
	Error error
}

// HTML writes the report as a page that needs nothing but itself: pictures are
// part of it, light and dark as the reader's system is, without scripts.
func (r *Report) HTML(w io.Writer) error {
	page := htmlPage{Title: r.title(), Subtitle: r.subtitle(), Several: len(r.runs) > 1, Light: light.css(), Dark: dark.css(),
		Headlines: r.Headlines(), Scores: r.ScoreTables(), Words: r.inWords(), Notes: r.Notes, Tables: r.otherTables()}
	for _, p := range r.pictures() {
		shown := htmlPicture{Title: p.title, Caption: p.caption, Folded: p.folded, Sheets: p.columns == 1}
		for _, part := range p.panels {
			svg, err := part.inline()
			// Never so small that the text cannot be read: rather the panel scrolls.
			least, most := 0.75*float64(part.width), 1.25*float64(part.width)
			style := fmt.Sprintf("min-width:%.0fpx;max-width:%.0fpx", least, most)
			if shown.Sheets {
				style = fmt.Sprintf("width:clamp(%.0fpx,100vw - 24px,%.0fpx)", least, 0.9*most)
			}
			shown.Panels = append(shown.Panels, htmlPanel{template.HTML(svg), template.CSS(style), err})
		}
		page.Pictures = append(page.Pictures, shown)
	}
	if err := pageTemplate.Execute(w, page); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// title names a single run, or says that there are several.
func (r *Report) title() string {
	if len(r.runs) == 1 {
		return fmt.Sprintf("%s on %s", methodOf(r.runs[0].Results.Method).title, r.Tasks[0].Title)
	}
	var titles []string
	for _, t := range r.Tasks {
		if !slices.Contains(titles, t.Title) {
			titles = append(titles, t.Title)
		}
	}
	return "Comparison on " + strings.Join(titles, ", ")
}

// subtitle says what the report is made of.
func (r *Report) subtitle() string {
	if len(r.runs) == 1 {
		return fmt.Sprintf("autolora, one run: %s, seed %d", r.runs[0].Model(), r.runs[0].Results.Seed)
	}
	return fmt.Sprintf("autolora, %s on %s", plural(len(r.runs), "run", "runs"), strings.Join(r.models(), ", "))
}

// css returns the colours as variables.
func (t theme) css() template.CSS {
	var names []string
	for of := range t {
		names = append(names, string(of))
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		c := t[role(name)]
		fmt.Fprintf(&b, "--%s:#%02x%02x%02x;", name, c.R, c.G, c.B)
	}
	return template.CSS(b.String())
}
