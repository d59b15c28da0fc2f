package data

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// labelColumns are the columns of which each is a label with 1 where an example has it; nil where one column has all
// labels of an example.
func (f FileTask) labelColumns() []column {
	if names := strings.Split(f.Label, ","); f.Kind == MultiLabel && len(names) > 1 {
		return columns(names...)
	}
	return nil
}

// setColumns sets the labels that the cells of their columns say an example has.
func (ex *Example) setColumns(cells []cell, columns []column, classes *classes) error {
	unknown := 0
	labels := []int{}
	for i, c := range cells {
		if c.kind == missing || c.blank() && columns[i].optional {
			unknown++
			continue
		}
		given, ok := c.whole()
		if truth := strings.ToLower(strings.TrimSpace(c.text)); truth == "true" || truth == "false" {
			given, ok = int64(strings.Count(truth, "true")), true
		}
		if !ok || given < 0 || given > 1 {
			return fmt.Errorf("%q: label %s: want 1 where the example has it, else 0", columns[i].name, shorten(c.String()))
		}
		if given == 1 {
			label, err := classes.find(cell{kind: isText, text: columns[i].name})
			if err != nil {
				return err
			}
			labels = append(labels, label)
		}
	}
	switch {
	case unknown == 0:
		slices.Sort(labels)
		ex.LabelSet = &LabelSet{labels}
	case unknown < len(cells):
		return fmt.Errorf("%d of the %d labels are missing: want all or none", unknown, len(cells))
	}
	return nil
}

// setLists sets the labels of the examples, of each as its cell of the column has them: a list, or a text in which they
// have a separator between them. Lists of as many numbers, each 0 or 1, say of each label whether the example has it.
func (d *Dataset) setLists(cells []cell, classes *classes) error {
	for i, c := range cells {
		if list, ok := c.asList(); ok {
			cells[i] = list
		}
	}
	separator, err := separatorOf(cells, classes)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Files[0], err)
	}
	d.separator = separator
	places := bits(cells)
	hot := places > 2 || places == 2 && (classes.grow || len(classes.names) == 2) // else all would have both labels, or the labels 0 and 1
	if hot && classes.grow {
		for k := range places {
			if _, err := classes.find(cell{kind: isNumber, number: int64(k)}); err != nil {
				return err
			}
		}
	}
	for i, c := range cells {
		ex := &d.Examples[i]
		if c.kind == missing {
			continue
		}
		list, err := c.list, error(nil)
		switch {
		case hot && len(list) != len(classes.names):
			err = fmt.Errorf("%d numbers: want one for each of the %d labels", len(list), len(classes.names))
		case c.kind == isNumber:
			list = []cell{c}
		case c.kind == isText && separator == "":
			list = []cell{{kind: isText, text: c.text}}
		case c.kind == isText:
			for part := range strings.SplitSeq(c.text, separator) {
				list = append(list, cell{kind: isText, text: part})
			}
		}
		ex.LabelSet = &LabelSet{}
		for k, element := range list {
			label := k
			switch {
			case err != nil, hot && !element.isOne(), c.kind == isText && strings.TrimSpace(element.text) == "":
				continue
			case !hot:
				label, err = classes.find(element)
			}
			if !slices.Contains(ex.Classes, label) {
				ex.Classes = append(ex.Classes, label)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", ex.Where(), err)
		}
		slices.Sort(ex.Classes)
	}
	return nil
}

// separators may stand between labels that are written as one text.
const separators = "|;,"

// separatorOf returns what stands between the labels of texts, "" if no text has several. It is the only one of
// separators that occurs, or of several the first with which the texts are made of labels that are known.
func separatorOf(cells []cell, classes *classes) (string, error) {
	var found []string
	for _, r := range separators {
		if slices.ContainsFunc(cells, func(c cell) bool { return c.kind == isText && strings.ContainsRune(c.text, r) }) {
			found = append(found, string(r))
		}
	}
	if !classes.grow {
		for _, separator := range append([]string{""}, found...) {
			known := func(c cell) bool {
				parts := []string{c.text}
				if separator != "" {
					parts = strings.Split(c.text, separator)
				}
				return c.kind != isText || !slices.ContainsFunc(parts, func(part string) bool {
					_, err := classes.find(cell{kind: isText, text: part})
					return strings.TrimSpace(part) != "" && err != nil
				})
			}
			if !slices.ContainsFunc(cells, func(c cell) bool { return !known(c) }) {
				return separator, nil
			}
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("the labels have %s in them: which stands between labels is not plain: give lists, as [\"a\", \"b\"], or a column of 0 and 1 for each label", and(quoted(found)))
}

// bits returns the length of lists of numbers that are 0 or 1, 0 where the cells are not all such lists of one length.
func bits(cells []cell) int {
	length := -1
	for _, c := range cells {
		switch {
		case c.kind == missing:
			continue
		case c.kind != isList || length >= 0 && len(c.list) != length:
			return 0
		}
		length = len(c.list)
		for _, element := range c.list {
			if n, ok := element.whole(); !ok || n < 0 || n > 1 {
				return 0
			}
		}
	}
	return max(length, 0)
}

func (c cell) isOne() bool {
	n, ok := c.whole()
	return ok && n == 1
}

// asList reads a text that is a list as JSON, Python or numpy write one.
func (c cell) asList() (list cell, ok bool) {
	inner := strings.TrimSpace(c.text)
	if c.kind != isText || !strings.HasPrefix(inner, "[") || !strings.HasSuffix(inner, "]") {
		return c, false
	}
	if list, err := jsonCell([]byte(inner)); err == nil && !slices.ContainsFunc(list.list, func(e cell) bool { return e.kind != isText }) {
		return list, true
	}
	list.kind = isList
	for inner = inner[1 : len(inner)-1]; ; {
		inner = strings.TrimLeft(inner, " ,\t\r\n")
		if inner == "" {
			return list, true
		}
		end := strings.IndexAny(inner, ", \t\r\n")
		if quote := inner[:1]; quote == "'" || quote == `"` {
			if end = strings.Index(inner[1:], quote); end < 0 {
				return c, false
			}
			list.list = append(list.list, cell{kind: isText, text: inner[1 : end+1]})
			inner = inner[end+2:]
			continue
		}
		if end < 0 {
			end = len(inner)
		}
		list.list = append(list.list, cell{kind: isText, text: inner[:end]})
		inner = inner[end:]
	}
}

// SplitLabels reads the labels of each of the examples of a file, which have a text each: a list, or labels with the same
// separator between them everywhere.
func SplitLabels(file string, texts []string) ([][]string, error) {
	d := &Dataset{Kind: MultiLabel, Files: []string{file}}
	cells := make([]cell, len(texts))
	for i, text := range texts {
		cells[i] = cell{kind: isText, text: text}
		d.Examples = append(d.Examples, Example{File: file, Line: i + 1})
	}
	classes := newClasses(nil, false)
	classes.grow = true
	if err := d.setLists(cells, classes); err != nil {
		return nil, err
	}
	labels := make([][]string, len(texts))
	for i, ex := range d.Examples {
		labels[i] = Task{Labels: classes.names}.Names(ex.Classes)
	}
	return labels, nil
}

// JoinLabels writes labels as one text that can be read again: with commas between, or where some of all labels have a usual
// separator in them as a JSON list.
func JoinLabels(labels, all []string) string {
	if !slices.ContainsFunc(all, func(label string) bool { return strings.ContainsAny(label, separators) }) {
		return strings.Join(labels, ",")
	}
	list, _ := json.Marshal(append([]string{}, labels...)) // of texts, which never fails
	return string(list)
}
