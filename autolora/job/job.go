package job

import (
	"context"
	"slices"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/autolora/tensorboard"
	"autolora/data"
)

// Outcome is what a command reports to people.
type Outcome struct {
	Results *runs.Results
	Ranks   *runs.Ranks   // nil where none were searched or used
	Pruning *runs.Pruning // nil but for a pruning
	Files   []string      // written, in the output folder
}

// Run is the main job: search → ranks → retrain → evaluate → export, into
// cfg.Out. With an error, the files that are in the folder are whole.
func Run(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	if m, _ := runs.FindMethod(cfg.Method); m.Group != runs.Ablations {
		cfg.Method = searching(cfg)
	}
	cfg.RanksFile = ""
	return do(ctx, host, cfg, "run", (*job).perform)
}

const searchCommand = "search"

// Search searches ranks only, and writes ranks.json.
func Search(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	cfg.Method = searching(cfg)
	return do(ctx, host, cfg, searchCommand, (*job).search)
}

// searching returns the method of a run that searches, called as in a comparison: after
// its rule, where that is not the preset's.
func searching(cfg settings.Config) string {
	preset, _ := settings.FromPreset(cfg.Preset)
	if m, ok := runs.FindMethod(runs.MethodAutoLoRA + "-" + string(cfg.Rule)); ok && cfg.Rule != preset.Rule {
		return m.Name
	}
	return runs.MethodAutoLoRA
}

// Train trains cfg.Method and evaluates it.
func Train(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	switch needs := NeedsRanks(cfg.Method); {
	case !needs && cfg.RanksFile != "":
		return nil, settings.Errorf("ranks", "got %q, but method %s does not train at the ranks of a file: leave it empty, or choose autolora or a control of it", cfg.RanksFile, cfg.Method)
	case needs && cfg.RanksFile == "":
		return nil, settings.Errorf("ranks", "method %s trains at the ranks of a file; none is given (autolora search writes one, autolora run does both)", cfg.Method)
	}
	if m, _ := runs.FindMethod(cfg.Method); cfg.Parameters > 0 && !m.Budgets() {
		return nil, settings.Errorf("parameters", "method %s has no ranks that a budget could be spent on: choose lora, or a method that searches ranks", cfg.Method)
	}
	return do(ctx, host, cfg, "train", (*job).perform)
}

// NeedsRanks reports whether the method trains at the ranks of a file.
func NeedsRanks(method string) bool {
	m, _ := runs.FindMethod(method)
	return m.Ranks == runs.Searched || m.Ranks.Derived()
}

// job is one run that writes an output folder.
type job struct {
	ctx     context.Context
	cfg     settings.Config
	method  runs.Method
	session *session
	corpus  *data.Corpus    // of the training set
	scored  []*data.Dataset // what the trained model is evaluated on

	out     *runs.Folder
	events  *tensorboard.Writer // nil unless they are asked for
	resumed *checkpoint         // where to go on; nil from the start, and once the run has come there

	ranks   *runs.Ranks // to train at; nil before they are known, and for methods without
	grid    runs.Grid   // of a grid search
	results runs.Results
	files   []string

	// Of a pruning.
	adapter    *StoredAdapter
	adapterSum string
	choosing   *data.Dataset // examples of the dev set that choose; scored has the others
	pruning    runs.Pruning
}

// do does a job that trains.
func do(ctx context.Context, host Host, cfg settings.Config, command string, work func(*job) error) (*Outcome, error) {
	return doWith(ctx, host, cfg, command, newJob, work)
}

// doWith opens a job, does its work, and closes it: settings, model, data, folder,
// phases, results, in this order. read reads the data.
func doWith(ctx context.Context, host Host, cfg settings.Config, command string, read func(context.Context, *session) (*job, error), work func(*job) error) (*Outcome, error) {
	cfg = cfg.Resolved()
	if cfg.Resume {
		if done, err := completeRun(ctx, host.Processes, cfg, command, readings{}); done != nil || err != nil {
			return done, err
		}
	}
	s, err := newSession(ctx, host, cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := checkOut(cfg, s.dir); err != nil {
		return nil, err
	}
	j, err := read(ctx, s)
	if err != nil {
		return nil, err
	}
	defer j.closeFolder()
	if cfg.TrainFile != "" && command != tuneCommand && j.adapter == nil { // tune says it itself, and to cut an adapter takes little
		j.noteTime(command)
	}
	if err := j.openFolder(command); err != nil {
		return nil, err
	}
	if err := work(j); err != nil {
		return nil, err
	}
	s.noteTruncated()
	if err := j.count(); err != nil {
		return nil, err
	}
	if err := s.procs.agree(j.finish()); err != nil {
		return nil, err
	}
	out := &Outcome{Results: &j.results, Ranks: j.ranks, Files: j.files}
	if j.adapter != nil {
		out.Pruning = &j.pruning
	}
	return out, nil
}

// newJob reads the ranks and the data of a job.
func newJob(ctx context.Context, s *session) (*job, error) {
	j := &job{ctx: ctx, cfg: s.cfg, session: s}
	j.method, _ = runs.FindMethod(j.cfg.Method)
	if j.cfg.RanksFile != "" && NeedsRanks(j.cfg.Method) {
		ranks, err := runs.ReadRanks(j.cfg.RanksFile)
		if err != nil {
			return nil, err
		}
		j.ranks = &ranks
	}
	if err := s.readTask(data.Train, j.cfg.EvalOn); err != nil {
		return nil, err
	}
	var err error
	if j.scored, err = s.labelled(j.cfg.EvalOn); err != nil {
		return nil, err
	}
	if batch, n := min(j.cfg.BatchSize, j.cfg.SearchBatch()), s.procs.size(); batch < n {
		return nil, settings.Errorf("batch-size", "got %d examples for %d processes, want at least one for each", batch, n)
	}
	j.corpus = s.corpus(s.splits.Train)
	if s.cfg.ClassWeights == settings.BalancedWeights {
		if s.weights, err = balanced(s.task, s.splits.Train); err != nil {
			return nil, err
		}
	}
	if err := s.checkTokens(ctx, append([]*data.Dataset{s.splits.Train}, j.scored...)); err != nil {
		return nil, err
	}
	j.results = runs.Results{
		Task: s.task.Name, Method: j.cfg.Method, Seed: j.cfg.Seed, Primary: s.task.Primary, Part: string(j.cfg.EvalOn), TrainExamples: j.corpus.Data.Len(),
	}
	if j.cfg.LR != settings.Auto {
		j.results.LR = j.cfg.LR
	}
	j.wrote(runs.ConfigFile, runs.MetricsFile)
	return j, nil
}

// count adds to the results what the job took, in all processes.
func (j *job) count() error {
	j.results.Seconds.Load += j.session.loaded.Seconds()
	peak, onDevice, err := j.session.peaks()
	if err != nil {
		return err
	}
	peaks, err := gather(j.session.procs, [2]int64{peak, onDevice})
	if err != nil {
		return err
	}
	for _, p := range peaks {
		j.results.PeakMemory, j.results.DevicePeakMemory = max(j.results.PeakMemory, p[0]), max(j.results.DevicePeakMemory, p[1])
	}
	if n := j.session.procs.size(); n > 1 {
		j.results.Processes = n
	}
	return nil
}

// finish writes results.json, with which the run is complete.
func (j *job) finish() error {
	if err := j.out.WriteJSON(runs.ResultsFile, j.results); err != nil {
		return err
	}
	j.wrote(runs.ResultsFile)
	return j.out.Finish()
}

// wrote notes files that a run leaves, each once.
func (j *job) wrote(names ...string) {
	for _, name := range names {
		if !slices.Contains(j.files, name) {
			j.files = append(j.files, name)
		}
	}
}

// perform does the whole of the job's method.
func (j *job) perform() error {
	if j.cfg.LR == settings.Auto {
		if err := j.chooseRate(); err != nil {
			return err
		}
	}
	switch {
	case j.method.Ranks == runs.Searched && j.ranks == nil:
		if err := j.search(); err != nil {
			return err
		}
	case j.method.Ranks == runs.BestOfGrid:
		if err := j.gridSearch(); err != nil {
			return err
		}
	}
	if j.resumed == nil && j.results.Steps.Search > 0 {
		if err := j.enter("train"); err != nil {
			return err
		}
	}
	return j.train()
}
