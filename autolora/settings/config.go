package settings

import (
	"sync"

	"autolora/autolora"
	"autolora/data"
	"autolora/nn"
	"autolora/nn/generate"
)

// Config holds every setting of a run. What each means, and its default, stands
// in the table that Settings returns.
type Config struct {
	Preset string // where the defaults came from; the other fields say all

	Model string
	Out   string
	// Overwrite lets a run replace the results of an earlier one in Out.
	Overwrite bool
	// Resume goes on with an earlier run of the same settings in Out.
	Resume      bool
	SaveEvery   int // steps between checkpoints; 0: none
	TensorBoard bool

	Task       string
	Data       string
	TrainFile  string
	DevFile    string
	Kind       data.Kind // "": of a task
	Text       []string
	Label      string
	TrainOn    data.TrainOn
	Threshold  float64 // of the probability of one label of several; Auto: chosen by what is scored
	LimitTrain int
	MaxLength  int
	EvalOn     data.Part

	Seed                  uint64
	Device                string
	DType                 string
	Quantize              nn.Quantization
	Threads               int
	Pack                  string
	Graphs                bool
	TF32                  bool
	ProcessTimeout        int // seconds to wait for the others
	GradientCheckpointing bool

	Targets     []string
	Rank        int64
	Parameters  Amount // of all LoRA layers together; 0: no budget
	LoRAAlpha   float64
	LoRADropout float64
	Dropout     float64 // negative: the model's own
	NewHead     bool

	K                 int64
	AlphaForm         autolora.AlphaForm
	AlphaScale        float64 // 0: k
	AlphaInit         float64 // negative: by the form
	Rule              autolora.RankRule
	GatePrice         float64
	HeadSteps         int // that a head is trained before a rule looks at gradients
	RuleBatches       int // of each half of the data that a rule looks at
	Hypergradient     autolora.Mode
	LookAhead         autolora.LookAhead
	Eta               float64 // negative: the learning rate of the search
	ImplicitFactor    float64 // 0: η and the preconditioner
	ImplicitAt        autolora.Point
	FDMasks           autolora.FDMasks
	UpdateOrder       autolora.UpdateOrder
	Unroll            int
	SearchEpochs      float64
	SearchSteps       int     // 0: by epochs
	SearchBatchSize   int     // 0: that of training
	SearchLR          float64 // 0: that of training
	SearchWeightDecay float64 // negative: that of training
	SearchLoRADropout float64 // negative: that of training
	AlphaLR           float64
	AlphaBeta1        float64
	AlphaWeightDecay  float64
	Split             float64

	Decoding    generate.Config // but for the tokens that end a text, which are the model's
	Metrics     []string        // nil: those of the task
	Meteor      string          // folder of METEOR's word lists; "": those of the program
	Paraphrases string          // file of METEOR's paraphrase table; "": none

	Method      string
	RanksFile   string
	Epochs      float64
	Steps       int // 0: by epochs
	BatchSize   int
	Accumulate  int
	LR          float64 // 0: by the method; Auto: chosen by trials
	Warmup      float64
	WeightDecay float64
	Clip        float64
	Smoothing   float64
	// ClassWeights says what the examples of a class count in the loss.
	ClassWeights string
	// StandardizeLabels: a regression is learnt in units of its labels' standard
	// deviation from their mean.
	StandardizeLabels bool
	EvalEvery         int    // steps between evaluations while training; 0: none
	Keep              string // which weights: KeepLast or KeepBest
	Patience          int    // evaluations without a better one; 0: any number
	LogEvery          int

	AdapterStyle string
	AdapterSize  int64 // 0: by the model's hidden size

	AdaLoRAInitRank   int64
	AdaLoRATargetRank int64
	AdaLoRATInit      float64 // share of the steps
	AdaLoRATFinal     float64 // share of the steps
	AdaLoRADeltaT     int
	AdaLoRABeta1      float64
	AdaLoRABeta2      float64
	AdaLoRAOrth       float64

	Adapter   string  // to be cut
	By        string  // what its parts are weighed by
	Tolerance float64 // of the loss; negative: a standard error

	GridRanks []int64
	GridSteps int // 0: as the training

	// Of a choice by trials.
	TuneMethods  []string
	TuneTargets  []string // each joined by "+"
	TuneRanks    []int64
	TuneLR       []float64 // nil: around the method's
	TuneScale    float64   // lora_alpha / rank
	Cost         float64   // of all trials, in trainings; 0: by the command
	Time         string    // of trials and training, in place of Cost
	HeldOut      float64   // share of the training data
	HeldOutLimit int       // examples

	// Of a comparison; empty in a single run.
	Methods  []string
	Seeds    int
	Controls bool
	With     []string
}

// Default returns the settings of the first preset. All that it returns share their lists, which are to be replaced, not
// written to.
func Default() Config { return defaults() }

var defaults = sync.OnceValue(func() Config {
	var c Config
	for _, s := range c.Settings() {
		s.reset()
	}
	return c
})
