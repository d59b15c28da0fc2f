package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/autolora/tensorboard"
	"autolora/data"
	"autolora/nn"
)

// Outcome is what a command reports to people.
type Outcome struct {
	Results *runs.Results
	Ranks   *runs.Ranks // nil where none were searched or used
	Files   []string    // written, in the output folder
}

// Run is the main job: search → ranks → retrain → evaluate → export, into
// cfg.Out. With an error, the files that are in the folder are whole.
func Run(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	if m, _ := runs.FindMethod(cfg.Method); m.Ranks != runs.Searched {
		cfg.Method = runs.MethodAutoLoRA
	}
	cfg.RanksFile = ""
	return do(ctx, host, cfg, "run", (*job).perform)
}

// Search searches ranks only, and writes ranks.json.
func Search(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	cfg.Method = runs.MethodAutoLoRA
	return do(ctx, host, cfg, "search", (*job).search)
}

// Train trains cfg.Method and evaluates it.
func Train(ctx context.Context, host Host, cfg settings.Config) (*Outcome, error) {
	if NeedsRanks(cfg.Method) && cfg.RanksFile == "" {
		return nil, settings.Errorf("ranks", "method %s trains at the ranks of a file; none is given (autolora search writes one, autolora run does both)", cfg.Method)
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
}

// do opens a job, does its work, and closes it: settings, model, data, folder,
// phases, results, in this order.
func do(ctx context.Context, host Host, cfg settings.Config, command string, work func(*job) error) (*Outcome, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Resume {
		if done, err := completeRun(cfg); done != nil || err != nil {
			return done, err
		}
	}
	s, err := newSession(ctx, host, cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	j, err := newJob(ctx, s)
	if err != nil {
		return nil, err
	}
	defer j.closeFolder()
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
	return &Outcome{Results: &j.results, Ranks: j.ranks, Files: j.files}, nil
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
	j.results = runs.Results{
		Task: s.task.Name, Method: j.cfg.Method, Seed: j.cfg.Seed, Primary: s.task.Primary, Part: string(j.cfg.EvalOn), TrainExamples: j.corpus.Data.Len(),
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

func (j *job) wrote(names ...string) { j.files = append(j.files, names...) }

// perform does the whole of the job's method.
func (j *job) perform() error {
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

// search learns the selection variables on one half of the training set while
// W learns on the other, and writes ranks.json.
func (j *job) search() error {
	const phase = "search"
	if j.completed(phase) {
		ranks, err := runs.ReadRanks(j.out.Path(runs.RanksFile))
		j.ranks = &ranks
		j.wrote(runs.RanksFile)
		return err
	}
	trainHalf, valHalf, err := data.Split(j.corpus.Data.Len(), j.cfg.Split, j.cfg.Seed)
	if err != nil {
		return err
	}
	model, err := j.session.load(nn.HeadIfStored, false)
	if err != nil {
		return err
	}
	defer model.Close()
	train, perEpoch, err := j.loader(trainHalf, j.cfg.SearchBatch(), "search train", 0)
	if err != nil {
		return err
	}
	defer train.Close()
	val, _, err := j.loader(valHalf, j.cfg.SearchBatch(), "search validation", 1)
	if err != nil {
		return err
	}
	defer val.Close()

	steps := stepsFor(j.cfg.SearchSteps, j.cfg.SearchEpochs, perEpoch, 1)
	cfg := j.cfg.Search(steps)
	graphs := j.session.graphs(cfg.Replayable())
	defer graphs.Close()
	x, err := autolora.NewSearch(model, j.cfg.LoRA(), cfg, j.session.execution(graphs, j.maskSeed(phase)))
	if err != nil {
		return err
	}
	failure := j.run(&loop{
		phase: phase, steps: steps, stage: &searchStage{Search: x, model: model, train: train, val: val},
		seconds: &j.results.Seconds.Search, count: &j.results.Steps.Search, work: &j.results.Cost.Search,
	})
	var diverged *DivergedError
	if failure != nil && !errors.As(failure, &diverged) {
		return failure
	}
	ranks := runs.Ranks{
		Rule: ruleOf(cfg), K: int(x.K), Model: j.cfg.Model, Task: j.session.task.Name, Seed: &j.cfg.Seed, Steps: steps,
		Mode: string(x.Mode), LookAhead: string(x.LookAhead), Eta: &x.Eta,
	}
	alphas, learnt := x.Alphas(), x.Ranks()
	for i, l := range model.LoRAs() {
		ranks.Layers = append(ranks.Layers, runs.LayerRank{Name: l.Module, Rank: learnt[i], Alpha: alphas[i]})
	}
	ranks.Split = fmt.Sprintf("%d/%d", len(trainHalf), len(valHalf))
	if diverged != nil {
		ranks.Steps = int(diverged.Good)
		diverged.Saved = j.out.Path(runs.RanksFile)
	}
	return errors.Join(failure, j.setRanks(ranks))
}

// ruleOf returns the rule of a search as ranks.json has it.
func ruleOf(x autolora.SearchConfig) runs.Rule {
	rule := runs.Rule{Name: string(x.Rule), Form: string(x.Form), Counts: runs.CountsAlpha, Threshold: runs.Mean}
	switch {
	case x.Rule == autolora.RawRule:
		rule.Counts = runs.CountsRaw
	case x.Form == autolora.Sigmoid:
		rule.Threshold = "0.5"
	}
	if x.Form == autolora.Softmax {
		rule.Scale = x.Scale
	}
	return rule
}

// setRanks makes ranks those to train at, and writes ranks.json.
func (j *job) setRanks(ranks runs.Ranks) error {
	if err := j.out.WriteJSON(runs.RanksFile, ranks); err != nil {
		return err
	}
	j.ranks = &ranks
	j.wrote(runs.RanksFile)
	return nil
}

// train trains the method on the whole training set, evaluates it, and exports
// what it learnt.
func (j *job) train() error {
	const phase = "train"
	model, err := j.session.load(nn.HeadIfStored, j.method.Trains == runs.TrainsEverything)
	if err != nil {
		return err
	}
	defer model.Close()
	train, perEpoch, err := j.loader(everyIndex(j.corpus.Data.Len()), j.cfg.BatchSize, phase, 0)
	if err != nil {
		return err
	}
	defer train.Close()

	steps := stepsFor(j.cfg.Steps, j.cfg.Epochs, perEpoch, j.cfg.Accumulate)
	allocator, err := j.equip(model, steps)
	if err != nil {
		return err
	}
	t, graphs := j.trainer(model, steps, allocator, phase)
	defer graphs.Close()
	l := &loop{
		phase: phase, steps: steps, stage: &trainStage{Trainer: t, model: model, train: train, accumulate: j.cfg.Accumulate},
		seconds: &j.results.Seconds.Train, count: &j.results.Steps.Train, work: &j.results.Cost.Train,
	}
	failure := j.run(l)
	var diverged *DivergedError
	if failure != nil && !errors.As(failure, &diverged) {
		return failure
	}
	if diverged == nil {
		if err := j.evaluate(model); err != nil {
			return l.interrupted(steps, err)
		}
	}
	if err := j.settle(model, allocator); err != nil {
		return errors.Join(failure, err)
	}
	j.results.Parameters = countParameters(model)
	saved, err := j.export(model)
	if err != nil {
		return errors.Join(failure, err)
	}
	if diverged != nil {
		diverged.Saved = j.out.Path(saved)
	}
	j.wrote(saved)
	return failure
}

// equip gives a freshly loaded model what the method trains in so many steps.
// The allocator is AdaLoRA's, nil for every other method.
func (j *job) equip(model *nn.Model, steps int) (allocator *autolora.RankAllocator, err error) {
	lora := j.cfg.LoRA()
	switch j.method.Trains {
	case runs.TrainsEverything:
		return nil, nil
	case runs.TrainsBottlenecks:
		return nil, model.AddBottlenecks(j.cfg.Bottlenecks())
	case runs.TrainsSVD:
		return autolora.NewRankAllocator(model, lora, j.cfg.AdaLoRA(steps))
	}
	switch {
	case j.method.Ranks == runs.BestOfGrid:
		err = j.bestOfGrid(model)
	case j.method.Ranks.Derived():
		err = j.deriveRanks(model)
	}
	if err != nil {
		return nil, err
	}
	if j.ranks != nil {
		lora.Targets, lora.Ranks = nil, j.ranks.ByName()
	}
	if err := model.AddLoRA(lora); err != nil {
		return nil, err
	}
	if len(model.TrainableParams()) == 0 {
		return nil, errors.New("every layer has rank 0, and a language model has no head to train: nothing is left to train")
	}
	return nil, nil
}

// deriveRanks makes the ranks of a control out of those of --ranks.
func (j *job) deriveRanks(model *nn.Model) error {
	sizes := make([]int64, len(j.ranks.Layers))
	for i, l := range j.ranks.Layers {
		size, err := model.RankSize(l.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", j.cfg.RanksFile, err)
		}
		sizes[i] = size
	}
	control := runs.Ranks{Rule: runs.Rule{From: j.cfg.RanksFile}, Model: j.cfg.Model, Task: j.session.task.Name, Seed: &j.cfg.Seed}
	ranks := j.ranks.List()
	switch j.method.Ranks {
	case runs.Spread:
		control.Rule.Name, ranks = runs.RuleSpread, autolora.UniformRanks(ranks, sizes)
	case runs.Permuted:
		control.Rule.Name, ranks = runs.RulePermuted, autolora.ShuffledRanks(ranks, sizes, j.cfg.Seed)
	}
	for i, l := range j.ranks.Layers {
		control.Layers = append(control.Layers, runs.LayerRank{Name: l.Name, Rank: ranks[i]})
	}
	return j.setRanks(control)
}

// evaluate scores model on the dev or test sets.
func (j *job) evaluate(model *nn.Model) error {
	began := time.Now()
	e, err := j.session.score(j.ctx, model, j.scored, &j.results.Cost.Eval)
	if err != nil {
		return err
	}
	j.results.Scores, j.results.Examples, j.results.Paraphrases = e.scores, e.examples, j.session.scorer.paraphrases()
	if e.texts != nil {
		if err := j.out.Write(runs.HypothesesFile, []byte(strings.Join(e.texts, "\n")+"\n")); err != nil {
			return err
		}
		j.wrote(runs.HypothesesFile)
	}
	j.results.Seconds.Eval += time.Since(began).Seconds()
	return j.log(runs.Record{Phase: "eval", Scores: j.results.Scores, Seconds: j.results.Seconds.Eval})
}

// settle turns what AdaLoRA trained into LoRA at the ranks that it came to.
func (j *job) settle(model *nn.Model, allocator *autolora.RankAllocator) error {
	if allocator == nil {
		return nil
	}
	ranks := runs.Ranks{
		Rule: runs.Rule{Name: runs.RuleAdaLoRA}, K: int(j.cfg.AdaLoRAInitRank), Model: j.cfg.Model, Task: j.session.task.Name, Seed: &j.cfg.Seed, Steps: j.results.Steps.Train,
	}
	for i, l := range model.LoRAs() {
		ranks.Layers = append(ranks.Layers, runs.LayerRank{Name: l.Module, Rank: allocator.Ranks()[i]})
	}
	model.FoldSVD(allocator.Keep())
	return j.setRanks(ranks)
}

func everyIndex(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// countParameters counts what model trains.
func countParameters(model *nn.Model) runs.ParameterCount {
	head := nn.NumEl(model.HeadParams())
	return runs.ParameterCount{Adapter: nn.NumEl(model.TrainableParams()) - head, Head: head}
}

// trainer returns the trainer of a phase of the job, and its graphs, which are to
// be closed.
func (j *job) trainer(model *nn.Model, steps int, allocator *autolora.RankAllocator, phase string) (*autolora.Trainer, *autolora.Graphs) {
	graphs := j.session.graphs(true)
	return autolora.NewTrainer(model, j.cfg.Training(steps), allocator, j.session.execution(graphs, j.maskSeed(phase))), graphs
}

// maskSeed keeps the dropout masks of a run's phases, and of its processes,
// apart.
func (j *job) maskSeed(phase string) uint64 {
	h := j.cfg.Seed*0x9e3779b97f4a7c15 + 0xcbf29ce484222325
	for _, c := range []byte(phase) { // FNV-1a
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h + j.session.procs.batches().Masks()
}
