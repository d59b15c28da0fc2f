package data

import "fmt"

// ReadInputs reads what predict and bench take: JSON lines with "text", for a pair "text_pair", and perhaps
// "label", a class by its name in task.Labels or its index, or a number in regression. Examples without a
// label have NoLabel or NaN. In tagging the lines have "tokens", a list of words, and perhaps "tags" (or
// "ner_tags"), a list of as many. Any file that FileTask takes may have the same columns; of a file with a word
// a line the first column is the words and the last, if there are several, the tags. In generation the lines have
// "source", and perhaps "target".
func ReadInputs(file string, task Task) (*Dataset, error) {
	rows := form{kind: task.Kind, text: []column{{name: "text"}, {name: "text_pair", optional: true}}, label: column{name: "label"}}
	switch task.Kind {
	case Tagging:
		rows.text, rows.label = []column{wordColumn}, tagColumn
	case Generation:
		rows.text, rows.label.name = columns("source"), "target"
	}
	rows.label.optional = true
	rows.text = usualColumns(file, rows)
	if t, err := findTask(task.Name); err == nil && len(t.layouts[0].form.text) == 2 && len(rows.text) == 2 {
		rows.text[1].optional = false // a model of pairs makes little of a text alone
	}
	d, err := rows.read(task.Name, "input", []string{file}, newClasses(task.Labels, true))
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return d, nil
}

// usualColumns are the columns with the texts of an input that does not call them as rows says, but by another usual
// name: sentence1 and sentence2, say.
func usualColumns(file string, rows form) []column {
	p, err := Describe(file, rows.kind == Tagging, 100)
	if err != nil || wordLines(file) || p.column(rows.text[0].name) != nil {
		return rows.text
	}
	var names []string
	switch rows.kind {
	case Tagging:
		if name := p.first(wordNames, func(c *ColumnProfile) bool { return c.kind() == listed }); name != "" {
			names = []string{name}
		}
	case Generation:
		if written := p.both(writtenName); written != nil {
			names = written[:1]
		}
	default:
		names = p.text(rows.label.name)
	}
	if names == nil {
		return rows.text
	}
	return columns(names...)
}
