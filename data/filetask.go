package data

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"autolora/data/metrics"
)

// FileTask is a task on the user's own files. The name's end says what a file is: .tsv (without quoting),
// .csv, .jsonl or .parquet.
type FileTask struct {
	Train, Dev, Test string   // files; "" where there is none. Test needs no labels
	Kind             Kind     // what the labels are
	Text             []string // one column with the text, or two with the texts of a pair
	Label            string   // column with the label
	Labels           []string // names of the classes in the order of a given head; nil: those of Train, in order
}

// Load reads the files that are named. The classes are the different labels of Train, in the order of their
// values if all are whole numbers, else of their names; a label of Dev or Test that Train does not have is
// an error. Without Train the classes must be given.
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
		switch part.name {
		case Train:
			s.Train = d
		case Dev:
			s.Dev = []*Dataset{d}
		default:
			s.Test = []*Dataset{d}
		}
	}
	s.Task.Metrics = fileMetrics(s.Task)
	s.Task.Primary = s.Task.Metrics[0]
	return s, nil
}

func (f FileTask) check() error {
	switch {
	case f.Train == "" && f.Dev == "" && f.Test == "":
		return errors.New("no data files are named: want at least one")
	case f.Kind != Classification && f.Kind != Regression:
		_, err := ParseKind(string(f.Kind))
		return err
	case len(f.Text) != 1 && len(f.Text) != 2:
		return fmt.Errorf("%d text columns: want one, or two for a pair", len(f.Text))
	case len(f.Text) == 2 && f.Text[0] == f.Text[1]:
		return fmt.Errorf("both text columns are %q: want two different ones", f.Text[0])
	case f.Label == "" && (f.Train != "" || f.Dev != ""):
		return errors.New("no label column is named: training and scoring need one")
	case f.Kind == Classification && f.Train == "" && f.Labels == nil && f.Label != "":
		return errors.New("no train file and no class names: the meaning of the labels is not known")
	case f.Labels != nil && f.Kind == Classification && len(f.Labels) < 2:
		return fmt.Errorf("%d class names are given: want at least two", len(f.Labels))
	case f.Kind == Regression && f.Labels != nil:
		return errors.New("class names are given, but a regression has no classes")
	}
	return nil
}

// read reads one file. Train sets the task's classes if they are not given.
func (f FileTask) read(part Part, file string, task *Task) (*Dataset, error) {
	d, labels, err := readExamples(exampleSpec{
		files:         []string{file},
		text:          f.Text,
		label:         f.Label,
		labelOptional: part == Test,
	})
	if err != nil {
		return nil, err
	}
	d.Name = task.Name + "/" + string(part)
	if f.Kind == Regression {
		return d, d.setValues(labels, floatLabel)
	}
	if task.Labels == nil && part == Train {
		texts := make([]string, len(labels))
		for i, label := range labels {
			texts[i] = label.text
		}
		if task.Labels = classNames(texts); len(task.Labels) < 2 {
			return nil, fmt.Errorf("%s: all %d examples have the label %s: want at least two classes",
				file, d.Len(), shorten(task.Labels[0]))
		}
	}
	index := make(map[string]int, len(task.Labels))
	for i, name := range task.Labels {
		index[name] = i
	}
	return d, d.setClasses(task.Labels, labels, func(text string) (int, error) {
		if i, ok := index[text]; ok {
			return i, nil
		}
		if v, ok := intLabel(text); ok {
			if i, ok := index[fmt.Sprint(v)]; ok {
				return i, nil
			}
		}
		whose := "of " + f.Train
		if f.Labels != nil || f.Train == "" {
			whose = "of the model"
		}
		return 0, fmt.Errorf("label %s is not among the %d classes %s (%s)",
			shorten(text), len(task.Labels), whose, listNames(task.Labels))
	})
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

// fileMetrics returns the scores of a task on own files, the one to go by first.
func fileMetrics(task Task) []string {
	switch {
	case task.Kind == Regression:
		return []string{metrics.NameSpearman, metrics.NamePearson}
	case len(task.Labels) == 2:
		return []string{metrics.NameAccuracy, metrics.NameF1, metrics.NameMatthews}
	}
	return []string{metrics.NameAccuracy, metrics.NameMatthews}
}
