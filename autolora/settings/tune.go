package settings

import (
	"encoding/json"
	"slices"
	"strings"

	"autolora/autolora/runs"
)

// tunable are the methods whose layers, rank and rate can be chosen.
var tunable = []string{runs.MethodLoRA, runs.MethodAdaLoRA, runs.MethodAutoLoRA}

// Space is a lattice of settings to try: an axis for each thing that is to be chosen.
type Space struct {
	Sizes []int // of the axes
	// At returns the settings of a point, and as JSON what the point sets of them.
	At func(point []int) (Config, json.RawMessage)
}

// Space returns what tune tries: methods, layers, ranks and learning rates, in this
// order, each axis in ascending order where it has one.
func (c Config) Space() Space {
	methods, targets, ranks := distinct(c.TuneMethods), distinct(c.TuneTargets), distinct(c.TuneRanks)
	slices.Sort(ranks)
	return Space{
		Sizes: []int{len(methods), len(targets), len(ranks), len(c.rates(methods[0]))},
		At: func(p []int) (Config, json.RawMessage) {
			return c.tried(methods[p[0]], targets[p[1]], ranks[p[2]], c.rates(methods[p[0]])[p[3]])
		},
	}
}

// RateSpace returns the learning rates to try of the method that c has.
func (c Config) RateSpace() Space {
	rates := c.rates(c.Method)
	return Space{Sizes: []int{len(rates)}, At: func(p []int) (Config, json.RawMessage) {
		c := c
		c.LR = rates[p[0]]
		return c.Resolved(), c.only("method", "lr")
	}}
}

// rates returns the learning rates to try of a method, in ascending order: those that
// are given, or a quarter of what it has by default to eight times that, wide enough
// for the best to be within for any layers and rank.
func (c Config) rates(method string) []float64 {
	if c.TuneLR != nil {
		rates := distinct(c.TuneLR)
		slices.Sort(rates)
		return rates
	}
	m, _ := runs.FindMethod(method)
	var rates []float64
	for _, factor := range []float64{0.25, 0.5, 1, 2, 4, 8} {
		rates = append(rates, m.LR*factor)
	}
	return rates
}

// tried returns c with a method at a rank on some layers, and what that sets. AdaLoRA
// begins at twice the rank that it comes to; AutoLoRA's is the highest that its search
// can give.
func (c Config) tried(method, targets string, rank int64, rate float64) (Config, json.RawMessage) {
	c.Method, c.Targets, c.LR, c.SearchLR = method, strings.Split(targets, "+"), rate, 0
	set := []string{"method", "target"}
	switch method {
	case runs.MethodAdaLoRA:
		c.AdaLoRAInitRank, c.AdaLoRATargetRank, c.LoRAAlpha = 2*rank, rank, 2*c.TuneScale*float64(rank)
		set = append(set, "adalora-init-rank", "adalora-target-rank")
	case runs.MethodAutoLoRA:
		c.K, c.LoRAAlpha = rank, c.TuneScale*float64(rank)
		set = append(set, "k")
	default:
		c.Rank, c.LoRAAlpha, c.Parameters = rank, c.TuneScale*float64(rank), 0
		set = append(set, "rank")
	}
	return c.Resolved(), c.only(append(set, "lora-alpha", "lr")...)
}

// only returns a JSON object of the settings of these names.
func (c Config) only(names ...string) json.RawMessage {
	return c.object(func(s Setting) bool { return slices.Contains(names, s.Name) })
}

// distinct returns the values once each, in their order.
func distinct[T comparable](values []T) (once []T) {
	for _, v := range values {
		if !slices.Contains(once, v) {
			once = append(once, v)
		}
	}
	return once
}
