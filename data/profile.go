package data

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Profile is what a file of data holds, whatever its columns mean.
type Profile struct {
	File     string          `json:"file"`
	Rows     int             `json:"rows"`
	Columns  []ColumnProfile `json:"columns"`
	Examples [][]string      `json:"examples"` // the cells of the first rows
}

// ColumnProfile is what a column holds.
type ColumnProfile struct {
	Name    string         `json:"name"`
	Type    string         `json:"type"`              // in words
	Missing int            `json:"missing,omitempty"` // cells that are null or blank
	Values  map[string]int `json:"values,omitempty"`  // how often each is there; nil if there are more than maxValues

	place  int // see column
	words  int // in all cells
	counts [6]int
}

const (
	maxValues     = 100
	firstExamples = 3
)

// The kinds of cells that a column's type comes from.
const (
	nothing = iota
	wholes
	numbersToo
	texts
	listed
	others
)

var typeNames = [6]string{"nothing", "whole numbers", "numbers", "text", "lists", "other"}

// errEnough ends the reading of a file.
var errEnough = errors.New("enough")

// Describe reads all rows of a file, or the first of them if most is not 0. A file with a word a line has sentences as
// rows; words says that a .tsv or .txt file is one.
func Describe(file string, words bool, most int) (*Profile, error) {
	return describe(file, nil, words, most)
}

// describe is Describe of a file whose content, if it is not nil, is read already.
func describe(file string, content []byte, words bool, most int) (*Profile, error) {
	p := &Profile{File: file}
	spec := &tableSpec{all: true, lists: words || wordLines(file), content: content}
	err := readTable(file, io.Discard, spec, func(_ int, cells []cell) error {
		p.add(spec.columns, cells)
		if p.Rows == most {
			return errEnough
		}
		return nil
	})
	for len(p.Columns) < len(spec.columns) { // of a table without rows
		p.Columns = append(p.Columns, ColumnProfile{Name: spec.columns[len(p.Columns)].name})
	}
	for i := range p.Columns {
		c := &p.Columns[i]
		c.Type = typeNames[c.kind()]
	}
	if err == errEnough {
		err = nil
	}
	return p, err
}

// wordLines reports whether a file has a word a line, by a name that no table has.
func wordLines(file string) bool {
	return isCoNLL(file) && !strings.HasSuffix(strings.ToLower(file), ".tsv")
}

func (p *Profile) add(columns []column, cells []cell) {
	p.Rows++
	for len(p.Columns) < len(columns) {
		c := columns[len(p.Columns)]
		p.Columns = append(p.Columns, ColumnProfile{Name: c.name, place: c.place, Missing: p.Rows - 1, Values: map[string]int{}})
	}
	var row []string
	for i, c := range cells {
		p.Columns[i].add(c)
		if p.Rows <= firstExamples {
			text := c.String()
			if c.kind == isList {
				text = strings.Join(c.texts(), " ")
			}
			row = append(row, strings.Clone(text))
		}
	}
	if row != nil {
		p.Examples = append(p.Examples, row)
	}
}

func (c *ColumnProfile) add(value cell) {
	kind, text := texts, value.String()
	_, whole := value.whole()
	switch {
	case value.kind == missing || value.blank():
		c.Missing++
		return
	case value.kind == isOther:
		kind = others
	case value.kind == isList:
		kind = listed
		for _, element := range value.list {
			if element.kind != isOther { // the messages of a conversation
				c.count(element.String())
			}
		}
		c.words += len(value.list)
	case whole && value.text == "" || value.kind == isText && whole:
		kind = wholes
	default:
		if _, err := value.value(0); err == nil && value.kind == isText {
			kind = numbersToo
		}
	}
	c.counts[kind]++
	if kind < listed {
		c.count(PlainClass(text))
		c.words += len(strings.Fields(text))
	}
}

func (c *ColumnProfile) count(value string) {
	const longest = 80 // bytes of a class's name; longer is a text
	if c.Values == nil {
		return
	}
	if _, ok := c.Values[value]; !ok && (len(c.Values) == maxValues || len(value) > longest) {
		c.Values = nil
		return
	}
	c.Values[strings.Clone(value)]++
}

// kind is what the cells of the column are: whole numbers and numbers are numbers, with texts they are texts.
func (c *ColumnProfile) kind() int {
	for kind := others; kind > nothing; kind-- {
		if c.counts[kind] > 0 {
			return kind
		}
	}
	return nothing
}

func (p *Profile) column(name string) *ColumnProfile {
	for i := range p.Columns {
		if strings.EqualFold(p.Columns[i].Name, name) {
			return &p.Columns[i]
		}
	}
	return nil
}

// Columns by the names that they have in the data sets of others, the usual ones first.
var (
	pairNames = [][2]string{{"sentence1", "sentence2"}, {"premise", "hypothesis"}, {"question1", "question2"}, {"text1", "text2"}, {"text", "text_pair"},
		{"text_a", "text_b"}, {"sentence_a", "sentence_b"}, {"sentence_1", "sentence_2"}, {"s1", "s2"}, {"sent1", "sent2"}, {"string1", "string2"},
		{"question", "sentence"}, {"question", "context"}, {"question", "passage"}, {"question", "answer"}, {"query", "passage"}, {"query", "document"}}
	setNames    = []string{"labels", "label", "tags", "classes", "categories", "genres", "emotions", "topics", "intents", "targets"}
	textNames   = []string{"text", "sentence", "content", "review", "comment", "tweet", "message", "body", "document", "utterance", "headline", "question", "query"}
	labelNames  = []string{"label", "labels", "class", "target", "category", "sentiment", "intent", "topic", "emotion", "gold_label", "is_duplicate", "score", "similarity", "similarity_score", "relatedness_score", "stars", "rating", "y"}
	writtenName = [][2]string{{"source", "target"}, {"instruction", "output"}, {"instruction", "response"}, {"input", "output"}, {"prompt", "completion"}, {"prompt", "response"},
		{"question", "answer"}, {"document", "summary"}, {"article", "highlights"}, {"text", "summary"}, {"dialogue", "summary"}, {"mr", "ref"}, {"src", "tgt"}}
	wordNames = []string{"tokens", "words"}
	tagNames  = []string{"tags", "ner_tags", "labels", "ner", "pos_tags", "label"}
	idNames   = []string{"", "id", "idx", "index", "guid", "uid", "unnamed: 0"}
)

// first returns the file's spelling of the first of names that it has and that ok accepts, "" if there is none.
func (p *Profile) first(names []string, ok func(c *ColumnProfile) bool) string {
	for _, name := range names {
		if c := p.column(name); c != nil && ok(c) {
			return c.Name
		}
	}
	return ""
}

// both is first of pairs of names: nil if the file has both of none.
func (p *Profile) both(pairs [][2]string, ok func(c *ColumnProfile) bool) []string {
	for _, pair := range pairs {
		if a, b := p.first(pair[:1], ok), p.first(pair[1:], ok); a != "" && b != "" {
			return []string{a, b}
		}
	}
	return nil
}

// What first and both accept.
func whatever(*ColumnProfile) bool { return true }
func flat(c *ColumnProfile) bool   { return c.kind() < listed }
func beside(used ...string) func(*ColumnProfile) bool {
	return func(c *ColumnProfile) bool { return flat(c) && !slices.Contains(used, c.Name) }
}

// text returns the columns with the texts, nil in doubt.
func (p *Profile) text(label string) []string {
	if pair := p.both(pairNames, flat); pair != nil && !slices.Contains(pair, label) {
		// A pair of names may be there beside the text itself.
		if c := p.column("text"); c == nil || c.Name == label || slices.Contains(pair, c.Name) {
			return pair
		}
	}
	if name := p.first(textNames, beside(label)); name != "" {
		return []string{name}
	}
	var found []string
	for _, c := range p.rest(label) {
		if c.kind() == texts && c.words >= 2*p.Rows {
			found = append(found, c.Name)
		}
	}
	if len(found) == 1 {
		return found
	}
	return nil
}

// label returns the column with the label, "" in doubt.
func (p *Profile) label(text []string) string {
	if name := p.first(labelNames, beside(text...)); name != "" {
		return name
	}
	var found []string
	for _, c := range p.rest(text...) {
		if len(c.Values) > 1 && 5*len(c.Values) <= p.Rows && c.kind() < listed {
			found = append(found, c.Name)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return ""
}

// rest are the columns that are not used and number no rows.
func (p *Profile) rest(used ...string) (rest []*ColumnProfile) {
	for i := range p.Columns {
		c := &p.Columns[i]
		if !slices.Contains(used, c.Name) && !slices.Contains(idNames, strings.ToLower(c.Name)) {
			rest = append(rest, c)
		}
	}
	return rest
}

// labelSets returns what has the labels of which a text may have any number: a column with lists, or columns of 0 and 1
// beside nothing else but the text, with commas between; "" in doubt, and where a usual name is that of a column with one label.
func (p *Profile) labelSets(f FileTask) string {
	if f.Kind == "" && p.first(labelNames, beside(f.Text...)) != "" {
		return ""
	}
	if name := p.first(setNames, func(c *ColumnProfile) bool { return c.kind() == listed }); name != "" {
		return name
	}
	var bits []string
	for _, c := range p.rest(f.Text...) {
		if p.areBits([]string{c.Name}) {
			bits = append(bits, c.Name)
		}
	}
	const least = 3 // fewer may be anything
	if len(bits) >= least || len(bits) > 1 && f.Kind == MultiLabel {
		return strings.Join(bits, ",")
	}
	if f.Kind == MultiLabel {
		return p.first(setNames, beside(f.Text...))
	}
	return ""
}

// areBits reports whether all values of the columns of these names are 0 or 1.
func (p *Profile) areBits(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		c := p.column(name)
		if c == nil || c.Missing > 0 || c.kind() >= listed || len(c.Values) == 0 {
			return true
		}
		for value := range c.Values {
			if truth := strings.ToLower(value); value != "0" && value != "1" && truth != "true" && truth != "false" {
				return true
			}
		}
		return false
	})
}

// labelKind returns what labels of a column are, "" in doubt.
func (p *Profile) labelKind(label string) Kind {
	c := p.column(label)
	switch {
	case c == nil && strings.Contains(label, ",") && p.areBits(strings.Split(label, ",")):
		return MultiLabel
	case c == nil || p.Rows == c.Missing:
		return ""
	case c.kind() == listed:
		return MultiLabel
	}
	few := c.Values != nil && (2*len(c.Values) <= p.Rows-c.Missing || len(c.Values) <= 3)
	switch kind := c.kind(); {
	case kind == numbersToo && (c.Values == nil || slices.ContainsFunc(classNames(slices.Collect(maps.Keys(c.Values))), func(v string) bool { _, ok := wholeNumber(v); return !ok })):
		return Regression
	case kind == wholes && few && len(c.Values) <= 20, kind == texts && few:
		return Classification
	}
	return ""
}

// Complete returns the task with the kind and the columns that it does not give, guessed from its first file where
// their names and what is in them leave no doubt. Note says what was guessed, "" if nothing was. The error names all
// that is still missing.
func (f FileTask) Complete() (complete FileTask, note string, err error) {
	switch given := len(f.Text) > 0 && f.Label != ""; {
	case f.Kind == Tagging && (given || isCoNLL(f.first())), f.Kind != "" && given, f.Kind == Chat && len(f.Text) > 0:
		return f, "", nil
	}
	p, err := Describe(f.first(), f.Kind == Tagging, 0)
	if err != nil {
		return f, "", err
	}
	given := f
	f = p.guess(f)
	if c := p.column(f.Label); f.Kind == Classification && given.Label == "" && c != nil && c.Values[c.Name] > 0 {
		return given, "", fmt.Errorf("%s: the column %q has %[2]q among its values: is its first line a row? Want one with the names of the columns", f.first(), c.Name)
	}
	var missing, guessed []string
	for _, part := range []struct{ name, given, now string }{
		{"kind", string(given.Kind), string(f.Kind)}, {"text", strings.Join(given.Text, ","), strings.Join(f.Text, ",")}, {"label", given.Label, f.Label},
	} {
		switch {
		case part.given != "":
		case part.now != "":
			guessed = append(guessed, part.name+" "+part.now)
		case f.Kind != Tagging && !(f.Kind == Chat && part.name == "label"):
			missing = append(missing, part.name)
		}
	}
	if len(missing) > 0 {
		return given, "", &DoubtError{missing, f.first(), p.summary()}
	}
	if len(guessed) > 0 {
		note = fmt.Sprintf("guessed from %s: %s", f.first(), strings.Join(guessed, ", "))
	}
	return f, note, nil
}

// guess returns the task with what its file leaves no doubt about.
func (p *Profile) guess(f FileTask) FileTask {
	lists := func(c *ColumnProfile) bool { return c.kind() == listed }
	words, tags := p.first(wordNames, lists), p.first(tagNames, lists)
	conversation := p.first(messageNames, func(c *ColumnProfile) bool { return c.kind() >= texts })
	asked, written := p.both(promptNames, whatever), p.both(writtenName, flat)
	if written != nil && written[0] == "question" && p.column("context") != nil {
		written = nil // a source that leaves out what the answer is found in
	}
	open, may := f.Text == nil && f.Label == "", func(kind Kind) bool { return f.Kind == "" || f.Kind == kind }
	switch {
	case open && conversation != "" && may(Chat):
		f.Kind, f.Text = Chat, []string{conversation}
	case open && asked != nil && (f.Kind == Chat || f.Kind == "" && (f.Template || p.column(asked[0]).kind() >= listed)):
		f.Kind, f.Text, f.Label = Chat, asked[:1], asked[1]
	case wordLines(f.first()):
		f.Kind = cmp.Or(f.Kind, Tagging)
	case may(Tagging) && words != "" && tags != "":
		f.Kind = Tagging
		if words != wordColumn.name {
			f.Text = []string{words}
		}
		if tags != tagColumn.name && tags != tagColumn.other {
			f.Label = tags
		}
	case f.Kind == Tagging:
	case f.Kind == Generation, open && f.Kind == "" && written != nil && p.label(written) == "":
		f.Kind = Generation
		if written != nil && (f.Text == nil || f.Text[0] == written[0]) && (f.Label == "" || f.Label == written[1]) {
			f.Text, f.Label = written[:1], written[1]
		}
	default:
		if f.Text == nil {
			f.Text = p.text(cmp.Or(f.Label, p.first(labelNames, whatever)))
		}
		if f.Label == "" && may(MultiLabel) {
			f.Label = p.labelSets(f)
		}
		if f.Label == "" {
			f.Label = p.label(f.Text)
		}
		if f.Text == nil {
			f.Text = p.text(f.Label)
		}
		f.Kind = cmp.Or(f.Kind, p.labelKind(f.Label))
	}
	return f
}

// DoubtError says what of a task on own files is neither given nor plain from the first of them.
type DoubtError struct {
	Missing []string // kind, text, label
	File    string
	Holds   string // what its columns are
}

func (e *DoubtError) Error() string {
	return fmt.Sprintf("of the data %s must be given, for %s leaves it open: %s", and(e.Missing), e.File, e.Holds)
}

// first is the file that says what the columns are.
func (f FileTask) first() string { return cmp.Or(f.Train, f.Dev, f.Test) }

// summary says what the columns hold, in one line.
func (p *Profile) summary() string {
	var columns []string
	for _, c := range p.Columns[:min(len(p.Columns), 20)] {
		about := c.Type
		if c.Values != nil && c.kind() < listed && c.kind() > nothing {
			about = fmt.Sprintf("%d different %s", len(c.Values), strings.Replace(about, "text", "texts", 1))
		}
		columns = append(columns, shorten(c.Name)+" ("+about+")")
	}
	return fmt.Sprintf("its %d rows have %s", p.Rows, strings.Join(columns, ", "))
}
