package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"autolora/foreign"
	"autolora/plainjson"
)

// ReadInputs reads what bench takes: JSON lines with "text", for a pair "text_pair", and perhaps
// "label", a class by its name in task.Labels or its index, or a number in regression. Examples without a
// label have NoLabel or NaN. In tagging the lines have "tokens", a list of words, and perhaps "tags" (or
// "ner_tags"), a list of as many. Any file that FileTask takes may have the same columns; of a file with a word
// a line the first column is the words and the last, if there are several, the tags. In generation the lines have
// "source", and perhaps "target".
func ReadInputs(file string, task Task) (*Dataset, error) {
	content, err := foreign.ReadNamed(file, foreign.MaxData)
	if err != nil {
		return nil, fmt.Errorf("input: read data: %w", err)
	}
	rows := form{kind: task.Kind, text: []column{{name: "text"}, secondText}, label: column{name: "label"}, content: content}
	switch task.Kind {
	case Tagging:
		rows.text, rows.label = []column{wordColumn}, tagColumn
	case MultiLabel:
		rows.label = column{name: "labels", other: "label", listed: true}
	case Generation:
		rows.text, rows.label.name = columns("source"), "target"
	case Chat:
		rows.text, rows.label.name, rows.trainOn = chatColumns(messageNames[0]), "", TrainOnAssistant
	}
	rows.label.optional = true
	if task.Kind != Chat {
		rows.text = usualColumns(file, rows)
	}
	rows.source = task.sourceForm(rows.text[0].name)
	if pairs := task.pairs(); pairs != nil && *pairs && len(rows.text) == 2 {
		rows.text[1].optional = false // a model of pairs makes little of a text alone
	}
	d, err := rows.read(task.Name, "input", []string{file}, newClasses(task.Labels, true))
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return d, nil
}

// layouts are the forms in which the data of a named task are known, none of another task.
func (t Task) layouts() []layout {
	named, err := findTask(t.Name)
	if err != nil {
		return nil
	}
	return named.layouts
}

// pairs reports whether a named task is one of pairs of texts; nil where that is not known.
func (t Task) pairs() *bool {
	layouts := t.layouts()
	if layouts == nil {
		return nil
	}
	pairs := len(layouts[0].form.text) == 2
	return &pairs
}

// sourceForm returns what gives the sources in a column of a named task's files the form in which a model reads them; nil
// if they have it.
func (t Task) sourceForm(column string) func(text string) (string, error) {
	for _, l := range t.layouts() {
		if strings.EqualFold(l.form.text[0].name, column) {
			return l.form.source
		}
	}
	return nil
}

// usualColumns are the columns with the texts of an input that does not call them as rows says, but by another usual
// name: sentence1 and sentence2, say.
func usualColumns(file string, rows form) []column {
	p, err := describe(file, rows.content, rows.kind == Tagging, 100)
	if err != nil || wordLines(file) || p.column(rows.text[0].name) != nil {
		return rows.text
	}
	var names []string
	for _, c := range p.Columns {
		names = append(names, c.Name)
	}
	return InputConfig{}.columns(rows.kind, names)
}

// HasConversations reports whether the rows of a file are conversations, by the name of a column.
func HasConversations(file string) bool {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() { // a pipe can be read once
		return false
	}
	p, err := Describe(file, false, 10)
	return err == nil && p.first(messageNames, whatever) != ""
}

// Inputs are examples to predict for, and what their rows hold.
type Inputs struct {
	*Dataset
	Fields [][]plainjson.Member // [examples] of the row, in its order
	Note   string               // how plain text was read, where that is not plain; else ""
}

// Range returns the inputs from one to another, which it shares.
func (in *Inputs) Range(from, to int) *Inputs {
	return &Inputs{Dataset: in.Dataset.Range(from, to), Fields: in.Fields[from:to:to]}
}

// InputConfig says what is known of the inputs.
type InputConfig struct {
	Text  []string // columns, as of FileTask; others with usual names are taken where a file has not all of these
	Only  bool     // no others
	Pairs *bool    // whether the model takes pairs of texts; nil: it is not known

	named [][]string // columns of a named task's own files
}

// ReadTexts reads what predict takes: any file that ReadInputs does, of which only the texts count and in tagging the
// tags, or plain text (.txt). Of that every line is a text, of a pair with a tab between, a source, or a sentence of
// words with spaces between; empty lines are left out.
func ReadTexts(file string, task Task, config InputConfig) (*Inputs, error) {
	in, err := readTexts(file, task, config)
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return in, nil
}

func readTexts(file string, task Task, config InputConfig) (*Inputs, error) {
	content, err := foreign.ReadNamed(file, foreign.MaxData)
	if err != nil {
		return nil, err
	}
	if config.Pairs == nil {
		config.Pairs = task.pairs()
	}
	for _, l := range task.layouts() {
		config.named = append(config.named, columnNames(l.form.text))
	}
	rows := form{kind: task.Kind, text: config.columns(task.Kind, nil), content: content}
	if task.Kind == Tagging {
		rows.label = tagColumn
		rows.label.optional = true
	}
	in := &Inputs{}
	switch wordALine := task.Kind == Tagging && isCoNLL(file); {
	case strings.EqualFold(filepath.Ext(file), ".txt") && !(wordALine && wordPerLine(content, task.Labels)):
		rows.reader = in.readPlain
		rows.text = columns("text")
		if task.Kind == Chat {
			rows.text = chatColumns("text")
		}
		if single := config.Pairs != nil && !*config.Pairs; !single && task.Kind.OfTexts() {
			rows.text = append(rows.text, secondText)
		}
	case !wordALine:
		var names []string
		if in.Fields, names, err = readFields(file, content, task.Kind == Tagging); err != nil {
			return nil, err
		}
		rows.text = config.columns(task.Kind, names)
		switch first := rows.text[0].name; {
		case task.Kind == Chat:
			rows.text = chatColumns(first)
		case task.Kind == Generation:
			rows.text, rows.source = sourceColumns(first), task.sourceForm(first)
		}
	}
	if in.Dataset, err = rows.read(task.Name, "input", []string{file}, newClasses(task.Labels, true)); err != nil {
		return nil, err
	}
	for _, ex := range in.Examples {
		switch {
		case config.Pairs == nil || *config.Pairs == ex.HasPair || task.Kind == Tagging || task.Kind.Writes():
		case *config.Pairs:
			return nil, fmt.Errorf("%s: one text, and the model takes pairs: want a second one in text_pair, or behind a tab in plain text", ex.Where())
		default:
			return nil, fmt.Errorf("%s: a pair of texts, and the model takes single ones: leave the second out", ex.Where())
		}
	}
	for i := len(in.Fields); i < in.Len(); i++ { // rows without names
		in.Fields = append(in.Fields, in.Examples[i].fields())
	}
	return in, nil
}

// secondText is the second text of a pair, where there may be one.
var secondText = column{name: "text_pair", optional: true}

// columns are those of the texts in a file with columns of these names, or with a word a line.
func (c InputConfig) columns(kind Kind, names []string) []column {
	var known [][]string // names that they may have, the likeliest first
	if len(c.Text) > 0 {
		known = append(known, c.Text)
	}
	switch {
	case kind == Tagging && names == nil && known != nil:
		return []column{listColumn(c.Text[0])}
	case kind == Tagging && names == nil:
		return []column{wordColumn}
	case c.Only && known != nil:
	case kind == Tagging:
		known = slices.AppendSeq(known, slices.Chunk(wordNames, 1))
	case kind == Chat:
		known = slices.AppendSeq(known, slices.Chunk(messageNames, 1))
		for _, pair := range promptNames {
			known = append(known, pair[:1])
		}
	case kind == Generation:
		for _, pair := range writtenName {
			if pair[0] != "text" || spelled(pair[1:], names) != nil { // that may be anything
				known = append(known, pair[:1])
			}
		}
	default:
		known = append(known, []string{"text"})
		for _, pair := range pairNames {
			if c.Pairs == nil || *c.Pairs {
				known = append(known, pair[:])
			}
		}
		if c.Pairs == nil || !*c.Pairs {
			known = slices.AppendSeq(known, slices.Chunk(textNames, 1))
		}
	}
	if !c.Only {
		known = append(known, c.named...)
	}
	found := known[0]
	for _, candidate := range known {
		if theirs := spelled(candidate, names); theirs != nil {
			found = theirs
			break
		}
	}
	cols := columns(found...)
	if len(found) == 1 && found[0] == "text" && kind.OfTexts() {
		cols = append(cols, secondText)
	}
	return cols
}

// spelled returns names as a file with columns all has them, nil if it has not all of them.
func spelled(names, all []string) (theirs []string) {
	for _, name := range names {
		i := slices.Index(all, name)
		if i < 0 {
			i = slices.IndexFunc(all, func(other string) bool { return strings.EqualFold(other, name) })
		}
		if i < 0 {
			return nil
		}
		theirs = append(theirs, all[i])
	}
	return theirs
}

// fields are those of an example whose row has no names.
func (e Example) fields() []plainjson.Member {
	switch {
	case e.Sentence != nil:
		return []plainjson.Member{member("tokens", e.Words)}
	case e.Chat != nil:
		return []plainjson.Member{member("prompt", e.Chat.Messages[0].Text)}
	case e.Writing != nil:
		return []plainjson.Member{member("source", e.Source)}
	case e.HasPair:
		return []plainjson.Member{member("text", e.Text), member(secondText.name, e.Pair)}
	}
	return []plainjson.Member{member("text", e.Text)}
}

func member(name string, value any) plainjson.Member {
	text, _ := json.Marshal(value) // of texts and numbers, which never fails
	return plainjson.Member{Key: name, Value: text}
}

// readFields returns the fields of each row of a file, and the names of all columns.
func readFields(file string, content []byte, lists bool) (rows [][]plainjson.Member, names []string, err error) {
	add := func(fields []plainjson.Member) {
		rows = append(rows, fields)
		for _, f := range fields {
			if !slices.Contains(names, f.Key) {
				names = append(names, f.Key)
			}
		}
	}
	spec := &tableSpec{all: true, lists: lists, content: content}
	spec.object = func(line int, text []byte) error {
		fields, err := plainjson.Members(text)
		if err != nil {
			return fmt.Errorf("%s: %w", place(file, line), err)
		}
		for i := range fields {
			var compact bytes.Buffer
			if err := json.Compact(&compact, fields[i].Value); err != nil {
				return fmt.Errorf("%s: %w", place(file, line), err)
			}
			fields[i].Value = compact.Bytes()
		}
		add(fields)
		return nil
	}
	err = readTable(file, io.Discard, spec, func(_ int, cells []cell) error {
		var fields []plainjson.Member
		for i, c := range cells {
			if c.kind != isOther {
				name := spec.columns[i].name
				for n := 2; slices.ContainsFunc(fields, func(f plainjson.Member) bool { return f.Key == name }); n++ {
					name = fmt.Sprintf("%s_%d", spec.columns[i].name, n)
				}
				fields = append(fields, member(name, c.plain()))
			}
		}
		add(fields)
		return nil
	})
	return rows, names, err
}

// plain is the value of a cell as encoding/json takes it.
func (c cell) plain() any {
	switch {
	case c.kind == missing:
		return nil
	case c.kind == isNumber && c.text == "":
		return c.number
	case c.kind == isList:
		list := make([]any, len(c.list))
		for i, element := range c.list {
			list[i] = element.plain()
		}
		return list
	}
	return c.text
}

// wordPerLine reports whether a file has a word a line, with its columns behind it, or is plain text of sentences: of
// these the lines have different numbers of words, and seldom end with a tag.
func wordPerLine(content []byte, tags []string) bool {
	if tabbed(content) {
		return true
	}
	all, tagged, length, even := 0, 0, 0, true
	for line := range bytes.Lines(content) {
		words := strings.Fields(string(line))
		if isBreak(string(line)) || len(words) == 0 {
			continue
		}
		if all++; all == 1 {
			length = len(words)
		}
		even = even && len(words) == length
		if slices.Contains(tags, words[len(words)-1]) {
			tagged++
		}
	}
	return length == 1 && even || 2*tagged > all || even && all > 1
}

// readPlain is the reader of plain text.
func (in *Inputs) readPlain(file string, b []byte, spec *tableSpec, yield yieldRow) error {
	empty := 0
	err := lines(file, b, func(line int, text string) error {
		if strings.TrimSpace(text) == "" {
			empty++
			return nil
		}
		cells := make([]cell, len(spec.columns))
		first, second, pair := strings.Cut(text, "\t")
		switch {
		case spec.lists:
			cells[0].kind = isList
			for _, word := range strings.Fields(text) {
				cells[0].list = append(cells[0].list, cell{kind: isText, text: word})
			}
		case pair && len(cells) == 2:
			cells[0], cells[1] = cell{kind: isText, text: first}, cell{kind: isText, text: second}
		default:
			cells[0] = cell{kind: isText, text: text}
		}
		return yield(line, cells)
	})
	var notes []string
	if spec.lists {
		notes = append(notes, "a sentence a line, its words between spaces")
	}
	if empty > 0 {
		notes = append(notes, fmt.Sprintf("empty lines left out: %d", empty))
	}
	if notes != nil {
		in.Note = file + " is read as plain text: " + strings.Join(notes, "; ")
	}
	return err
}
