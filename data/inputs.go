package data

import "fmt"

// ReadInputs reads what predict and bench take: JSON lines with "text", for a pair "text_pair", and perhaps
// "label", a class by its name in task.Labels or its index, or a number in regression. Examples without a
// label have NoLabel or NaN. In tagging the lines have "tokens", a list of words, and perhaps "tags" (or
// "ner_tags"), a list of as many. Any file that FileTask takes may have the same columns; of a file with a word
// a line the first column is the words and the last, if there are several, the tags. In generation the lines have
// "source", and perhaps "target".
func ReadInputs(file string, task Task) (*Dataset, error) {
	spec := exampleSpec{files: []string{file}, text: []column{{name: "text"}, {name: "text_pair", optional: true}}, label: column{name: "label"}}
	if task.Kind == Tagging {
		spec.text, spec.label, spec.lists = []column{wordColumn}, tagColumn, true
	}
	if task.Kind == Generation {
		spec.text, spec.label.name = columns("source"), "target"
	}
	spec.label.optional = true
	d, labels, err := readExamples(spec)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	d.Name = task.Name + "/input"
	class := func(text string) (int, error) { return classIndex(task.Labels, text) }
	switch task.Kind {
	case Regression:
		err = d.setValues(labels, floatLabel)
	case Tagging:
		err = d.setTags(task.Labels, labels, class)
	case Generation:
		err = d.setTargets(labels, nil)
	default:
		err = d.setClasses(task.Labels, labels, class)
	}
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return d, nil
}
