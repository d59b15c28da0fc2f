package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
)

// exampleSpec says how the rows of some files become the examples of one data set.
type exampleSpec struct {
	files         []string
	text          []string // one or two columns
	pairOptional  bool     // the second text may be missing; then the example is no pair
	label         string   // "" if there is none to read
	labelOptional bool
	header        []string // see tableSpec
	skipShort     bool     // see tableSpec.shortRow
}

// readExamples reads texts, and the labels as they stand in the files.
func readExamples(spec exampleSpec) (*Dataset, []cell, error) {
	table := tableSpec{header: spec.header}
	for i, name := range spec.text {
		table.columns = append(table.columns, column{name, i == 1 && spec.pairOptional})
	}
	if spec.label != "" {
		table.columns = append(table.columns, column{spec.label, spec.labelOptional})
	}
	d := &Dataset{Files: spec.files}
	if spec.skipShort {
		table.shortRow = func(line int) { d.Skipped = append(d.Skipped, line) }
	}
	var labels []cell
	sum := sha256.New()
	for _, file := range spec.files {
		before := len(d.Examples)
		err := readTable(file, sum, table, func(line int, cells []cell) error {
			ex := Example{Text: cells[0].text, File: file, Line: line}
			if len(spec.text) == 2 {
				ex.Pair, ex.HasPair = cells[1].text, cells[1].ok
			}
			d.Examples = append(d.Examples, ex)
			if spec.label != "" {
				labels = append(labels, cells[len(cells)-1])
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		if len(d.Examples) == before {
			return nil, nil, fmt.Errorf("%s: no examples: it holds no rows but a header", file)
		}
	}
	d.Fingerprint = hex.EncodeToString(sum.Sum(nil))
	return d, labels, nil
}

// setClasses makes d a classification and sets the classes. Parse says which class a label means, NoLabel if
// none; a missing label is NoLabel.
func (d *Dataset) setClasses(names []string, labels []cell, parse func(text string) (int, error)) error {
	d.Kind, d.Labels = Classification, names
	for i := range d.Examples {
		ex := &d.Examples[i]
		ex.Label = NoLabel
		if labels == nil || !labels[i].ok {
			continue
		}
		var err error
		if ex.Label, err = parse(labels[i].text); err != nil {
			return fmt.Errorf("%s: %w", ex.Where(), err)
		}
	}
	return nil
}

// setValues makes d a regression and sets the targets, as setClasses does.
func (d *Dataset) setValues(labels []cell, parse func(text string) (float64, error)) error {
	d.Kind = Regression
	for i := range d.Examples {
		ex := &d.Examples[i]
		ex.Value = math.NaN()
		if labels == nil || !labels[i].ok {
			continue
		}
		var err error
		if ex.Value, err = parse(labels[i].text); err != nil {
			return fmt.Errorf("%s: %w", ex.Where(), err)
		}
	}
	return nil
}
