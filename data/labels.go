package data

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// classes are the classes of a task, and how labels name them.
type classes struct {
	names    []string
	byName   map[string]int
	byNumber map[int64]int // for labels that are whole numbers
	places   bool          // see newClasses
	grow     bool          // a label that is not known is a class of its own, until settle
	order    []int64       // indices that the file gives the names, in the order in which they are found
	unknown  string        // what the error of a label that is not known ends with
}

// newClasses returns the classes of these names. With places a whole number is the place of a class among them, as
// in the hub's files, and upper and lower case are alike. Where the names are numbers themselves that would be
// ambiguous, so only they count.
func newClasses(names []string, places bool) *classes {
	c := &classes{names: names, places: places, byName: map[string]int{}, byNumber: map[int64]int{}}
	c.unknown = ": want " + listNames(names)
	if places && !numbers(names) {
		for i := range names {
			c.byNumber[int64(i)] = i
		}
		c.unknown += fmt.Sprintf(", or 0 to %d", len(names)-1)
	}
	for i, name := range names {
		c.byName[name] = i
		if number, ok := wholeNumber(name); ok {
			c.byNumber[number] = i
		}
	}
	return c
}

// find returns the class that a label means. White space around it does not count.
func (c *classes) find(label cell) (int, error) {
	written := label
	label.text = strings.TrimSpace(label.text)
	if label.text != "" || label.kind == isText {
		if i, ok := c.byName[label.text]; ok {
			return i, nil
		}
	}
	if !c.grow || label.kind == isNumber {
		if whole, ok := label.whole(); ok {
			if i, ok := c.byNumber[whole]; ok {
				return i, nil
			}
		}
	}
	name := label.String()
	same := func(other string) bool { return strings.EqualFold(other, name) }
	if i := slices.IndexFunc(c.names, same); c.places && i >= 0 && !slices.ContainsFunc(c.names[i+1:], same) {
		return i, nil
	}
	switch {
	case !c.grow:
		return 0, fmt.Errorf("label %s%s", shorten(name), c.unknown)
	case label.blank():
		return 0, fmt.Errorf("the label is missing: the cell holds %s: give it one, or leave the row out", shorten(written.text))
	}
	i := len(c.names)
	c.names = append(c.names, name)
	c.byName[name] = i
	if label.kind == isNumber {
		c.byNumber[label.number] = i
		if label.text != "" {
			c.order = append(c.order, label.number)
		}
	}
	return i, nil
}

// settle puts classes that grew into their order, that of the file or of classNames, tags with O before the others, in
// d and its labels.
func (c *classes) settle(d *Dataset) error {
	names := classNames(c.names)
	if len(c.order) == len(c.names) {
		names = slices.Clone(c.names)
		index := func(name string) int64 { return c.order[slices.Index(c.names, name)] }
		slices.SortFunc(names, func(a, b string) int { return cmp.Compare(index(a), index(b)) })
	}
	switch {
	case len(names) == 0 && d.Kind == MultiLabel:
		return errors.New("no example has a label: want at least two different ones")
	case len(names) == 0:
		return errors.New("no sentence in it has words")
	case len(names) == 1 && d.Kind == Tagging:
		return fmt.Errorf("all %d words have the tag %s: want at least two tags", d.Rows()[d.Len()], shorten(names[0]))
	case len(names) == 1 && d.Kind == MultiLabel:
		return fmt.Errorf("the only label is %s: want at least two different ones", shorten(names[0]))
	case len(names) == 1:
		return fmt.Errorf("all %d examples have the label %s: want at least two classes", d.Len(), shorten(names[0]))
	}
	if outside := slices.Index(names, "O"); d.Kind == Tagging && outside > 0 {
		names = slices.Insert(slices.Delete(names, outside, outside+1), 0, "O")
	}
	settled := newClasses(names, false)
	to := make([]int, len(c.names))
	for i, name := range c.names {
		to[i], _ = settled.find(cell{kind: isText, text: name})
	}
	for i := range d.Examples {
		ex := &d.Examples[i]
		if d.Kind == Classification {
			ex.Label = to[ex.Label]
			continue
		}
		if ex.Sentence != nil {
			for k, tag := range ex.Tags {
				ex.Tags[k] = to[tag]
			}
		}
		if ex.LabelSet != nil {
			for k, class := range ex.Classes {
				ex.Classes[k] = to[class]
			}
			slices.Sort(ex.Classes)
		}
	}
	d.Labels = names
	return nil
}

// blank reports whether a label's cell holds what programs write where there is none. None, NA and the like are not
// among it: they are classes of some data.
func (c cell) blank() bool {
	if c.kind != isText {
		return false
	}
	text := strings.ToLower(strings.TrimSpace(c.text))
	return slices.Contains([]string{"", "nan", "null", "<na>"}, text)
}

// PlainClass is a class as it is compared: "1.0", as some tables write it, is 1.
func PlainClass(text string) string {
	whole, zeros, ok := strings.Cut(text, ".")
	if _, err := strconv.ParseInt(whole, 10, 64); ok && err == nil && strings.Trim(zeros, "0") == "" {
		return whole
	}
	return text
}

// wholeNumber reads a label that is a whole number, as PlainClass has it.
func wholeNumber(text string) (int64, bool) {
	i, err := strconv.ParseInt(PlainClass(text), 10, 64)
	return i, err == nil
}

// whole is wholeNumber of a label, which may be a number in its file already.
func (c cell) whole() (int64, bool) {
	if c.kind == isNumber {
		return c.number, true
	}
	return wholeNumber(c.text)
}

// value reads the target of a regression, from 0 to most if that is not 0.
func (c cell) value(most float64) (float64, error) {
	v, err := float64(c.number), error(nil)
	if c.kind == isText {
		v, err = strconv.ParseFloat(c.text, 64)
	}
	switch {
	case err != nil || math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("label %s: want a finite number", shorten(c.text))
	case most > 0 && (v < 0 || v > most):
		return 0, fmt.Errorf("label %s: want 0 to %v", shorten(c.String()), most)
	}
	return v, nil
}

// classNames returns the different labels in order: by value if all are whole numbers, else by name.
func classNames(texts []string) []string {
	names := slices.Sorted(slices.Values(texts))
	if numbers(texts) {
		value := func(text string) int64 { v, _ := wholeNumber(text); return v }
		slices.SortFunc(names, func(a, b string) int { return cmp.Compare(value(a), value(b)) })
		for i, name := range names {
			names[i] = strconv.FormatInt(value(name), 10)
		}
	}
	return slices.Compact(names)
}

// FitHead says how the classes of a task lie among the outputs of a head that comes with a model: class i
// of labels is output order[i]. Head is the model's id2label in the order of the ids. Where the names are
// the same, upper and lower case apart, they decide, so that a model whose classes stand in another order
// is scored rightly. Where the head has Hugging Face's default names (LABEL_0, ...), or one side has names
// and the other only numbers, the places decide. Anything else is an error.
func FitHead(labels, head []string) (order []int, err error) {
	if len(labels) != len(head) {
		return nil, fmt.Errorf("the data have %d classes (%s), the model's head has %d (%s): want the same number",
			len(labels), listNames(labels), len(head), listNames(head))
	}
	order, places := make([]int, len(labels)), make([]int, len(labels))
	for i, label := range labels {
		order[i] = slices.IndexFunc(head, func(name string) bool { return strings.EqualFold(name, label) })
		places[i] = i
	}
	if slices.Equal(slices.Sorted(slices.Values(order)), places) { // every name is there, once
		return order, nil
	}
	if !defaultNames(head) && numbers(labels) == numbers(head) {
		return nil, fmt.Errorf("the data have the classes %s, the model's head has %s: want the same",
			listNames(labels), listNames(head))
	}
	return places, nil
}

// defaultNames reports whether names are those of a config without id2label.
func defaultNames(names []string) bool {
	for i, name := range names {
		if name != "LABEL_"+strconv.Itoa(i) {
			return false
		}
	}
	return true
}

func numbers(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { _, ok := wholeNumber(name); return !ok })
}
