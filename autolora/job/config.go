package job

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
	"autolora/nn/adapterhub"
	"autolora/nn/generate"
)

// Config holds every setting of a run. Its JSON names are the command-line
// flags, so that a run's config.json can be fed back with --config.
type Config struct {
	Preset string `json:"preset"` // where the defaults came from; the other fields say all

	Model string `json:"model"`
	Out   string `json:"out"`
	// Overwrite lets a run replace the results of an earlier one in Out.
	Overwrite bool `json:"overwrite"`
	// Resume goes on with an earlier run of the same settings in Out.
	Resume      bool `json:"resume"`
	SaveEvery   int  `json:"save-every"` // steps between checkpoints; 0: none
	TensorBoard bool `json:"tensorboard"`

	Task       string   `json:"task"`
	Data       string   `json:"data"`
	TrainFile  string   `json:"train"`
	DevFile    string   `json:"dev"`
	Kind       string   `json:"kind"`
	Text       []string `json:"text"`
	Label      string   `json:"label"`
	LimitTrain int      `json:"limit-train"`
	MaxLength  int      `json:"max-length"`
	EvalOn     string   `json:"eval-on"`

	Seed    uint64 `json:"seed"`
	Device  string `json:"device"`
	DType   string `json:"dtype"`
	Threads int    `json:"threads"`
	Pack    string `json:"pack"`
	Graphs  bool   `json:"cuda-graphs"`
	TF32    bool   `json:"tf32"`
	// Processes share the run; nil for a process that is alone.
	Processes      *Processes `json:"-"`
	ProcessTimeout int        `json:"process-timeout"` // seconds to wait for the others

	GradientCheckpointing bool `json:"gradient-checkpointing"`

	Targets     []string `json:"target"`
	Rank        int64    `json:"rank"`
	LoRAAlpha   float64  `json:"lora-alpha"`
	LoRADropout float64  `json:"lora-dropout"`
	Dropout     float64  `json:"dropout"` // negative: the model's own
	NewHead     bool     `json:"new-head"`

	K                 int64   `json:"k"`
	AlphaForm         string  `json:"alpha-form"`
	AlphaScale        float64 `json:"alpha-scale"` // 0: k
	AlphaInit         float64 `json:"alpha-init"`  // negative: by the form
	RankRule          string  `json:"rank-rule"`
	Hypergradient     string  `json:"hypergradient"`
	LookAhead         string  `json:"look-ahead"`
	Eta               float64 `json:"eta"`             // negative: the learning rate of the search
	ImplicitFactor    float64 `json:"implicit-factor"` // 0: η and the preconditioner
	ImplicitAt        string  `json:"implicit-at"`
	FDMasks           string  `json:"fd-masks"`
	UpdateOrder       string  `json:"update-order"`
	Unroll            int     `json:"unroll"`
	SearchEpochs      float64 `json:"search-epochs"`
	SearchSteps       int     `json:"search-steps"`      // 0: by epochs
	SearchBatchSize   int     `json:"search-batch-size"` // 0: that of training
	SearchLR          float64 `json:"search-lr"`
	SearchWeightDecay float64 `json:"search-weight-decay"` // negative: that of training
	SearchLoRADropout float64 `json:"search-lora-dropout"` // negative: that of training
	AlphaLR           float64 `json:"alpha-lr"`
	AlphaBeta1        float64 `json:"alpha-beta1"`
	AlphaWeightDecay  float64 `json:"alpha-weight-decay"`
	Split             float64 `json:"split"`

	Beams         int      `json:"beams"`
	BeamRules     string   `json:"beam-rules"`
	LengthPenalty float64  `json:"length-penalty"`
	NoRepeatNGram int      `json:"no-repeat-ngram"`
	EarlyStopping string   `json:"early-stopping"`
	MaxNewTokens  int      `json:"max-new-tokens"`
	Sample        bool     `json:"sample"`
	Temperature   float64  `json:"temperature"`
	TopK          int      `json:"top-k"`
	TopP          float64  `json:"top-p"`
	Metrics       []string `json:"metric"`      // nil: those of the task
	Meteor        string   `json:"meteor"`      // folder of METEOR's word lists; "": the cache
	Paraphrases   string   `json:"paraphrases"` // file of METEOR's paraphrase table; "": none

	Method      string  `json:"method"`
	RanksFile   string  `json:"ranks"`
	Epochs      float64 `json:"epochs"`
	Steps       int     `json:"steps"` // 0: by epochs
	BatchSize   int     `json:"batch-size"`
	Accumulate  int     `json:"accumulate"`
	LR          float64 `json:"lr"`
	Warmup      float64 `json:"warmup"`
	WeightDecay float64 `json:"weight-decay"`
	Clip        float64 `json:"clip"`
	Smoothing   float64 `json:"label-smoothing"`
	LogEvery    int     `json:"log-every"`

	AdapterStyle string `json:"adapter-style"`
	AdapterSize  int64  `json:"adapter-size"` // 0: by the model's hidden size

	AdaLoRAInitRank   int64   `json:"adalora-init-rank"`
	AdaLoRATargetRank int64   `json:"adalora-target-rank"`
	AdaLoRATInit      float64 `json:"adalora-t-init"`  // share of the steps
	AdaLoRATFinal     float64 `json:"adalora-t-final"` // share of the steps
	AdaLoRADeltaT     int     `json:"adalora-delta-t"`
	AdaLoRABeta1      float64 `json:"adalora-beta1"`
	AdaLoRABeta2      float64 `json:"adalora-beta2"`
	AdaLoRAOrth       float64 `json:"adalora-orth"`

	GridRanks []int64 `json:"grid-ranks"`
	GridSteps int     `json:"grid-steps"` // 0: as the training

	// Of a comparison; empty in a single run.
	Methods  []string `json:"methods,omitempty"`
	Seeds    int      `json:"seeds,omitempty"`
	Controls bool     `json:"controls,omitempty"`
	With     []string `json:"with,omitempty"`
}

// DefaultConfig returns the paper's settings, where it gives any.
func DefaultConfig() Config {
	return Config{
		Preset: PaperPreset,
		Device: "auto", DType: "float32", Pack: "auto", Graphs: true, MaxLength: 128, EvalOn: string(data.Dev), Seed: 1,
		Targets: []string{"query", "value"}, Rank: 4, LoRAAlpha: 16, Dropout: -1,
		K: 8, AlphaForm: string(autolora.Softmax), AlphaScale: 1, AlphaInit: -1, RankRule: string(autolora.AlphaRule),
		Hypergradient: string(autolora.Exact), LookAhead: string(autolora.SGD), Eta: -1, ImplicitAt: string(autolora.AtWeights), FDMasks: string(autolora.SharedMasks),
		UpdateOrder: string(autolora.WeightsFirst), Unroll: 1, SearchEpochs: 3, SearchLR: 1e-4, SearchWeightDecay: -1, SearchLoRADropout: -1,
		AlphaLR: 1e-3, AlphaBeta1: 0.9, Split: 0.5,
		Beams: 10, BeamRules: string(generate.LoRA), LengthPenalty: 0.8, NoRepeatNGram: 4, EarlyStopping: string(generate.WhenUnlikely), MaxNewTokens: 64,
		Temperature: 1, TopP: 1,
		Method: runs.MethodAutoLoRA, Epochs: 3, BatchSize: 16, Accumulate: 1, LR: 1e-4, Warmup: 0.06, WeightDecay: 0.01, LogEvery: 10,
		SaveEvery: 500, ProcessTimeout: 600, AdapterStyle: "houlsby",
		AdaLoRAInitRank: 8, AdaLoRATargetRank: 4, AdaLoRATInit: 0.1, AdaLoRATFinal: 0.3, AdaLoRADeltaT: 10,
		AdaLoRABeta1: 0.85, AdaLoRABeta2: 0.85, AdaLoRAOrth: 0.1,
		GridRanks: []int64{1, 2, 4, 8},
	}
}

// Check returns an error that names the first flag whose value makes no sense.
func (c Config) Check() error {
	oneOf := func(flag, value string, allowed ...string) error {
		if !slices.Contains(allowed, value) {
			return fmt.Errorf("--%s: got %q, want one of %s", flag, value, strings.Join(allowed, ", "))
		}
		return nil
	}
	atLeast := func(flag string, value, least float64) error {
		if !(value >= least) || math.IsInf(value, 0) {
			return fmt.Errorf("--%s: got %v, want at least %v", flag, value, least)
		}
		return nil
	}
	above := func(flag string, value float64) error {
		if !(value > 0) || math.IsInf(value, 0) {
			return fmt.Errorf("--%s: got %v, want more than 0", flag, value)
		}
		return nil
	}
	within := func(flag string, value float64) error {
		if !(value >= 0 && value < 1) {
			return fmt.Errorf("--%s: got %v, want at least 0 and less than 1", flag, value)
		}
		return nil
	}
	dropout := within("dropout", max(0, c.Dropout)) // negative: the model's own
	var scale error
	if c.AlphaForm != string(autolora.Softmax) && c.AlphaScale != 1 {
		scale = fmt.Errorf("--alpha-scale: only --alpha-form softmax is scaled, got form %s", c.AlphaForm)
	}
	var split error
	if !(c.Split > 0 && c.Split < 1) {
		split = fmt.Errorf("--split: got %v, want between 0 and 1", c.Split)
	}
	return first(
		oneOf("alpha-form", c.AlphaForm, names(autolora.AlphaForms)...), oneOf("hypergradient", c.Hypergradient, names(autolora.Modes)...),
		oneOf("rank-rule", c.RankRule, names(autolora.RankRules)...), oneOf("implicit-at", c.ImplicitAt, names(autolora.Points)...),
		oneOf("fd-masks", c.FDMasks, names(autolora.FDMaskChoices)...), oneOf("update-order", c.UpdateOrder, names(autolora.UpdateOrders)...),
		atLeast("alpha-scale", c.AlphaScale, 0), scale, atLeast("alpha-init", max(0, c.AlphaInit), 0), atLeast("implicit-factor", c.ImplicitFactor, 0),
		atLeast("search-batch-size", float64(c.SearchBatchSize), 0), atLeast("search-weight-decay", max(0, c.SearchWeightDecay), 0),
		within("search-lora-dropout", max(0, c.SearchLoRADropout)), within("alpha-beta1", c.AlphaBeta1),
		oneOf("look-ahead", c.LookAhead, names(autolora.LookAheads)...), oneOf("method", c.Method, Methods()...),
		oneOf("eval-on", c.EvalOn, string(data.Dev), string(data.Test)),
		oneOf("dtype", c.DType, "float32", "bfloat16", "float64"), oneOf("pack", c.Pack, "auto", "on", "off"),
		atLeast("k", float64(c.K), 1), atLeast("rank", float64(c.Rank), 0), atLeast("unroll", float64(c.Unroll), 1),
		atLeast("batch-size", float64(c.BatchSize), 1), atLeast("accumulate", float64(c.Accumulate), 1),
		atLeast("max-length", float64(c.MaxLength), 3), atLeast("threads", float64(c.Threads), 0), atLeast("log-every", float64(c.LogEvery), 1),
		atLeast("limit-train", float64(c.LimitTrain), 0), atLeast("steps", float64(c.Steps), 0), atLeast("search-steps", float64(c.SearchSteps), 0),
		above("epochs", c.Epochs), above("search-epochs", c.SearchEpochs), above("lr", c.LR), above("search-lr", c.SearchLR), above("alpha-lr", c.AlphaLR),
		atLeast("weight-decay", c.WeightDecay, 0), atLeast("alpha-weight-decay", c.AlphaWeightDecay, 0), atLeast("clip", c.Clip, 0),
		above("lora-alpha", c.LoRAAlpha), within("lora-dropout", c.LoRADropout), within("warmup", c.Warmup), dropout, split,
		oneOf("adapter-style", c.AdapterStyle, slices.Sorted(maps.Keys(adapterStyles))...), atLeast("adapter-size", float64(c.AdapterSize), 0),
		within("adalora-t-init", c.AdaLoRATInit), within("adalora-t-final", c.AdaLoRATFinal), c.adaLoRA(1<<20).Check(),
		within("label-smoothing", c.Smoothing), c.checkDecoding(),
		c.checkTargets(), c.checkGrid(), atLeast("grid-steps", float64(c.GridSteps), 0), atLeast("save-every", float64(c.SaveEvery), 0), atLeast("process-timeout", float64(c.ProcessTimeout), 1),
	)
}

// checkDecoding checks how texts are generated.
func (c Config) checkDecoding() error {
	if c.Sample && c.Beams > 1 {
		return fmt.Errorf("--sample: draws one text, got --beams %d: want --beams 1", c.Beams)
	}
	if err := c.decoding().Check(); err != nil {
		return fmt.Errorf("--%w", err)
	}
	return nil
}

// decoding returns the settings of generation, without the tokens that end a
// text.
func (c Config) decoding() generate.Config {
	return generate.Config{
		Beams: c.Beams, MaxNewTokens: c.MaxNewTokens, Rules: generate.Rules(c.BeamRules), LengthPenalty: c.LengthPenalty,
		NoRepeatNGram: c.NoRepeatNGram, EarlyStopping: generate.EarlyStopping(c.EarlyStopping),
		Sample: c.Sample, Temperature: c.Temperature, TopK: c.TopK, TopP: c.TopP, Seed: c.Seed,
	}
}

func (c Config) checkTargets() error {
	if len(c.Targets) == 0 {
		return errors.New("--target: none is given")
	}
	return nil
}

func (c Config) checkGrid() error {
	for _, rank := range c.GridRanks {
		if rank < 1 {
			return fmt.Errorf("--grid-ranks: got %d, want ranks of at least 1", rank)
		}
	}
	switch size := gridSize(len(c.Targets), len(c.GridRanks)); {
	case size < 1:
		return errors.New("--grid-ranks: none is given")
	case size > maxGrid:
		return fmt.Errorf("--grid-ranks: %d ranks for %d targets are more than %d configurations: give fewer", len(c.GridRanks), len(c.Targets), maxGrid)
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func names[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// search returns the settings of the search for steps of W.
func (c Config) search(steps int) autolora.SearchConfig {
	or := func(value, unset float64) float64 {
		if value < 0 {
			return unset
		}
		return value
	}
	form, init, scale := autolora.AlphaForm(c.AlphaForm), 0.0, c.AlphaScale
	if form == autolora.Free { // the same α as softmax starts from
		init = 1 / float64(c.K)
	}
	if scale == 0 {
		scale = float64(c.K)
	}
	optimA := autolora.AdamW(c.AlphaWeightDecay)
	optimA.Beta1 = c.AlphaBeta1
	return autolora.SearchConfig{
		K: c.K, LoRADropout: or(c.SearchLoRADropout, c.LoRADropout),
		Form: form, Scale: scale, Init: or(c.AlphaInit, init), Rule: autolora.RankRule(c.RankRule),
		Mode: autolora.Mode(c.Hypergradient), LookAhead: autolora.LookAhead(c.LookAhead), Eta: or(c.Eta, c.SearchLR),
		Factor: c.ImplicitFactor, At: autolora.Point(c.ImplicitAt), FDMasks: autolora.FDMasks(c.FDMasks), Order: autolora.UpdateOrder(c.UpdateOrder), Unroll: c.Unroll,
		Steps: steps, LRWeights: c.SearchLR, LRAlpha: c.AlphaLR,
		AdamW: autolora.AdamW(or(c.SearchWeightDecay, c.WeightDecay)), AdamWA: optimA,
	}
}

// searchBatchSize returns the number of examples of a batch of the search.
func (c Config) searchBatchSize() int {
	if c.SearchBatchSize == 0 {
		return c.BatchSize
	}
	return c.SearchBatchSize
}

// training returns the settings of training for steps optimiser steps.
func (c Config) training(steps int) autolora.TrainConfig {
	return autolora.TrainConfig{
		Steps: steps, LR: c.LR, Warmup: c.Warmup, Clip: c.Clip, AdamW: autolora.AdamW(c.WeightDecay),
	}
}

// adaLoRA returns the settings of AdaLoRA in a training of so many steps.
func (c Config) adaLoRA(steps int) autolora.AdaLoRAConfig {
	share := func(of float64) int { return int(math.Round(of * float64(steps))) }
	return autolora.AdaLoRAConfig{
		InitRank: c.AdaLoRAInitRank, TargetRank: c.AdaLoRATargetRank,
		TInit: share(c.AdaLoRATInit), TFinal: share(c.AdaLoRATFinal), Total: steps, DeltaT: c.AdaLoRADeltaT,
		Beta1: c.AdaLoRABeta1, Beta2: c.AdaLoRABeta2, OrthWeight: c.AdaLoRAOrth,
	}
}

// adapterStyles are the bottleneck adapters by the names of their authors.
var adapterStyles = map[string]adapterhub.Style{"houlsby": nn.Houlsby, "pfeiffer": nn.Pfeiffer}

// bottlenecks returns the settings of bottleneck adapters.
func (c Config) bottlenecks() nn.BottleneckConfig {
	return nn.BottleneckConfig{Style: adapterStyles[c.AdapterStyle], Size: c.AdapterSize, Seed: c.Seed}
}
