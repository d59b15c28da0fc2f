package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"autolora/autolora"
	"autolora/autolora/runs"
)

// A preset changes what it is there for and nothing else, and is a valid run.
func TestPresetConfig(t *testing.T) {
	for _, p := range Presets {
		c, err := FromPreset(p.Name)
		if err != nil || c.Preset != p.Name || c.Check() != nil {
			t.Errorf("%s: %v, %v", p.Name, err, c.Check())
		}
		switch c.Preset = DefaultPreset; p.Name {
		case DefaultPreset:
		case Paper:
			c.LR, c.SearchLR, c.StandardizeLabels = 0, 0, true
		case Scaled:
			c.LR, c.SearchLR, c.StandardizeLabels, c.AlphaScale = 0, 0, true, 1
		default:
			continue
		}
		if got, want := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", Default()); got != want {
			t.Errorf("%s: %s, want %s", p.Name, got, want)
		}
	}
	if _, err := FromPreset("offical"); err == nil || !strings.Contains(err.Error(), `preset: got "offical", want one of default, paper, official, scaled`) {
		t.Errorf("error %v", err)
	}
}

// Settings that stand for others.
func TestSearchSettings(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		got    func(Config) float64
		want   float64
	}{
		{"eta as the learning rate", func(c *Config) { c.SearchLR = 0.5 }, func(c Config) float64 { return c.Search(1).Eta }, 0.5},
		{"eta 0", func(c *Config) { c.Eta = 0 }, func(c Config) float64 { return c.Search(1).Eta }, 0},
		{"alpha-scale 1", func(*Config) {}, func(c Config) float64 { return c.Search(1).Scale }, 1},
		{"alpha-scale 0 is k", func(c *Config) { c.AlphaScale, c.K = 0, 5 }, func(c Config) float64 { return c.Search(1).Scale }, 5},
		{"softmax starts at 0", func(*Config) {}, func(c Config) float64 { return c.Search(1).Init }, 0},
		{"free starts at 1/k", func(c *Config) { c.AlphaForm, c.K = autolora.Free, 5 }, func(c Config) float64 { return c.Search(1).Init }, 0.2},
		{"free starts at 1", func(c *Config) { c.AlphaForm, c.AlphaInit = autolora.Free, 1 }, func(c Config) float64 { return c.Search(1).Init }, 1},
		{"batch as in training", func(c *Config) { c.BatchSize = 3 }, func(c Config) float64 { return float64(c.SearchBatch()) }, 3},
		{"batch of its own", func(c *Config) { c.SearchBatchSize = 4 }, func(c Config) float64 { return float64(c.SearchBatch()) }, 4},
		{"weight decay as in training", func(c *Config) { c.WeightDecay = 0.3 }, func(c Config) float64 { return c.Search(1).AdamW.WeightDecay }, 0.3},
		{"weight decay 0", func(c *Config) { c.SearchWeightDecay = 0 }, func(c Config) float64 { return c.Search(1).AdamW.WeightDecay }, 0},
		{"LoRA dropout as in training", func(c *Config) { c.LoRADropout = 0.2 }, func(c Config) float64 { return c.Search(1).LoRADropout }, 0.2},
		{"LoRA dropout of its own", func(c *Config) { c.LoRADropout, c.SearchLoRADropout = 0.2, 0 }, func(c Config) float64 { return c.Search(1).LoRADropout }, 0},
		{"beta1 of a alone", func(c *Config) { c.AlphaBeta1 = 0.5 }, func(c Config) float64 { return c.Search(1).AdamWA.Beta1 + c.Search(1).AdamW.Beta1 }, 1.4},
	} {
		cfg := Default()
		c.change(&cfg)
		if got := c.got(cfg); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// The learning rate goes by the method, that of the search by the training's, and
// a preset sets both; what is written down is resolved, once and for all.
func TestLearningRates(t *testing.T) {
	for _, c := range []struct {
		preset, method string
		lr, search     float64 // given; 0 is not
		want, searched float64
	}{
		{DefaultPreset, runs.MethodLoRA, 0, 0, 1e-3, 1e-3},
		{DefaultPreset, runs.MethodAutoLoRA, 0, 0, 1e-3, 1e-3},
		{DefaultPreset, runs.MethodFull, 0, 0, 5e-5, 5e-5},
		{DefaultPreset, runs.MethodAdaLoRA, 0, 0, 4e-3, 4e-3},
		{DefaultPreset, runs.MethodFull, 2e-5, 0, 2e-5, 2e-5},
		{DefaultPreset, runs.MethodAutoLoRA, 4e-3, 0, 4e-3, 4e-3},
		{DefaultPreset, runs.MethodAutoLoRA, 0, 4e-3, 1e-3, 4e-3},
		{DefaultPreset, runs.MethodAutoLoRA, 5e-4, 4e-3, 5e-4, 4e-3},
		{Paper, runs.MethodAutoLoRA, 0, 0, 1e-4, 1e-4},
		{Paper, runs.MethodFull, 0, 0, 1e-4, 1e-4},
		{Scaled, runs.MethodAutoLoRA, 0, 0, 1e-4, 1e-4},
		{Official, runs.MethodAutoLoRA, 0, 0, 1e-4, 3e-4},
	} {
		cfg, err := FromPreset(c.preset)
		if err != nil {
			t.Fatal(err)
		}
		if c.lr > 0 {
			cfg.LR = c.lr
		}
		if c.search > 0 {
			cfg.SearchLR = c.search
		}
		if cfg, err = cfg.Variant(c.method); err != nil || cfg.Check() != nil {
			t.Fatal(err, cfg.Check())
		}
		if train, search := cfg.Training(1), cfg.Search(1); train.LR != c.want || search.LRWeights != c.searched || search.Eta != c.searched {
			t.Errorf("%+v: rate %v, of the search %v, η %v", c, train.LR, search.LRWeights, search.Eta)
		}
		text, err := json.Marshal(cfg.Resolved())
		back := Default()
		if err = errors.Join(err, json.Unmarshal(text, &back)); err != nil || back.LR != c.want || back.SearchLR != c.searched {
			t.Errorf("%+v: written %v and %v (%v)", c, back.LR, back.SearchLR, err)
		}
		if again, err := back.Variant(runs.MethodFull); err != nil || again.Training(1).LR != c.want {
			t.Errorf("%+v: what was written does not stay: %v", c, again.LR)
		}
	}
	names := map[string]bool{}
	for _, m := range runs.Methods {
		if m.LR <= 0 {
			t.Errorf("method %s has no learning rate", m.Name)
		}
		if names[m.Name] {
			t.Errorf("method %s is there twice", m.Name)
		}
		names[m.Name] = true
	}
	for _, rule := range autolora.RankRules[1:] { // of the first it is plain autolora
		if !names["autolora-"+string(rule)] {
			t.Errorf("rule %s has no method", rule)
		}
	}
	for _, bad := range []float64{-0.5, -1, math.Inf(1), math.NaN()} {
		for _, set := range []func(*Config){func(c *Config) { c.LR = bad }, func(c *Config) { c.SearchLR = bad }} {
			cfg := Default()
			if set(&cfg); cfg.Check() == nil {
				t.Errorf("rate %v is taken", bad)
			}
		}
	}
}

func TestSearchSettingErrors(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.AlphaForm, c.AlphaScale = autolora.Sigmoid, 8 }, "alpha-scale: only alpha-form softmax is scaled, got form sigmoid"},
		{func(c *Config) { c.AlphaScale = -1 }, "alpha-scale: got -1, want at least 0"},
		{func(c *Config) { c.Rule = "mean" }, `rule: got "mean", want one of alpha, sigmoid, none, raw`},
		{func(c *Config) { c.ImplicitAt = "W" }, `implicit-at: got "W", want one of weights, look-ahead`},
		{func(c *Config) { c.ImplicitFactor = -1 }, "implicit-factor: got -1"},
		{func(c *Config) { c.UpdateOrder = "both" }, "update-order"},
		{func(c *Config) { c.FDMasks = "none" }, "fd-masks"},
		{func(c *Config) { c.SearchBatchSize = -1 }, "search-batch-size"},
		{func(c *Config) { c.AlphaBeta1 = 1 }, "alpha-beta1: got 1, want at least 0 and less than 1"},
		{func(c *Config) { c.SearchLoRADropout = 1 }, "search-lora-dropout"},
		{func(c *Config) { c.Epochs = 1e20 }, "epochs: got 1e+20, want at most 100000"},
		{func(c *Config) { c.SearchSteps = math.MaxInt }, "search-steps: got 9223372036854775807, want at most 1000000000"},
		{func(c *Config) { c.LR = math.Inf(1) }, "lr: got +Inf, want more than 0"},
		{func(c *Config) { c.Rank = 1 << 40 }, "rank: got 1099511627776, want at most 65536"},
		{func(c *Config) { c.GridRanks = []int64{1, 1 << 40} }, "grid-ranks: got 1099511627776, want at most 65536"},
		{func(c *Config) { c.Seeds = 1 << 30 }, "seeds: got 1073741824, want at most 1000"},
		{func(c *Config) { c.Threads = 1 << 20 }, "threads: got 1048576, want at most 1024"},
	} {
		cfg := Default()
		c.change(&cfg)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func TestGridSize(t *testing.T) {
	for _, tt := range []struct{ targets, ranks, want int }{{2, 4, 16}, {1, 3, 3}, {5, 4, 1024}, {6, 4, maxGrid + 1}, {100, 9, maxGrid + 1}, {2, 0, 0}} {
		c := Config{Targets: make([]string, tt.targets), GridRanks: make([]int64, tt.ranks)}
		if got := c.GridSize(); got != tt.want {
			t.Errorf("size of %d ranks for %d targets: %d, want %d", tt.ranks, tt.targets, got, tt.want)
		}
	}
}
