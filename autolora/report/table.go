package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"autolora/human"
	"autolora/nn/peft"
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

// addOnce adds a row, unless the table has it.
func (t *Table) addOnce(row Row) {
	if !slices.ContainsFunc(t.Rows, func(r Row) bool { return slices.Equal(r.Cells, row.Cells) }) {
		t.Rows = append(t.Rows, row)
	}
}

// addPaper adds a row of the paper's, its name set in.
func (t *Table) addPaper(name string, cells ...string) {
	t.addOnce(Row{append([]string{"  " + name}, cells...), OfPaper})
}

func (t *Table) subtitle(text string) { t.Rows = append(t.Rows, Row{[]string{text}, Subtitle}) }

// addMethods adds a row for every method of the task, below the task's title.
func (t *Table) addMethods(title string, task *Task, cells func(*Method) []string) {
	t.subtitle(title)
	for _, m := range task.Methods {
		t.add(append([]string{methodOf(m.Method).Title}, cells(m)...)...)
	}
}

// Lines returns the heads and the rows, as they may be shown.
func (t *Table) Lines() []Row {
	lines := append([]Row{{Cells: t.Heads}}, t.Rows...)
	for i, row := range lines {
		lines[i].Cells = make([]string, len(t.Heads)) // a subtitle has one
		for c, cell := range row.Cells {
			lines[i].Cells[c] = human.Line(cell)
		}
	}
	return lines
}

// text prints the table for a terminal. Its columns are as wide as they need
// to be, its caption at most width letters.
func (t *Table) text(w io.Writer, width int) {
	widths := make([]int, len(t.Heads))
	for _, row := range t.Lines() {
		for c, cell := range row.Cells {
			if row.Kind != Subtitle {
				widths[c] = max(widths[c], letters(cell))
			}
		}
	}
	fmt.Fprintf(w, "%s\n\n", human.Line(t.Title))
	for _, row := range t.Lines() {
		line := fmt.Sprintf("%-*s", widths[0], row.Cells[0])
		for c, cell := range row.Cells[1:] {
			line += fmt.Sprintf("  %*s", widths[c+1], cell)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	fmt.Fprintln(w)
	printWrapped(w, width, t.Caption)
}

// markdownCell returns the text of a cell as GitHub's Markdown has it.
func markdownCell(kind RowKind, text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	mark := map[RowKind]string{OfPaper: "*", Subtitle: "**"}[kind]
	return mark + peft.Markdown(human.Line(text)) + mark
}

// printWrapped prints texts, if there are any, in lines of at most width
// letters, and an empty line.
func printWrapped(w io.Writer, width int, texts ...string) {
	for _, text := range texts {
		line := ""
		for _, word := range strings.Fields(human.Line(text)) {
			if line != "" && letters(line)+1+letters(word) > width {
				fmt.Fprintln(w, line)
				line = ""
			}
			line = strings.TrimSpace(line + " " + word)
		}
		if line != "" {
			fmt.Fprintln(w, line)
		}
	}
	if strings.Join(texts, "") != "" {
		fmt.Fprintln(w)
	}
}

func letters(s string) int { return utf8.RuneCountInString(s) }
