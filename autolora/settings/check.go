package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/data"
	"autolora/nn"
)

// Check returns an Error about the first setting that makes no sense, by itself
// or beside others.
func (c Config) Check() error {
	for _, s := range c.Settings() {
		if s.check == nil {
			continue
		}
		if err := s.check(); err != nil {
			return &Error{s.Name, err}
		}
	}
	switch size := c.GridSize(); {
	case c.Rule.Form(c.AlphaForm) != autolora.Softmax && c.AlphaScale != 1:
		return Errorf("alpha-scale", "only alpha-form softmax is scaled, got form %s", c.Rule.Form(c.AlphaForm))
	case c.Quantize != nn.AsStored && c.Method == runs.MethodFull:
		return Errorf("quantize", "got %s, and method %s trains every weight, those of %s are frozen: want quantize %s, or another method", c.Quantize, c.Method, c.Quantize, nn.AsStored)
	case c.Decoding.Sample && c.Decoding.Beams > 1:
		return Errorf("sample", "draws one text, got beams %d: want beams 1", c.Decoding.Beams)
	case c.Keep == KeepBest && c.EvalEvery == 0:
		return Errorf("keep", "the best weights are those of an evaluation in training, and there is none: want eval-every, at least 1")
	case c.Patience > 0 && c.EvalEvery == 0:
		return Errorf("patience", "it counts evaluations in training, and there is none: want eval-every, at least 1")
	case len(c.Targets) == 0:
		return Errorf("target", "none is given")
	case len(c.GridRanks) == 0:
		return Errorf("grid-ranks", "none is given")
	case slices.Min(c.GridRanks) < 1:
		return Errorf("grid-ranks", "got %d, want ranks of at least 1", slices.Min(c.GridRanks))
	case slices.Max(c.GridRanks) > maxRank:
		return Errorf("grid-ranks", "got %d, want at most %d", slices.Max(c.GridRanks), maxRank)
	case size > maxGrid:
		return Errorf("grid-ranks", "%d ranks for %d targets are more than %d configurations: give fewer", len(c.GridRanks), len(c.Targets), maxGrid)
	case len(c.TuneMethods) == 0:
		return Errorf("tune-method", "none is given: want some of %s", strings.Join(tunable, ", "))
	case len(c.TuneTargets) == 0:
		return Errorf("tune-target", "none is given: want sets of layers, as query+value,all-linear")
	case len(c.TuneRanks) == 0:
		return Errorf("tune-rank", "none is given: want ranks, as 1,4,16")
	case slices.Min(c.TuneRanks) < 1 || slices.Max(c.TuneRanks) > maxRank:
		return Errorf("tune-rank", "got %d, want ranks of 1 to %d", c.TuneRanks, maxRank)
	case c.Time != "" && c.Cost > 0:
		return Errorf("time", "got %s, but a cost of %v is given, too: want one of the two", c.Time, c.Cost)
	case c.AdaLoRATargetRank > c.AdaLoRAInitRank:
		return Errorf("adalora-target-rank", "got %d, want 1 to %d, the value of adalora-init-rank", c.AdaLoRATargetRank, c.AdaLoRAInitRank)
	case c.AdaLoRATInit+c.AdaLoRATFinal >= 1:
		return Errorf("adalora-t-init", "%v of the steps, and adalora-t-final %v, leave none in which ranks fall", c.AdaLoRATInit, c.AdaLoRATFinal)
	}
	return nil
}

// areTunable returns an error about a method that cannot be tuned.
func (c *Config) areTunable() error {
	for _, m := range c.TuneMethods {
		if !slices.Contains(tunable, m) {
			return fmt.Errorf("got %q, want some of %s", m, strings.Join(tunable, ", "))
		}
	}
	if slices.Contains(c.TuneMethods, runs.MethodLoRA) && slices.Contains(c.TuneMethods, runs.MethodAutoLoRA) {
		return fmt.Errorf("the trials of %s are those of %s, at the highest rank that its search can give: want one of the two", runs.MethodAutoLoRA, runs.MethodLoRA)
	}
	return nil
}

// isTime returns an error about a text that is no length of time.
func (c *Config) isTime() error {
	if c.Time == "" {
		return nil
	}
	if d, err := time.ParseDuration(c.Time); err != nil || d <= 0 {
		return fmt.Errorf("got %q, want a time, as 90m or 2h30m", c.Time)
	}
	return nil
}

// isMethod returns an error about a method that there is not.
func (c *Config) isMethod() error {
	if _, ok := runs.FindMethod(c.Method); !ok {
		return fmt.Errorf("got %q, want one of %s", c.Method, runs.MethodWords())
	}
	return nil
}

// isTask returns an error about a task that there is not.
func (c *Config) isTask() error {
	if c.Task == "" {
		return nil
	}
	_, err := data.NamedTask(c.Task)
	return err
}

// MaxSeeds bounds the seeds of a comparison: more are a mistake.
const MaxSeeds = 1000

// Bounds on what is allocated before a machine could say that it is too much.
const (
	maxRank    = runs.MaxRank
	maxBeams   = 1024
	maxThreads = 1024
)

// maxGrid bounds the configurations of a grid search: more is a mistake.
const maxGrid = 1024

// GridSize returns how many configurations a grid search tries: a rank for each
// target.
func (c Config) GridSize() int {
	size := 1
	for range c.Targets {
		if size *= len(c.GridRanks); size > maxGrid {
			return maxGrid + 1
		}
	}
	return size
}

func adapterStyleNames() []string { return slices.Sorted(maps.Keys(adapterStyles)) }
