package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
)

// form says how the rows of files become examples.
type form struct {
	kind   Kind
	text   []column // one with the texts, the words or the sources, or two; where an optional second one is missing there is no pair
	label  column   // without a name if there is none to read
	labels []column // in its place a column for each of several labels
	hidden bool     // -1 stands for a label that is not given, as in GLUE's test sets
	most   float64  // values of a regression are from 0 to most; 0: any
	subset bool     // the cell after the label is the example's Subset

	header  []string // see tableSpec
	reader  reader   // see tableSpec
	content []byte   // see tableSpec
	skips   string   // what to say of rows that are left out, see tableSpec.skip; "" if those that end too early are errors

	trainOn TrainOn // of a conversation

	// source gives a source the form in which a model reads it; nil leaves it as it is.
	source func(text string) (string, error)
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

// read reads the data set of a task's part. Classes says which class a label means; where it grows, it is settled
// afterwards.
func (f form) read(task string, part Part, files []string, classes *classes) (*Dataset, error) {
	d := &Dataset{Name: task + "/" + string(part), Kind: f.kind, Files: files}
	spec := &tableSpec{columns: slices.Clone(f.text), lists: f.kind == Tagging, header: f.header, read: f.reader, content: f.content}
	if f.label.name != "" {
		spec.columns = append(spec.columns, f.label)
	}
	spec.columns = append(spec.columns, f.labels...)
	if f.skips != "" {
		spec.skip = func(line int) { d.Skipped = append(d.Skipped, line) }
	}
	sum := sha256.New()
	var lists []cell // of the labels of each example
	for _, file := range files {
		before := d.Len()
		err := readTable(file, sum, spec, func(line int, cells []cell) error {
			if d.Len() == before {
				d.Examples = slices.Grow(d.Examples, spec.rows)
			}
			ex := Example{File: file, Line: line}
			if f.label.listed {
				lists = append(lists, cells[len(f.text)])
			}
			err := f.set(&ex, cells, classes)
			d.Examples = append(d.Examples, ex)
			return err
		})
		if err != nil {
			return nil, err
		}
		if d.Len() == before {
			return nil, fmt.Errorf("%s: no examples: it holds no rows but a header", file)
		}
	}
	d.Fingerprint = hex.EncodeToString(sum.Sum(nil))
	if lists != nil {
		if err := d.setLists(lists, classes); err != nil {
			return nil, err
		}
	}
	if f.kind == Classification || f.kind == MultiLabel || f.kind == Tagging {
		d.Labels = classes.names
	}
	if f.kind == Generation && (part == Dev || part == Test) {
		d.joinReferences()
	}
	return d, nil
}

// set sets the fields of an example that a row has for its kind of task. A label that is missing is NoLabel, a value
// NaN, a target "".
func (f form) set(ex *Example, cells []cell, classes *classes) error {
	text, label := cells[0], cell{}
	if f.kind == Generation && len(f.text) == 2 {
		text = joinInput(text, cells[1])
	}
	if f.label.name != "" {
		label = cells[len(f.text)]
	}
	if whole, ok := label.whole(); ok && whole == NoLabel && f.hidden {
		label = cell{}
	}
	if label.blank() && f.label.optional && !f.kind.Writes() {
		label = cell{}
	}
	var err error
	switch f.kind {
	case Tagging:
		return ex.setTags(text, label, classes)
	case Chat:
		if err = ex.setChat(cells, label, [2]string{f.text[0].name, f.label.name}); err == nil {
			ex.Chat.set(f.trainOn)
		}
	case Generation:
		ex.Writing = new(Writing)
		if f.subset {
			ex.Subset = cells[len(f.text)+1].text
		}
		err = ex.setTexts(text, label, f.source)
	default:
		ex.Text = text.String()
		if len(f.text) == 2 {
			ex.Pair, ex.HasPair = cells[1].String(), cells[1].kind != missing
		}
		switch known := label.kind != missing; {
		case f.kind == MultiLabel && f.labels != nil:
			err = ex.setColumns(cells[len(f.text):], f.labels, classes)
		case f.kind == MultiLabel: // see setLists
		case f.kind == Regression && known:
			ex.Value, err = label.value(f.most)
		case f.kind == Regression:
			ex.Value = math.NaN()
		case known:
			ex.Label, err = classes.find(label)
		default:
			ex.Label = NoLabel
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", ex.Where(), err)
	}
	return nil
}

// setTags sets the words of a sentence and the class of each.
func (ex *Example) setTags(words, tags cell, classes *classes) error {
	ex.Sentence = &Sentence{words.texts(), make([]int, len(words.list))}
	if tags.kind == missing {
		for k := range ex.Tags {
			ex.Tags[k] = NoLabel
		}
		return nil
	}
	if len(tags.list) != len(ex.Words) {
		return fmt.Errorf("%s: %d words and %d tags: want as many", ex.Where(), len(ex.Words), len(tags.list))
	}
	for k, tag := range tags.list {
		var err error
		if ex.Tags[k], err = classes.find(tag); err != nil {
			return fmt.Errorf("%s: %w", ex.whereWord(k), err)
		}
	}
	return nil
}

// setTexts sets source and target of a generation. White space around texts is dropped, as LoRA's code does.
func (ex *Example) setTexts(source, target cell, form func(text string) (string, error)) (err error) {
	text := source.String()
	if form != nil {
		if text, err = form(text); err != nil {
			return err
		}
	}
	ex.Source, ex.Target = strings.TrimSpace(text), strings.TrimSpace(target.String())
	switch {
	case ex.Source == "":
		return fmt.Errorf("the source is empty: want a text")
	case ex.Target == "" && target.kind != missing:
		return fmt.Errorf("the target is empty: want a text")
	}
	return nil
}

// joinReferences makes one example of all with the same source, in the order in which the sources first appear,
// and references of the targets.
func (d *Dataset) joinReferences() {
	joined := make([]Example, 0, len(d.Examples))
	place := map[string]int{}
	for _, ex := range d.Examples {
		i, ok := place[ex.Source]
		if !ok {
			i = len(joined)
			place[ex.Source] = i
			joined = append(joined, ex.withTarget(""))
		}
		if ex.Target != "" {
			joined[i].References = append(joined[i].References, ex.Target)
		}
	}
	d.Examples = joined
}
