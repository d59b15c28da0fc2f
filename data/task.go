package data

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Task is what a model is trained and scored for.
type Task struct {
	Name    string   // "sst2", or the name of the user's own task
	Kind    Kind     // what the labels are
	Labels  []string // names of the classes in the order of the head's outputs; nil in regression
	Metrics []string // the scores to report, by the names in package metrics
	Primary string   // the score that the paper reports, one of Metrics

	// In generation:

	Scoring string // the pipeline of package metrics/nlg that scores the texts: "e2e", "webnlg" or "webnlg2017"
	Stop    string // a text that ends what is generated, as the tokenizer's end of text does; "" if there is none
}

// Outputs is the number of outputs that a head for the task has: one a class, or one in regression. In
// generation it is 0: a language model has a head of its own.
func (t Task) Outputs() int {
	if t.Kind == Regression {
		return 1
	}
	return len(t.Labels)
}

// Names returns the names of classes, "" for NoLabel.
func (t Task) Names(classes []int) []string {
	names := make([]string, len(classes))
	for i, class := range classes {
		if class != NoLabel {
			names[i] = t.Labels[class]
		}
	}
	return names
}

// Part is one of the parts that the data of a task come in.
type Part string

// The parts of a task's data.
const (
	Train Part = "train"
	Dev   Part = "dev"
	Test  Part = "test"
)

// Splits is a task with the parts of its data that were asked for.
type Splits struct {
	Task  Task
	Train *Dataset
	Dev   []*Dataset // one, for MNLI matched and mismatched, for JNLPBA none where the files have none
	Test  []*Dataset // likewise; the labels may be unknown
	Notes []string   // what the user should know about the files: parts that are missing or only subsets
}

func (s *Splits) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// add puts a data set with the others of its part.
func (s *Splits) add(part Part, d *Dataset) {
	switch part {
	case Train:
		s.Train = d
	case Dev:
		s.Dev = append(s.Dev, d)
	default:
		s.Test = append(s.Test, d)
	}
}

// namedTask is a task that is known by its name, and how its data are read.
type namedTask interface {
	// task returns the public part, filled in and safe to change.
	task() Task
	// load reads the data sets of a part from dir into s, whose Task is set.
	load(dir string, part Part, s *Splits) error
	// inside names what dir should hold, for an error message.
	inside() string
}

// namedTasks are all of them in the order of the paper's tables: GLUE, E2E and WebNLG, JNLPBA.
func namedTasks() []namedTask {
	var all []namedTask
	for _, g := range glueTasks {
		all = append(all, g)
	}
	return append(all, e2e{}, webnlg{}, jnlpba{})
}

// TaskNames returns the names of the tasks that LoadTask knows.
func TaskNames() []string {
	var names []string
	for _, t := range namedTasks() {
		names = append(names, t.task().Name)
	}
	return names
}

// NamedTask returns the task of that name: a GLUE task, e2e, webnlg or jnlpba. "SST-2" is "sst2", "STS-B" is "stsb".
func NamedTask(name string) (Task, error) {
	t, err := findTask(name)
	if err != nil {
		return Task{}, err
	}
	return t.task(), nil
}

func findTask(name string) (namedTask, error) {
	plain := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
	for _, t := range namedTasks() {
		if t.task().Name == plain {
			return t, nil
		}
	}
	return nil, fmt.Errorf("unknown task %q: want one of %s", name, strings.Join(TaskNames(), ", "))
}

// LoadTask reads parts of a named task's data from dir: the task's folder, or the one that has the folders of
// several tasks in it. GLUE is read as its official TSV files or the hub's parquet files, and where neither is
// there from files that hold a part of a set; Notes says so.
//
// E2E is read from its official trainset.csv, devset.csv and testset_w_refs.csv, from LoRA's train.txt, valid.txt
// and test.txt, or from the hub's parquet files. The sources are in LoRA's form in all of them; LoRA's texts are
// split into words ("family - friendly"), so that scores on its files and on the official ones are not to be
// compared. WebNLG is read from LoRA's train.json, dev.json and test.json. In the dev and test sets of both the
// texts for one source are the references of one example.
//
// JNLPBA is read from train.conll, devel.conll and test.conll (.tsv, .iob2 and .txt too), from the official
// Genia4ERtask1.iob2 (training) and Genia4EReval1.iob2 (test), or from the hub's parquet files. Only the first
// of these has a dev set, sentences set aside from the official training set; elsewhere Splits.Dev stays
// empty and Notes says so. The test set never stands in for it: the paper's figures are on the test set, and
// whoever wants to compare with them asks for that part, when all choices are made.
func LoadTask(name, dir string, parts ...Part) (*Splits, error) {
	t, err := findTask(name)
	if err != nil {
		return nil, err
	}
	s := &Splits{Task: t.task()}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("data folder of task %s: %w", s.Task.Name, err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("data folder of task %s: %s is a file: want the folder with %s in it", s.Task.Name, dir, t.inside())
	}
	for _, part := range parts {
		if err := t.load(dir, part, s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// errNoPart marks the error of a part that is not there.
var errNoPart = errors.New("not found")
