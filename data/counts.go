package data

import (
	"cmp"
	"fmt"
	"slices"

	"autolora/human"
)

// LabelCount is how often a label is there.
type LabelCount struct {
	Label string `json:"label"`
	Count int    `json:"count"`
}

// LabelCounts returns how many examples, in tagging words, have each label, the commonest first; nil where labels are no
// classes.
func (d *Dataset) LabelCounts() []LabelCount {
	counts := make([]LabelCount, len(d.Labels))
	for i, label := range d.Labels {
		counts[i].Label = label
	}
	for i := range d.Examples {
		ex := &d.Examples[i]
		classes := []int{ex.Label}
		switch d.Kind {
		case Tagging:
			classes = ex.Tags
		case MultiLabel:
			if classes = nil; ex.LabelSet != nil {
				classes = ex.Classes
			}
		case Classification:
		default:
			return nil
		}
		for _, class := range classes {
			if class != NoLabel {
				counts[class].Count++
			}
		}
	}
	slices.SortStableFunc(counts, func(a, b LabelCount) int { return cmp.Compare(b.Count, a.Count) })
	return counts
}

// CountsInWords names the first labels with their counts, at most so many.
func CountsInWords(counts []LabelCount, most int) string {
	var parts []string
	for _, c := range counts {
		parts = append(parts, fmt.Sprintf("%s %d", c.Label, c.Count))
	}
	return human.List(parts, most)
}
