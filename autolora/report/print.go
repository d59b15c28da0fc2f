package report

import (
	"bufio"
	"fmt"
	"io"
)

// Text prints what is most wanted on a terminal of that many columns: what the
// runs come to in words, the main tables, and what to know about them.
func (r *Report) Text(w io.Writer, width int) error {
	b := bufio.NewWriter(w)
	printWrapped(b, width, r.Headlines()...)
	for _, t := range r.mainTables() {
		t.text(b, width)
	}
	printWrapped(b, width, r.inWords()...)
	printWrapped(b, width, r.Notes...)
	return b.Flush()
}

// TextTables prints the tables that Text does not.
func (r *Report) TextTables(w io.Writer, width int) error {
	b := bufio.NewWriter(w)
	for _, t := range r.otherTables() {
		t.text(b, width)
	}
	return b.Flush()
}

// Markdown prints all tables, and the sentences, as GitHub's Markdown has it.
func (r *Report) Markdown(w io.Writer) error {
	b := bufio.NewWriter(w)
	part := func(title string, lines []string, tables []*Table) {
		if len(lines) > 0 {
			fmt.Fprint(b, title)
			for _, line := range lines {
				fmt.Fprintf(b, "- %s\n", markdownText(line))
			}
			fmt.Fprintln(b)
		}
		for _, t := range tables {
			t.markdown(b)
		}
	}
	fmt.Fprint(b, "# autolora report\n\n")
	part("", r.Headlines(), r.mainTables())
	part("", r.inWords(), r.otherTables())
	part("## Notes\n\n", r.Notes, nil)
	return b.Flush()
}
