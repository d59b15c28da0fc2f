package job

import (
	"errors"
	"strings"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/data"
	"autolora/human"
	"autolora/nn"
	"autolora/torchbind"
)

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
	stage, graphs := j.trainer(model, train, steps, allocator, phase)
	defer graphs.Close()
	l := &loop{
		phase: phase, steps: steps, stage: stage,
		seconds: &j.results.Seconds.Train, count: &j.results.Steps.Train, work: &j.results.Cost.Train, curve: &j.results.TrainLoss,
		watch: j.newWatch(model, stage.Trainer, allocator),
	}
	failure := j.run(l)
	if failure == nil {
		l.watch.end(steps)
		if err := j.evaluate(model); err != nil {
			failure = l.ended(j.results.Steps.Train, err)
		}
	}
	if failure != nil && !diverged(failure) {
		return failure
	}
	if err := j.settle(model, allocator); err != nil {
		return errors.Join(failure, err)
	}
	return j.leave(model, failure)
}

// leave exports what was trained, and returns failure: nil, or that of a training that
// diverged, which then says where its last good state is.
func (j *job) leave(model *nn.Model, failure error) error {
	j.results.Parameters = countParameters(model)
	saved, err := j.export(model)
	if err != nil {
		return errors.Join(failure, err)
	}
	if d, ok := errors.AsType[*DivergedError](failure); ok {
		d.Saved = j.out.Path(saved)
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
		j.noteTargets(model)
		return autolora.NewRankAllocator(model, lora, j.cfg.AdaLoRA(steps))
	}
	if j.ranks != nil {
		if err = j.checkTargets(model); err == nil {
			err = j.cutRanks(model)
		}
	} else {
		j.noteTargets(model)
	}
	switch {
	case err != nil:
	case j.method.Ranks == runs.BestOfGrid:
		err = j.bestOfGrid(model)
	case j.method.Ranks == runs.OneRank && j.cfg.Parameters > 0:
		err = j.spreadBudget(model)
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

// settle turns what AdaLoRA trained into LoRA at the ranks that it came to.
func (j *job) settle(model *nn.Model, allocator *autolora.RankAllocator) error {
	if allocator == nil {
		return nil
	}
	ranks := j.newRanks(runs.Rule{Name: runs.RuleAdaLoRA}, allocator.Layers(), allocator.Ranks())
	ranks.K, ranks.Steps = int(j.cfg.AdaLoRAInitRank), j.results.Steps.Train
	model.FoldSVD(allocator.Keep())
	return j.setRanks(ranks)
}

// evaluate scores model on the dev or test sets.
func (j *job) evaluate(model *nn.Model) error {
	losses, texts, err := j.session.score(j.ctx, model, j.scored, &j.results)
	if err != nil {
		return err
	}
	losses.Part = string(j.cfg.EvalOn)
	if err := losses.Write(j.out); err != nil {
		return err
	}
	j.wrote(runs.LossesFile)
	if texts != nil {
		if err := j.out.Write(runs.HypothesesFile, []byte(strings.Join(texts, "\n")+"\n")); err != nil {
			return err
		}
		j.wrote(runs.HypothesesFile)
	}
	return j.log(runs.Record{Phase: "eval", Scores: j.results.Scores, Seconds: j.results.Seconds.Eval})
}

// trainer returns the trainer of a phase of the job, and its graphs, which are to
// be closed.
func (j *job) trainer(model *nn.Model, train *data.Loader, steps int, allocator *autolora.RankAllocator, phase string) (*trainStage, *autolora.Graphs) {
	how := j.session.execution(true, j.maskSeed(phase))
	t := autolora.NewTrainer(model, j.cfg.Training(steps), allocator, how)
	return &trainStage{t, model, train, j.cfg.Accumulate}, how.Graphs
}

// trainStage is a training and the loader of its data.
type trainStage struct {
	*autolora.Trainer
	model      *nn.Model
	train      *data.Loader
	accumulate int
}

func (t *trainStage) loaders() []*data.Loader { return []*data.Loader{t.train} }

func (t *trainStage) step(s *torchbind.Scope, _ int) (stepReport, error) {
	var batches []*autolora.Batch
	for range t.accumulate {
		b, err := nextBatch(s, t.model, t.train)
		if err != nil {
			return stepReport{}, err
		}
		batches = append(batches, b)
	}
	step := t.Step(s, batches)
	step.Loss *= t.model.LossScale()
	return stepReport{
		trouble: step.Trouble(), note: "loss " + human.Score(step.Loss, 3), loss: step.Loss, work: runs.Work(step.Work),
		record: func() runs.Record {
			return runs.Record{Loss: number(step.Loss), GradNorm: number(step.GradNorm), LR: number(step.LR), Budget: step.Budget, Ranks: step.Ranks}
		},
	}, nil
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
