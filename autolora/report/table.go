package report

import (
	"fmt"
	"io"
	"slices"
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

// drop removes a column.
func (t *Table) drop(column int) {
	t.Heads = slices.Delete(t.Heads, column, column+1)
	for i, row := range t.Rows {
		if row.Kind != Subtitle {
			t.Rows[i].Cells = slices.Delete(row.Cells, column, column+1)
		}
	}
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
			if row.Kind != Subtitle {
				widths[c] = max(widths[c], letters(row.cell(c)))
			}
		}
	}
	fmt.Fprintf(w, "%s\n\n", t.Title)
	for first := 1; first < len(t.Heads); {
		last, used := first+1, widths[0]+gap+widths[first]
		for last < len(t.Heads) && used+gap+widths[last] <= width {
			used += gap + widths[last]
			last++
		}
		if first > 1 {
			fmt.Fprintln(w)
		}
		for _, row := range append([]Row{{Cells: t.Heads}}, t.Rows...) {
			line := row.cell(0)
			for c := first; c < last && row.Kind != Subtitle; c++ {
				room := widths[0]
				for _, other := range widths[first : c+1] {
					room += gap + other
				}
				line += strings.Repeat(" ", max(0, room-letters(line)-letters(row.cell(c)))) + row.cell(c)
			}
			fmt.Fprintln(w, strings.TrimRight(line, " "))
		}
		first = last
	}
	if t.Caption != "" {
		fmt.Fprintln(w)
		printWrapped(w, t.Caption, width)
	}
}

// cell returns a cell, the name of a row of the paper's set in.
func (r Row) cell(c int) string {
	switch {
	case c >= len(r.Cells):
		return ""
	case c == 0 && r.Kind == OfPaper:
		return "  " + r.Cells[0]
	}
	return r.Cells[c]
}

// markdown prints the table as GitHub's Markdown has it.
func (t *Table) markdown(w io.Writer) {
	fmt.Fprintf(w, "## %s\n\n", markdownText(t.Title))
	mark := map[RowKind]string{OfPaper: "*", Subtitle: "**"}
	for i, row := range append([]Row{{Cells: t.Heads}}, t.Rows...) {
		for c := range t.Heads {
			text := markdownText(strings.TrimSpace(row.cell(c)))
			if text != "" {
				text = mark[row.Kind] + text + mark[row.Kind]
			}
			fmt.Fprintf(w, "| %s ", text)
		}
		fmt.Fprintln(w, "|")
		if i == 0 {
			fmt.Fprintln(w, "|---"+strings.Repeat("|---:", len(t.Heads)-1)+"|")
		}
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
