package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is a table of texts, for a terminal, Markdown or a page.
type Table struct {
	Title   string
	Caption string // what the numbers are; below the table
	Heads   []string
	Rows    []Row
}

// Row is one row of a table. The first cell names it.
type Row struct {
	Cells []string
	Kind  RowKind
}

// RowKind is how a row is shown.
type RowKind string

// The kinds of rows.
const (
	Ours     RowKind = ""      // measured
	OfPaper  RowKind = "paper" // printed in the paper
	Subtitle RowKind = "sub"   // only the first cell: a title of the rows below
)

func (t *Table) add(cells ...string) { t.Rows = append(t.Rows, Row{Cells: cells}) }

func (t *Table) addPaper(cells ...string) { t.Rows = append(t.Rows, Row{Cells: cells, Kind: OfPaper}) }

func (t *Table) subtitle(text string) {
	t.Rows = append(t.Rows, Row{Cells: []string{text}, Kind: Subtitle})
}

// gap is between the columns of a text.
const gap = 2

// text prints the table in lines of at most width letters where that can be
// done: columns that do not fit stand in a second band below, each with the
// names of the rows.
func (t *Table) text(w io.Writer, width int) {
	widths := make([]int, len(t.Heads))
	for c, head := range t.Heads {
		widths[c] = letters(head)
		for _, row := range t.Rows {
			if row.Kind != Subtitle && c < len(row.Cells) {
				widths[c] = max(widths[c], letters(row.indented(c)))
			}
		}
	}
	if t.Title != "" {
		fmt.Fprintf(w, "%s\n\n", t.Title)
	}
	for first := 1; first < len(t.Heads); {
		last, used := first+1, widths[0]+gap+widths[first]
		for last < len(t.Heads) && used+gap+widths[last] <= width {
			used += gap + widths[last]
			last++
		}
		if first > 1 {
			fmt.Fprintln(w)
		}
		line := func(cell func(c int) string) {
			var b strings.Builder
			b.WriteString(padRight(cell(0), widths[0]))
			for c := first; c < last; c++ {
				b.WriteString(strings.Repeat(" ", gap) + padLeft(cell(c), widths[c]))
			}
			fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
		}
		line(func(c int) string { return t.Heads[c] })
		for _, row := range t.Rows {
			if row.Kind == Subtitle {
				fmt.Fprintln(w, row.Cells[0])
				continue
			}
			line(row.indented)
		}
		first = last
	}
	if t.Caption != "" {
		fmt.Fprintln(w)
		printWrapped(w, t.Caption, width)
	}
}

// indented returns a cell, the name of a row of the paper's set in.
func (r Row) indented(c int) string {
	if c >= len(r.Cells) {
		return ""
	}
	if c == 0 && r.Kind == OfPaper {
		return "  " + r.Cells[0]
	}
	return r.Cells[c]
}

// markdown prints the table as GitHub's Markdown has it.
func (t *Table) markdown(w io.Writer) {
	if t.Title != "" {
		fmt.Fprintf(w, "## %s\n\n", markdownText(t.Title))
	}
	line := func(cells []string, kind RowKind) {
		for c := range t.Heads {
			text := ""
			if c < len(cells) {
				text = markdownText(cells[c])
			}
			switch {
			case text == "" || kind == Ours:
			case kind == OfPaper:
				text = "*" + text + "*"
			case kind == Subtitle:
				text = "**" + text + "**"
			}
			fmt.Fprintf(w, "| %s ", text)
		}
		fmt.Fprintln(w, "|")
	}
	line(t.Heads, Ours)
	fmt.Fprintln(w, "|---"+strings.Repeat("|---:", len(t.Heads)-1)+"|")
	for _, row := range t.Rows {
		line(row.Cells, row.Kind)
	}
	if t.Caption != "" {
		fmt.Fprintf(w, "\n%s\n", markdownText(t.Caption))
	}
}

// markdownText escapes what Markdown would take for more than text.
func markdownText(text string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "&", "&amp;", "[", `\[`, "\n", " ").Replace(text)
}

// printWrapped prints text in lines of at most width letters.
func printWrapped(w io.Writer, text string, width int) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && letters(line)+1+letters(word) > width {
			fmt.Fprintln(w, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(w, line)
}

func letters(s string) int { return utf8.RuneCountInString(s) }

func padLeft(s string, width int) string { return strings.Repeat(" ", max(0, width-letters(s))) + s }

func padRight(s string, width int) string { return s + strings.Repeat(" ", max(0, width-letters(s))) }
