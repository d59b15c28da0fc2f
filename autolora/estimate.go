package autolora

import (
	"context"
	"fmt"
	"strings"
	"time"

	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
	"autolora/torchbind"
)

// Estimate is about how long one run of a comparison will take here.
type Estimate struct {
	Run     Config
	Steps   runs.StepCount
	Seconds float64
}

// Estimates returns an estimate for every run of the plan, and in words what
// they rest on. They count matrix products only, at the speed that this machine
// shows in a short test, so they are rough: within a factor of two. Nothing is
// trained, and neither weights nor data need be there: their sizes are known for
// the models and tasks of the paper.
func Estimates(ctx context.Context, plan []Config) ([]Estimate, string, error) {
	if len(plan) == 0 {
		return nil, "", nil
	}
	shape, modelBasis, err := shapeOf(ctx, plan[0].Model)
	if err != nil {
		return nil, "", err
	}
	size, dataBasis, err := sizeOf(plan[0])
	if err != nil {
		return nil, "", err
	}
	speed := matrixSpeed()
	basis := fmt.Sprintf("%s; %s; %.0f GFLOP/s on %d threads", modelBasis, dataBasis, speed/1e9, torchbind.NumThreads())
	var all []Estimate
	for _, c := range plan {
		all = append(all, estimate(c, shape, size, speed))
	}
	return all, basis, nil
}

// shape is what of an encoder decides its cost.
type shape struct{ layers, hidden, inner int64 }

// shapes are those of models that the scripts name.
var shapes = map[string]shape{
	"bert-base-uncased": {12, 768, 3072}, "roberta-base": {12, 768, 3072}, "roberta-large": {24, 1024, 4096},
}

// flopsPerToken returns the multiplications and additions of one token's way
// through the linear layers.
func (s shape) flopsPerToken() float64 {
	return 2 * float64(s.layers*(4*s.hidden*s.hidden+2*s.hidden*s.inner))
}

func shapeOf(ctx context.Context, model string) (shape, string, error) {
	if s, ok := shapes[model]; ok {
		return s, fmt.Sprintf("the known size of %s", model), nil
	}
	dir, err := modelFolder(ctx, model)
	if err != nil {
		return shape{}, "", err
	}
	cfg, err := nn.ReadConfig(dir)
	if err != nil {
		return shape{}, "", err
	}
	return shape{int64(cfg.NumHiddenLayers), cfg.HiddenSize, cfg.IntermediateSize}, fmt.Sprintf("the size of %s", model), nil
}

// size is how much data a task has.
type size struct {
	train, dev int
	tokens     float64 // of an example, about
}

// sizes are those of the paper's Table 6, with the mean number of tokens of an
// example in the data sets themselves.
var sizes = map[string]size{
	"cola": {8551, 1043, 11}, "sst2": {67349, 872, 13}, "mrpc": {3668, 408, 53}, "qqp": {363871, 40432, 31}, "mnli": {392702, 19647, 40},
	"qnli": {104743, 5463, 51}, "rte": {2490, 277, 71}, "stsb": {5749, 1500, 32}, "wnli": {635, 71, 38}, "jnlpba": {18546, 3856, 38},
}

// sizeOf returns the size of a run's data: counted where they are at hand, else
// as known.
func sizeOf(c Config) (size, string, error) {
	s := &session{Config: c, rep: silent{}}
	var splits *data.Splits
	var err error
	switch {
	case c.TrainFile != "" || c.DevFile != "":
		splits, err = s.readFiles([]data.Part{data.Train, data.Dev})
	case c.Data != "":
		splits, err = s.readNamed([]data.Part{data.Train, data.Dev})
	default:
		task, err := data.NamedTask(c.Task)
		if err != nil {
			return size{}, "", err
		}
		z := sizes[task.Name]
		return limited(z, c), fmt.Sprintf("the known size of %s", task.Name), nil
	}
	if err != nil {
		return size{}, "", err
	}
	z := size{train: splits.Train.Len()}
	words := 0
	for _, d := range splits.Dev {
		z.dev += d.Len()
		for _, e := range d.Examples {
			words += len(e.Words) + len(strings.Fields(e.Text)) + len(strings.Fields(e.Pair))
		}
	}
	const tokensPerWord, special = 1.3, 2.5 // of BERT and RoBERTa on GLUE
	z.tokens = special + tokensPerWord*float64(words)/float64(max(1, z.dev))
	return limited(z, c), fmt.Sprintf("the data of %s", splits.Task.Name), nil
}

func limited(z size, c Config) size {
	if c.LimitTrain > 0 {
		z.train = min(z.train, c.LimitTrain)
	}
	z.tokens = min(z.tokens, float64(c.MaxLength))
	return z
}

// matrixSpeed times the product that takes most of a step.
func matrixSpeed() float64 {
	const n, c = 1024, 1024
	s := torchbind.NewScope()
	defer s.Close()
	x := torchbind.FromSlice(s, make([]float32, n*c), []int64{n, c}, torchbind.CPU)
	w := torchbind.Freeze(s, torchbind.FromSlice(s, make([]float32, c*c), []int64{c, c}, torchbind.CPU), true)
	const rounds = 30
	var began time.Time
	for i := range rounds + 3 {
		if i == 3 { // warm
			began = time.Now()
		}
		s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
			torchbind.FrozenLinear(s, x, w, nil)
			return nil
		})
	}
	return 2 * n * c * c * rounds / time.Since(began).Seconds()
}

// estimate counts the passes of a run. One pass is a forward; a backward is one
// for activations and one for weights that are trained; an iteration of the
// search is two forwards, two backwards and one through the graph of g, which is
// as much as a forward and a backward.
func estimate(c Config, shape shape, size size, speed float64) Estimate {
	const (
		trainPasses, fullPasses, searchPasses = 2, 3, 6
		others                                = 1.5 // attention, element-wise work, small products
	)
	e := Estimate{Run: c}
	perEpoch := func(examples, batch int) int { return (examples + batch - 1) / batch }
	tokens := 0.0 // times passes
	pass := func(steps, batch int, passes float64) { tokens += float64(steps*batch) * size.tokens * passes }
	m, _ := methodOf(c.Method)
	half := int(c.Split * float64(size.train))
	e.Steps.Train = stepsFor(c.Steps, c.Epochs, perEpoch(size.train, c.BatchSize), c.Accumulate)
	switch {
	case m.ranks == searched && c.RanksFile == "":
		e.Steps.Search = stepsFor(c.SearchSteps, c.SearchEpochs, perEpoch(half, c.searchBatchSize()), 1)
		pass(e.Steps.Search, c.searchBatchSize(), searchPasses)
	case m.ranks == gridSearched:
		each := c.GridSteps
		if each == 0 {
			each = stepsFor(c.Steps, c.Epochs, perEpoch(half, c.BatchSize), c.Accumulate)
		}
		points := gridSize(len(c.Targets), len(c.GridRanks))
		e.Steps.Search = points * each
		pass(e.Steps.Search, c.BatchSize*c.Accumulate, trainPasses)
		pass(points*(size.train-half), 1, 1)
	}
	if m.name == runs.MethodFull {
		pass(e.Steps.Train, c.BatchSize*c.Accumulate, fullPasses)
	} else {
		pass(e.Steps.Train, c.BatchSize*c.Accumulate, trainPasses)
	}
	pass(size.dev, 1, 1)
	e.Seconds = others * tokens * shape.flopsPerToken() / speed
	return e
}
