package settings

import (
	"cmp"
	"math"
	"strings"

	"autolora/autolora"
	"autolora/autolora/runs"
	"autolora/nn"
	"autolora/nn/adapterhub"
	"autolora/nn/generate"
)

// Resolved returns c with the learning rates that its method has by default in
// the place of those that are not set. The search's follows the training's, also
// where that is yet to be found out.
func (c Config) Resolved() Config {
	if m, ok := runs.FindMethod(c.Method); ok && c.LR == 0 {
		c.LR = m.LR
	}
	if c.SearchLR == 0 && c.LR != Auto {
		c.SearchLR = c.LR
	}
	return c
}

// Search returns the settings of the search for steps of W.
func (c Config) Search(steps int) autolora.SearchConfig {
	c = c.Resolved()
	or := func(value, unset float64) float64 {
		if value < 0 {
			return unset
		}
		return value
	}
	init, scale := 0.0, c.AlphaScale
	form := c.Rule.Form(c.AlphaForm)
	switch form {
	case autolora.Free: // the same α as softmax starts from
		init = 1 / float64(c.K)
	case autolora.Gates: // plain LoRA
		init = 1
	}
	if scale == 0 {
		scale = float64(c.K)
	}
	optimA := autolora.AdamW(c.AlphaWeightDecay)
	optimA.Beta1 = c.AlphaBeta1
	return autolora.SearchConfig{
		K: c.K, LoRADropout: or(c.SearchLoRADropout, c.LoRADropout),
		Form: form, Scale: scale, Init: or(c.AlphaInit, init), Rule: c.Rule, Budget: int64(c.Parameters), Price: c.GatePrice,
		Mode: c.Hypergradient, LookAhead: c.LookAhead, Eta: or(c.Eta, c.SearchLR),
		Factor: c.ImplicitFactor, At: c.ImplicitAt, FDMasks: c.FDMasks, Order: c.UpdateOrder, Unroll: c.Unroll,
		Steps: steps, LRWeights: c.SearchLR, LRAlpha: c.AlphaLR,
		AdamW: autolora.AdamW(or(c.SearchWeightDecay, c.WeightDecay)), AdamWA: optimA,
	}
}

// SearchBatch returns the number of examples of a batch of the search.
func (c Config) SearchBatch() int {
	return cmp.Or(c.SearchBatchSize, c.BatchSize)
}

// Training returns the settings of training for steps optimiser steps.
func (c Config) Training(steps int) autolora.TrainConfig {
	return autolora.TrainConfig{Steps: steps, LR: c.Resolved().LR, Warmup: c.Warmup, Clip: c.Clip, AdamW: autolora.AdamW(c.WeightDecay)}
}

// Before returns the settings of the training that a rank rule wants before it
// measures: that of the method, with the rate and decay of the search.
func (c Config) Before(steps int) autolora.TrainConfig {
	t, search := c.Training(steps), c.Search(steps)
	t.LR, t.AdamW = search.LRWeights, search.AdamW
	return t
}

// LoRA returns the settings of LoRA with the same rank in every layer.
func (c Config) LoRA() nn.LoRAConfig {
	return nn.LoRAConfig{Targets: c.Targets, Rank: c.Rank, Alpha: c.LoRAAlpha, Dropout: c.LoRADropout, Seed: c.Seed}
}

// AdaLoRA returns the settings of AdaLoRA in a training of so many steps.
func (c Config) AdaLoRA(steps int) autolora.AdaLoRAConfig {
	share := func(of float64) int { return int(math.Round(of * float64(steps))) }
	return autolora.AdaLoRAConfig{
		InitRank: c.AdaLoRAInitRank, TargetRank: c.AdaLoRATargetRank,
		TInit: share(c.AdaLoRATInit), TFinal: share(c.AdaLoRATFinal), Total: steps, DeltaT: c.AdaLoRADeltaT,
		Beta1: c.AdaLoRABeta1, Beta2: c.AdaLoRABeta2, OrthWeight: c.AdaLoRAOrth,
	}
}

// adapterStyles are the bottleneck adapters by the names of their authors.
var adapterStyles = map[string]adapterhub.Style{"houlsby": nn.Houlsby, "pfeiffer": nn.Pfeiffer}

// Bottlenecks returns the settings of bottleneck adapters.
func (c Config) Bottlenecks() nn.BottleneckConfig {
	return nn.BottleneckConfig{Style: adapterStyles[c.AdapterStyle], Size: c.AdapterSize, Seed: c.Seed}
}

// Variant returns c with what the method of that name sets: an ablation of the
// search is the search with some settings changed.
func (c Config) Variant(method string) (Config, error) {
	c.Method = method
	if err := c.isMethod(); err != nil {
		return c, &Error{"method", err}
	}
	m, _ := runs.FindMethod(method)
	for _, assignment := range m.Set {
		name, value, _ := strings.Cut(assignment, "=")
		if err := c.Set(name, value); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Generation returns the settings of generation, without the tokens that end a
// text.
func (c Config) Generation() generate.Config {
	g := c.Decoding
	g.Seed = c.Seed
	return g
}
