package data

import (
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"autolora/data/metrics"
	"autolora/human"
)

// FileTask is a task on the user's own files. The name's end says what a file is: .tsv (quoted or
// not), .csv, .jsonl or .json, .parquet. In tagging a row of the last three has a list of words and a list of as many
// tags, and files with other ends (.conll, .iob2, .tsv, .txt, ...) have a word with its tag on every line and
// an empty line between sentences. In generation the rows of Dev and Test with the same source are one example,
// and their targets its references.
type FileTask struct {
	Train, Dev, Test string   // files; "" where there is none. Test needs no labels
	Kind             Kind     // what the labels are
	Text             []string // one column with the text, or two with the texts of a pair; in generation one with the source
	Label            string   // column with the label; in generation with the target
	Labels           []string // names of the classes in the order of a given head; nil: those of Train, in order
	HoldOut          float64  // share of Train that is the dev set where there is no file for it; 0: there is none
	TrainOn          TrainOn  // what of a conversation is to be written
	Template         bool     // the model has a chat template, so that prompts and instructions are conversations if Kind is not given
	// In multi-label classification Label is one column, with a list of labels or a text of several, or names of columns with
	// commas between, each with 1 for the examples that have the label and 0 for the others.
	// In tagging Text is one column, "tokens" if it is nil, and Label is "tags" or "ner_tags" if it is "". In
	// files whose columns have no names they are numbers, 1 for the first column and -1 for the last, which is
	// what nil and "" mean. In chats Text is one column with lists of messages and Label "", or the two are the prompt and
	// the answer, each a text or a list of messages.
}

// Load reads the files that are named. The classes are the different labels of Train, in the order of their
// values if all are whole numbers, else of their names, the tag O before the others; a label of Dev or Test
// that Train does not have is an error. Without Train the classes must be given.
func (f FileTask) Load() (*Splits, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	task := Task{Name: taskName(f.Train, f.Dev, f.Test), Kind: f.Kind, Labels: f.Labels}
	s := &Splits{Task: task}
	for _, part := range []struct {
		name Part
		file string
	}{{Train, f.Train}, {Dev, f.Dev}, {Test, f.Test}} {
		if part.file == "" {
			continue
		}
		d, err := f.read(part.name, part.file, &s.Task)
		if err != nil {
			return nil, err
		}
		s.add(part.name, d)
	}
	if f.HoldOut > 0 && f.Dev == "" && s.Train != nil {
		if err := s.holdOut(f.HoldOut); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Train, err)
		}
	}
	s.noteOddities()
	if f.Kind.Writes() {
		s.Task.Scoring = "e2e"
	}
	s.Task.Metrics, s.Task.Primary = fileMetrics(s.Task)
	if f.Kind == Tagging && s.Task.Primary != metrics.NameF1 {
		s.note("%s: no F1 of entities is given, only accuracy: the tags (%s) are not those of a scheme like IOB2 or BILOU", s.Task.Name, listNames(s.Task.Labels))
	}
	return s, nil
}

// holdOut makes a dev set of a part of the training set.
func (s *Splits) holdOut(fraction float64) error {
	all := s.Train
	dev, train, err := all.holdOut(fraction)
	if err != nil {
		return err
	}
	dev.Name = s.Task.Name + "/" + string(Dev)
	s.note("%s: %s of the %s examples are held out as dev set, the same with every seed: no dev file is given", all.Files[0], human.Thousands(dev.Len()), human.Thousands(all.Len()))
	if s.Task.Kind == Generation {
		dev.joinReferences()
	}
	s.Train = train
	s.add(Dev, dev)
	return nil
}

// noteOddities notes what is allowed, but seldom meant: texts that are empty or are their labels, and examples to score
// on that are trained on.
func (s *Splits) noteOddities() {
	for _, d := range slices.Concat([]*Dataset{s.Train}, s.Dev, s.Test) {
		if d == nil {
			continue
		}
		empty, first, labels, without := 0, "", 0, 0
		for i := range d.Examples {
			ex := &d.Examples[i]
			if strings.TrimSpace(ex.Text) == "" && ex.Pair == "" && ex.Writing == nil && ex.Chat == nil && len(ex.words()) == 0 {
				if empty++; empty == 1 {
					first = ex.Where()
				}
			}
			if ex.LabelSet != nil && len(ex.Classes) == 0 {
				without++
			}
			if d.Kind == Classification && ex.Label != NoLabel && (ex.Text == d.Labels[ex.Label] || ex.HasPair && ex.Pair == d.Labels[ex.Label]) ||
				d.Kind == Regression && ex.Text != "" && ex.Text == strconv.FormatFloat(ex.Value, 'g', -1, 64) {
				labels++
			}
		}
		if empty > 0 {
			s.note("%s: %d of %d texts are empty (the first is %s)", d.Files[0], empty, d.Len(), first)
		}
		if d.separator != "" {
			s.note("%s: the labels of an example are read with %q between them", d.Files[0], d.separator)
		}
		if without > 0 {
			s.note("%s: %d of %d examples have none of the labels", d.Files[0], without, d.Len())
		}
		if 2*labels > d.Len() {
			s.note("%s: %d of %d texts are the label itself: is the column of the label among those of the text?", d.Files[0], labels, d.Len())
		}
		if s.Train == nil || d == s.Train {
			continue
		}
		switch known := d.known(s.Train); {
		case known > 0 && slices.Equal(d.Files, s.Train.Files):
			s.note("%s is both trained on and scored on (%d examples): the scores say nothing about other texts", d.Files[0], known)
		case known > 0 && 100*known >= d.Len():
			s.note("%s: %d of %d examples are in %s too: the scores say little about other texts", d.Files[0], known, d.Len(), s.Train.Files[0])
		}
	}
}

// known counts the examples whose texts another data set has too.
func (d *Dataset) known(other *Dataset) (n int) {
	examples := map[uint64]int{} // by their texts
	for i := range d.Examples {
		examples[d.Examples[i].key()]++
	}
	for i := range other.Examples {
		key := other.Examples[i].key()
		n += examples[key]
		delete(examples, key)
	}
	return n
}

var keySeed = maphash.MakeSeed()

// key tells the texts of examples apart.
func (e *Example) key() uint64 {
	var h maphash.Hash
	h.SetSeed(keySeed)
	texts := append([]string{e.Text, e.Pair}, e.words()...)
	if e.Writing != nil {
		texts = append(texts, e.Source)
	}
	if e.Chat != nil {
		for _, m := range e.Chat.Prompt().Messages {
			texts = append(texts, m.Role, string(m.JSON))
		}
	}
	for _, text := range texts {
		h.WriteString(text)
		h.WriteByte(0)
	}
	return h.Sum64()
}

func (f FileTask) check() error {
	if _, err := ParseKind(string(f.Kind)); err != nil && (f.Train != "" || f.Dev != "" || f.Test != "") {
		return err
	}
	switch {
	case f.Train == "" && f.Dev == "" && f.Test == "":
		return errors.New("no data files are named: want at least one")
	case f.Kind == Tagging && len(f.Text) > 1:
		return fmt.Errorf("%d text columns: want the one with the words", len(f.Text))
	case f.Kind == Tagging && f.Train == "" && f.Labels == nil:
		return errors.New("no train file and no tags: the meaning of the head's outputs is not known")
	case f.Labels != nil && (f.Kind.Writes() || f.Kind == Regression):
		return fmt.Errorf("class names are given, but a %s has no classes", f.Kind)
	case f.Labels != nil && len(f.Labels) < 2:
		return fmt.Errorf("%d class names are given: want at least two", len(f.Labels))
	case f.Kind == Tagging:
		return nil
	case f.Kind == Generation && len(f.Text) != 1:
		return fmt.Errorf("%d text columns: want the one with the source", len(f.Text))
	case f.Kind == Chat && len(f.Text) != 1:
		return fmt.Errorf("%d text columns: want the one with the messages or the prompt", len(f.Text))
	case f.Kind == Chat:
		return nil
	case len(f.Text) != 1 && len(f.Text) != 2:
		return fmt.Errorf("%d text columns: want one, or two for a pair", len(f.Text))
	case len(f.Text) == 2 && f.Text[0] == f.Text[1]:
		return fmt.Errorf("both text columns are %q: want two different ones", f.Text[0])
	case f.Label == "" && (f.Train != "" || f.Dev != ""):
		return errors.New("no label column is named: training and scoring need one")
	case (f.Kind == Classification || f.Kind == MultiLabel && f.labelColumns() == nil) && f.Train == "" && f.Labels == nil && f.Label != "":
		return errors.New("no train file and no class names: the meaning of the labels is not known")
	}
	return nil
}

// read reads one file. Train sets the task's classes if they are not given.
func (f FileTask) read(part Part, file string, task *Task) (*Dataset, error) {
	rows := form{kind: f.Kind, text: columns(f.Text...), label: column{name: f.Label}}
	if f.Kind == Tagging {
		rows.text, rows.label = []column{wordColumn}, tagColumn
		if len(f.Text) == 1 {
			rows.text[0] = listColumn(f.Text[0])
		}
		if f.Label != "" {
			rows.label = listColumn(f.Label)
		}
	}
	switch f.Kind {
	case Chat:
		rows.text, rows.label.raw, rows.trainOn = chatColumns(f.Text[0]), true, f.TrainOn
	case Generation:
		rows.text = sourceColumns(f.Text[0])
	}
	if rows.labels = f.labelColumns(); rows.labels != nil {
		if err := f.labelsAreColumns(rows.labels, task); err != nil {
			return nil, err
		}
		for i := range rows.labels {
			rows.labels[i].optional = part == Test
		}
		rows.label = column{}
	}
	rows.label.listed = f.Kind == MultiLabel && rows.label.name != ""
	rows.label.optional = part == Test
	known := newClasses(task.Labels, f.Labels != nil) // whose order is that of a head
	known.grow = task.Labels == nil && part == Train && (f.Kind == Classification || f.Kind == MultiLabel || f.Kind == Tagging)
	whose := "of " + f.Train
	if f.Labels != nil || f.Train == "" {
		whose = "of the model"
	}
	known.unknown = fmt.Sprintf(" is not among the %d classes %s (%s)", len(task.Labels), whose, listNames(task.Labels))
	d, err := rows.read(task.Name, part, []string{file}, known)
	switch {
	case err != nil:
	case f.Kind == Chat:
		err = d.endWithTurns(part)
	case f.Kind == Tagging && f.Text == nil && d.numbered():
		err = fmt.Errorf("%s: the first column numbers the words of each sentence, and so is not that of the words: give the columns of text and label by their numbers, 2 and 3, say", file)
	}
	if err != nil || !known.grow {
		return d, err
	}
	if err := known.settle(d); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	task.Labels = d.Labels
	return d, nil
}

// numbered reports whether words are their places in the sentences, 1, 2, ..., as the first column of CoNLL-U has them.
func (d *Dataset) numbered() bool {
	several := false
	for i := range d.Examples {
		words := d.Examples[i].Words
		if len(words) == 0 || !strings.HasPrefix(words[0]+"-", "1-") { // "1-2" is the first two
			return false
		}
		several = several || slices.Contains(words, "2")
	}
	return several
}

// labelsAreColumns makes the names of columns the task's labels, unless it has a head's, which must be the same.
func (f FileTask) labelsAreColumns(columns []column, task *Task) error {
	names := columnNames(columns)
	if len(task.Labels) == len(names) && defaultNames(task.Labels) { // they go by their places
		task.Labels = nil
	}
	for i, name := range names {
		switch {
		case name == "" || slices.Contains(names[:i], name):
			return fmt.Errorf("the label columns %s: want names, each once", listNames(names))
		case slices.Contains(f.Text, name):
			return fmt.Errorf("the column %q is that of a label and of a text: want one of them", name)
		case task.Labels != nil && !slices.Contains(task.Labels, name):
			return fmt.Errorf("the label column %q is none of the model's labels (%s): want a column for each of these", name, listNames(task.Labels))
		}
	}
	if task.Labels != nil && len(task.Labels) != len(names) {
		return fmt.Errorf("%d label columns: want one for each of the model's labels (%s)", len(names), listNames(task.Labels))
	}
	if task.Labels == nil {
		task.Labels = names
	}
	return nil
}

// listColumn is a column of lists that the user names: by its number in a file whose columns have no names.
func listColumn(name string) column {
	place, err := strconv.Atoi(name)
	if err != nil {
		place = 0
	}
	return column{name: name, place: place}
}

// taskName is the name of the first file without its folder and its end.
func taskName(files ...string) string {
	for _, file := range files {
		if file != "" {
			base := filepath.Base(file)
			return strings.TrimSuffix(base, filepath.Ext(base))
		}
	}
	return ""
}

// fileMetrics returns the scores of a task on own files, and the one to go by.
func fileMetrics(task Task) (names []string, primary string) {
	switch {
	case task.Kind == Tagging && metrics.Chunked(task.Labels):
		return []string{metrics.NamePrecision, metrics.NameRecall, metrics.NameF1, metrics.NameAccuracy}, metrics.NameF1
	case task.Kind == Tagging: // parts of speech, say: the words do not join to entities
		return []string{metrics.NameAccuracy}, metrics.NameAccuracy
	case task.Kind == Chat:
		return []string{metrics.NamePerplexity}, metrics.NamePerplexity
	case task.Kind == Generation: // those of E2E that fit any text
		return []string{metrics.NameBLEU, metrics.NameROUGEL}, metrics.NameBLEU
	case task.Kind == MultiLabel:
		return []string{metrics.NameMicroF1, metrics.NameMacroF1, metrics.NameWeightedF1, metrics.NameSubsetAccuracy}, metrics.NameMicroF1
	case task.Kind == Regression:
		return []string{metrics.NameSpearman, metrics.NamePearson}, metrics.NameSpearman
	case len(task.Labels) == 2:
		return []string{metrics.NameAccuracy, metrics.NameF1, metrics.NameMacroF1, metrics.NameWeightedF1, metrics.NameMatthews}, metrics.NameAccuracy
	}
	return []string{metrics.NameAccuracy, metrics.NameMacroF1, metrics.NameWeightedF1, metrics.NameMatthews}, metrics.NameAccuracy
}
