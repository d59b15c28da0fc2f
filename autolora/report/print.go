package report

import (
	"bufio"
	"fmt"
	"io"
)

// Text prints what is most wanted on a terminal of that many columns: the main
// tables, and what all tables mean in words.
func (r *Report) Text(w io.Writer, width int) error {
	b := bufio.NewWriter(w)
	for _, t := range r.scoreTables() {
		t.text(b, width)
		fmt.Fprintln(b)
	}
	for _, lines := range [][]string{r.Headlines(), r.inWords(), r.Notes} {
		for _, line := range lines {
			printWrapped(b, line, width)
		}
		if len(lines) > 0 {
			fmt.Fprintln(b)
		}
	}
	return b.Flush()
}

// TextTables prints the tables that Text does not.
func (r *Report) TextTables(w io.Writer, width int) error {
	b := bufio.NewWriter(w)
	for i, t := range r.otherTables() {
		if i > 0 {
			fmt.Fprintln(b)
		}
		t.text(b, width)
	}
	return b.Flush()
}

// Markdown prints all tables, and the sentences, as GitHub's Markdown has it.
func (r *Report) Markdown(w io.Writer) error {
	b := bufio.NewWriter(w)
	list := func(lines []string) {
		for _, line := range lines {
			fmt.Fprintf(b, "- %s\n", markdownText(line))
		}
		if len(lines) > 0 {
			fmt.Fprintln(b)
		}
	}
	tables := func(tables []*Table) {
		for _, t := range tables {
			t.markdown(b)
			fmt.Fprintln(b)
		}
	}
	fmt.Fprint(b, "# autolora report\n\n")
	list(r.Headlines())
	tables(r.scoreTables())
	list(r.inWords())
	tables(r.otherTables())
	if len(r.Notes) > 0 {
		fmt.Fprint(b, "## Notes\n\n")
		list(r.Notes)
	}
	return b.Flush()
}
