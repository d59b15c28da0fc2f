package job

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/autolora/settings"
	"autolora/data"
	"autolora/human"
	"autolora/nn"
	"autolora/torchbind"
)

// Estimate is about how long one run of a comparison will take here.
type Estimate struct {
	Run     settings.Config
	Steps   runs.StepCount
	Seconds float64
}

// Estimates returns an estimate for every run of the plan, and in words what
// they rest on: matrix products at the speed that this machine shows in a short
// test, and steps of the optimiser. They are rough, and other programs that run
// meanwhile are not foreseen. Nothing is trained, and neither weights nor data
// need be there: their sizes are known for the models and tasks of the paper.
func Estimates(ctx context.Context, plan []settings.Config) ([]Estimate, string, error) {
	if len(plan) == 0 {
		return nil, "", nil
	}
	shape, modelBasis, err := shapeOf(ctx, plan[0].Model)
	if err != nil {
		return nil, "", err
	}
	size, dataBasis, err := sizeOf(ctx, plan[0])
	if err != nil {
		return nil, "", err
	}
	speed := matrixSpeed()
	basis := fmt.Sprintf("%s, whose weights take %s; %s; %.0f GFLOP/s on %s", modelBasis, human.Bytes(shape.weightBytes(plan[0], size.language)), dataBasis, speed/1e9, human.Count(torchbind.NumThreads(), "thread"))
	var all []Estimate
	for _, c := range plan {
		e := estimate(counted(plan, c), shape, size, speed)
		e.Run = c
		all = append(all, e)
	}
	return all, basis, nil
}

// shape is what of a model decides its cost.
type shape struct {
	layers, hidden, inner, vocab int64
	queries                      int64           // size of a token's queries
	keys                         int64           // size of its keys, as of its values
	gated                        bool            // a third matrix in the feed-forward layer
	head                         bool            // a matrix of its own, and not the embedding, scores the vocabulary
	form                         nn.Quantization // in which the checkpoint has the matrices of blocks
}

func encoderShape(layers, hidden, inner, vocab int64) shape {
	return shape{layers: layers, hidden: hidden, inner: inner, vocab: vocab, queries: hidden, keys: hidden}
}

func gpt2Shape(layers, hidden int64) shape {
	return shape{layers: layers, hidden: hidden, inner: 4 * hidden, vocab: 50257, queries: hidden, keys: hidden}
}

// shapes are those of models that the scripts name, by the last part of their
// names.
var shapes = map[string]shape{
	"bert-base-uncased": encoderShape(12, 768, 3072, 30522), "all-MiniLM-L6-v2": encoderShape(6, 384, 1536, 30522),
	"roberta-base": encoderShape(12, 768, 3072, 50265), "roberta-large": encoderShape(24, 1024, 4096, 50265),
	"gpt2": gpt2Shape(12, 768), "gpt2-medium": gpt2Shape(24, 1024), "gpt2-large": gpt2Shape(36, 1280), "gpt2-xl": gpt2Shape(48, 1600),
	"SmolLM2-135M": {layers: 30, hidden: 576, inner: 1536, vocab: 49152, queries: 576, keys: 192, gated: true},
}

// layer returns the weights of a block's matrices.
func (s shape) layer() int64 {
	feedForward := int64(2)
	if s.gated {
		feedForward = 3
	}
	return 2*s.hidden*s.queries + 2*s.hidden*s.keys + feedForward*s.hidden*s.inner
}

// parameters returns about how many weights there are.
func (s shape) parameters() float64 { return float64(s.vocab*s.hidden + s.layers*s.layer()) }

// WeightBytes returns about what the weights of a base model take in memory, as long
// as it is used with the settings c; a language model, as one.
func WeightBytes(arch nn.Config, c settings.Config) int64 {
	return newShape(arch).weightBytes(c, arch.Generates())
}

// weightBytes is WeightBytes of a model that scores its vocabulary, or does not.
func (s shape) weightBytes(c settings.Config, language bool) int64 {
	size := float64(torchbind.Float32.Size())
	if t, err := torchbind.ParseDType(c.DType); err == nil { // or it is chosen when the model is loaded
		size = float64(t.Size())
	}
	matrices, words := size, size // bytes a weight, of the blocks and of the vocabulary
	if s.head && language {
		words += size
	}
	if s.packed(c, language) {
		matrices += 2 * size
		if language {
			words += 2 * size
		}
	}
	if bits := s.heldIn(c).Bits(); bits > 0 {
		matrices = bits / 8
	}
	return int64(words*float64(s.vocab*s.hidden) + matrices*float64(s.layers*s.layer()))
}

// heldIn returns the form of the blocks' matrices in memory.
func (s shape) heldIn(c settings.Config) nn.Quantization {
	if c.Quantize == nn.AsStored {
		return s.form
	}
	return c.Quantize
}

// packLimit is the size of the linear layers, in bytes of float32, up to which
// "auto" keeps them packed too: beyond, twice their memory more is too much.
const packLimit = 1 << 30

// packed reports whether frozen matrices are kept packed too. Who holds a base in 8
// or 4 bits wants memory, and of it only the vocabulary could be packed.
func (s shape) packed(c settings.Config, language bool) bool {
	weights := s.layers * s.layer()
	if language {
		weights += s.vocab * s.hidden
	}
	return c.Pack == "on" || c.Pack == "auto" && s.heldIn(c).Bits() == 0 && 4*weights <= packLimit
}

// flopsPerToken returns the multiplications and additions of one token's way
// through the linear layers, of which a share is wanted, by a language model for
// scores of the vocabulary. In the last layer the others need only a key and a value.
func (s shape) flopsPerToken(wanted float64, language bool) float64 {
	layer, keys := float64(s.layer()), float64(2*s.hidden*s.keys)
	flops := float64(s.layers-1)*layer + keys + wanted*(layer-keys)
	if language {
		flops += wanted * float64(s.vocab*s.hidden)
	}
	return 2 * flops
}

func shapeOf(ctx context.Context, model string) (shape, string, error) {
	if s, ok := shapes[path.Base(model)]; ok {
		if _, err := os.Stat(model); err != nil { // nothing is fetched for an estimate
			return s, fmt.Sprintf("the known size of %s", path.Base(model)), nil
		}
	}
	dir, err := modelFolder(ctx, model)
	if err != nil {
		return shape{}, "", err
	}
	cfg, err := nn.ReadConfig(dir)
	if err != nil {
		return shape{}, "", err
	}
	return newShape(cfg), fmt.Sprintf("the size of %s", model), nil
}

// newShape returns the shape of a model.
func newShape(cfg nn.Config) shape {
	return shape{
		layers: int64(cfg.NumHiddenLayers), hidden: cfg.HiddenSize, inner: cfg.IntermediateSize, vocab: cfg.VocabSize,
		queries: cfg.NumAttentionHeads * cfg.HeadDim, keys: cfg.NumKeyValueHeads * cfg.HeadDim, gated: cfg.Gated,
		head: cfg.Generates() && !cfg.TieWordEmbeddings, form: cfg.Quantized,
	}
}

// size is how much data a task has.
type size struct {
	train, scored int     // examples
	tokens        float64 // of an example, about
	// wanted is how many of them the head reads: one of a text, every word of a
	// sentence, in generation those of the target.
	wanted  float64
	written float64 // tokens to generate for each scored example
	// language tells that the head scores the vocabulary.
	language bool
}

// sizes are those of the paper's Table 6; of JNLPBA the test set is scored. The
// tokens are the mean over the training sets, or 10,000 to 23,000 examples of
// QQP, MNLI and QNLI, with RoBERTa's tokenizer; BERT's gives 1 to 8 % fewer.
// Those of E2E and WebNLG are with GPT-2's, and what is scored is their test
// sets' inputs.
var sizes = map[string]size{
	"cola": texts(8551, 1043, 11.4), "sst2": texts(67349, 872, 14.4), "mrpc": texts(3668, 408, 54.1), "qqp": texts(363871, 40432, 31.2),
	"mnli": texts(392702, 19647, 40.9), "qnli": texts(104743, 5463, 50.8), "rte": texts(2490, 277, 71.2), "stsb": texts(5749, 1500, 29.1),
	"wnli": texts(635, 71, 37.7), "jnlpba": {train: 18546, scored: 3856, tokens: 39.5, wanted: 27},
	"e2e": {train: 42061, scored: 630, tokens: 69.5, wanted: 27.2, written: 30, language: true}, "webnlg": {train: 18025, scored: 1862, tokens: 94.5, wanted: 28.5, written: 30, language: true},
}

func texts(train, scored int, tokens float64) size {
	return size{train: train, scored: scored, tokens: tokens, wanted: 1}
}

// sizeOf returns the size of a run's data: counted where they are at hand, else
// as known.
func sizeOf(ctx context.Context, c settings.Config) (size, string, error) {
	if c.TrainFile == "" && c.DevFile == "" && c.Data == "" {
		task, err := data.NamedTask(c.Task)
		if err != nil {
			return size{}, "", err
		}
		return limited(sizes[task.Name], c), fmt.Sprintf("the known size of %s", task.Name), nil
	}
	splits, err := readAlone(ctx, c, data.Train, c.EvalOn)
	if err != nil {
		return size{}, "", err
	}
	return limited(countedSize(splits), c), fmt.Sprintf("the data of %s", splits.Task.Name), nil
}

// countedSize returns the size of data that are at hand.
func countedSize(splits *data.Splits) size {
	z := size{train: splits.Train.Len(), wanted: 1, language: scoresVocabulary(splits.Task)}
	for _, d := range append(splits.Dev, splits.Test...) {
		z.scored += d.Len()
	}
	words, targets := 0, 0 // targets: of what is to be written
	for _, e := range splits.Train.Examples {
		words += len(strings.Fields(e.Text)) + len(strings.Fields(e.Pair))
		if e.Sentence != nil {
			words += len(e.Words)
		}
		if e.Writing != nil {
			words += len(strings.Fields(e.Source))
			targets += len(strings.Fields(e.Target))
		}
		if e.Chat != nil {
			for i, m := range e.Chat.Messages {
				if n := len(strings.Fields(m.Text)); e.Chat.Whole || slices.Contains(e.Chat.Turns, i) {
					targets += n
				} else {
					words += n
				}
			}
		}
	}
	const tokensPerWord, special = 1.25, 2.5 // BERT and RoBERTa on GLUE: 1.15 to 1.3; on JNLPBA 1.45; GPT-2 on E2E 1.3
	mean := func(words int) float64 { return float64(words) / float64(max(1, z.train)) }
	z.tokens = special + tokensPerWord*mean(words+targets)
	switch splits.Task.Kind {
	case data.Tagging:
		z.wanted = mean(words)
	case data.Generation:
		z.wanted = special/2 + tokensPerWord*mean(targets)
		z.written = z.wanted
	case data.Chat:
		z.wanted = special/2 + tokensPerWord*mean(targets)
	}
	return z
}

// scoresVocabulary tells whether a task takes a language model as one, without a head
// for labels.
func scoresVocabulary(task data.Task) bool { return kinds[task.Kind].head == nn.CausalLM }

func limited(z size, c settings.Config) size {
	if c.LimitTrain > 0 {
		z.train = min(z.train, c.LimitTrain)
	}
	z.tokens = min(z.tokens, float64(c.MaxLength))
	return z
}

// noteTime says about how long the job of a command will take, where that is worth
// knowing.
func (j *job) noteTime(command string) {
	s := j.session
	shape, size := newShape(s.arch), limited(countedSize(s.splits), j.cfg)
	seconds := func(speed float64) float64 {
		all := estimate(j.cfg, shape, size, speed).Seconds
		if command == searchCommand {
			training := j.cfg
			training.Method = runs.MethodLoRA
			all -= estimate(training, shape, size, speed).Seconds
		}
		return all
	}
	const slow = 1e10 // FLOP/s that any machine has
	if s.procs.size() > 1 || seconds(slow) < 60 {
		return
	}
	s.rep.Note(fmt.Sprintf("about %s in all, if the machine has nothing else to do", human.Duration(time.Duration(seconds(matrixSpeed())*float64(time.Second)))))
}

// matrixSpeed times, once, the product that takes most of a step.
var matrixSpeed = sync.OnceValue(func() float64 { return productSpeed(3, 1024, 1024, 1024, torchbind.Float32) })

// productSpeed returns the multiplications and additions a second of x [rows, in]
// with a packed weight [out, in]. The fastest of some rounds counts, which others that
// use the machine disturbed least.
func productSpeed(rounds int, rows, in, out int64, dtype torchbind.DType) float64 {
	const products = 2
	s := torchbind.NewScope()
	defer s.Close()
	x := torchbind.ZerosLike(s, torchbind.Empty(s, []int64{rows, in}, dtype, torchbind.CPU))
	w := torchbind.Freeze(s, torchbind.ZerosLike(s, torchbind.Empty(s, []int64{out, in}, dtype, torchbind.CPU)), true)
	fastest := math.Inf(1)
	for range rounds {
		began := time.Now()
		for range products {
			s.Tidy(func(s *torchbind.Scope) *torchbind.Tensor {
				torchbind.FrozenLinear(s, x, w, nil)
				return nil
			})
		}
		fastest = min(fastest, time.Since(began).Seconds())
	}
	return 2 * float64(rows*in*out) * products / fastest
}

// counted returns a run of a plan as its time is estimated: of one that takes the
// learning rate that another chooses no trials count.
func counted(plan []settings.Config, c settings.Config) settings.Config {
	if rateSource(plan, c) != "" {
		c.LR = 0
	}
	return c
}

// estimate counts the passes of a run. One pass is a forward; a backward is one
// for activations and one for weights that are trained; an iteration of the
// search is two forwards, two backwards and one through the graph of g, which is
// as much as a forward and a backward and a little more.
func estimate(c settings.Config, shape shape, size size, speed float64) Estimate {
	// Measured with MiniLM on two cores, on tasks of 11 to 70 tokens an example, and
	// with SmolLM2-135M on one, on E2E; with gradient checkpointing on one core.
	const (
		decoding = 1.9  // a step of all beams has few rows for its matrices
		update   = 2e-9 // seconds for AdamW's step of one weight
	)
	trainPasses, fullPasses, searchPasses := 2.0, 3.0, 6.8
	if c.GradientCheckpointing { // the forward passes again, in the search three times
		trainPasses, fullPasses, searchPasses = 2.9, 4, 13
	}
	others := 1.65 // attention, element-wise work, small products
	if size.language {
		others = 1.25
	}
	e := Estimate{Run: c}
	perEpoch := func(examples, batch int) int { return (examples + batch - 1) / batch }
	tokens := 0.0 // times passes
	pass := func(steps, batch int, passes float64) { tokens += float64(steps*batch) * size.tokens * passes }
	m, _ := runs.FindMethod(c.Method)
	half := int(c.Split * float64(size.train))
	e.Steps.Train = stepsFor(c.Steps, c.Epochs, perEpoch(size.train, c.BatchSize), c.Accumulate)
	if c.LR == settings.Auto { // with the evaluations of the trials
		e.Steps.Tune = int(cmp.Or(c.Cost, defaultRateCost) * float64(e.Steps.Train))
		pass(e.Steps.Tune, c.BatchSize*c.Accumulate, 1.2*trainPasses)
	}
	switch {
	case m.Ranks == runs.Searched && c.RanksFile == "" && !c.Rule.Searches():
		first, whole := c.Rule.First()
		trained, observed, observing := 0, c.RuleBatches, fullPasses // the gradients of frozen weights, too
		switch first {
		case autolora.TrainsHead:
			trained = c.HeadSteps
		case autolora.TrainsLoRA:
			trained, observing = stepsFor(c.SearchSteps, c.SearchEpochs, perEpoch(half, c.SearchBatch()), 1), 2*trainPasses // of the rule ablation
		}
		if whole {
			observed = 0
		}
		e.Steps.Search = trained + observed
		pass(trained, c.SearchBatch(), trainPasses)
		pass(observed, c.SearchBatch(), observing)
	case m.Ranks == runs.Searched && c.RanksFile == "":
		e.Steps.Search = stepsFor(c.SearchSteps, c.SearchEpochs, perEpoch(half, c.SearchBatch()), 1)
		pass(e.Steps.Search, c.SearchBatch(), searchPasses)
	case m.Ranks == runs.BestOfGrid:
		each := stepsFor(cmp.Or(c.GridSteps, c.Steps), c.Epochs, perEpoch(half, c.BatchSize), c.Accumulate)
		points := c.GridSize()
		e.Steps.Search = points * each
		pass(e.Steps.Search, c.BatchSize*c.Accumulate, trainPasses)
		pass(points*(size.train-half), 1, 1)
	}
	if c.EvalEvery > 0 {
		pass((e.Steps.Train/c.EvalEvery+1)*size.scored, 1, 1)
	}
	passes, updates := trainPasses, 0.0
	if m.Trains == runs.TrainsEverything {
		passes, updates = fullPasses, float64(e.Steps.Train)*shape.parameters()
	}
	pass(e.Steps.Train, c.BatchSize*c.Accumulate, passes)
	pass(size.scored, 1, 1)
	flops := others * tokens * shape.flopsPerToken(size.wanted/size.tokens, size.language)
	if size.written > 0 { // every beam's token goes through all
		flops += decoding * float64(size.scored*c.Decoding.Beams) * min(size.written, float64(c.Decoding.MaxNewTokens)) * shape.flopsPerToken(1, size.language)
	}
	e.Seconds = flops/speed + update*updates
	return e
}
