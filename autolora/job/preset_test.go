package job

import (
	"path/filepath"
	"testing"

	"autolora/autolora/runs"
	"autolora/autolora/settings"
)

// Every preset runs from end to end, and the folder says what it did.
func TestPresetsRun(t *testing.T) {
	for _, c := range []struct {
		preset, rule string
		settings     map[string]any // some of config.json
		perSearch    runs.Work      // passes of an iteration
	}{
		{settings.Paper, "softmax: number of α ≥ 1/k", map[string]any{"split": 0.5, "update-order": "weights-first"}, runs.Work{Forward: 2, Backward: 3}},
		{settings.Official, "softmax: number of raw a ≥ the layer's mean a",
			map[string]any{"split": 0.7, "update-order": "alpha-first", "search-batch-size": 32.0, "implicit-factor": 1.0}, runs.Work{Forward: 5, Backward: 5}},
		{settings.Scaled, "4·softmax: number of α ≥ 4/k", map[string]any{"alpha-scale": 0.0}, runs.Work{Forward: 2, Backward: 3}},
	} {
		t.Run(c.preset, func(t *testing.T) {
			cfg, err := settings.FromPreset(c.preset)
			if err != nil {
				t.Fatal(err)
			}
			tiny := tinyConfig(t, "exact")
			cfg.Model, cfg.Out, cfg.TrainFile, cfg.DevFile, cfg.Kind, cfg.Text, cfg.Label = tiny.Model, tiny.Out, tiny.TrainFile, tiny.DevFile, tiny.Kind, tiny.Text, tiny.Label
			cfg.MaxLength, cfg.K, cfg.SearchSteps, cfg.Steps, cfg.NewHead = 16, tiny.K, 3, 3, true
			out := mustRun(t, Run, cfg)
			var ranks runs.Ranks
			readJSON(t, filepath.Join(cfg.Out, runs.RanksFile), &ranks)
			if ranks.Rule.String() != c.rule {
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
