package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
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

// namedTask is a task that is known by its name, and how its data are read. A new one is a file and an entry of
// namedTasks.
type namedTask struct {
	Task
	folders  []string // its own in the data's folder, in which the files are looked for first
	inside   string   // what the folder should hold, for an error message
	variants []string // names of the dev and test sets, where there are several; the first must be there
	layouts  []layout // the forms in which its data are known, in the order in which they are looked for
	together bool     // all parts are read in one layout; else each in the first in which it is there
	noDev    string   // what to say where the files have other parts, but no dev set; "" if that is an error
}

// layout is a form in which the data of a task are known.
type layout struct {
	// parts has the names of the files of each part, patterns as of path.Match, in the order in which they are looked
	// for. The key of a variant is "dev_matched".
	parts  map[Part][]string
	subset bool // they hold not all of an official set, and count where no other layout is found
	form   form
}

// namedTasks are all of them in the order of the paper's tables: GLUE, E2E and WebNLG, JNLPBA.
var namedTasks = append(slices.Clone(glueTasks), e2e, webnlg, jnlpba)

// TaskNames returns the names of the tasks that LoadTask knows.
func TaskNames() []string {
	var names []string
	for _, t := range namedTasks {
		names = append(names, t.Name)
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

func findTask(name string) (*namedTask, error) {
	plain := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
	for i := range namedTasks {
		if namedTasks[i].Name == plain {
			return &namedTasks[i], nil
		}
	}
	return nil, fmt.Errorf("unknown task %q: want one of %s", name, strings.Join(TaskNames(), ", "))
}

// task returns the public part, filled in and safe to change.
func (t *namedTask) task() Task {
	task := t.Task
	task.Labels, task.Metrics = slices.Clone(t.Labels), slices.Clone(t.Metrics)
	if t.Primary == "" {
		task.Primary = t.Metrics[0]
	}
	return task
}

// LoadTask reads parts of a named task's data from dir: the task's folder, or the one that has the folders of
// several tasks in it. The files of the tasks say in which layouts theirs are known. In the dev and test sets of
// generation the texts for one source are the references of one example.
func LoadTask(name, dir string, parts ...Part) (*Splits, error) {
	t, err := findTask(name)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("data folder of task %s: %w", t.Name, err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("data folder of task %s: %s is a file: want the folder with %s in it", t.Name, dir, t.inside)
	}
	s := &Splits{Task: t.task()}
	for _, part := range parts {
		variants := t.variants
		if part == Train || variants == nil {
			variants = []string{""}
		}
		for i, variant := range variants {
			d, err := t.read(dir, part, variant, s)
			switch {
			case i > 0 && errors.Is(err, errNoPart):
				s.note("%s: no %s set %q in %s: only the %s one is used", t.Name, part, variant, dir, variants[0])
			case err != nil:
				return nil, fmt.Errorf("task %s: %w", t.Name, err)
			case d != nil:
				s.add(part, d)
			}
		}
	}
	return s, nil
}

// errNoPart marks the error of a part that is not there.
var errNoPart = errors.New("not found")

// read reads one data set. It is nil where Notes says that there is none.
func (t *namedTask) read(dir string, part Part, variant string, s *Splits) (*Dataset, error) {
	key := part
	if variant != "" {
		key += Part("_" + variant)
	}
	files, l, err := t.find(dir, key)
	switch {
	case err != nil:
		return nil, err
	case files == nil && l != nil && part == Dev && t.noDev != "":
		s.note(t.noDev, dir)
		return nil, nil
	case files == nil:
		return nil, fmt.Errorf("%s set %w: looked for %s in %s and its folders %s", part, errNoPart, and(t.names(key)), dir, and(t.folders))
	}
	f := l.form
	if part == Test {
		f.header = nil // CoLA's test set has one
		f.label.optional = f.hidden
	} else {
		f.hidden, f.subset = false, false
	}
	d, err := f.read(t.Name, part, files, newClasses(s.Task.Labels, true))
	if err != nil {
		return nil, err
	}
	d.Variant = variant
	if l.subset {
		s.note("%s: %s is read from %s, which is not the whole official set", t.Name, part, files[0])
	}
	if n := len(d.Skipped); n > 0 {
		s.note("%s: %d %s (the first is %s)", t.Name, n, f.skips, place(files[0], d.Skipped[0]))
	}
	return d, nil
}

// find looks for the files of a part, and says in which layout they are; with the layout alone if it is the one of
// the other parts.
func (t *namedTask) find(dir string, key Part) ([]string, *layout, error) {
	var folders []string
	for _, folder := range t.folders {
		folders = append(folders, filepath.Join(dir, folder))
	}
	folders = append(folders, dir)
	for _, subset := range []bool{false, true} {
		for _, folder := range folders {
			for i := range t.layouts {
				l := &t.layouts[i]
				if l.subset != subset {
					continue
				}
				files, err := l.find(folder, key)
				if err != nil || files != nil {
					return files, l, err
				}
				for other := range l.parts {
					if files, err := l.find(folder, other); t.together && files != nil {
						return nil, l, err
					}
				}
			}
		}
	}
	return nil, nil, nil
}

// names are what find looks for, the first of each layout.
func (t *namedTask) names(key Part) (names []string) {
	for _, l := range t.layouts {
		if len(l.parts[key]) > 0 {
			names = append(names, l.parts[key][0])
		}
	}
	return names
}

// and joins names for a message.
func and(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// find returns the files of a part in folder, nil if there are none.
func (l *layout) find(folder string, key Part) ([]string, error) {
	for _, pattern := range l.parts[key] {
		files, err := match(folder, pattern)
		stem, sharded := strings.CutSuffix(pattern, shards)
		switch {
		case err != nil:
			return nil, err
		case sharded:
			err = checkShards(files, stem)
		case len(files) > 1:
			part, _, _ := strings.Cut(string(key), "_")
			err = fmt.Errorf("several files could be the %s set: %s: want one", part, strings.Join(files, ", "))
		}
		if err != nil || files != nil {
			return files, err
		}
	}
	return nil, nil
}

// shards is the end of the names of files train-00000-of-00002.parquet, ..., which are one set.
const shards = "-*-of-*.parquet"

// checkShards says why files, in the order of their names, are not all of a set.
func checkShards(files []string, stem string) error {
	for i, file := range files {
		want := fmt.Sprintf("%s-%05d-of-%05d", stem, i, len(files)) // some writers put a hash behind it
		if !strings.HasPrefix(filepath.Base(file), want) {
			return fmt.Errorf("%s: some files of the set are missing: %d are there, %s among them", filepath.Dir(file), len(files), filepath.Base(file))
		}
	}
	return nil
}

// match returns the files in folder whose names match a pattern, in order of their names; none if there is no folder.
func match(folder, pattern string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if ok, _ := path.Match(pattern, entry.Name()); ok {
			files = append(files, filepath.Join(folder, entry.Name()))
		}
	}
	return files, nil
}
