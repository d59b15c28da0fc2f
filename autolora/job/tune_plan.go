package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"autolora/autolora/halving"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/human"
	"autolora/torchbind"
)

// Trials is what Tune would try: as tune.json would have it before the first trial, and
// about how long trials and training would take.
type Trials struct {
	runs.Tune
	Seconds float64 `json:"seconds"`
	Memory  int64   `json:"memory_bytes"`
	Weights int64   `json:"weight_bytes"` // of the base, which are in Memory
}

// PlanTrials returns what Tune would try. It reads model and data, and writes nothing.
func PlanTrials(ctx context.Context, host Host, cfg settings.Config) (*Trials, error) {
	s, err := newSession(ctx, host, cfg)
	if err != nil {
		return nil, err
	}
	defer s.close()
	j, err := newJob(ctx, s)
	if err != nil {
		return nil, err
	}
	j.out = runs.ReadOnly(cfg.Out)
	t := &tuning{job: j, space: j.cfg.Space(), trainings: cmp.Or(j.cfg.Cost, defaultCost), home: cfg.Out, shard: Shard{1, 1}}
	defer t.close()
	if err := t.plan(); err != nil {
		return nil, err
	}
	return &Trials{Tune: t.Tune, Seconds: t.seconds(), Memory: t.memory(), Weights: newShape(s.arch).weightBytes(s.cfg, scoresVocabulary(s.task))}, nil
}

// plan divides the training data and says which trials train for how long; of a run
// that goes on, as an earlier session has said it.
func (t *tuning) plan() error {
	if err := t.divide(); err != nil {
		return err
	}
	perEpoch := (t.corpus.Data.Len() + t.cfg.BatchSize - 1) / t.cfg.BatchSize
	t.Final = stepsFor(t.cfg.Steps, t.cfg.Epochs, perEpoch, t.cfg.Accumulate)
	points, err := t.points()
	if err != nil {
		return err
	}
	if t.Tune.Steps, err = t.budget(); err != nil {
		return err
	}
	var short *halving.BudgetError
	if points, t.Rungs, err = halving.Plan(points, t.Tune.Steps, t.Final); errors.As(err, &short) {
		need := trainingsFor(short.Least, t.Final)
		if t.cfg.Time != "" {
			return settings.Errorf("time", "got %s, which leaves %v steps for the trials: want %d, about %v trainings of %d steps, or fewer things to try", t.cfg.Time, short.Budget, short.Least, need, t.Final)
		}
		return settings.Errorf("cost", "got %v trainings of %d steps: %w, %v trainings, or fewer things to try", t.trainings, t.Final, err, need)
	} else if err != nil {
		return err
	}
	if t.shard.Of > 1 {
		t.Shards = t.shard.Of
	}
	t.hold()
	before, err := t.stored()
	if err != nil {
		return err
	}
	for i, p := range points {
		cfg, set := t.space.At(p)
		trial := runs.Trial{Settings: set}
		if before != nil && i < len(before.Trials) {
			trial.Parameters = before.Trials[i].Parameters
		} else if trial.Parameters, err = t.parameters(cfg); err != nil {
			return err
		}
		t.configs, t.Trials = append(t.configs, cfg), append(t.Trials, trial)
	}
	if before != nil {
		return t.merge(before, t.out.Path(runs.TuneFile))
	}
	t.session.rep.Note(t.cost())
	if first := t.Rungs[0].Steps; first < fewSteps {
		t.session.rep.Note(fmt.Sprintf("the trials of the first rung take only %s, after which a learning rate can be ahead that is too high for a whole training: "+
			"a larger cost, a longer training or fewer things to try give them %d", human.Count(first, "step"), fewSteps))
	}
	return t.store() // a machine is not always as fast, nor the program of one version: this is decided once
}

// trainingsFor returns the cost, in hundredths of a training, that is enough for so many steps.
func trainingsFor(steps, final int) float64 {
	n := 100 * steps / final
	for int(float64(n)/100*float64(final)) < steps { // as budget has it
		n++
	}
	return float64(n) / 100
}

// fewSteps are those of a trial below which its loss says little of a whole training's:
// after 8 a rate was ahead that was behind after 80 (docs/performance.md).
const fewSteps = 15

// stored returns what an earlier session has stored; nil if nothing.
func (t *tuning) stored() (*runs.Tune, error) {
	if t.resumed == nil {
		return nil, nil
	}
	return runs.ReadTune(t.out.Dir)
}

// cost says what the trials will cost.
func (t *tuning) cost() string {
	text := fmt.Sprintf("%s of %s", human.Count(t.Rungs[0].Trials, "trial"), human.Count(t.Rungs[0].Steps, "step"))
	for _, r := range t.Rungs[1:] {
		text += fmt.Sprintf(", %d of them on to %s", r.Trials, human.Thousands(r.Steps))
	}
	steps := halving.Steps(t.Rungs)
	text += fmt.Sprintf(": %s steps, %.2g times the training of %s steps; on %s examples, compared on %s others",
		human.Thousands(steps), float64(steps)/float64(t.Final), human.Thousands(t.Final), human.Thousands(t.Train), human.Thousands(t.HeldOut))
	if seconds := t.seconds(); seconds >= 60 && t.session.procs.size() == 1 {
		text += fmt.Sprintf("; about %s with the training, if the machine has nothing else to do", human.Duration(time.Duration(seconds*float64(time.Second))))
	}
	return text
}

// memory returns about how much memory the trials take: what the program holds with the
// model, and what a step keeps for its backward pass.
func (t *tuning) memory() int64 {
	arch, size := newShape(t.session.arch), limited(countedSize(t.session.splits), t.cfg)
	held, err := torchbind.PeakMemory()
	if err != nil {
		return 0
	}
	// A token's activations in a block: about 12 rows of the hidden size and 3 of the inner one.
	kept := float64(t.cfg.BatchSize) * size.tokens * float64(arch.layers) * float64(12*arch.hidden+3*arch.inner) * 4
	if t.cfg.GradientCheckpointing {
		kept /= float64(arch.layers)
	}
	largest := int64(0)
	for _, trial := range t.Trials {
		largest = max(largest, trial.Parameters)
	}
	const copies = 5 * 4 // of each parameter: itself, its gradient, two moments, the last good value
	return held + int64(kept) + copies*largest
}

// seconds returns about how long trials and training take on this machine.
func (t *tuning) seconds() float64 {
	evaluated := 0
	for i, r := range t.Rungs {
		evaluated += r.Trials * t.held[i].Len()
	}
	return t.estimator()(halving.Steps(t.Rungs)+t.Final, evaluated+totalLen(t.scored))
}

// points returns what there is to try, without what is larger than the budget of
// parameters.
func (t *tuning) points() ([][]int, error) {
	all := halving.Lattice(t.space.Sizes)
	most, least := int64(t.cfg.Parameters), int64(math.MaxInt64)
	if most == 0 || len(t.space.Sizes) == 1 { // a learning rate has no size, nor has every method a budget
		return all, nil
	}
	var points [][]int
	for _, p := range all {
		cfg, _ := t.space.At(p)
		size, err := t.parameters(cfg)
		if err != nil {
			return nil, err
		}
		if least = min(least, size); size <= most {
			points = append(points, p)
		}
	}
	if points == nil {
		return nil, settings.Errorf("parameters", "got %s: the smallest adapter to try has %s", human.Thousands(most), human.Thousands(least))
	}
	return points, nil
}

// budget returns the steps of all trials together.
func (t *tuning) budget() (int, error) {
	if t.cfg.Time == "" {
		return int(t.trainings * float64(t.Final)), nil
	}
	before, err := t.stored()
	if err != nil {
		return 0, err
	}
	if before != nil {
		return before.Steps, nil
	}
	limit, _ := time.ParseDuration(t.cfg.Time)
	e := t.estimator()
	left := limit.Seconds() - e(t.Final, totalLen(t.scored))
	evaluations := 1.3 // of what the steps take
	steps := left / evaluations / (e(1001, 0) - e(1, 0)) * 1000
	all, err := gather(t.session.procs, steps) // one process's clock is for all of them
	if err != nil {
		return 0, err
	}
	if steps = all[0]; steps < 1 {
		return 0, settings.Errorf("time", "got %s: the training of %s steps itself takes about %s", t.cfg.Time, human.Thousands(t.Final), human.Duration(limit-time.Duration(left*float64(time.Second))))
	}
	return int(min(steps, 100*float64(t.Final))), nil
}

// estimator returns about how many seconds a training of so many steps takes here,
// and the evaluation of so many examples.
func (t *tuning) estimator() func(steps, scored int) float64 {
	arch, size, speed := newShape(t.session.arch), limited(countedSize(t.session.splits), t.cfg), matrixSpeed()
	return func(steps, scored int) float64 {
		c, size := t.cfg, size
		c.Method, c.Steps, size.scored = runs.MethodLoRA, steps, scored
		return estimate(c, arch, size, speed).Seconds
	}
}

func totalLen(sets []*data.Dataset) (n int) {
	for _, d := range sets {
		n += d.Len()
	}
	return n
}

// divide holds a part of the training data out of the trials.
func (t *tuning) divide() (err error) {
	all := t.corpus.Data
	n := all.Len()
	held := min(t.cfg.HeldOutLimit, int(math.Round(t.cfg.HeldOut*float64(n))))
	if held < 2 || n-held < 1 {
		return settings.Errorf("held-out", "%v of %d training examples are %d: want at least 2, and one to train on", t.cfg.HeldOut, n, held)
	}
	var out []int
	if t.train, out, err = all.Split(float64(n-held)/float64(n), t.cfg.Seed); err != nil {
		return err
	}
	t.Train, t.HeldOut, t.heldOut = len(t.train), len(out), all.Select(out)
	return nil
}

// leastHeld is how many examples the first rungs are compared on at least, where there
// are so many.
const leastHeld = 256

// hold makes the sets that the rungs are compared on: of an early rung, whose trials
// have trained less, fewer of the examples, so that comparing costs less than training.
func (t *tuning) hold() {
	for _, r := range t.Rungs {
		n := max(leastHeld, t.HeldOut*r.Steps/t.Rungs[len(t.Rungs)-1].Steps)
		t.held = append(t.held, t.heldOut.Select(data.Subset(t.HeldOut, n, t.cfg.Seed)))
	}
}

// parameters returns how many the adapter has that the settings come to.
func (t *tuning) parameters(cfg settings.Config) (int64, error) {
	key := fmt.Sprint(cfg.Method, cfg.Targets, cfg.Rank, cfg.K, cfg.AdaLoRATargetRank)
	if n, counted := t.sizes[key]; counted {
		return n, nil
	}
	if err := t.load(); err != nil {
		return 0, err
	}
	defer t.snapshot.Restore()
	one := t.standIn(cfg)
	if one.method.Trains == runs.TrainsSVD { // which ends at fewer than it begins with
		one.method, one.cfg.Rank = lora, cfg.AdaLoRATargetRank
	}
	if _, err := one.equip(t.model, t.Final); err != nil {
		return 0, err
	}
	n := countParameters(t.model).Adapter
	if t.sizes == nil {
		t.sizes = map[string]int64{}
	}
	t.sizes[key] = n
	return n, nil
}
