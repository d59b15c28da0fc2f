package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
)

// exampleSpec says how the rows of some files become the examples of one data set.
type exampleSpec struct {
	files     []string
	text      []column // one with the texts, or words, or two; where an optional second one is missing there is no pair
	label     column   // without a name if there is none to read
	lists     bool     // text and label are lists: words and tags
	header    []string // see tableSpec
	skipShort bool     // see tableSpec.shortRow
	read      reader   // see tableSpec
}

// columns returns the columns of these names.
func columns(names ...string) []column {
	out := make([]column, len(names))
	for i, name := range names {
		out[i] = column{name: name}
	}
	return out
}

// The columns of words and tags where the user names none.
var (
	wordColumn = column{name: "tokens", place: 1}
	tagColumn  = column{name: "tags", other: "ner_tags", place: -1}
)

// readExamples reads texts, and the labels as they stand in the files.
func readExamples(spec exampleSpec) (*Dataset, []cell, error) {
	table := tableSpec{columns: slices.Clone(spec.text), lists: spec.lists, header: spec.header, read: spec.read}
	labelled := spec.label.name != ""
	if labelled {
		table.columns = append(table.columns, spec.label)
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
			ex := Example{Text: cells[0].text, Words: cells[0].list, File: file, Line: line}
			if len(spec.text) == 2 {
				ex.Pair, ex.HasPair = cells[1].text, cells[1].ok
			}
			d.Examples = append(d.Examples, ex)
			if labelled {
				label := cells[len(cells)-1]
				if spec.lists && label.ok && len(label.list) != len(ex.Words) {
					return fmt.Errorf("%s: %d words and %d tags: want as many", ex.Where(), len(ex.Words), len(label.list))
				}
				labels = append(labels, label)
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

// setTags makes d a tagging, as setClasses makes it a classification: every word gets a class.
func (d *Dataset) setTags(names []string, tags []cell, parse func(text string) (int, error)) error {
	d.Kind, d.Labels = Tagging, names
	for i := range d.Examples {
		ex := &d.Examples[i]
		ex.Tags = make([]int, len(ex.Words))
		known := tags != nil && tags[i].ok
		for k := range ex.Tags {
			ex.Tags[k] = NoLabel
			if !known {
				continue
			}
			var err error
			if ex.Tags[k], err = parse(tags[i].list[k]); err != nil {
				return fmt.Errorf("%s: %w", ex.whereWord(k), err)
			}
		}
	}
	return nil
}
