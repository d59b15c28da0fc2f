package job

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"autolora/autolora"
	"autolora/autolora/runs"
)

// Every preset runs from end to end, and the folder says what it did.
func TestPresetsRun(t *testing.T) {
	for _, c := range []struct {
		preset, rule string
		settings     map[string]any // some of config.json
		perSearch    runs.Work      // passes of an iteration
	}{
		{PaperPreset, "softmax: number of α ≥ 1/k", map[string]any{"split": 0.5, "update-order": "weights-first"}, runs.Work{Forward: 2, Backward: 3}},
		{OfficialPreset, "softmax: number of raw a ≥ the layer's mean a",
			map[string]any{"split": 0.7, "update-order": "alpha-first", "search-batch-size": 32.0, "implicit-factor": 1.0}, runs.Work{Forward: 5, Backward: 5}},
		{ScaledPreset, "4·softmax: number of α ≥ 4/k", map[string]any{"alpha-scale": 0.0}, runs.Work{Forward: 2, Backward: 3}},
	} {
		t.Run(c.preset, func(t *testing.T) {
			cfg, err := PresetConfig(c.preset)
			if err != nil {
				t.Fatal(err)
			}
			tiny := tinyConfig(t, "exact")
			cfg.Model, cfg.Out, cfg.TrainFile, cfg.DevFile, cfg.Kind, cfg.Text, cfg.Label = tiny.Model, tiny.Out, tiny.TrainFile, tiny.DevFile, tiny.Kind, tiny.Text, tiny.Label
			cfg.MaxLength, cfg.K, cfg.SearchSteps, cfg.Steps, cfg.NewHead = 16, tiny.K, 3, 3, true
			out := mustRun(t, Run, cfg)
			var ranks runs.Ranks
			readJSON(t, filepath.Join(cfg.Out, runs.RanksFile), &ranks)
			if ranks.Rule != c.rule {
				t.Errorf("rule %q, want %q", ranks.Rule, c.rule)
			}
			var written map[string]any
			readJSON(t, filepath.Join(cfg.Out, runs.ConfigFile), &written)
			c.settings["preset"] = c.preset
			for name, want := range c.settings {
				if written[name] != want {
					t.Errorf("config.json: %q is %v, want %v", name, written[name], want)
				}
			}
			if got := out.Results.Cost.Search; got.Forward != 3*c.perSearch.Forward || got.Backward != 3*c.perSearch.Backward || got.Tokens == 0 {
				t.Errorf("3 steps of the search cost %+v, want %+v each", got, c.perSearch)
			}
		})
	}
}

// A preset changes what it is there for and nothing else, and is a valid run.
func TestPresetConfig(t *testing.T) {
	for _, p := range Presets {
		c, err := PresetConfig(p.Name)
		if err != nil || c.Preset != p.Name || c.Check() != nil {
			t.Errorf("%s: %v, %v", p.Name, err, c.Check())
		}
		switch c.Preset = PaperPreset; p.Name {
		case PaperPreset:
		case ScaledPreset:
			c.AlphaScale = 1
		default:
			continue
		}
		if got, want := fmt.Sprintf("%+v", c), fmt.Sprintf("%+v", DefaultConfig()); got != want {
			t.Errorf("%s: %s, want %s", p.Name, got, want)
		}
	}
	if _, err := PresetConfig("offical"); err == nil || !strings.Contains(err.Error(), `--preset: got "offical", want one of paper, official, scaled`) {
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
		{"eta as the learning rate", func(c *Config) { c.SearchLR = 0.5 }, func(c Config) float64 { return c.search(1).Eta }, 0.5},
		{"eta 0", func(c *Config) { c.Eta = 0 }, func(c Config) float64 { return c.search(1).Eta }, 0},
		{"alpha-scale 1", func(*Config) {}, func(c Config) float64 { return c.search(1).Scale }, 1},
		{"alpha-scale 0 is k", func(c *Config) { c.AlphaScale, c.K = 0, 5 }, func(c Config) float64 { return c.search(1).Scale }, 5},
		{"softmax starts at 0", func(*Config) {}, func(c Config) float64 { return c.search(1).Init }, 0},
		{"free starts at 1/k", func(c *Config) { c.AlphaForm, c.K = string(autolora.Free), 5 }, func(c Config) float64 { return c.search(1).Init }, 0.2},
		{"free starts at 1", func(c *Config) { c.AlphaForm, c.AlphaInit = string(autolora.Free), 1 }, func(c Config) float64 { return c.search(1).Init }, 1},
		{"batch as in training", func(c *Config) { c.BatchSize = 3 }, func(c Config) float64 { return float64(c.searchBatchSize()) }, 3},
		{"batch of its own", func(c *Config) { c.SearchBatchSize = 4 }, func(c Config) float64 { return float64(c.searchBatchSize()) }, 4},
		{"weight decay as in training", func(c *Config) { c.WeightDecay = 0.3 }, func(c Config) float64 { return c.search(1).AdamW.WeightDecay }, 0.3},
		{"weight decay 0", func(c *Config) { c.SearchWeightDecay = 0 }, func(c Config) float64 { return c.search(1).AdamW.WeightDecay }, 0},
		{"LoRA dropout as in training", func(c *Config) { c.LoRADropout = 0.2 }, func(c Config) float64 { return c.search(1).LoRADropout }, 0.2},
		{"LoRA dropout of its own", func(c *Config) { c.LoRADropout, c.SearchLoRADropout = 0.2, 0 }, func(c Config) float64 { return c.search(1).LoRADropout }, 0},
		{"beta1 of a alone", func(c *Config) { c.AlphaBeta1 = 0.5 }, func(c Config) float64 { return c.search(1).AdamWA.Beta1 + c.search(1).AdamW.Beta1 }, 1.4},
	} {
		cfg := DefaultConfig()
		c.change(&cfg)
		if got := c.got(cfg); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSearchSettingErrors(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.AlphaForm, c.AlphaScale = string(autolora.Sigmoid), 8 }, "--alpha-scale: only --alpha-form softmax is scaled, got form sigmoid"},
		{func(c *Config) { c.AlphaScale = -1 }, "--alpha-scale: got -1, want at least 0"},
		{func(c *Config) { c.RankRule = "mean" }, `--rank-rule: got "mean", want one of alpha, raw`},
		{func(c *Config) { c.ImplicitAt = "W" }, `--implicit-at: got "W", want one of weights, look-ahead`},
		{func(c *Config) { c.ImplicitFactor = -1 }, "--implicit-factor: got -1"},
		{func(c *Config) { c.UpdateOrder = "both" }, "--update-order"},
		{func(c *Config) { c.FDMasks = "none" }, "--fd-masks"},
		{func(c *Config) { c.SearchBatchSize = -1 }, "--search-batch-size"},
		{func(c *Config) { c.AlphaBeta1 = 1 }, "--alpha-beta1: got 1, want at least 0 and less than 1"},
		{func(c *Config) { c.SearchLoRADropout = 1 }, "--search-lora-dropout"},
	} {
		cfg := DefaultConfig()
		c.change(&cfg)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}
