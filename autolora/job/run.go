package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
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
func Run(ctx context.Context, cfg Config, rep Reporter) (*Outcome, error) {
	if m, err := methodOf(cfg.Method); err != nil || m.ranks != searched {
		cfg.Method = runs.MethodAutoLoRA
	}
	cfg.RanksFile = ""
	return newJob(ctx, cfg, "run", rep, (*job).perform)
}

// RunSearch searches ranks only, and writes ranks.json.
func RunSearch(ctx context.Context, cfg Config, rep Reporter) (*Outcome, error) {
	cfg.Method = runs.MethodAutoLoRA
	return newJob(ctx, cfg, "search", rep, (*job).search)
}

// RunTrain trains cfg.Method and evaluates it.
func RunTrain(ctx context.Context, cfg Config, rep Reporter) (*Outcome, error) {
	if NeedsRanks(cfg.Method) && cfg.RanksFile == "" {
		return nil, fmt.Errorf("--ranks: method %s trains at the ranks of a file; none is given (autolora search writes one, autolora run does both)", cfg.Method)
	}
	return newJob(ctx, cfg, "train", rep, (*job).perform)
}

// job is one run that writes an output folder.
type job struct {
	*session
	ctx     context.Context
	method  method
	out     *runs.Folder
	events  *tensorboard.Writer // nil unless --tensorboard
	corpus  *data.Corpus        // of the training set
	scored  []*data.Dataset     // what the trained model is evaluated on
	ranks   *runs.Ranks         // to train at; nil before they are known, and for methods without
	grid    runs.Grid           // of a grid search
	results runs.Results
	files   []string
	resumed *checkpoint // where to go on; nil from the start, and once the run has come there
}

func newJob(ctx context.Context, cfg Config, command string, rep Reporter, work func(*job) error) (*Outcome, error) {
	m, err := methodOf(cfg.Method)
	if err != nil {
		return nil, err
	}
	if cfg.Resume {
		if done, err := completeRun(cfg); done != nil || err != nil {
			return done, err
		}
	}
	s, err := newSession(ctx, cfg, rep)
	if err != nil {
		return nil, err
	}
	defer s.close()
	j := &job{session: s, ctx: ctx, method: m}
	if m.ranks == searched || m.ranks == derived {
		if err := j.readRanks(); err != nil {
			return nil, err
		}
	}
	if err := s.readTask(data.Train, data.Part(cfg.EvalOn)); err != nil {
		return nil, err
	}
	if j.scored, err = s.labelled(data.Part(cfg.EvalOn)); err != nil {
		return nil, err
	}
	if n := cfg.Processes.size(); min(cfg.BatchSize, j.searchBatchSize()) < n {
		return nil, fmt.Errorf("--batch-size: got %d examples for %d processes, want at least one for each", min(cfg.BatchSize, j.searchBatchSize()), n)
	}
	j.corpus = s.corpus(s.splits.Train)
	j.results = runs.Results{Task: s.task.Name, Method: cfg.Method, Seed: cfg.Seed, Primary: s.task.Primary, Part: cfg.EvalOn, TrainExamples: j.corpus.Data.Len()}
	j.wrote(runs.ConfigFile, runs.MetricsFile)
	defer j.closeFolder()
	if err := j.openFolder(command); err != nil {
		return nil, err
	}
	if err := work(j); err != nil {
		return nil, err
	}
	s.noteTruncated()
	j.results.Seconds.Load += s.loaded.Seconds()
	peak, onDevice, err := s.peaks()
	if err != nil {
		return nil, err
	}
	peaks, err := gather(j.Processes, [2]int64{peak, onDevice})
	if err != nil {
		return nil, err
	}
	for _, p := range peaks {
		j.results.PeakMemory, j.results.DevicePeakMemory = max(j.results.PeakMemory, p[0]), max(j.results.DevicePeakMemory, p[1])
	}
	if n := j.Processes.size(); n > 1 {
		j.results.Processes = n
	}
	if err := j.Processes.agree(j.finish()); err != nil {
		return nil, err
	}
	return &Outcome{Results: &j.results, Ranks: j.ranks, Files: j.files}, nil
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

// readRanks reads the ranks of --ranks, if it is given.
func (j *job) readRanks() error {
	if j.RanksFile == "" {
		return nil
	}
	ranks, err := runs.ReadRanks(j.RanksFile)
	j.ranks = &ranks
	return err
}

// perform does the whole of the job's method.
func (j *job) perform() error {
	switch {
	case j.method.ranks == searched && j.ranks == nil:
		if err := j.search(); err != nil {
			return err
		}
	case j.method.ranks == gridSearched:
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
	trainHalf, valHalf, err := data.Split(j.corpus.Data.Len(), j.Split, j.Seed)
	if err != nil {
		return err
	}
	model, err := j.load(nn.HeadIfStored, false)
	if err != nil {
		return err
	}
	defer model.Close()
	train, perEpoch, err := j.loader(trainHalf, j.searchBatchSize(), "search train", 0)
	if err != nil {
		return err
	}
	defer train.Close()
	val, _, err := j.loader(valHalf, j.searchBatchSize(), "search validation", 1)
	if err != nil {
		return err
	}
	defer val.Close()

	steps := stepsFor(j.SearchSteps, j.SearchEpochs, perEpoch, 1)
	cfg := j.Config.search(steps)
	graphs := j.graphs(cfg.Replayable())
	defer graphs.Close()
	x, err := autolora.NewSearch(model, j.lora(), cfg, j.execution(graphs, j.maskSeed(phase)))
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
		Rule: x.Rule.Text(x.Form, x.Scale), K: int(x.K), Model: j.Model, Task: j.task.Name, Seed: &j.Seed, Steps: steps,
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
	model, err := j.load(nn.HeadIfStored, j.method.name == runs.MethodFull)
	if err != nil {
		return err
	}
	defer model.Close()
	train, perEpoch, err := j.loader(everyIndex(j.corpus.Data.Len()), j.BatchSize, phase, 0)
	if err != nil {
		return err
	}
	defer train.Close()

	steps := stepsFor(j.Steps, j.Epochs, perEpoch, j.Accumulate)
	allocator, err := j.equip(model, steps)
	if err != nil {
		return err
	}
	t, graphs := j.trainer(model, steps, allocator, phase)
	defer graphs.Close()
	l := &loop{
		phase: phase, steps: steps, stage: &trainStage{Trainer: t, model: model, train: train, accumulate: j.Accumulate},
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
	lora := j.lora()
	switch {
	case j.method.name == runs.MethodFull:
		return nil, nil
	case j.method.name == runs.MethodAdapter:
		return nil, model.AddBottlenecks(j.bottlenecks())
	case j.method.ranks == allocated:
		return autolora.NewRankAllocator(model, lora, j.adaLoRA(steps))
	case j.method.ranks == gridSearched:
		err = j.bestOfGrid(model)
	case j.method.ranks == derived:
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
			return fmt.Errorf("%s: %w", j.RanksFile, err)
		}
		sizes[i] = size
	}
	control := runs.Ranks{Model: j.Model, Task: j.task.Name, Seed: &j.Seed}
	ranks := j.ranks.List()
	switch j.method.name {
	case runs.MethodUniform:
		control.Rule, ranks = "control: the parameters of "+j.RanksFile+" spread evenly", autolora.UniformRanks(ranks, sizes)
	case runs.MethodShuffled:
		control.Rule, ranks = "control: the ranks of "+j.RanksFile+" permuted over the layers", autolora.ShuffledRanks(ranks, sizes, j.Seed)
	}
	for i, l := range j.ranks.Layers {
		control.Layers = append(control.Layers, runs.LayerRank{Name: l.Name, Rank: ranks[i]})
	}
	return j.setRanks(control)
}

// evaluate scores model on the dev or test sets.
func (j *job) evaluate(model *nn.Model) error {
	began := time.Now()
	e, err := j.score(j.ctx, model, j.scored, &j.results.Cost.Eval)
	if err != nil {
		return err
	}
	j.results.Scores, j.results.Examples, j.results.Paraphrases = e.scores, e.examples, j.scorer.paraphrases()
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
		Rule: "adalora: parts that the budget left", K: int(j.AdaLoRAInitRank), Model: j.Model, Task: j.task.Name, Seed: &j.Seed, Steps: j.results.Steps.Train,
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
	graphs := j.graphs(true)
	return autolora.NewTrainer(model, j.training(steps), allocator, j.execution(graphs, j.maskSeed(phase))), graphs
}

// maskSeed keeps the dropout masks of a run's phases, and of its processes,
// apart.
func (j *job) maskSeed(phase string) uint64 {
	h := j.Seed*0x9e3779b97f4a7c15 + 0xcbf29ce484222325
	for _, c := range []byte(phase) { // FNV-1a
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h + j.Processes.batches().Masks()
}
