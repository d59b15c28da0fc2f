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
	d, err := rows.read(task.Name, "input", []string{file}, newClasses(task.Labels, true))
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return d, nil
}
