package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"image/color"
	"io"
	"strings"

	"autolora/autolora/human"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"line": human.Line}).Parse(pageText))

// HTML writes the report as a page that needs nothing but itself: pictures are
// part of it, light and dark as the reader's system is, without scripts.
func (r *Report) HTML(w io.Writer) error {
	title, subtitle := r.titles()
	err := pageTemplate.Execute(w, map[string]any{
		"Title": title, "Subtitle": subtitle, "Several": len(r.runs) > 1, "OfPaper": len(r.Papers) > 0,
		"Light": variables(func(s shade) color.RGBA { return s.light }), "Dark": variables(func(s shade) color.RGBA { return s.dark }),
		"Headlines": r.Headlines(), "Main": r.mainTables(), "Words": r.inWords(), "Notes": r.Notes, "Pictures": r.pictures(), "Tables": r.otherTables(),
	})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// titles name a single run, or say what several are of.
func (r *Report) titles() (title, subtitle string) {
	if len(r.runs) == 1 {
		run := r.runs[0].Results
		return methodOf(run.Method).Title + " on " + r.Tasks[0].Title, fmt.Sprintf("autolora, one run: %s, seed %d", r.Tasks[0].Model, run.Seed)
	}
	var names []string
	for _, t := range r.Tasks {
		names = append(names, r.name(t))
	}
	return "Comparison on " + strings.Join(names, ", "), fmt.Sprintf("autolora, %d runs on %s", len(r.runs), strings.Join(r.models(), ", "))
}
