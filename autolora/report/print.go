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
	for _, t := range r.ScoreTables() {
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

// inWords says what AutoLoRA's ranks are worth and what they cost.
func (r *Report) inWords() []string {
	var lines []string
	for _, t := range r.Tasks {
		for _, s := range t.Ranks {
			if s.Method == reference {
				lines = append(lines, r.on(t)+s.sentence())
			}
		}
	}
	for _, p := range r.Patterns {
		if text := p.sentence(); text != "" && p.Method == reference {
			lines = append(lines, text)
		}
	}
	return append(lines, r.costSentences()...)
}

// Markdown prints all tables, and the sentences, as GitHub's Markdown has it.
func (r *Report) Markdown(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "# autolora report")
	list := func(lines []string) {
		for _, line := range lines {
			fmt.Fprintf(b, "- %s\n", markdownText(line))
		}
		if len(lines) > 0 {
			fmt.Fprintln(b)
		}
	}
	fmt.Fprintln(b)
	list(r.Headlines())
	for _, t := range r.ScoreTables() {
		t.markdown(b)
		fmt.Fprintln(b)
	}
	list(r.inWords())
	for _, t := range r.otherTables() {
		t.markdown(b)
		fmt.Fprintln(b)
	}
	if len(r.Notes) > 0 {
		fmt.Fprint(b, "## Notes\n\n")
		list(r.Notes)
	}
	return b.Flush()
}
