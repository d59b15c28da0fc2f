package data

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// classIndex returns the class that a label of a file means: its name, or its index as in the hub's files.
// Where the names are numbers themselves an index would be ambiguous, so only they count.
func classIndex(labels []string, text string) (int, error) {
	if i := slices.Index(labels, text); i >= 0 {
		return i, nil
	}
	if numbers(labels) {
		return 0, fmt.Errorf("label %s: want %s", shorten(text), listNames(labels))
	}
	if i, ok := intLabel(text); ok && i >= 0 && i < len(labels) {
		return i, nil
	}
	return 0, fmt.Errorf("label %s: want %s, or 0 to %d", shorten(text), listNames(labels), len(labels)-1)
}

// intLabel reads a label that is a whole number; "1.0", as some tables write it, is 1.
func intLabel(text string) (int, bool) {
	i, err := strconv.Atoi(strings.TrimSuffix(text, ".0"))
	return i, err == nil
}

// floatLabel reads the target of a regression.
func floatLabel(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("label %s: want a finite number", shorten(text))
	}
	return v, nil
}

// classNames returns the different labels in order: by value if all are whole numbers, else by name.
func classNames(texts []string) []string {
	whole := true
	for _, text := range texts {
		_, ok := intLabel(text)
		whole = whole && ok
	}
	if !whole {
		names := slices.Clone(texts)
		slices.Sort(names)
		return slices.Compact(names)
	}
	values := make([]int, len(texts))
	for i, text := range texts {
		values[i], _ = intLabel(text)
	}
	slices.Sort(values)
	values = slices.Compact(values)
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = strconv.Itoa(v)
	}
	return names
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
	order = make([]int, len(labels))
	found := make([]bool, len(labels))
	same := true
	for i, label := range labels {
		at := slices.IndexFunc(head, func(name string) bool { return strings.EqualFold(name, label) })
		if at < 0 || found[at] {
			same = false
			break
		}
		order[i], found[at] = at, true
	}
	if same {
		return order, nil
	}
	if !defaultNames(head) && numbers(labels) == numbers(head) {
		return nil, fmt.Errorf("the data have the classes %s, the model's head has %s: want the same",
			listNames(labels), listNames(head))
	}
	for i := range order {
		order[i] = i
	}
	return order, nil
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
	for _, name := range names {
		if _, ok := intLabel(name); !ok {
			return false
		}
	}
	return true
}
