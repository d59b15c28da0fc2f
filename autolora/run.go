package autolora

import (
	"context"
	"errors"
	"fmt"
	"time"

	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
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
	return newJob(ctx, cfg, "run", rep, func(j *job) error {
		if err := j.search(); err != nil {
			return err
		}
		return j.train(runs.MethodAutoLoRA)
	})
}

// RunSearch searches ranks only, and writes ranks.json.
func RunSearch(ctx context.Context, cfg Config, rep Reporter) (*Outcome, error) {
	return newJob(ctx, cfg, "search", rep, func(j *job) error {
		return j.search()
	})
}

// RunTrain trains cfg.Method and evaluates it.
func RunTrain(ctx context.Context, cfg Config, rep Reporter) (*Outcome, error) {
	var ranks *runs.Ranks
	if cfg.Method == runs.MethodAutoLoRA {
		if cfg.RanksFile == "" {
			return nil, errors.New("--ranks: method autolora trains at the ranks of a file; none is given (autolora search writes one, autolora run does both)")
		}
		r, err := runs.ReadRanks(cfg.RanksFile)
		if err != nil {
			return nil, err
		}
		ranks = &r
	}
	return newJob(ctx, cfg, "train", rep, func(j *job) error {
		j.ranks = ranks
		return j.train(cfg.Method)
	})
}

// job is one run that writes an output folder.
type job struct {
	*session
	ctx     context.Context
	out     *runs.Folder
	corpus  *data.Corpus // of the training set
	ranks   *runs.Ranks
	results runs.Results
	files   []string
}

func newJob(ctx context.Context, cfg Config, command string, rep Reporter, work func(*job) error) (*Outcome, error) {
	s, err := newSession(ctx, cfg, rep)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.readTask(data.Train, data.Dev); err != nil {
		return nil, err
	}
	out, err := runs.Create(cfg.Out, cfg.Overwrite)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if err := s.writeConfig(out, command); err != nil {
		return nil, err
	}
	j := &job{session: s, ctx: ctx, out: out, corpus: s.corpus(s.splits.Train)}
	j.results = runs.Results{Task: s.task.Name, Method: cfg.Method, Seed: cfg.Seed, Primary: s.task.Primary}
	if command != "train" {
		j.results.Method = runs.MethodAutoLoRA
	}
	j.wrote(runs.ConfigFile, runs.MetricsFile)
	if err := work(j); err != nil {
		return nil, err
	}
	if n := s.enc.Truncated(); n > 0 {
		rep.Note(fmt.Sprintf("%d examples were longer than --max-length %d and cut", n, s.MaxLength))
	}
	j.results.Seconds.Load = s.loaded.Seconds()
	if j.results.PeakMemory, err = torchbind.PeakMemory(); err != nil {
		return nil, err
	}
	if err := out.WriteJSON(runs.ResultsFile, j.results); err != nil {
		return nil, err
	}
	j.wrote(runs.ResultsFile)
	return &Outcome{Results: &j.results, Ranks: j.ranks, Files: j.files}, nil
}

func (j *job) wrote(names ...string) { j.files = append(j.files, names...) }

// search learns the selection variables on one half of the training set while
// W learns on the other, and writes ranks.json.
func (j *job) search() error {
	trainHalf, valHalf, err := data.Split(j.corpus.Data.Len(), j.Split, j.Seed)
	if err != nil {
		return err
	}
	model, err := j.load(nn.HeadIfStored, false)
	if err != nil {
		return err
	}
	defer model.Close()
	train, perEpoch, err := j.loader(j.ctx, j.corpus, trainHalf, "search train")
	if err != nil {
		return err
	}
	defer train.Close()
	val, _, err := j.loader(j.ctx, j.corpus, valHalf, "search validation")
	if err != nil {
		return err
	}
	defer val.Close()

	steps := stepsFor(j.SearchSteps, j.SearchEpochs, perEpoch, 1)
	cfg := j.Config.search(steps)
	x, err := NewSearch(model, j.lora(), cfg, maskSeed(j.Seed, "search"))
	if err != nil {
		return err
	}
	began := time.Now()
	l := newLoop("search", steps, j.LogEvery, j.out, j.rep)
	failure := l.runSearch(j.ctx, x, train, val)
	j.results.Seconds.Search, j.results.Steps.Search = time.Since(began).Seconds(), steps
	var diverged *DivergedError
	if failure != nil && !errors.As(failure, &diverged) {
		return failure
	}
	ranks := x.Ranks()
	ranks.Model, ranks.Task, ranks.Seed, ranks.Steps = j.Model, j.task.Name, &j.Seed, steps
	ranks.Split = fmt.Sprintf("%d/%d", len(trainHalf), len(valHalf))
	if diverged != nil {
		ranks.Steps = int(diverged.Good)
		diverged.Saved = j.out.Path(runs.RanksFile)
	}
	if err := j.out.WriteJSON(runs.RanksFile, ranks); err != nil {
		return errors.Join(failure, err)
	}
	j.ranks = &ranks
	j.wrote(runs.RanksFile)
	return failure
}

// train trains one method on the whole training set, evaluates it, and exports
// what it learnt.
func (j *job) train(method string) error {
	full := method == runs.MethodFull
	model, err := j.load(nn.HeadIfStored, full)
	if err != nil {
		return err
	}
	defer model.Close()
	lora := j.lora()
	if method == runs.MethodAutoLoRA {
		lora.Targets, lora.Ranks = nil, j.ranks.ByName()
	}
	if !full {
		if err := model.AddLoRA(lora); err != nil {
			return err
		}
	}
	j.results.Parameters = countParameters(model)
	all := make([]int, j.corpus.Data.Len())
	for i := range all {
		all[i] = i
	}
	train, perEpoch, err := j.loader(j.ctx, j.corpus, all, "train")
	if err != nil {
		return err
	}
	defer train.Close()

	steps := stepsFor(j.Steps, j.Epochs, perEpoch, j.Accumulate)
	began := time.Now()
	l := newLoop("train", steps, j.LogEvery, j.out, j.rep)
	failure := l.runTrain(j.ctx, NewTrainer(model, j.training(steps), maskSeed(j.Seed, "train")), j.Accumulate, train)
	j.results.Seconds.Train, j.results.Steps.Train = time.Since(began).Seconds(), steps
	var diverged *DivergedError
	if failure != nil && !errors.As(failure, &diverged) {
		return failure
	}
	if diverged == nil {
		if err := j.evaluate(model); err != nil {
			return err
		}
	}
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

func (j *job) evaluate(model *nn.Classifier) error {
	began := time.Now()
	scores, examples, err := j.score(j.ctx, model, j.splits.Dev)
	if err != nil {
		return err
	}
	j.results.Scores, j.results.Examples, j.results.Seconds.Eval = scores, examples, time.Since(began).Seconds()
	return j.out.Log(runs.Record{Phase: "eval", Scores: scores, Seconds: j.results.Seconds.Eval})
}

// countParameters counts what model trains.
func countParameters(model *nn.Classifier) runs.ParameterCount {
	head := nn.NumEl(model.Head.Params())
	return runs.ParameterCount{Adapter: nn.NumEl(model.TrainableParams()) - head, Head: head}
}

// maskSeed keeps the dropout masks of a run's phases apart.
func maskSeed(seed uint64, phase string) uint64 {
	h := seed*0x9e3779b97f4a7c15 + 0xcbf29ce484222325
	for _, c := range []byte(phase) { // FNV-1a
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}
