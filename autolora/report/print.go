package report

import (
	"bufio"
	"embed"
	"fmt"
	"html/template"
	"image/color"
	"io"
	"slices"
	"strings"
	"sync"
	text "text/template"

	"autolora/human"
)

//go:embed page.html tables.md.tmpl
var forms embed.FS

var (
	pageForm = sync.OnceValue(func() *template.Template {
		return template.Must(template.New("page.html").Funcs(template.FuncMap{"line": human.Line}).ParseFS(forms, "page.html"))
	})
	markdownForm = sync.OnceValue(func() *text.Template {
		return text.Must(text.New("tables.md.tmpl").Funcs(text.FuncMap{"cell": markdownCell}).ParseFS(forms, "tables.md.tmpl"))
	})
)

// content is what the page and the Markdown have, but for pictures and colours.
func (r *Report) content() map[string]any {
	return map[string]any{"Headlines": slices.Concat(r.Verdict, r.Headlines()), "Main": r.mainTables(), "Words": r.inWords(), "Notes": r.Notes, "Tables": r.otherTables()}
}

// HTML writes the report as a page that needs nothing but itself: pictures are
// part of it, light and dark as the reader's system is, without scripts.
func (r *Report) HTML(w io.Writer) error {
	c := r.content()
	c["Title"], c["Subtitle"] = r.titles()
	c["Several"], c["OfPaper"], c["Pictures"] = len(r.runs) > 1, len(r.Papers) > 0, r.pictures()
	c["Light"], c["Dark"] = variables(func(s shade) color.RGBA { return s.light }), variables(func(s shade) color.RGBA { return s.dark })
	return pageForm().Execute(w, c)
}

// Markdown prints all tables, and the sentences, as GitHub's Markdown has it.
func (r *Report) Markdown(w io.Writer) error { return markdownForm().Execute(w, r.content()) }

// Text prints what is most wanted on a terminal of that many columns: what the
// runs come to in words, the main tables, and what to know about them.
func (r *Report) Text(w io.Writer, width int) error {
	b := bufio.NewWriter(w)
	printWrapped(b, width, r.Headlines()...)
	printTables(b, width, r.mainTables())
	printWrapped(b, width, r.inWords()...)
	printWrapped(b, width, r.Notes...)
	printWrapped(b, width, r.Verdict...)
	return b.Flush()
}

// TextTables prints the tables that Text does not.
func (r *Report) TextTables(w io.Writer, width int) error {
	b := bufio.NewWriter(w)
	printTables(b, width, r.otherTables())
	return b.Flush()
}

func printTables(w io.Writer, width int, tables []*Table) {
	for _, t := range tables {
		t.text(w, width)
	}
}

// titles name a single run, or say what several are of.
func (r *Report) titles() (title, subtitle string) {
	if len(r.runs) == 1 {
		run := r.runs[0].Results
		return methodOf(run.Method).Title + " on " + r.Tasks[0].Title, fmt.Sprintf("autolora, one run: %s, seed %d", r.Tasks[0].Model, run.Seed)
	}
	var tasks []string // one of which may stand there with many settings
	for _, t := range r.Tasks {
		if task, _ := taskOf(t.Name); !slices.Contains(tasks, task.Title) {
			tasks = append(tasks, task.Title)
		}
	}
	return "Comparison on " + strings.Join(tasks, ", "), fmt.Sprintf("autolora, %d runs on %s", len(r.runs), strings.Join(r.models(), ", "))
}
