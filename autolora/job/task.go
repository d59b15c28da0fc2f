package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/gonum/stat"

	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/data/tokenizer"
	"autolora/human"
	"autolora/nn"
)

// sessionFor opens a session for a model whose task is known by its head only:
// the adapter's, or without one the model's own. Where cfg names no model it is
// the adapter's base model.
func sessionFor(ctx context.Context, cfg settings.Config, adapter *StoredAdapter) (*session, error) {
	if cfg.Model == "" && adapter != nil {
		cfg.Model = adapter.BaseModel
	}
	s, err := newSession(ctx, Host{Reporter: silent{}}, cfg)
	if err != nil {
		return nil, err
	}
	s.task, err = s.headTask(adapter)
	return s, err
}

// headTask returns the task that is named, or one made up for the head: one that
// generates text, or labels tokens or whole texts.
func (s *session) headTask(adapter *StoredAdapter) (data.Task, error) {
	generates, labels := s.arch.Generates() && !s.arch.HasHead(), s.arch.LabelNames()
	switch {
	case adapter == nil:
	case !adapter.anyTask():
		generates = s.arch.Generates() && adapter.Language()
	case adapter.Outputs > 0: // its head says more than the base model
		generates = false
	}
	// Nothing but the base model may say what the scores mean.
	several := s.cfg.Kind == data.MultiLabel || s.cfg.Kind == "" && s.arch.SeveralLabels() && (adapter == nil || adapter.Labels == nil)
	outputs, tokens := 0, slices.Contains(s.arch.Architectures, s.arch.Architecture(nn.TokenClassification))
	switch {
	case generates:
	case adapter != nil && adapter.Outputs > 0:
		outputs = adapter.Outputs
		if !adapter.anyTask() {
			tokens = adapter.Tokens()
		}
		if adapter.Labels != nil {
			labels = adapter.Labels
		} else if outputs > 1 && !tokens && !several {
			if err := s.arch.CheckProblem(nn.SequenceClassification); err != nil {
				return data.Task{}, err
			}
		}
	default: // the model's own head
		var err error
		if outputs, err = nn.StoredOutputs(s.dir); err != nil {
			return data.Task{}, err
		}
		if labels != nil && outputs > 0 && len(labels) != outputs {
			return data.Task{}, fmt.Errorf("%s: config.json names %d labels (id2label), and the head has %d outputs", s.dir, len(labels), outputs)
		}
	}
	if name := s.cfg.Task; name != "" {
		task, err := data.NamedTask(name)
		switch {
		case err != nil:
		case generates && task.Kind != data.Generation:
			err = settings.Errorf("task", "%s has labels, and the model generates text", name)
		case generates:
		case task.Outputs() != outputs:
			err = settings.Errorf("task", "%s has %d labels, the head %d", name, task.Outputs(), outputs)
		case tokens && task.Kind != data.Tagging:
			err = settings.Errorf("task", "%s labels whole texts, the head single tokens", name)
		case !tokens && task.Kind == data.Tagging:
			err = settings.Errorf("task", "%s labels words, the head whole texts", name)
		}
		return task, err
	}
	kind := data.Classification
	switch {
	case generates:
		return data.Task{Kind: data.Generation}, nil
	case outputs < 1:
		return data.Task{}, noHead(adapter)
	case tokens:
		kind = data.Tagging
	case outputs == 1:
		return data.Task{Kind: data.Regression}, nil
	case several:
		kind = data.MultiLabel
	}
	if len(labels) != outputs {
		labels = nil
		for i := range outputs {
			labels = append(labels, "LABEL_"+strconv.Itoa(i))
		}
	}
	return data.Task{Kind: kind, Labels: slices.Clone(labels)}, nil
}

// noHead is the error of a model and an adapter, which may be nil, that have no head for
// labels.
func noHead(adapter *StoredAdapter) error {
	if adapter != nil {
		return errors.New("neither the adapter nor the model has a classification head")
	}
	return settings.Errorf("adapter", "the model has no head: give the adapter that has one")
}

// readTask opens the tokenizer and reads the parts of the task's data: a GLUE
// task, or the user's own files.
func (s *session) readTask(parts ...data.Part) error {
	began := time.Now()
	defer func() { s.loaded += time.Since(began) }()
	err := s.openTokenizer()
	if err != nil {
		return err
	}
	if s.splits, err = readSplits(s.cfg, s.labels, parts...); err != nil {
		return err
	}
	s.task = s.splits.Task
	switch generation := s.task.Kind.Writes(); {
	case generation && !s.arch.Generates():
		return settings.Errorf("model", "%[2]s (%[3]s) has no head that generates text, and %[1]s is a task of %[4]s", s.task.Name, s.cfg.Model, s.arch.ModelType, s.task.Kind)
	case generation:
		if err := s.checkRoom(); err != nil {
			return err
		}
		if err := s.chooseMetrics(); err != nil {
			return err
		}
	}
	for _, note := range s.splits.Notes {
		s.rep.Note(note)
	}
	if s.arch.Generates() && !s.task.Kind.Writes() {
		if err := s.notePairs(); err != nil {
			return err
		}
	}
	if train := s.splits.Train; train != nil {
		if s.cfg.TrainFile != "" {
			if err := s.noteData(train); err != nil {
				return err
			}
		}
		if most := s.cfg.LimitTrain; most > 0 && most < train.Len() {
			train = train.Select(data.Subset(train.Len(), most, s.cfg.Seed))
		}
		if s.splits.Train, err = s.pieces(train); err != nil {
			return err
		}
		s.noteCut()
		if slices.Contains(parts, data.Train) && s.task.Kind == data.Regression && s.cfg.StandardizeLabels { // else they say the labels alone
			s.units = labelUnits(s.splits.Train)
		}
	}
	if s.task.Kind == data.Chat {
		for _, sets := range [][]*data.Dataset{s.splits.Dev, s.splits.Test} {
			for i := range sets {
				if sets[i], err = s.pieces(sets[i]); err != nil {
					return err
				}
			}
		}
	}
	debug.FreeOSMemory() // what reading large files took, before the tensors take theirs
	return nil
}

// notePairs says what a decoder sees between the texts of a pair, which may be
// nothing.
func (s *session) notePairs() error {
	for _, d := range slices.Concat([]*data.Dataset{s.splits.Train}, s.splits.Dev, s.splits.Test) {
		if d == nil || d.Len() == 0 || !d.Examples[0].HasPair {
			continue
		}
		between, err := s.tok.Between()
		if err != nil {
			return err
		}
		if between == "" {
			between = "nothing"
		}
		s.rep.Note(fmt.Sprintf("between the two texts of an example the model reads %s, as the tokenizer joins pairs", human.Line(between)))
		return nil
	}
	return nil
}

// chooseMetrics settles by what texts are scored: those of conversations only by
// what is asked for.
func (s *session) chooseMetrics() (err error) {
	task, asked := &s.task, s.cfg.Metrics
	switch {
	case task.Kind == data.Chat:
		asked = slices.DeleteFunc(slices.Clone(asked), func(name string) bool { return name == task.Primary })
		if len(asked) == 0 {
			return nil
		}
		task.Metrics = append([]string{task.Primary}, asked...)
	case len(asked) == 0:
		asked = task.Metrics
	default:
		task.Metrics = asked
		if !slices.Contains(asked, task.Primary) {
			task.Primary = asked[0]
		}
	}
	s.scorer, err = newTextScorer(task.Scoring, asked, s.cfg)
	return err
}

// noteData says what the user's own training set holds.
func (s *session) noteData(train *data.Dataset) error {
	const sample = 500 // examples whose tokens are counted
	lengths, err := tokenLengths(context.Background(), s.tok, s.enc, s.cfg, train, sample)
	if err != nil {
		return err
	}
	note := fmt.Sprintf("%s: %s examples", train.Files[0], human.Thousands(train.Len()))
	if counts := train.LabelCounts(); counts != nil {
		note += "; " + data.CountsInWords(counts, 8)
	}
	s.rep.Note(note + "; tokens: " + lengths.String())
	return nil
}

// readSplits reads parts of the data of the named task, or of the user's own
// files, whose settings are complete; labels are those of a model that is trained
// already.
func readSplits(cfg settings.Config, labels []string, parts ...data.Part) (*data.Splits, error) {
	switch own := cfg.TrainFile != "" || cfg.DevFile != ""; {
	case own && cfg.Task != "":
		return nil, settings.Errorf("task", "%s and own files (train, dev) exclude each other", cfg.Task)
	case own:
		return readFiles(cfg, labels, parts)
	case cfg.Task == "":
		return nil, settings.Errorf("task", "none is given; want one of %v, or your own files as train and dev", data.TaskNames())
	case cfg.Data == "":
		return nil, settings.Errorf("data", "no folder with the data of task %s is given", cfg.Task)
	}
	return data.LoadTask(cfg.Task, cfg.Data, parts...)
}

// readAlone is readSplits where no model is opened, and settings may not be complete.
// An adapter to cut says what the labels are.
func readAlone(ctx context.Context, cfg settings.Config, parts ...data.Part) (*data.Splits, error) {
	if cfg.Adapter != "" {
		adapter, err := ReadAdapter(cfg.Adapter)
		if err != nil {
			return nil, err
		}
		s, err := newSession(ctx, Host{Reporter: silent{}}, cfg)
		if err != nil {
			return nil, err
		}
		defer s.close()
		if err := s.knowLabels(adapter); err != nil {
			return nil, err
		}
		return readSplits(s.cfg, s.labels, parts...)
	}
	dir := ""
	if info, err := os.Stat(cfg.Model); err == nil && info.IsDir() {
		dir = cfg.Model
	}
	cfg, _, err := completeFiles(cfg, dir)
	if err != nil {
		return nil, err
	}
	return readSplits(cfg, nil, parts...)
}

func readFiles(cfg settings.Config, labels []string, parts []data.Part) (*data.Splits, error) {
	files := ownFiles(cfg)
	files.Dev = ""
	if files.Labels = labels; labels != nil && !slices.Contains(parts, data.Train) {
		files.Train = "" // it says nothing that is not known
	}
	for _, part := range parts {
		switch {
		case part == data.Train && cfg.TrainFile == "":
			return nil, settings.Errorf("train", "no file is given")
		case part == data.Dev && cfg.DevFile == "" && (cfg.TrainFile == "" || !slices.Contains(parts, data.Train)):
			return nil, settings.Errorf("dev", "no file is given")
		case part == data.Dev && cfg.DevFile == "":
			files.HoldOut = heldOut
		case part == data.Dev:
			files.Dev = cfg.DevFile
		case part == data.Test:
			return nil, settings.Errorf("dev", "own files have no %s part: give the file as dev", part)
		}
	}
	return files.Load()
}

// heldOut is the share of the training examples that are scored on where no dev
// file is given.
const heldOut = 0.1

// ownFiles is the task on the user's own files, as far as the settings say it.
func ownFiles(cfg settings.Config) data.FileTask {
	return data.FileTask{Kind: cfg.Kind, Text: cfg.Text, Label: cfg.Label, TrainOn: cfg.TrainOn, Train: cfg.TrainFile, Dev: cfg.DevFile}
}

// completeFiles settles what the user's own files hold: settings that are not
// given are guessed from the files, and a kind may have another program's name.
// Note says what was guessed, if anything was. dir is the model's folder, "" if it is not known.
func completeFiles(cfg settings.Config, dir string) (complete settings.Config, note string, err error) {
	if cfg.TrainFile == "" && cfg.DevFile == "" {
		return cfg, "", nil
	}
	if cfg.Kind != "" {
		if cfg.Kind, err = data.ParseKind(string(cfg.Kind)); err != nil {
			return cfg, "", &settings.Error{Setting: "kind", Err: err}
		}
	}
	files := ownFiles(cfg)
	if dir != "" {
		if files.Template, err = tokenizer.HasChatTemplate(dir); err != nil {
			return cfg, "", err
		}
	}
	files, note, err = files.Complete()
	if doubt, ok := errors.AsType[*data.DoubtError](err); ok {
		return cfg, "", &settings.Error{Setting: doubt.Missing[0], Err: err}
	}
	if err != nil {
		return cfg, "", err
	}
	cfg.Kind, cfg.Text, cfg.Label = files.Kind, files.Text, files.Label
	return cfg, note, nil
}

// labelUnits returns the mean and the standard deviation of a regression's labels.
func labelUnits(train *data.Dataset) nn.Units {
	labels := make([]float64, train.Len())
	for i, ex := range train.Examples {
		labels[i] = ex.Value
	}
	mean, sd := stat.PopMeanStdDev(labels, nil)
	return nn.Units{Mean: mean, Scale: sd}
}

// balanced returns the weights of the classes, by which all count alike; where an example
// may have several labels, of each label those of its absence and its presence.
func balanced(task data.Task, train *data.Dataset) (weights []float64, err error) {
	lists, k := classesOf(task, train)
	if k == 0 {
		return nil, settings.Errorf("class-weights", "%s is a task of %s, which has no classes: want %s", task.Name, task.Kind, settings.EqualWeights)
	}
	for _, classes := range lists {
		weights = append(weights, metrics.Balanced(classes, k)...)
	}
	return weights, nil
}

// classesOf returns the class of every example, in tagging of every word, where there are k;
// of several labels for each of them whether the examples have it. k is 0 of other kinds.
func classesOf(task data.Task, d *data.Dataset) (lists [][]int, k int) {
	switch task.Kind {
	case data.Classification:
		lists, k = make([][]int, 1), len(task.Labels)
		for _, ex := range d.Examples {
			lists[0] = append(lists[0], ex.Label)
		}
	case data.Tagging:
		lists, k = make([][]int, 1), len(task.Labels)
		for _, ex := range d.Examples {
			lists[0] = append(lists[0], ex.Tags...)
		}
	case data.MultiLabel:
		k = 2
		for label := range task.Labels {
			given := make([]int, d.Len())
			for i, ex := range d.Examples {
				if slices.Contains(ex.Classes, label) {
					given[i] = 1
				}
			}
			lists = append(lists, given)
		}
	}
	return lists, k
}
