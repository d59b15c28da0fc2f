package data

import "fmt"

// ReadInputs reads what predict and bench take: JSON lines with "text", for a pair "text_pair", and perhaps
// "label", a class by its name in task.Labels or its index, or a number in regression. Examples without a
// label have NoLabel or NaN. Any file that FileTask takes may have the same columns.
func ReadInputs(file string, task Task) (*Dataset, error) {
	d, labels, err := readExamples(exampleSpec{
		files:         []string{file},
		text:          []string{"text", "text_pair"},
		pairOptional:  true,
		label:         "label",
		labelOptional: true,
	})
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	d.Name = task.Name + "/input"
	if task.Kind == Regression {
		err = d.setValues(labels, floatLabel)
	} else {
		err = d.setClasses(task.Labels, labels, func(text string) (int, error) { return classIndex(task.Labels, text) })
	}
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return d, nil
}
