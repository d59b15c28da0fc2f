package job

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"autolora/autolora/halving"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/data/metrics"
	"autolora/human"
	"autolora/nn"
	"autolora/torchbind"
)

// tuneCommand is the command whose settings say what to try: those of the training
// are what it chooses.
const tuneCommand = "tune"

// Tune tries settings on a part of the training data, trains those that it chooses on
// all of them, and evaluates. Where it is one of several shards, each makes its share
// of the trials, and the first trains; the others come to an Outcome without Results.
func Tune(ctx context.Context, host Host, cfg settings.Config, shard Shard) (*Outcome, error) {
	if shard.Of > 1 {
		switch {
		case cfg.Time != "":
			return nil, settings.Errorf("time", "got %s: shards on different machines would plan differently, want a cost", cfg.Time)
		case cfg.Overwrite:
			return nil, settings.Errorf("overwrite", "is not for shards, which share a folder: choose another folder")
		case cfg.SaveEvery == 0:
			return nil, settings.Errorf("save-every", "got 0: shards save what they have done, want at least 1")
		}
		cfg.Resume = true
	}
	home := cfg.Out
	cfg.Out = shardFolder(home, shard.Index)
	out, err := do(ctx, host, cfg, tuneCommand, func(j *job) error { return j.tune(home, shard) })
	if errors.Is(err, errShareDone) {
		return &Outcome{}, nil
	}
	return out, err
}

// Trials is what Tune would try: as tune.json would have it before the first trial, and
// about how long trials and training would take.
type Trials struct {
	runs.Tune
	Seconds float64 `json:"seconds"`
	Memory  int64   `json:"memory_bytes"`
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
	return &Trials{Tune: t.Tune, Seconds: t.seconds(), Memory: t.memory()}, nil
}

// What all trials may take by default, in trainings: of everything, and of the rate
// alone.
const (
	defaultCost     = 4
	defaultRateCost = 1
)

// errShareDone ends a shard that has nothing more to do.
var errShareDone = errors.New("the trials are complete")

// shardFolder returns the folder in which a shard works: the first in that of the
// results, the others below it.
func shardFolder(home string, index int) string {
	if index == 1 {
		return home
	}
	return filepath.Join(home, runs.ShardFolder(index))
}

// tune chooses among all settings of the space, and does what it chose.
func (j *job) tune(home string, shard Shard) error {
	t := &tuning{job: j, space: j.cfg.Space(), trainings: cmp.Or(j.cfg.Cost, defaultCost), home: home, shard: shard}
	if err := t.choose(); err != nil {
		return err
	}
	if shard.Index > 1 {
		return errShareDone
	}
	return j.perform()
}

// chooseRate chooses the learning rate of the job's method, by trials of it alone.
func (j *job) chooseRate() error {
	t := &tuning{job: j, space: j.cfg.RateSpace(), trainings: cmp.Or(j.cfg.Cost, defaultRateCost), home: j.cfg.Out, shard: Shard{1, 1}}
	return t.choose()
}

// tuning is a choice of settings by successive halving: trials train on a part of the
// training data, one after the other in the same model, and are compared by their loss
// on the rest of it. Those that go on do so from where they were.
type tuning struct {
	*job
	space     settings.Space
	trainings float64 // what all trials may take
	home      string  // the folder of the results
	shard     Shard

	runs.Tune
	configs []settings.Config // of the trials
	train   []int             // the training examples of the trials
	heldOut *data.Dataset     // the others
	held    []*data.Dataset   // of those, what the trials of each rung are compared on: each holds the one before

	model    *nn.Model // nil before it is needed
	snapshot *nn.Snapshot
	sizes    map[string]int64 // parameters that are counted already
}

// choose makes all trials that an earlier session has not made, and the settings of
// the one that it chooses the job's own.
func (t *tuning) choose() error {
	defer t.close()
	err := t.plan()
	if err != nil {
		return err
	}
	for rung := range t.Rungs {
		members := t.Survivors(rung)
		if err := t.climb(rung, members); err != nil {
			return err
		}
		t.Judge(rung)
	}
	if !t.Choose() {
		return t.nothing()
	}
	given := t.cfg
	t.take(t.configs[t.Choice])
	if err := t.store(); err != nil {
		return err
	}
	if t.resumed == nil {
		if err := t.enter(t.next()); err != nil {
			return err
		}
	}
	if err := t.out.Remove(runs.TuneDir); err != nil {
		return err
	}
	t.session.rep.Note("chosen: " + t.said(t.Choice))
	return t.declare(given)
}

// declare writes what was chosen into config.json, which says what the run's results
// were made with: to who reads it, and to who trains by it again.
func (t *tuning) declare(given settings.Config) error {
	saved, err := readSavedConfig(t.out.Dir)
	if err != nil || saved == nil || t.shard.Index > 1 {
		return err
	}
	saved.Settings, saved.About.Chosen = t.cfg, settings.Changed(given, t.cfg)
	return t.out.WriteJSON(runs.ConfigFile, saved)
}

// next returns the phase that follows the trials.
func (t *tuning) next() string {
	switch {
	case t.shard.Index > 1:
		return "end"
	case t.method.Ranks == runs.Searched && t.ranks == nil:
		return "search"
	case t.method.Ranks == runs.BestOfGrid:
		return "grid-1"
	}
	return "train"
}

// take makes what was chosen the job's settings, and the cost of all trials its own.
func (t *tuning) take(chosen settings.Config) {
	t.cfg = chosen
	t.method, _ = runs.FindMethod(chosen.Method)
	r := &t.results
	r.Method, r.LR, r.Seconds.Tune, r.Steps.Tune, r.Cost.Tune = chosen.Method, chosen.LR, 0, 0, runs.Work{}
	for _, trial := range t.Trials {
		r.Seconds.Tune, r.Steps.Tune = r.Seconds.Tune+trial.Seconds, r.Steps.Tune+trial.Steps
		for _, reached := range trial.Rungs {
			r.Cost.Tune.Add(reached.Work)
		}
	}
}

// nothing says that no trial came to anything.
func (t *tuning) nothing() error {
	lowest := math.Inf(1)
	for _, c := range t.configs {
		lowest = min(lowest, c.LR)
	}
	return settings.Errorf("tune-lr", "all %d trials diverged, those at the lowest rate, %s, too: give lower ones", len(t.Trials), human.Rate(lowest))
}

// close frees the model.
func (t *tuning) close() {
	if t.model != nil {
		t.model.Close()
	}
}

// store writes tune.json.
func (t *tuning) store() error {
	t.wrote(runs.TuneFile)
	return t.out.WriteJSON(runs.TuneFile, t.Tune)
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
		need := float64(short.Least) / float64(t.Final)
		if t.cfg.Time != "" {
			return settings.Errorf("time", "got %s, which leaves %v steps for the trials: want %d, about %.2g trainings of %d steps, or fewer things to try", t.cfg.Time, short.Budget, short.Least, need, t.Final)
		}
		return settings.Errorf("cost", "got %v trainings of %d steps: %w, %.2g trainings, or fewer things to try", t.trainings, t.Final, err, need)
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
	if t.cfg.Time != "" { // a machine is not always as fast: this is decided once
		return t.store()
	}
	return nil
}

// stored returns what an earlier session has stored; nil if nothing.
func (t *tuning) stored() (*runs.Tune, error) {
	if t.resumed == nil {
		return nil, nil
	}
	return runs.ReadTune(t.out.Dir)
}

// cost says what the trials will cost.
func (t *tuning) cost() string {
	text := fmt.Sprintf("%s of %s steps", human.Count(t.Rungs[0].Trials, "trial"), human.Thousands(t.Rungs[0].Steps))
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

// merge takes the trials of a tune.json at path.
func (t *tuning) merge(before *runs.Tune, path string) error {
	same := len(before.Trials) == len(t.Trials) && slices.Equal(before.Rungs, t.Rungs) && before.Shards == t.Shards
	for i := 0; same && i < len(t.Trials); i++ {
		var compact bytes.Buffer // the file is indented
		same = json.Compact(&compact, before.Trials[i].Settings) == nil && compact.String() == string(t.Trials[i].Settings) && len(before.Trials[i].Rungs) <= len(t.Rungs)
	}
	if !same {
		return fmt.Errorf("%s is of another plan than this one: it was changed, or written with other shards", path)
	}
	for i, trial := range before.Trials {
		for rung := len(t.Trials[i].Rungs); rung < len(trial.Rungs); rung++ {
			t.Trials[i].Reach(rung, trial.Rungs[rung])
		}
	}
	return nil
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
	if before, err := t.stored(); err != nil || before != nil {
		return before.Steps, err
	}
	limit, _ := time.ParseDuration(t.cfg.Time)
	e := t.estimator()
	left := limit.Seconds() - e(t.Final, totalLen(t.scored))
	evaluations := 1.3 // of what the steps take
	steps := left / evaluations / (e(1001, 0) - e(1, 0)) * 1000
	if steps < 1 {
		return 0, settings.Errorf("time", "got %s: the training of %s steps itself takes about %s", t.cfg.Time, human.Thousands(t.Final), human.Duration(limit-time.Duration(left*float64(time.Second))))
	}
	return int(min(steps, 100*float64(t.Final))), nil
}

// estimator returns about how many seconds a training of so many steps takes here,
// and the evaluation of so many examples.
func (t *tuning) estimator() func(steps, scored int) float64 {
	arch, size, speed := newShape(t.session.arch), limited(countedSize(t.session.splits), t.cfg), matrixSpeed(2)
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
	if t.train, out, err = data.Split(n, float64(n-held)/float64(n), t.cfg.Seed); err != nil {
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

// load loads the model that all trials share.
func (t *tuning) load() error {
	if t.model != nil {
		return nil
	}
	first, _ := t.space.At(make([]int, len(t.space.Sizes)))
	method, _ := runs.FindMethod(first.Method)
	model, err := t.session.load(nn.HeadIfStored, method.Trains == runs.TrainsEverything)
	if err == nil {
		t.model, t.snapshot = model, model.Snapshot()
	}
	return err
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

var lora, _ = runs.FindMethod(runs.MethodLoRA)

// standIn returns a job that trains as the settings say, and where that takes a search
// of ranks, at the highest that it can give.
func (t *tuning) standIn(cfg settings.Config) *job {
	one := *t.job
	one.cfg = cfg
	one.method, _ = runs.FindMethod(cfg.Method)
	switch {
	case one.method.Ranks == runs.Searched && t.ranks == nil:
		one.method, one.cfg.Rank = lora, cfg.K
	case one.method.Ranks == runs.BestOfGrid:
		one.method, one.cfg.Rank = lora, slices.Max(cfg.GridRanks)
	}
	return &one
}

// climb makes the shard's own trials of a rung, and waits for the others'.
func (t *tuning) climb(rung int, members []int) error {
	own := t.session.rep
	defer func() { t.session.rep = own }()
	before, steps := 0, t.Rungs[rung].Steps
	if rung > 0 {
		before = t.Rungs[rung-1].Steps
	}
	watch := &rungReporter{Reporter: own, from: before}
	var mine []int
	for p, n := range members {
		if p%t.shard.Of == t.shard.Index-1 {
			mine = append(mine, n)
		}
	}
	for p, n := range mine {
		phase := fmt.Sprintf("tune-%d-%d", rung+1, n+1)
		if t.completed(phase) {
			if len(t.Trials[n].Rungs) <= rung {
				return fmt.Errorf("%s: trial %d lacks rung %d: it was changed", t.out.Path(runs.TuneFile), n+1, rung+1)
			}
			watch.done += steps - before
			continue
		}
		if t.resumed == nil && (rung > 0 || p > 0) {
			if err := t.enter(phase); err != nil {
				return err
			}
			if err := t.forget(rung, members); err != nil {
				return err
			}
		}
		if t.session.rep == own {
			own.Begin(fmt.Sprintf("rung %d", rung+1), watch.done, len(mine)*(steps-before))
			defer own.End()
			t.session.rep = watch
		}
		if err := t.try(phase, rung, n); err != nil {
			return err
		}
		watch.done += steps - before
		own.Note(fmt.Sprintf("%d/%d %s", p+1, len(mine), t.said(n)))
	}
	if t.shard.Of > 1 {
		return t.wait(rung, members)
	}
	return nil
}

// rungReporter makes one phase of the trials of a rung.
type rungReporter struct {
	Reporter
	from, done int  // steps of each trial before the rung, and of those that have made it
	training   bool // and not evaluating
}

func (r *rungReporter) Begin(phase string, _, _ int) { r.training = phase != "eval" }
func (r *rungReporter) End()                         {}
func (r *rungReporter) Advance(done int, note string) {
	if r.training {
		r.Reporter.Advance(r.done+done-r.from, note)
	}
}

// state is the name of the file with a trial's state at the end of a rung.
func state(rung, n int) string { return fmt.Sprintf("%s/%d-%d.safetensors", runs.TuneDir, n+1, rung+1) }

// try trains one trial to the end of a rung and evaluates it.
func (t *tuning) try(phase string, rung, n int) error {
	if err := t.load(); err != nil {
		return err
	}
	defer t.snapshot.Restore()
	steps, last := t.Rungs[rung].Steps, t.Rungs[len(t.Rungs)-1].Steps
	if rung > 0 && (t.resumed == nil || t.resumed.Step == 0) {
		if err := t.goOn(rung, n); err != nil {
			return err
		}
	}
	one := t.standIn(t.configs[n])
	const stream = "tune" // of order and dropout: all trials see the same
	train, _, err := t.loader(t.train, t.cfg.BatchSize, stream, 0)
	if err != nil {
		return err
	}
	defer train.Close()
	allocator, err := one.equip(t.model, last)
	if err != nil {
		return err
	}
	stage, graphs := one.trainer(t.model, train, last, allocator, stream)
	defer graphs.Close()
	l := &loop{
		phase: phase, steps: steps, stage: stage,
		seconds: &t.results.Seconds.Tune, count: &t.results.Steps.Tune, work: &t.results.Cost.Tune,
	}
	reached := runs.Reached{Steps: steps}
	var diverged *DivergedError
	switch err := t.run(l); {
	case errors.As(err, &diverged):
		reached.Steps, reached.State = diverged.Step-1, runs.Diverged
	case err != nil:
		return err
	default:
		if err := t.evaluate(rung, &reached); err != nil {
			return l.interrupted(steps, err)
		}
		if rung+1 < len(t.Rungs) && reached.State == "" {
			if err := t.session.procs.agree(l.saveAs(state(rung, n), steps)); err != nil {
				return err
			}
		}
	}
	reached.Seconds, reached.Work = t.results.Seconds.Tune, t.results.Cost.Tune
	for i := range t.Trials { // what all others of this shard took is not this one's; earlier sessions count
		for at, r := range t.Trials[i].Rungs {
			if t.owner(i, at) == t.shard.Index && (i != n || at < rung) {
				reached.Seconds -= r.Seconds
				reached.Work.Subtract(r.Work)
			}
		}
	}
	t.Trials[n].Reach(rung, reached)
	return t.store()
}

// goOn opens the state of a trial at the end of the rung before.
func (t *tuning) goOn(rung, n int) error {
	if t.resumed != nil {
		t.resumed.close()
	}
	dir := t.folder(t.owner(n, rung-1))
	c, err := openCheckpoint(dir, state(rung-1, n))
	if err == nil && c == nil {
		err = fmt.Errorf("%s is missing: begin anew", filepath.Join(dir, state(rung-1, n)))
	}
	t.resumed = c
	return err
}

// owner returns the shard that makes a trial's part of a rung.
func (t *tuning) owner(n, rung int) int { return slices.Index(t.Survivors(rung), n)%t.shard.Of + 1 }

// folder returns where a shard works.
func (t *tuning) folder(shard int) string {
	if shard == t.shard.Index {
		return t.out.Dir
	}
	return shardFolder(t.home, shard)
}

// How often a shard looks for what the others have made.
const look = time.Second

// wait waits until all trials of a rung are made, and takes those of other shards. It
// gives up when nothing has come from them for as long as processes wait for each
// other.
func (t *tuning) wait(rung int, members []int) error {
	mark := fmt.Sprintf("wait-%d", rung+1)
	switch {
	case t.resumed == nil:
		if err := t.enter(mark); err != nil {
			return err
		}
	case !t.completed(mark):
		t.resumed.close()
		t.resumed = nil
	}
	patience := time.Duration(t.cfg.ProcessTimeout) * time.Second
	for left, since := -1, time.Now(); ; {
		missing := map[int]int{} // trials of each shard
		for _, n := range members {
			if len(t.Trials[n].Rungs) <= rung {
				missing[t.owner(n, rung)]++
			}
		}
		total := 0
		for _, shard := range slices.Sorted(maps.Keys(missing)) {
			total += missing[shard]
			if err := t.visit(shard); err != nil {
				return err
			}
		}
		switch {
		case total == 0:
			return nil
		case left < 0:
			t.session.rep.Note(fmt.Sprintf("rung %d: waiting for %s of other shards", rung+1, human.Count(total, "trial")))
		case total < left:
			since = time.Now()
		case time.Since(since) > patience:
			shards := slices.Sorted(maps.Keys(missing))
			return &ResumableError{fmt.Errorf("rung %d lacks %s of other shards (%v), and none has come for %v: start those, and this one again", rung+1, human.Count(total, "trial"), shards, patience)}
		}
		left = total
		select {
		case <-t.ctx.Done():
			return &ResumableError{fmt.Errorf("stopped while waiting for other shards: %w", t.ctx.Err())}
		case <-time.After(look):
		}
	}
}

// visit takes the trials of another shard, as far as it has made them.
func (t *tuning) visit(shard int) error {
	dir := shardFolder(t.home, shard)
	before, err := readSavedConfig(dir)
	if err != nil || before == nil { // it has not begun
		return err
	}
	own := t.savedConfig(tuneCommand)
	if err := before.same(own.Settings); err != nil {
		return err
	}
	if !maps.Equal(before.About.Data, own.About.Data) {
		return fmt.Errorf("shard %d has other data than this one: want the same files for all", shard)
	}
	made, err := runs.ReadTune(dir)
	if err != nil || made == nil {
		return err
	}
	return t.merge(made, filepath.Join(dir, runs.TuneFile))
}

// evaluate puts the trial's loss on the held-out examples of a rung into r, and its
// scores, but for texts, which would have to be written for them.
func (t *tuning) evaluate(rung int, r *runs.Reached) error {
	began := time.Now()
	held := t.held[rung]
	var losses runs.Losses
	var err error
	if t.session.task.Kind == data.Generation {
		losses, err = t.session.losses(t.ctx, t.model, held, &t.results.Cost.Tune)
	} else {
		var scored runs.Results
		losses, _, err = t.session.score(t.ctx, t.model, []*data.Dataset{held}, &scored)
		t.results.Cost.Tune.Add(scored.Cost.Eval)
		r.Scores = scored.Scores
		if least, ok := scored.Baseline[metrics.NameLoss]; ok {
			r.Baseline = number(least)
		}
	}
	if err != nil && !errors.Is(err, errBroken) {
		return err
	}
	t.results.Seconds.Tune += time.Since(began).Seconds()
	if err == nil {
		r.Loss, r.StandardError = number(losses.Mean()), number(losses.StandardError())
	}
	if r.Loss == nil {
		r.State = runs.Diverged
	}
	return nil
}

// forget removes the states that no trial goes on from any more, before another one of
// a rung begins: of earlier rungs, but those that this one has yet to take up, and of
// trials of this one that so many dominate as go on.
func (t *tuning) forget(rung int, members []int) error {
	if t.shard.Of > 1 { // another shard may be about to read them
		return nil
	}
	var gone []string
	for n := range t.Trials {
		for r := range rung {
			if r < rung-1 || !slices.Contains(members, n) || len(t.Trials[n].Rungs) > rung {
				gone = append(gone, state(r, n))
			}
		}
	}
	if rung+1 < len(t.Rungs) {
		trials, at := t.AtRung(rung)
		for _, i := range halving.Dominated(trials, t.Rungs[rung+1].Trials) {
			gone = append(gone, state(rung, at[i]))
		}
	}
	gone = slices.DeleteFunc(gone, func(name string) bool { _, err := os.Stat(t.out.Path(name)); return err != nil })
	if gone == nil {
		return nil
	}
	return t.out.Remove(gone...)
}

// said says what a trial is and what came of it.
func (t *tuning) said(n int) string {
	trial := t.Trials[n]
	what := t.Words(n)
	switch {
	case trial.State == runs.Diverged:
		return what + ": diverged"
	case trial.Loss == nil:
		return what
	}
	return fmt.Sprintf("%s: held-out loss %s after %s steps", what, human.Significant(*trial.Loss), human.Thousands(trial.Steps))
}
